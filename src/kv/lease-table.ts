// Which leases exist and which keys hang on them. Time is not here: when a lease has run out, the
// leader says so by a command. A key has its lease in its index entry; this is the way back.

import { type ErrorStatus, etcdErrors } from '../api/errors.ts';
import { type Backend, Table } from './backend.ts';
import { EMPTY, prefixEnd, RecordReader, RecordWriter } from './bytes.ts';
import { leaseKey, readLeaseKey } from './record.ts';

/** etcd's bound, in seconds: about 285 years. */
const TTL_MAX = 9_000_000_000;
const RECORD_BYTES_MAX = 24;

export interface Lease {
  readonly id: bigint;
  /** As granted, in seconds. */
  readonly ttl: number;
  /** What a former leader has reported to be left; 0 when nothing was. */
  readonly remainingTtl: number;
}

export class LeaseTable {
  readonly #backend: Backend;
  readonly #writer = new RecordWriter();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  has(id: bigint): boolean {
    return this.#backend.peek(Table.LEASE, leaseKey(id)) !== undefined;
  }

  get(id: bigint): Lease | undefined {
    const bytes = this.#backend.get(Table.LEASE, leaseKey(id));
    return bytes === undefined ? undefined : decodeLease(id, bytes);
  }

  grant(id: bigint, ttl: number): ErrorStatus | null {
    if (ttl > TTL_MAX) return etcdErrors.leaseTtlTooLarge;
    if (this.has(id)) return etcdErrors.leaseExists;
    this.#backend.put(Table.LEASE, leaseKey(id), this.#encode(Math.max(0, ttl), 0), true);
    return null;
  }

  /** Keeps what is left of a lease, for the next leader. An unknown lease is passed over. */
  checkpoint(id: bigint, remainingTtl: number): void {
    const lease = this.get(id);
    if (lease === undefined) return;
    const bytes = this.#encode(lease.ttl, Math.min(Math.max(0, remainingTtl), lease.ttl));
    this.#backend.put(Table.LEASE, leaseKey(id), bytes, false);
  }

  /** The lease is there, and no key hangs on it any more. */
  remove(id: bigint): void {
    this.#backend.remove(Table.LEASE, leaseKey(id));
  }

  /** A key leaves one lease for another; 0n is none. Both are there. */
  move(key: Uint8Array, from: bigint, to: bigint): void {
    if (from !== 0n) this.#backend.remove(Table.ATTACHED, leaseKey(from, key));
    if (to !== 0n) this.#backend.put(Table.ATTACHED, leaseKey(to, key), EMPTY, true);
  }

  /** In ascending order. */
  keysOf(id: bigint): Uint8Array[] {
    const prefix = leaseKey(id);
    const keys: Uint8Array[] = [];
    const cursor = this.#backend.scan(Table.ATTACHED, prefix, prefixEnd(prefix));
    while (cursor.next()) keys.push(readLeaseKey(cursor.key).key);
    cursor.close();
    return keys;
  }

  /** All leases, by id. */
  all(): Lease[] {
    const leases: Lease[] = [];
    const cursor = this.#backend.scan(Table.LEASE, EMPTY, null);
    while (cursor.next()) leases.push(decodeLease(readLeaseKey(cursor.key).lease, cursor.value));
    cursor.close();
    return leases;
  }

  #encode(ttl: number, remainingTtl: number): Uint8Array {
    this.#writer.begin(RECORD_BYTES_MAX);
    this.#writer.varint(ttl);
    this.#writer.varint(remainingTtl);
    return this.#writer.end();
  }
}

function decodeLease(id: bigint, bytes: Uint8Array): Lease {
  const reader = new RecordReader();
  reader.reset(bytes);
  const ttl = reader.varint();
  return { id, ttl, remainingTtl: reader.varint() };
}

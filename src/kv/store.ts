// The multi-version key-value store with etcd's semantics: every change gets a revision, every
// readable revision can be read. Deterministic: what it answers follows from its state and the
// request alone, on every member and on every backend.
//
// This file keeps the revisions and writes single changes. Reading is in store-reads.ts, the deletion
// of many keys in removal-jobs.ts; transactions are in txn.ts, leases in lease-table.ts, the removal
// of old versions in sweep.ts, hashing in hash.ts.

import { type ErrorStatus, etcdErrors } from '../api/errors.ts';
import type { CompactionRequest, PutRequest } from '../api/kv.ts';
import type { PutResult } from '../api/results.ts';
import { readValue } from '../api/stored-key-value.ts';
import { type Backend, BackendError, type Snapshot, Table } from './backend.ts';
import { EMPTY, RecordWriter } from './bytes.ts';
import { type Change, type ChangeListener, changeOf } from './changes.ts';
import { LeaseTable } from './lease-table.ts';
import { advance, decodeEntry, encodeEntry, IndexEntry, writeRecord } from './record.ts';
import { StoreReads } from './store-reads.ts';
import { decodeState, encodeState, initialState, type StoreState } from './store-state.ts';
import { currentKv } from './version-reader.ts';

const STATE_KEY = new TextEncoder().encode('state');

/** The answer to a command that changes nothing but the store's own counters. */
export interface RevisionResult {
  readonly revision: number;
}

export function isRefusal(result: object): result is ErrorStatus {
  return 'text' in result;
}

export class Store extends StoreReads {
  readonly backend: Backend;
  readonly leases: LeaseTable;
  #state: StoreState;
  /** Changes made by the command that is being applied; they get one revision together. */
  #changesMade = 0;
  #stateChanged = false;
  #listener: ChangeListener | null = null;
  #changes: Change[] = [];
  /** The entry of the key at hand; used again for every change. */
  readonly #entry = new IndexEntry();
  readonly #stateWriter = new RecordWriter();

  constructor(backend: Backend) {
    super();
    this.backend = backend;
    this.leases = new LeaseTable(backend);
    this.#state = this.#load();
  }

  get state(): Readonly<StoreState> {
    return this.#state;
  }

  /** The revision of the last change; 1 in an empty store. */
  get revision(): number {
    return this.#state.revision;
  }

  override get view(): Backend {
    return this.backend;
  }

  override pin(): Snapshot {
    return this.backend.snapshot();
  }

  override get compactRevision(): number {
    return this.#state.compactRevision;
  }

  /** Inside of a running command that has changed something, the one that it will have. */
  override get readRevision(): number {
    return this.#state.revision + (this.#changesMade > 0 ? 1 : 0);
  }

  /** One listener at a time; null to stop. Nothing is gathered while there is none. */
  listen(listener: ChangeListener | null): void {
    this.#listener = listener;
    this.#changes = [];
  }

  /** Whether a put can be done; asked before anything of its command is written. */
  checkPutState(request: PutRequest): ErrorStatus | null {
    if (request.lease !== 0n && !this.leases.has(request.lease)) return etcdErrors.leaseNotFound;
    if (!request.ignoreValue && !request.ignoreLease) return null;
    const isThere = this.backend.peek(Table.LIVE, request.key) !== undefined;
    return isThere ? null : etcdErrors.keyNotFound;
  }

  /** A put of its own command or inside of a transaction; checked before. */
  put(request: PutRequest): PutResult {
    const { key } = request;
    const needsPrevious = request.prevKv || request.ignoreValue;
    const previous = needsPrevious ? (currentKv(this.backend, key) ?? null) : null;
    const value = request.ignoreValue && previous !== null ? readValue(previous) : request.value;
    this.#put(key, value, request.ignoreLease ? null : request.lease);
    return {
      revision: this.readRevision,
      encodedPrevKv: request.prevKv ? previous : null,
    };
  }

  /** The key is live. */
  deleteKey(key: Uint8Array): void {
    const { backend } = this;
    const entry = this.#entry;
    const main = this.#state.revision + 1;
    this.#loadLive(key);
    const previousMain = entry.main;
    const previousSub = entry.sub;
    const oldLease = entry.lease;

    advance(entry, main, this.#changesMade++);
    entry.createRevision = 0;
    entry.version = 0;
    entry.lease = 0n;
    const record = writeRecord(key, EMPTY, entry, previousMain, previousSub);
    backend.put(Table.LOG, record.logKey, record.logValue, true);
    backend.remove(Table.LIVE, key);
    backend.put(Table.DEAD, record.key, encodeEntry(entry), true);
    this.#state.deadCount++;
    if (oldLease !== 0n) this.leases.move(key, oldLease, 0n);
    if (this.#listener !== null) this.#gather(main, entry.sub, record.logValue);
  }

  /** Hides all versions that are superseded at `revision`. What it hides is swept away later. */
  compact(request: CompactionRequest): RevisionResult | ErrorStatus {
    if (request.revision <= this.compactRevision) return etcdErrors.compacted;
    if (request.revision > this.revision) return etcdErrors.futureRevision;
    this.#state.compactRevision = request.revision;
    this.#stateChanged = true;
    return { revision: this.revision };
  }

  /** Ends a command: its changes, if any, now have their revision. */
  endCommand(): void {
    if (this.#changesMade === 0) return;
    this.#changesMade = 0;
    this.#state.revision++;
    this.#stateChanged = true;
  }

  /** Ends a batch of commands: writes the counters and tells the listener. */
  endBatch(): void {
    if (this.#stateChanged) {
      const isNew = this.backend.peek(Table.META, STATE_KEY) === undefined;
      const bytes = encodeState(this.#state, this.#stateWriter);
      this.backend.put(Table.META, STATE_KEY, bytes, isNew);
      this.#stateChanged = false;
    }
    if (this.#changes.length === 0) return;
    const changes = this.#changes;
    this.#changes = [];
    this.#listener?.(changes);
  }

  /** For the sweep, which moves on without changing anything that can be seen. */
  recordSweep(sweep: Pick<StoreState, 'sweptTo' | 'sweptRevision' | 'deadCount'>): void {
    Object.assign(this.#state, sweep);
    this.#stateChanged = true;
  }

  /** After the backend's content was replaced. */
  reload(): void {
    this.#state = this.#load();
    this.#changesMade = 0;
    this.#stateChanged = false;
    this.#changes = [];
  }

  /** `lease` is null to keep the key's lease. */
  #put(key: Uint8Array, value: Uint8Array, lease: bigint | null): void {
    const { backend } = this;
    const entry = this.#entry;
    const main = this.#state.revision + 1;
    const isNew = !this.#loadLive(key);
    const wasDead = isNew && this.#loadDead(key);
    const previousMain = entry.main;
    const previousSub = entry.sub;
    const oldLease = entry.lease;
    const newLease = lease ?? oldLease;

    advance(entry, main, this.#changesMade++);
    if (isNew) entry.createRevision = main;
    entry.version++;
    entry.lease = newLease;
    const record = writeRecord(key, value, entry, previousMain, previousSub);
    backend.put(Table.LOG, record.logKey, record.logValue, true);
    backend.put(Table.LIVE, record.key, encodeEntry(entry), isNew);
    if (wasDead) this.#forgetDead(key);
    if (oldLease !== newLease) this.leases.move(record.key, oldLease, newLease);
    if (this.#listener !== null) this.#gather(main, entry.sub, record.logValue);
  }

  #loadLive(key: Uint8Array): boolean {
    const found = this.backend.peek(Table.LIVE, key);
    if (found !== undefined) decodeEntry(found, this.#entry);
    return found !== undefined;
  }

  /**
   * Readies the entry for a key that is not live: after its tombstone, if it has one. A tombstone
   * below the compacted revision counts as gone, whether or not it has been swept away already:
   * members sweep at different times, and their records must be equal.
   */
  #loadDead(key: Uint8Array): boolean {
    const entry = this.#entry;
    const found = this.#state.deadCount === 0 ? undefined : this.backend.peek(Table.DEAD, key);
    if (found !== undefined) decodeEntry(found, entry);
    if (found === undefined || entry.main < this.compactRevision) {
      entry.main = 0;
      entry.sub = 0;
      entry.depth = 0;
      entry.anchors.length = 0;
    }
    entry.version = 0;
    entry.lease = 0n;
    return found !== undefined;
  }

  #forgetDead(key: Uint8Array): void {
    this.backend.remove(Table.DEAD, key);
    this.#state.deadCount--;
  }

  #gather(main: number, sub: number, logValue: Uint8Array): void {
    this.#changes.push(changeOf({ main, sub }, logValue));
  }

  #load(): StoreState {
    const bytes = this.backend.get(Table.META, STATE_KEY);
    if (bytes === undefined) return initialState();
    const state = decodeState(bytes);
    if (state === undefined) throw new BackendError('the store is of a format that is not known');
    return state;
  }
}

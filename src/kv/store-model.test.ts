// The store against a second one that is as simple as can be: it keeps every change ever made in a
// list and replays the list for every read. Random commands go to the model and to machines on both
// backends, which sweep at different times; answers, reads and hashes must be equal.

import { deepEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { KeyValue } from '../api/common.ts';
import { decodeKeyValue } from '../api/common-codec.ts';
import { type ErrorStatus, etcdErrors } from '../api/errors.ts';
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../api/kv.ts';
import {
  emptyRangeRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
} from '../api/kv-codec.ts';
import { encodeLeaseGrantRequest, encodeLeaseRevokeRequest } from '../api/lease-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import { encodeTxnRequest } from '../api/txn-codec.ts';
import type { History } from './changes.ts';
import { checkTxn } from './check.ts';
import { CommandTag, encodeCommand } from './command.ts';
import { KvMachine } from './kv-machine.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryBackend } from './memory-backend.ts';
import type { Revision } from './record.ts';

type Command =
  | { tag: 'put'; request: PutRequest }
  | { tag: 'delete'; request: DeleteRangeRequest }
  | { tag: 'txn'; request: TxnRequest }
  | { tag: 'compact'; revision: number }
  | { tag: 'grant'; id: bigint }
  | { tag: 'revoke'; id: bigint };

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const fromLatin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

/** One change: the key's state from then on, null when it is deleted. */
interface Version {
  revision: number;
  key: string;
  kv: KeyValue | null;
}

class Model {
  revision = 1;
  compacted = -1;
  leases = new Set<bigint>();
  versions: Version[] = [];
  /** The state after the last change. Only reads of the past replay the list. */
  readonly #newest = new Map<string, KeyValue>();
  #changed = false;

  get now(): number {
    return this.revision + (this.#changed ? 1 : 0);
  }

  at(revision: number): Map<string, KeyValue> {
    if (revision >= this.now) return this.#newest;
    const state = new Map<string, KeyValue>();
    for (const { revision: made, key, kv } of this.versions) {
      if (made > revision) break;
      if (kv === null) state.delete(key);
      else state.set(key, kv);
    }
    return state;
  }

  apply(command: Command): unknown {
    const result = this.#dispatch(command);
    if (this.#changed) this.revision++;
    this.#changed = false;
    return result;
  }

  range(r: RangeRequest): unknown {
    const revision = r.revision > 0 ? r.revision : this.now;
    if (revision > this.now) return etcdErrors.futureRevision;
    if (revision < this.compacted) return etcdErrors.compacted;
    const all = this.#select(this.at(revision), r.key, r.rangeEnd);
    let kvs = all.filter(
      kv =>
        (!r.minModRevision || kv.modRevision >= r.minModRevision) &&
        (!r.maxModRevision || kv.modRevision <= r.maxModRevision) &&
        (!r.minCreateRevision || kv.createRevision >= r.minCreateRevision) &&
        (!r.maxCreateRevision || kv.createRevision <= r.maxCreateRevision),
    );
    if (r.sortOrder !== 0 || r.sortTarget !== 0) {
      const sign = r.sortOrder === 2 ? -1 : 1;
      const by = (kv: KeyValue) =>
        [latin1(kv.key), kv.version, kv.createRevision, kv.modRevision, latin1(kv.value)][
          r.sortTarget
        ]!;
      kvs = kvs.sort((a, b) => (by(a) === by(b) ? 0 : by(a) < by(b) ? -sign : sign));
    }
    if (r.countOnly) kvs = [];
    const more = r.limit > 0 && kvs.length > r.limit;
    if (more) kvs = kvs.slice(0, r.limit);
    if (r.keysOnly) kvs = kvs.map(kv => ({ ...kv, value: new Uint8Array(0) }));
    return { revision: this.now, kvs: kvs.map(plain), more, count: all.length };
  }

  #dispatch(command: Command): unknown {
    switch (command.tag) {
      case 'put':
        return this.#checkPut(command.request) ?? this.#put(command.request);
      case 'delete':
        return this.#delete(command.request);
      case 'txn':
        return this.#txn(command.request);
      case 'compact':
        if (command.revision <= this.compacted) return etcdErrors.compacted;
        if (command.revision > this.revision) return etcdErrors.futureRevision;
        this.compacted = command.revision;
        return { revision: this.revision };
      case 'grant':
        if (this.leases.has(command.id)) return etcdErrors.leaseExists;
        this.leases.add(command.id);
        return { revision: this.revision, id: command.id, ttl: 60 };
      case 'revoke': {
        if (!this.leases.delete(command.id)) return etcdErrors.leaseNotFound;
        for (const kv of this.#select(this.at(this.now), fromLatin1('\0'), fromLatin1('\0'))) {
          if (kv.lease === command.id) this.#change(latin1(kv.key), null);
        }
        return { revision: this.now };
      }
    }
  }

  #change(key: string, kv: KeyValue | null): void {
    this.#changed = true;
    this.versions.push({ revision: this.now, key, kv });
    if (kv === null) this.#newest.delete(key);
    else this.#newest.set(key, kv);
  }

  #select(state: Map<string, KeyValue>, key: Uint8Array, end: Uint8Array): KeyValue[] {
    const [from, to] = [latin1(key), latin1(end)];
    const isIn = (k: string) => (to === '' ? k === from : k >= from && (to === '\0' || k < to));
    return [...state]
      .filter(([k]) => isIn(k))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, kv]) => kv);
  }

  #checkPut(r: PutRequest): ErrorStatus | null {
    if (r.lease !== 0n && !this.leases.has(r.lease)) return etcdErrors.leaseNotFound;
    const isThere = this.at(this.now).has(latin1(r.key));
    return (r.ignoreValue || r.ignoreLease) && !isThere ? etcdErrors.keyNotFound : null;
  }

  #put(r: PutRequest): unknown {
    const key = latin1(r.key);
    const before = this.at(this.now).get(key);
    this.#changed = true;
    this.#change(key, {
      key: r.key,
      createRevision: before?.createRevision ?? this.now,
      modRevision: this.now,
      version: (before?.version ?? 0) + 1,
      value: r.ignoreValue && before ? before.value : r.value,
      lease: r.ignoreLease ? (before?.lease ?? 0n) : r.lease,
    });
    return { revision: this.now, prevKv: r.prevKv && before ? plain(before) : null };
  }

  #delete(r: DeleteRangeRequest): unknown {
    const gone = this.#select(this.at(this.now), r.key, r.rangeEnd);
    for (const kv of gone) this.#change(latin1(kv.key), null);
    const prevKvs = r.prevKv ? gone.map(plain) : [];
    return { revision: this.now, deleted: gone.length, prevKvs };
  }

  #txn(r: TxnRequest): unknown {
    const choices = new Map<TxnRequest, boolean>();
    const choose = (txn: TxnRequest) => {
      choices.set(
        txn,
        txn.compare.every(c => this.#holds(c)),
      );
      for (const op of this.#branch(txn, choices)) if (op?.kind === 'txn') choose(op.txn);
    };
    choose(r);
    return this.#checkBranch(r, choices) ?? this.#run(r, choices);
  }

  #branch(txn: TxnRequest, choices: Map<TxnRequest, boolean>): RequestOp[] {
    return choices.get(txn) ? txn.success : txn.failure;
  }

  #checkBranch(txn: TxnRequest, choices: Map<TxnRequest, boolean>): ErrorStatus | null {
    for (const op of this.#branch(txn, choices)) {
      let error: ErrorStatus | null = null;
      if (op?.kind === 'txn') error = this.#checkBranch(op.txn, choices);
      if (op?.kind === 'put') error = this.#checkPut(op.put);
      if (op?.kind === 'range' && op.range.revision !== 0) {
        if (op.range.revision > this.now) error = etcdErrors.futureRevision;
        if (op.range.revision < this.compacted) error = etcdErrors.compacted;
      }
      if (error !== null) return error;
    }
    return null;
  }

  #run(txn: TxnRequest, choices: Map<TxnRequest, boolean>): unknown {
    const responses = this.#branch(txn, choices).map(op => {
      if (op?.kind === 'txn') return this.#run(op.txn, choices);
      if (op?.kind === 'put') return this.#put(op.put);
      if (op?.kind === 'deleteRange') return this.#delete(op.deleteRange);
      return op?.kind === 'range' ? this.range(op.range) : null;
    });
    return { revision: this.now, succeeded: choices.get(txn), responses };
  }

  #holds(c: Compare): boolean {
    const kvs: (KeyValue | null)[] = this.#select(this.at(this.now), c.key, c.rangeEnd);
    if (kvs.length === 0) kvs.push(null);
    return kvs.every(kv => {
      if (kv === null && c.target === 3) return false;
      const [mine, kind] = [
        [kv?.version ?? 0, 'version'],
        [kv?.createRevision ?? 0, 'createRevision'],
        [kv?.modRevision ?? 0, 'modRevision'],
        [latin1(kv?.value ?? new Uint8Array(0)), 'value'],
        [kv?.lease ?? 0n, 'lease'],
      ][c.target] as [number | string | bigint, string];
      const given = c.targetUnion as Record<string, unknown> | null;
      const raw = given?.['kind'] === kind ? given[kind] : undefined;
      const none = c.target === 3 ? '' : c.target === 4 ? 0n : 0;
      const theirs = raw instanceof Uint8Array ? latin1(raw) : ((raw as number) ?? none);
      return [mine === theirs, mine > theirs, mine < theirs, mine !== theirs][c.result]!;
    });
  }
}

function plain(kv: KeyValue) {
  return { ...kv, key: latin1(kv.key), value: latin1(kv.value) };
}

/** A machine's answer in the model's form. */
function decoded(result: unknown): unknown {
  const r = result as Record<string, unknown>;
  const kvs = (list: unknown) => (list as Uint8Array[]).map(b => plain(decodeKeyValue(b)));
  if ('encodedKvs' in r) {
    return {
      revision: r['revision'],
      kvs: kvs(r['encodedKvs']),
      more: r['more'],
      count: r['count'],
    };
  }
  if ('encodedPrevKv' in r) {
    const prev = r['encodedPrevKv'] as Uint8Array | null;
    return { revision: r['revision'], prevKv: prev && plain(decodeKeyValue(prev)) };
  }
  if ('encodedPrevKvs' in r) {
    return { revision: r['revision'], deleted: r['deleted'], prevKvs: kvs(r['encodedPrevKvs']) };
  }
  if ('responses' in r) {
    const responses = (r['responses'] as Record<string, unknown>[]).map(response =>
      decoded(response[response['kind'] as string]),
    );
    return { revision: r['revision'], succeeded: r['succeeded'], responses };
  }
  return r;
}

function encoded(command: Command): Uint8Array {
  switch (command.tag) {
    case 'put':
      return encodeCommand(CommandTag.PUT, toBytes(encodePutRequest, command.request));
    case 'delete': {
      const request = toBytes(encodeDeleteRangeRequest, command.request);
      return encodeCommand(CommandTag.DELETE_RANGE, request);
    }
    case 'txn':
      return encodeCommand(CommandTag.TXN, toBytes(encodeTxnRequest, command.request));
    case 'compact': {
      const request = { revision: command.revision, physical: false };
      return encodeCommand(CommandTag.COMPACT, toBytes(encodeCompactionRequest, request));
    }
    case 'grant': {
      const request = toBytes(encodeLeaseGrantRequest, { id: command.id, ttl: 60 });
      return encodeCommand(CommandTag.LEASE_GRANT, request);
    }
    case 'revoke': {
      const request = toBytes(encodeLeaseRevokeRequest, { id: command.id });
      return encodeCommand(CommandTag.LEASE_REVOKE, request);
    }
  }
}

class Generator {
  #state: number;
  readonly #model: Model;

  constructor(seed: number, model: Model) {
    this.#state = seed;
    this.#model = model;
  }

  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  command(): Command {
    const kind = this.below(100);
    if (kind < 45) return { tag: 'put', request: this.put() };
    if (kind < 60) return { tag: 'delete', request: this.delete() };
    if (kind < 92) return { tag: 'txn', request: this.disjointTxn() };
    if (kind < 95) return { tag: 'compact', revision: this.revision() };
    if (kind < 98) return { tag: 'grant', id: BigInt(1 + this.below(3)) };
    return { tag: 'revoke', id: BigInt(1 + this.below(3)) };
  }

  range(): RangeRequest {
    return {
      ...emptyRangeRequest(),
      ...this.#keys(),
      limit: this.chance(40) ? this.below(6) : 0,
      revision: this.chance(50) ? this.revision() : 0,
      sortOrder: this.chance(30) ? this.below(3) : 0,
      sortTarget: this.chance(30) ? this.below(5) : 0,
      keysOnly: this.chance(10),
      countOnly: this.chance(10),
      minModRevision: this.chance(8) ? this.revision() : 0,
      maxModRevision: this.chance(8) ? this.revision() : 0,
      minCreateRevision: this.chance(8) ? this.revision() : 0,
      maxCreateRevision: this.chance(8) ? this.revision() : 0,
    };
  }

  put(): PutRequest {
    const ignoreValue = this.chance(8);
    const ignoreLease = this.chance(8);
    return {
      key: this.#key(),
      value: ignoreValue
        ? new Uint8Array(0)
        : fromLatin1(`v${this.below(9)}`.repeat(this.below(9))),
      lease: !ignoreLease && this.chance(25) ? BigInt(this.below(4)) : 0n,
      prevKv: this.chance(30),
      ignoreValue,
      ignoreLease,
    };
  }

  delete(): DeleteRangeRequest {
    const keys = this.chance(25) ? this.#keys() : { key: this.#key(), rangeEnd: fromLatin1('') };
    return { ...keys, prevKv: this.chance(40) };
  }

  /** Above and below everything now and then. */
  revision(): number {
    const { revision, compacted } = this.#model;
    const from = Math.max(compacted - 3, revision - 40, -2);
    return from + this.below(revision + 3 - from);
  }

  disjointTxn(): TxnRequest {
    for (;;) {
      const txn = this.#txn(0);
      if (checkTxn(txn, 128) === null) return txn;
    }
  }

  #txn(depth: number): TxnRequest {
    const list = <T>(max: number, make: () => T) => Array.from({ length: this.below(max) }, make);
    return {
      compare: list(3, () => this.#compare()),
      success: list(4, () => this.#op(depth)),
      failure: list(4, () => this.#op(depth)),
    };
  }

  #op(depth: number): RequestOp {
    const kind = this.below(10);
    if (kind < 4) return { kind: 'put', put: this.put() };
    if (kind < 6) return { kind: 'deleteRange', deleteRange: this.delete() };
    if (kind < 9 || depth === 2) return { kind: 'range', range: this.range() };
    return { kind: 'txn', txn: this.#txn(depth + 1) };
  }

  #compare(): Compare {
    const { key, rangeEnd } = this.#keys();
    const unions = [
      { kind: 'version', version: this.below(4) },
      { kind: 'createRevision', createRevision: Math.max(0, this.revision()) },
      { kind: 'modRevision', modRevision: Math.max(0, this.revision()) },
      { kind: 'value', value: fromLatin1(`v${this.below(9)}`) },
      { kind: 'lease', lease: BigInt(this.below(4)) },
    ] as const;
    const target = this.below(5);
    const targetUnion = this.chance(85)
      ? unions[target]!
      : this.chance(50)
        ? this.pick(unions)
        : null;
    const isRange = this.chance(30);
    return {
      key,
      rangeEnd: isRange ? rangeEnd : fromLatin1(''),
      result: this.below(4),
      target,
      targetUnion,
    };
  }

  #key(): Uint8Array {
    return fromLatin1(
      this.pick(['a', 'a\0', 'ab', 'b', 'b\xff', 'c', 'ca', 'd', '\xff', '\xff\xff']),
    );
  }

  #keys(): { key: Uint8Array; rangeEnd: Uint8Array } {
    if (this.chance(40)) return { key: this.#key(), rangeEnd: fromLatin1('') };
    if (this.chance(20)) return { key: fromLatin1('\0'), rangeEnd: fromLatin1('\0') };
    if (this.chance(20)) return { key: this.#key(), rangeEnd: fromLatin1('\0') };
    return { key: this.#key(), rangeEnd: this.#key() };
  }
}

/** All the changes that history() gives for what can still be watched. */
function replayed(machine: KvMachine, from: number): string[] {
  const seen: string[] = [];
  let next: Revision | null = { main: from, sub: 0 };
  while (next !== null) {
    const page: History = machine.history(next, machine.store.revision, 7);
    for (const { revision, key, type } of page.changes) {
      seen.push(`${revision.main} ${latin1(key)} ${type === 1 ? 'deleted' : 'put'}`);
    }
    next = page.next;
  }
  return seen;
}

async function imageOf(machine: KvMachine): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.snapshot().content()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

interface Machines {
  readonly machines: KvMachine[];
  close(): Promise<void>;
}

function openMachines(): Machines {
  const directory = mkdtempSync(join(tmpdir(), 'kontiki-model-'));
  const options = { flushChangesMax: 50, flushIntervalMs: 1 };
  const lmdb = new KvMachine(new LmdbBackend(directory, options));
  return {
    machines: [new KvMachine(new MemoryBackend(), { sweepPerBatch: 0 }), lmdb],
    close: async () => {
      await lmdb.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function run(seed: number, operations: number): Promise<void> {
  const model = new Model();
  const random = new Generator(seed, model);
  const { machines, close } = openMachines();
  const changes: string[][] = machines.map(() => []);
  machines.forEach((machine, i) => {
    machine.changes(batch => {
      for (const { revision, key, type } of batch) {
        changes[i]!.push(`${revision.main} ${latin1(key)} ${type === 1 ? 'deleted' : 'put'}`);
      }
    });
  });
  try {
    for (let index = 1; index <= operations; ) {
      const commands = Array.from({ length: 1 + random.below(5) }, () => random.command());
      const expected = commands.map(command => model.apply(command));
      const data = commands.map(command => ({ data: encoded(command) }));
      index += commands.length;
      for (const machine of machines) {
        const bookkeeping = { puts: new Map(), settle: () => {} };
        const last = { term: 1, index };
        const results = machine.apply({ last, commands: data, bookkeeping });
        deepEqual(results.map(decoded), expected, `seed ${seed}, operation ${index}`);
        const request = random.range();
        const read = decoded(machine.range(request));
        deepEqual(read, model.range(request), `seed ${seed}, operation ${index}`);
      }
      // One sweeps when the other does not.
      if (random.chance(20)) random.pick(machines).sweep(1 + random.below(30));
      if (random.chance(10)) await new Promise(resolve => setImmediate(resolve));
      if (random.chance(30)) {
        const at = Math.max(random.revision(), 0);
        const hashes = machines.map(machine => machine.hash(at));
        deepEqual(hashes[0], hashes[1], `seed ${seed}, operation ${index}`);
      }
    }
    const allChanges = model.versions.map(
      ({ revision, key, kv }) => `${revision} ${key} ${kv === null ? 'deleted' : 'put'}`,
    );
    const after = (list: string[]) =>
      list.filter(line => Number(line.split(' ')[0]) >= model.compacted);
    for (const [i, machine] of machines.entries()) {
      expect(changes[i]).toEqual(allChanges);
      const from = Math.max(1, model.compacted);
      expect(replayed(machine, from)).toEqual(after(allChanges));
      while (!machine.sweep(100));
    }
    // Swept clean, the tables themselves are equal, whenever each machine has swept before.
    const images = await Promise.all(machines.map(imageOf));
    expect(images[0]!.equals(images[1]!)).toBe(true);
  } finally {
    await close();
  }
}

describe('the store answers as the model does', () => {
  test.each(Array.from({ length: 16 }, (_, i) => i + 1))('seed %i', async seed => {
    await run(seed, seed % 8 === 0 ? 2500 : 500);
  });
});

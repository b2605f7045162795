// Commands that take more than one turn: nobody sees them half done, and they end as if they had
// been applied at once.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { CompareResult, CompareTarget, type RequestOp, type TxnRequest } from '../api/kv.ts';
import {
  emptyPutRequest,
  emptyRangeRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
} from '../api/kv-codec.ts';
import { encodeLeaseGrantRequest, encodeLeaseRevokeRequest } from '../api/lease-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import { emptyTxnRequest, encodeTxnRequest } from '../api/txn-codec.ts';
import { CommandTag, encodeCommand } from './command.ts';
import { KvMachine } from './kv-machine.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryBackend } from './memory-backend.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const range = (key: string, rangeEnd: string) => ({ key: bytes(key), rangeEnd: bytes(rangeEnd) });
const ALL = { ...emptyRangeRequest(), ...range('a', 'z') };

const put = (key: string, value: string, lease = 0n) =>
  encodeCommand(
    CommandTag.PUT,
    toBytes(encodePutRequest, {
      ...emptyPutRequest(),
      key: bytes(key),
      value: bytes(value),
      lease,
    }),
  );
const remove = (key: string, rangeEnd: string, prevKv = false) =>
  encodeCommand(
    CommandTag.DELETE_RANGE,
    toBytes(encodeDeleteRangeRequest, { ...range(key, rangeEnd), prevKv }),
  );
const txn = (request: Partial<TxnRequest>) =>
  encodeCommand(CommandTag.TXN, toBytes(encodeTxnRequest, { ...emptyTxnRequest(), ...request }));
const compact = (revision: number) =>
  encodeCommand(
    CommandTag.COMPACT,
    toBytes(encodeCompactionRequest, { revision, physical: false }),
  );
const grant = (id: bigint) =>
  encodeCommand(CommandTag.LEASE_GRANT, toBytes(encodeLeaseGrantRequest, { id, ttl: 60 }));
const revoke = (id: bigint) =>
  encodeCommand(CommandTag.LEASE_REVOKE, toBytes(encodeLeaseRevokeRequest, { id }));

const deleteOp = (key: string, rangeEnd: string): RequestOp => ({
  kind: 'deleteRange',
  deleteRange: { ...range(key, rangeEnd), prevKv: true },
});
const rangeOp = (key: string, rangeEnd: string): RequestOp => ({
  kind: 'range',
  range: { ...emptyRangeRequest(), ...range(key, rangeEnd) },
});
const putOp = (key: string, value: string): RequestOp => ({
  kind: 'put',
  put: { ...emptyPutRequest(), key: bytes(key), value: bytes(value) },
});
const allNewerThan = (revision: number) => ({
  result: CompareResult.GREATER,
  target: CompareTarget.MOD,
  ...range('a', 'z'),
  targetUnion: { kind: 'modRevision' as const, modRevision: revision },
});

function batchOf(machine: KvMachine, commands: Uint8Array[]) {
  const last = { term: 1, index: machine.applied.index + commands.length };
  const bookkeeping = { puts: new Map([['n', Uint8Array.of(last.index)]]), settle: () => {} };
  return { last, commands: commands.map(data => ({ data })), bookkeeping };
}

function atOnce(machine: KvMachine, commands: Uint8Array[]) {
  return machine.apply(batchOf(machine, commands));
}

/** Calls back between the slices. */
function inSlices(machine: KvMachine, commands: Uint8Array[], between: () => void) {
  let results = machine.begin(batchOf(machine, commands));
  while (results === null) {
    between();
    results = machine.resume();
  }
  return results;
}

async function imageOf(machine: KvMachine): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of machine.snapshot().content()) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What anybody can see of a machine. */
function look(machine: KvMachine) {
  const { store } = machine;
  const txnRequest = { ...emptyTxnRequest(), success: [rangeOp('a', 'm'), rangeOp('a', 'z')] };
  const job = machine.startRange(ALL);
  let sliced = null;
  while (sliced === null) sliced = 'step' in job ? job.step(2) : job;
  const from = { main: Math.max(1, store.compactRevision), sub: 0 };
  return {
    revision: store.revision,
    compactRevision: store.compactRevision,
    now: machine.range(ALL),
    sliced,
    one: machine.range({ ...emptyRangeRequest(), key: bytes('k1') }),
    count: machine.range({ ...ALL, countOnly: true }),
    old: machine.range({
      ...ALL,
      revision: Math.max(store.compactRevision, store.revision - 3, 1),
    }),
    next: machine.range({ ...ALL, revision: store.revision + 1 }),
    txn: machine.readTxn(txnRequest),
    hash: machine.hash(0),
    history: machine.history(from, store.revision, 1000),
  };
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'kontiki-long-'));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const options = { longKeysATurn: 3, sweepPerBatch: 0 };
const inMemory = () => new KvMachine(new MemoryBackend(), options);
const inLmdb = () => {
  const machine = new KvMachine(new LmdbBackend(directory(), { flushIntervalMs: 1 }), options);
  cleanups.push(() => machine.close());
  return machine;
};

function keys(count: number, prefix = 'k', lease = 0n): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => put(`${prefix}${i}`, `${prefix} ${i}`, lease));
}

/** Batches whose long commands stand between others. */
const BATCHES: Record<string, Uint8Array[]> = {
  'a deletion': [put('k1', 'before'), remove('k', 'l', true), put('k1', 'after'), remove('q', 'r')],
  'a deletion of all but a few': [remove('k2', 'z'), put('x', 'y')],
  'a deletion of nothing': [remove('u', 'v'), remove('k', 'k')],
  'two of them': [remove('k', 'k5'), put('k3', 'again'), remove('k', 'l')],
  'a lease that is revoked': [put('k1', 'w'), revoke(7n), put('b', 'c'), revoke(7n)],
  'a transaction with deletions': [
    txn({
      compare: [allNewerThan(1)],
      success: [
        putOp('k99', 'new'),
        rangeOp('k', 'l'),
        deleteOp('k', 'l'),
        rangeOp('a', 'z'),
        putOp('m', '1'),
      ],
      failure: [putOp('wrong', 'branch')],
    }),
    put('k2', 'after'),
  ],
  'a transaction that fails its comparison': [
    txn({
      compare: [allNewerThan(5)],
      success: [deleteOp('a', 'z')],
      failure: [deleteOp('k', 'k4')],
    }),
  ],
  'nested transactions': [
    txn({
      success: [
        putOp('p', '1'),
        {
          kind: 'txn',
          txn: {
            compare: [allNewerThan(1)],
            success: [deleteOp('k', 'k5'), putOp('p2', '2')],
            failure: [],
          },
        },
        deleteOp('k5', 'z'),
      ],
    }),
  ],
  'a refused transaction': [
    txn({ success: [deleteOp('k', 'l'), { kind: 'range', range: { ...ALL, revision: 9999 } }] }),
    put('k1', 'w'),
  ],
  'a compaction behind a deletion': [remove('k', 'l'), compact(6)],
};

describe.each([
  ['memory', inMemory],
  ['LMDB', inLmdb],
])('a long command in %s', (_name, open) => {
  function filled(): KvMachine {
    const machine = open();
    atOnce(machine, [grant(7n), ...keys(12), ...keys(5, 'leased', 7n), ...keys(9, 'q')]);
    return machine;
  }

  test.each(Object.entries(BATCHES))(
    '%s ends as if it had been applied at once',
    async (_, batch) => {
      const whole = filled();
      const sliced = filled();
      const expected = atOnce(whole, batch);
      const results = inSlices(sliced, batch, () => {});
      expect(results).toEqual(expected);
      expect(look(sliced)).toEqual(look(whole));
      expect(await imageOf(sliced)).toEqual(await imageOf(whole));
    },
  );

  test.each(Object.entries(BATCHES))('%s is not seen half done', async (_, batch) => {
    const machine = filled();
    const reference = filled();
    const seen = new Map([[reference.store.revision, look(reference)]]);
    for (const command of batch) {
      atOnce(reference, [command]);
      seen.set(reference.store.revision, look(reference));
    }
    let slices = 0;
    inSlices(machine, batch, () => {
      slices += 1;
      const now = look(machine);
      const then = seen.get(now.revision)!;
      // A compaction behind the command changes what is refused, but no revision.
      if (then.compactRevision === now.compactRevision) expect(now).toEqual(then);
    });
    expect(slices > 0).toBe(_ !== 'a deletion of nothing');
  });

  test('reads that began before, during and after each have their one revision', () => {
    const machine = filled();
    const before = machine.startRange(ALL);
    const during: unknown[] = [];
    const expected = machine.range(ALL);
    if (!('step' in before)) throw new Error('refused');
    expect(before.step(2)).toBe(null);
    inSlices(machine, [remove('k', 'l')], () => {
      before.step(1);
      during.push(machine.startRange(ALL));
    });
    expect(before.step(1000)).toEqual(expected);
    for (const job of during) {
      expect((job as { step(budget: number): unknown }).step(1000)).toEqual(expected);
    }
    expect(machine.range({ ...ALL, countOnly: true })).toMatchObject({ count: 14 });
  });

  test('a transaction that only reads keeps its revision while others are applied', () => {
    const machine = filled();
    const request = { ...emptyTxnRequest(), success: [rangeOp('k', 'l'), rangeOp('a', 'z')] };
    const expected = machine.readTxn(request);
    const job = machine.startReadTxn(request);
    let result = job.step(4);
    for (let i = 0; result === null; i++) {
      atOnce(machine, [put(`k${i}`, 'changed'), put(`new${i}`, 'v')]);
      result = job.step(4);
    }
    expect(result).toEqual(expected);
  });

  test('is told to watchers whole, once, at its end', () => {
    const machine = filled();
    const told: number[][] = [];
    machine.changes(changes => told.push(changes.map(({ revision }) => revision.main)));
    const { revision } = machine.store;
    inSlices(machine, [put('a', 'b'), remove('k', 'k4'), put('c', 'd')], () => {
      expect(told).toEqual([]);
    });
    const deleted = Array.from({ length: 6 }, () => revision + 2);
    expect(told).toEqual([[revision + 1, ...deleted, revision + 3]]);
  });

  test('lets nobody sweep, make an image or replace the content before it is whole', async () => {
    const machine = filled();
    atOnce(machine, [put('k1', 'w'), compact(8)]);
    machine.begin(batchOf(machine, [remove('k', 'l')]));
    expect(machine.sweep(1000)).toBe(false);
    expect(() => machine.snapshot()).toThrow(/under way/);
    await expect(machine.restore(machine.applied, (async function* () {})())).rejects.toThrow();
    while (machine.resume() === null);
    expect(machine.sweep(1000)).toBe(true);
  });
});

describe('a long command in LMDB', () => {
  const settle = () => new Promise(resolve => setTimeout(resolve, 5));

  test('is in the database whole or not at all, whenever the process ends', async () => {
    const batch = BATCHES['a deletion']!;
    const reference = inMemory();
    atOnce(reference, keys(12));
    const before = look(reference);
    atOnce(reference, batch);
    for (let slices = 0; slices < 6; slices++) {
      const path = directory();
      const machine = new KvMachine(new LmdbBackend(path, { flushIntervalMs: 1 }), options);
      atOnce(machine, keys(12));
      await machine.flush();
      let results = machine.begin(batchOf(machine, batch));
      for (let i = 0; i < slices && results === null; i++) {
        results = machine.resume();
        await settle();
      }
      await machine.close();
      const again = new KvMachine(new LmdbBackend(path), options);
      expect(again.applied.index).toBe(results === null ? 12 : 16);
      expect(look(again)).toEqual(results === null ? before : look(reference));
      if (results === null) atOnce(again, batch);
      expect(await imageOf(again)).toEqual(await imageOf(reference));
      await again.close();
    }
  });

  test('a flush that is asked for in its middle waits for its end', async () => {
    const machine = inLmdb();
    atOnce(machine, keys(12));
    machine.begin(batchOf(machine, [put('a', 'b'), remove('k', 'l')]));
    let flushed = 0;
    const flush = machine.flush().then(({ index }) => {
      flushed = index;
    });
    for (let i = 0; i < 3; i++) {
      expect(machine.resume()).toBe(null);
      await settle();
      expect([0, 12]).toContain(flushed);
    }
    while (machine.resume() === null);
    await flush;
    expect(flushed).toBe(14);
  });

  test('changes before it reach the disk while it goes on, if they were handed over before', async () => {
    const machine = inLmdb();
    atOnce(machine, keys(12));
    const flush = machine.flush();
    machine.begin(batchOf(machine, [remove('k', 'l')]));
    expect((await flush)?.index ?? machine.durable.index).toBe(12);
    while (machine.resume() === null);
    await machine.flush();
    expect(machine.durable.index).toBe(13);
  });
});

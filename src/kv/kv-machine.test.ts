// The store as the driver of a node uses it: batches, positions, bookkeeping, images.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { EventType } from '../api/common.ts';
import { decodeKeyValue } from '../api/common-codec.ts';
import type { ErrorStatus } from '../api/errors.ts';
import {
  emptyPutRequest,
  emptyRangeRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
} from '../api/kv-codec.ts';
import { encodeLeaseCheckpointRequest, encodeLeaseGrantRequest } from '../api/lease-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import type { RangeResult } from '../api/results.ts';
import type { Change } from './changes.ts';
import { CommandTag, encodeCommand } from './command.ts';
import { KvMachine } from './kv-machine.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryBackend } from './memory-backend.ts';
import { ImageError } from './snapshot-stream.ts';
import { isRefusal } from './store.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function inMemory(): KvMachine {
  return new KvMachine(new MemoryBackend());
}

function inLmdb(): KvMachine {
  const path = mkdtempSync(join(tmpdir(), 'kontiki-machine-'));
  const machine = new KvMachine(new LmdbBackend(path, { flushIntervalMs: 1 }));
  cleanups.push(async () => {
    await machine.close();
    rmSync(path, { recursive: true, force: true });
  });
  return machine;
}

function put(key: string, value = 'v', lease = 0n): Uint8Array {
  const request = { ...emptyPutRequest(), key: bytes(key), value: bytes(value), lease };
  return encodeCommand(CommandTag.PUT, toBytes(encodePutRequest, request));
}

function remove(key: string): Uint8Array {
  const request = { key: bytes(key), rangeEnd: bytes(''), prevKv: false };
  return encodeCommand(CommandTag.DELETE_RANGE, toBytes(encodeDeleteRangeRequest, request));
}

function compact(revision: number): Uint8Array {
  const request = { revision, physical: false };
  return encodeCommand(CommandTag.COMPACT, toBytes(encodeCompactionRequest, request));
}

function grant(id: bigint, ttl: number): Uint8Array {
  return encodeCommand(CommandTag.LEASE_GRANT, toBytes(encodeLeaseGrantRequest, { id, ttl }));
}

function apply(
  machine: KvMachine,
  commands: Uint8Array[],
  puts: Record<string, Uint8Array | null> = {},
) {
  const last = { term: 1, index: machine.applied.index + Math.max(1, commands.length) };
  const bookkeeping = { puts: new Map(Object.entries(puts)), settle: () => {} };
  return machine.apply({ last, commands: commands.map(data => ({ data })), bookkeeping });
}

function fill(machine: KvMachine, count: number): void {
  for (let i = 0; i < count; i++) {
    apply(machine, [
      put(`key-${i % 300}`, `value ${i}`),
      put(`other-${i}`),
      remove(`other-${i - 9}`),
    ]);
  }
}

async function imageOf(machine: KvMachine): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.snapshot().content()) chunks.push(chunk);
  return chunks;
}

async function* stream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

function cut(whole: Uint8Array, length: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let i = 0; i < whole.length; i += length) chunks.push(whole.subarray(i, i + length));
  return chunks;
}

describe.each([
  ['memory', inMemory],
  ['LMDB', inLmdb],
])('a machine in %s', (_name, open) => {
  test('there is one result a command, in order, and a refusal does not stop the others', () => {
    const machine = open();
    const results = apply(machine, [put('a'), put('b', 'v', 9n), put('c'), compact(99)]);
    expect(results.map(result => (isRefusal(result) ? result.text : result.revision))).toEqual([
      2,
      'etcdserver: requested lease not found',
      3,
      'etcdserver: mvcc: required revision is a future revision',
    ]);
  });

  test('whatever bytes a command has, its result is the same refusal and nothing changes', () => {
    const machine = open();
    const whole = put('a', 'value');
    const commands = [
      bytes(''),
      Uint8Array.of(0),
      Uint8Array.of(200, 1, 2),
      Uint8Array.of(CommandTag.TXN, 0x12, 0x7f),
      Uint8Array.of(CommandTag.PUT, 0xff, 0xff, 0xff),
      Uint8Array.of(CommandTag.COMPACT, 0x0a, 1, 0),
      whole.subarray(0, whole.length - 1),
      grant(0n, 60),
      grant(-4n, 60),
    ];
    const before = machine.hash(0);
    for (const result of apply(machine, commands)) {
      expect((result as ErrorStatus).text).toBe('etcdserver: malformed command');
    }
    expect(apply(machine, [Uint8Array.of(CommandTag.PUT)])).toEqual([
      { code: 3, text: 'etcdserver: key is not provided' },
    ]);
    expect(machine.hash(0)).toEqual(before);
    expect(machine.store.revision).toBe(1);
  });

  test('leases are granted and checkpointed by commands', () => {
    const machine = open();
    expect(apply(machine, [grant(4n, 60)])).toEqual([{ revision: 1, id: 4n, ttl: 60 }]);
    const request = {
      checkpoints: [
        { id: 4n, remainingTtl: 7 },
        { id: 5n, remainingTtl: 7 },
      ],
    };
    const checkpoint = toBytes(encodeLeaseCheckpointRequest, request);
    apply(machine, [encodeCommand(CommandTag.LEASE_CHECKPOINT, checkpoint)]);
    expect(machine.store.leases.all()).toEqual([{ id: 4n, ttl: 60, remainingTtl: 7 }]);
  });

  test('settle() is given the results before the bookkeeping is read', () => {
    const machine = open();
    const puts = new Map<string, Uint8Array>();
    const settle = (results: readonly unknown[]) => {
      puts.set('replies', bytes(String(results.length)));
    };
    const commands = [{ data: put('a') }, { data: put('b') }];
    machine.apply({ last: { term: 1, index: 2 }, commands, bookkeeping: { puts, settle } });
    expect([...machine.bookkeeping('')].map(([, value]) => text(value))).toEqual(['2']);
  });

  test('bookkeeping is listed by prefix in order and goes when it is set to null', () => {
    const machine = open();
    apply(machine, [], { 'session/2': bytes('b'), 'session/1': bytes('a'), config: bytes('c') });
    const names = (prefix: string) => [...machine.bookkeeping(prefix)].map(([name]) => name);
    expect(names('session/')).toEqual(['session/1', 'session/2']);
    expect(names('')).toEqual(['config', 'session/1', 'session/2']);
    apply(machine, [], { 'session/1': null, 'session/9': null, config: bytes('d') });
    expect(names('session/')).toEqual(['session/2']);
    expect(text([...machine.bookkeeping('config')][0]![1])).toBe('d');
  });

  test('the listener gets the changes of each batch with access to what was before', () => {
    const machine = open();
    const batches: Change[][] = [];
    apply(machine, [put('a', '1')]);
    machine.changes(changes => batches.push([...changes]));
    apply(machine, [put('a', '2'), put('b'), put('b', 'x', 77n)]);
    apply(machine, [remove('none')]);
    apply(machine, [remove('a')]);
    machine.changes(null);
    apply(machine, [put('c')]);
    expect(batches.map(batch => batch.map(c => [c.type, text(c.key), c.revision.main]))).toEqual([
      [
        [EventType.PUT, 'a', 3],
        [EventType.PUT, 'b', 4],
      ],
      [[EventType.DELETE, 'a', 5]],
    ]);
    const before = batches.flat().map(change => machine.previousKv(change));
    expect(before.map(kv => kv && text(decodeKeyValue(kv).value))).toEqual(['1', null, '2']);
    const tombstone = decodeKeyValue(batches[1]![0]!.encodedKv);
    expect(tombstone).toMatchObject({ modRevision: 5, createRevision: 0, version: 0 });
  });

  test('what compaction hides is not shown as a previous value, whatever is swept', () => {
    const machine = open();
    apply(machine, [put('a', '1'), put('a', '2'), put('a', '3'), put('a', '4')]);
    const { changes } = machine.history({ main: 2, sub: 0 }, 5, 100);
    apply(machine, [compact(3)]);
    const before = changes.map(change => machine.previousKv(change));
    expect(before.map(kv => kv && text(decodeKeyValue(kv).value))).toEqual([null, null, '2', '3']);
  });

  test('a hash tells states apart and does not depend on what is swept', () => {
    const machine = open();
    fill(machine, 50);
    const { revision } = machine.store;
    const whole = machine.hash(0);
    expect(whole).toMatchObject({ compactRevision: -1, hashRevision: revision });
    expect(machine.hash(revision)).toEqual(whole);
    expect(machine.hash(revision - 1)).not.toEqual(whole);
    apply(machine, [compact(revision - 20)]);
    const compacted = machine.hash(0);
    let steps = 0;
    while (!machine.sweep(3)) {
      steps++;
      expect(machine.hash(0)).toEqual(compacted);
    }
    expect(steps).toBeGreaterThan(10);
    expect(machine.hash(0)).toEqual(compacted);
    expect(machine.hash(revision + 1)).toMatchObject({ code: 11 });
    expect(machine.hash(revision - 21)).toMatchObject({ code: 11 });
  });

  test('a hash in slices is of the state in which it began', () => {
    const machine = open();
    fill(machine, 30);
    const expected = machine.hash(0);
    const job = machine.startHash(0) as Exclude<ReturnType<KvMachine['startHash']>, ErrorStatus>;
    let result = job.step(10);
    for (let i = 0; result === null; i++) {
      apply(machine, [put(`new-${i}`), compact(machine.store.revision)]);
      result = job.step(10);
    }
    expect(result).toEqual(expected);
  });

  test('compaction gives room back: the log shrinks to what is live', async () => {
    const machine = open();
    for (let i = 0; i < 400; i++) apply(machine, [put('a', 'x'.repeat(500))]);
    const before = await imageOf(machine);
    apply(machine, [compact(machine.store.revision)]);
    while (!machine.sweep(100));
    const after = await imageOf(machine);
    const size = (chunks: Uint8Array[]) => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    expect(size(before)).toBeGreaterThan(200_000);
    expect(size(after)).toBeLessThan(2_000);
  });
});

describe.each([
  ['memory', 'memory', inMemory, inMemory],
  ['memory', 'LMDB', inMemory, inLmdb],
  ['LMDB', 'memory', inLmdb, inMemory],
  ['LMDB', 'LMDB', inLmdb, inLmdb],
])('an image from %s to %s', (_from, _to, openFrom, openTo) => {
  test('it has everything as it was when it was taken, though writing went on', async () => {
    const from = openFrom();
    apply(from, [grant(4n, 60), put('leased', 'v', 4n), put('big', 'x'.repeat(200_000))]);
    fill(from, 200);
    apply(from, [compact(150)], { config: bytes('three voters') });
    const { last, content } = from.snapshot();
    const hash = from.hash(0);
    const chunks: Uint8Array[] = [];
    for await (const chunk of content()) {
      chunks.push(chunk);
      apply(from, [put('big', 'changed'), remove('leased'), compact(from.store.revision)]);
    }
    expect(Math.max(...chunks.map(chunk => chunk.length))).toBeLessThanOrEqual(64 * 1024);
    expect(chunks.length).toBeGreaterThan(2);

    const to = openTo();
    apply(to, [put('old', 'content'), grant(9n, 60)], { old: bytes('bookkeeping') });
    await to.restore(last, stream(chunks));
    expect(to.applied).toEqual(last);
    expect(to.hash(0)).toEqual(hash);
    expect([...to.bookkeeping('')].map(([name]) => name)).toEqual(['config']);
    expect(to.store.leases.all()).toEqual([{ id: 4n, ttl: 60, remainingTtl: 0 }]);
    expect(to.store.leases.keysOf(4n).map(text)).toEqual(['leased']);
    expect(to.store.compactRevision).toBe(150);
    apply(to, [put('next')]);
    const found = to.range({ ...emptyRangeRequest(), key: bytes('next') }) as RangeResult;
    expect(decodeKeyValue(found.encodedKvs[0]!)).toMatchObject({ modRevision: to.store.revision });
    expect(await to.flush()).toEqual(to.durable);
  });
});

describe('a restore among other work', () => {
  /** Writes begin with every commit, so that one is always under way when the contents change. */
  function busy(): KvMachine {
    const path = mkdtempSync(join(tmpdir(), 'kontiki-machine-'));
    const machine = new KvMachine(new LmdbBackend(path, { flushChangesMax: 1 }), {
      sweepPerBatch: 0,
    });
    cleanups.push(async () => {
      await machine.close();
      rmSync(path, { recursive: true, force: true });
    });
    return machine;
  }

  test('B4: a sweep meanwhile writes nothing of the old store into the new one', async () => {
    const from = inMemory();
    fill(from, 300);
    const chunks = await imageOf(from);
    for (let trial = 0; trial < 2; trial++) {
      const to = busy();
      for (let i = 0; i < 10; i++) {
        apply(
          to,
          Array.from({ length: 1000 }, (_, n) => put(`old-${n % 50}`)),
        );
      }
      apply(to, [compact(10_000)]);
      const oldRevision = to.store.revision;
      let isOver = false;
      let torn = 0;
      const meanwhile = () => {
        if (isOver) return;
        to.sweep(5);
        const old = to.range({ ...emptyRangeRequest(), key: bytes('old-1') }) as RangeResult;
        if ((old.count === 1) !== (old.revision === oldRevision)) torn++;
        setImmediate(meanwhile);
      };
      meanwhile();
      await to.restore(from.applied, stream(chunks));
      await new Promise(resolve => setImmediate(resolve));
      isOver = true;
      await to.flush();
      expect(torn).toBe(0);
      expect(to.store.revision).toBe(from.store.revision);
      expect([to.applied, to.durable]).toEqual([from.applied, from.applied]);
      expect(to.hash(0)).toEqual(from.hash(0));
    }
  });
});

describe('an image', () => {
  test('it is understood however it is cut', async () => {
    const from = inMemory();
    fill(from, 40);
    const whole = Buffer.concat(await imageOf(from));
    for (const length of [1, 7, 1000]) {
      const to = inMemory();
      await to.restore(from.applied, stream(cut(whole, length)));
      expect(to.hash(0)).toEqual(from.hash(0));
    }
  });

  test('one that is damaged, cut short or of another position is refused, and nothing is lost', async () => {
    const from = inMemory();
    fill(from, 5);
    const whole = new Uint8Array(Buffer.concat(await imageOf(from)));
    const to = inMemory();
    apply(to, [put('mine')]);
    const hash = to.hash(0);
    const attempt = async (bad: Uint8Array, index = from.applied.index) => {
      await expect(to.restore({ term: 1, index }, stream(cut(bad, 512)))).rejects.toThrow(
        ImageError,
      );
      expect(to.hash(0)).toEqual(hash);
    };
    for (let at = 0; at < whole.length; at += 11) {
      const bad = whole.slice();
      bad[at]! ^= 0x10;
      await attempt(bad);
    }
    await attempt(whole.subarray(0, whole.length - 1));
    await attempt(whole.subarray(0, 0));
    await attempt(new Uint8Array([...whole, 1]));
    await attempt(whole, from.applied.index + 1);
  });

  test('one that nobody reads to the end gives its resources back', async () => {
    const machine = inLmdb();
    fill(machine, 100);
    await machine.flush();
    for await (const chunk of machine.snapshot().content()) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    // Closing waits for the last reader of the old files.
    await machine.close();
  });
});

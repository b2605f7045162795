// One suite for every Backend: what the store builds on must be the same in memory and in LMDB.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { emptyPutRequest, encodePutRequest } from '../../src/api/kv-codec.ts';
import { toBytes } from '../../src/api/proto-writer.ts';
import { type Backend, NOWHERE, Table, type View } from '../../src/kv/backend.ts';
import { compareBytes } from '../../src/kv/bytes.ts';
import { CommandTag, encodeCommand } from '../../src/kv/command.ts';
import { KvMachine } from '../../src/kv/kv-machine.ts';
import { LmdbBackend } from '../../src/kv/lmdb-backend.ts';
import { MemoryBackend } from '../../src/kv/memory-backend.ts';
import type { Machine } from '../../src/node/machine.ts';
import type { Entry } from '../../src/raft/types.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (text: string) => encoder.encode(text);
const text = (content: Uint8Array | undefined) =>
  content === undefined ? undefined : decoder.decode(content);

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'kontiki-backend-'));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function owned<B extends Backend>(backend: B): B {
  cleanups.push(() => backend.close());
  return backend;
}

const kinds: [string, () => Backend][] = [
  ['memory', () => new MemoryBackend()],
  ['LMDB, pending', () => new LmdbBackend(directory(), { flushIntervalMs: 1e6 })],
  // Writes begin after every commit, so that reads meet all three layers.
  ['LMDB, written', () => new LmdbBackend(directory(), { flushChangesMax: 1 })],
];

function contentOf(
  view: View,
  from: Uint8Array = new Uint8Array(0),
  to: Uint8Array | null = null,
): string[] {
  const found: string[] = [];
  const cursor = view.scan(Table.LIVE, from, to);
  while (cursor.next()) found.push(`${text(cursor.key)}=${text(cursor.value)}`);
  cursor.close();
  return found;
}

function countOf(view: View, from: Uint8Array, to: Uint8Array | null, stride: number): number {
  let total = 0;
  let next: Uint8Array | null = from;
  while (next !== null) {
    const part = view.count(Table.LIVE, next, to, stride);
    total += part.count;
    next = part.next;
  }
  return total;
}

/** Deterministic and good enough to mix things up. */
function prng(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe.each(kinds)('a backend in %s', (_name, make) => {
  const open = () => owned(make());

  test('a key is there after put and not after remove', () => {
    const backend = open();
    expect(backend.get(Table.LIVE, bytes('a'))).toBeUndefined();
    backend.put(Table.LIVE, bytes('a'), bytes('1'), true);
    expect(text(backend.get(Table.LIVE, bytes('a')))).toBe('1');
    expect(text(backend.peek(Table.LIVE, bytes('a')))).toBe('1');
    backend.remove(Table.LIVE, bytes('a'));
    expect(backend.get(Table.LIVE, bytes('a'))).toBeUndefined();
    expect(backend.peek(Table.LIVE, bytes('a'))).toBeUndefined();
    backend.commit({ term: 1, index: 1 });
  });

  test('tables are apart from each other', () => {
    const backend = open();
    backend.put(Table.LIVE, bytes('a'), bytes('1'), true);
    backend.put(Table.DEAD, bytes('a'), bytes('2'), true);
    backend.commit({ term: 1, index: 1 });
    expect(text(backend.get(Table.LIVE, bytes('a')))).toBe('1');
    expect(text(backend.get(Table.DEAD, bytes('a')))).toBe('2');
  });

  test('an empty value is a value, also once it is written', async () => {
    const backend = open();
    backend.put(Table.ATTACHED, bytes('a'), new Uint8Array(0), true);
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    expect(backend.get(Table.ATTACHED, bytes('a'))).toHaveLength(0);
    expect(backend.peek(Table.ATTACHED, bytes('a'))).toHaveLength(0);
    const cursor = backend.scan(Table.ATTACHED, bytes('a'), null);
    expect(cursor.next()).toBe(true);
    expect(cursor.value).toHaveLength(0);
    cursor.close();
  });

  test('what get() gave does not change when the key does', async () => {
    const backend = open();
    backend.put(Table.LIVE, bytes('a'), bytes('old'), true);
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    const before = backend.get(Table.LIVE, bytes('a'));
    backend.put(Table.LIVE, bytes('a'), bytes('new'), false);
    backend.commit({ term: 1, index: 2 });
    await backend.flush();
    backend.get(Table.LIVE, bytes('a'));
    expect(text(before)).toBe('old');
  });

  test('a scan is in byte order, from the first bound and below the second', () => {
    const backend = open();
    for (const key of ['b', 'a\xff', 'a', 'aa', 'c', 'B']) {
      backend.put(Table.LIVE, bytes(key), bytes(key), true);
    }
    backend.commit({ term: 1, index: 1 });
    const keys = (from: string, to: string | null) =>
      contentOf(backend, bytes(from), to === null ? null : bytes(to)).map(e => e.split('=')[0]);
    expect(keys('', null)).toEqual(['B', 'a', 'aa', 'a\xff', 'b', 'c']);
    expect(keys('a', 'b')).toEqual(['a', 'aa', 'a\xff']);
    expect(keys('aa', 'aa')).toEqual([]);
    expect(keys('ab', null)).toEqual(['a\xff', 'b', 'c']);
  });

  test('a snapshot stays as it is while everything changes', async () => {
    const backend = open();
    backend.put(Table.LIVE, bytes('a'), bytes('1'), true);
    backend.put(Table.LIVE, bytes('b'), bytes('1'), true);
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    backend.put(Table.LIVE, bytes('c'), bytes('1'), true);
    const snapshot = backend.snapshot();
    backend.put(Table.LIVE, bytes('a'), bytes('2'), false);
    backend.remove(Table.LIVE, bytes('b'));
    backend.remove(Table.LIVE, bytes('c'));
    backend.put(Table.LIVE, bytes('d'), bytes('2'), true);
    backend.commit({ term: 1, index: 2 });
    await backend.flush();
    expect(contentOf(snapshot)).toEqual(['a=1', 'b=1', 'c=1']);
    expect(countOf(snapshot, bytes('a'), null, 10)).toBe(3);
    expect(text(snapshot.get(Table.LIVE, bytes('b')))).toBe('1');
    expect(contentOf(backend)).toEqual(['a=2', 'd=2']);
    snapshot.release();
    snapshot.release();
  });

  test('an abandoned replacement changes nothing, a finished one replaces everything', async () => {
    const backend = open();
    backend.put(Table.LIVE, bytes('a'), bytes('old'), true);
    backend.commit({ term: 1, index: 1 });
    const abandoned = await backend.replace();
    abandoned.put(Table.LIVE, bytes('b'), bytes('no'));
    await abandoned.drain();
    await abandoned.abandon();
    expect(contentOf(backend)).toEqual(['a=old']);
    const snapshot = backend.snapshot();
    const replacement = await backend.replace();
    replacement.put(Table.LIVE, bytes('b'), bytes('new'));
    await replacement.drain();
    replacement.put(Table.LIVE, bytes('c'), bytes('new'));
    await replacement.finish({ term: 2, index: 9 });
    expect(contentOf(backend)).toEqual(['b=new', 'c=new']);
    expect(contentOf(snapshot)).toEqual(['a=old']);
    snapshot.release();
    backend.put(Table.LIVE, bytes('d'), bytes('more'), true);
    backend.commit({ term: 2, index: 10 });
    await backend.flush();
    expect(contentOf(backend)).toEqual(['b=new', 'c=new', 'd=more']);
  });

  test('keys around and far above the length limit of LMDB keep their order', async () => {
    const backend = open();
    const random = prng(7);
    const model = new Map<string, Uint8Array>();
    const lengths = [1, 1899, 1900, 1901, 1902, 1977, 1978, 1979, 4000, 30_000];
    const keys: Uint8Array[] = [];
    for (const length of lengths) {
      for (let variant = 0; variant < 6; variant++) {
        const key = new Uint8Array(length).fill(0x61);
        // Half of them differ near the end only, so that many share LMDB's part of the key.
        key[variant < 3 ? length - 1 : random(length)] = [0, 0x61, 0xff, 0x62, 0x60, 1][variant]!;
        keys.push(key);
      }
    }
    for (const key of keys) {
      const name = Buffer.from(key).toString('latin1');
      backend.put(Table.LIVE, key, key.slice(-20), !model.has(name));
      model.set(name, key);
    }
    const check = () => {
      const sorted = [...model.values()].sort(compareBytes);
      const bounds = [new Uint8Array(0), ...sorted, null];
      for (let i = 0; i < 20; i++) {
        const from = bounds[random(bounds.length - 1)]!;
        const to = bounds[1 + random(bounds.length - 1)]!;
        const expected = sorted.filter(
          k => compareBytes(k, from) >= 0 && (to === null || compareBytes(k, to) < 0),
        );
        const found: Uint8Array[] = [];
        const cursor = backend.scan(Table.LIVE, from, to);
        while (cursor.next()) {
          found.push(cursor.key);
        }
        cursor.close();
        expect(found.length).toBe(expected.length);
        expect(found.every((k, at) => compareBytes(k, expected[at]!) === 0)).toBe(true);
        expect(countOf(backend, from, to, 1 + random(20))).toBe(expected.length);
      }
      for (const key of sorted) {
        expect(compareBytes(backend.get(Table.LIVE, key)!, key.slice(-20))).toBe(0);
      }
    };
    check();
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    check();
    for (const [name, key] of [...model].filter((_, i) => i % 3 === 0)) {
      backend.remove(Table.LIVE, key);
      model.delete(name);
    }
    check();
    backend.commit({ term: 1, index: 2 });
    await backend.flush();
    check();
  });

  test('more long keys with one beginning than one pass can sort come out in order', async () => {
    const backend = open();
    const count = 2_200;
    const key = (i: number) => {
      const long = new Uint8Array(1910).fill(0x6b);
      new DataView(long.buffer).setUint32(1904, (i * 7919) % count);
      return long;
    };
    for (let i = 0; i < count; i++) backend.put(Table.LIVE, key(i), bytes('v'), true);
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    const cursor = backend.scan(Table.LIVE, new Uint8Array(0), null);
    let found = 0;
    let inOrder = true;
    while (cursor.next()) inOrder &&= new DataView(cursor.key.buffer).getUint32(1904) === found++;
    cursor.close();
    expect(inOrder).toBe(true);
    expect(found).toBe(count);
  });

  test('any mix of writes, scans, counts and flushes is as in a sorted map', async () => {
    const backend = open();
    const random = prng(42);
    const model = new Map<string, string>();
    const snapshots: { view: ReturnType<Backend['snapshot']>; content: string[] }[] = [];
    const modelContent = (from: string, to: string | null) =>
      [...model]
        .filter(([k]) => k >= from && (to === null || k < to))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, v]) => `${k}=${v}`);
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 80; i++) {
        const key = `k${random(400)}`;
        if (random(3) > 0) {
          backend.put(Table.LIVE, bytes(key), bytes(String(i)), !model.has(key));
          model.set(key, String(i));
        } else if (model.delete(key)) backend.remove(Table.LIVE, bytes(key));
      }
      backend.commit({ term: 1, index: round + 1 });
      const from = `k${random(400)}`;
      const to = random(4) === 0 ? null : `k${random(400)}`;
      const expected = modelContent(from, to);
      const bound = to === null ? null : bytes(to);
      expect(contentOf(backend, bytes(from), bound)).toEqual(expected);
      if (to === null || from < to) {
        expect(countOf(backend, bytes(from), bound, 1 + random(100))).toBe(expected.length);
      }
      if (random(8) === 0) {
        snapshots.push({ view: backend.snapshot(), content: modelContent('', null) });
      }
      if (random(5) === 0) await backend.flush();
      if (random(5) === 0) await new Promise(resolve => setImmediate(resolve));
    }
    for (const { view, content } of snapshots) {
      expect(contentOf(view)).toEqual(content);
      expect(countOf(view, new Uint8Array(0), null, 50)).toBe(content.length);
      view.release();
    }
  });
});

describe.each(kinds)('the store in %s', (_name, make) => {
  test('it is what the driver of a node expects of a machine', () => {
    const machine: Machine = new KvMachine(owned(make()));
    const put = { ...emptyPutRequest(), key: bytes('a'), value: bytes('1') };
    const entry: Entry = {
      term: 1,
      index: 1,
      kind: 'command',
      data: encodeCommand(CommandTag.PUT, toBytes(encodePutRequest, put)),
      session: 0,
      sequence: 0,
      config: null,
    };
    const bookkeeping = { puts: new Map(), settle: () => {} };
    const results = machine.apply({ last: { term: 1, index: 1 }, commands: [entry], bookkeeping });
    expect(results).toEqual([{ revision: 2, encodedPrevKv: null }]);
    expect(machine.applied).toEqual({ term: 1, index: 1 });
  });
});

describe('a backend in memory', () => {
  test('it is durable nowhere', async () => {
    const backend = new MemoryBackend();
    backend.put(Table.LIVE, bytes('a'), bytes('1'), true);
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    expect(backend.durable).toEqual(NOWHERE);
  });
});

describe('a backend in LMDB', () => {
  test('what is flushed is there after reopening, at its position; what is not is not', async () => {
    const path = directory();
    const first = new LmdbBackend(path, { flushIntervalMs: 1e6 });
    first.put(Table.LIVE, bytes('a'), bytes('1'), true);
    first.commit({ term: 3, index: 7 });
    expect(first.durable).toEqual(NOWHERE);
    await first.flush();
    expect(first.durable).toEqual({ term: 3, index: 7 });
    await first.close();
    const second = owned(new LmdbBackend(path));
    expect(second.durable).toEqual({ term: 3, index: 7 });
    expect(contentOf(second)).toEqual(['a=1']);
  });

  test('flush() takes in what is committed while a write is under way', async () => {
    const backend = owned(new LmdbBackend(directory(), { flushIntervalMs: 1e6 }));
    for (let index = 1; index <= 5; index++) {
      backend.put(Table.LIVE, bytes(`k${index}`), bytes('v'), true);
      backend.commit({ term: 1, index });
      void backend.flush();
    }
    await backend.flush();
    expect(backend.durable).toEqual({ term: 1, index: 5 });
  });

  test('a commit becomes durable by itself', async () => {
    const backend = owned(new LmdbBackend(directory(), { flushIntervalMs: 1 }));
    backend.put(Table.LIVE, bytes('a'), bytes('1'), true);
    backend.commit({ term: 1, index: 1 });
    await expect.poll(() => backend.durable.index).toBe(1);
  });

  test('a half-built replacement is forgotten at the next start', async () => {
    const path = directory();
    const first = new LmdbBackend(path);
    first.put(Table.LIVE, bytes('a'), bytes('1'), true);
    first.commit({ term: 1, index: 1 });
    const replacement = await first.replace();
    replacement.put(Table.LIVE, bytes('b'), bytes('2'));
    await replacement.drain();
    await first.close();
    const second = owned(new LmdbBackend(path));
    expect(contentOf(second)).toEqual(['a=1']);
  });

  test('a finished replacement is there after reopening, and takes pending writes away', async () => {
    const path = directory();
    const first = new LmdbBackend(path, { flushIntervalMs: 1e6 });
    first.put(Table.LIVE, bytes('a'), bytes('1'), true);
    first.commit({ term: 1, index: 1 });
    const replacement = await first.replace();
    replacement.put(Table.LIVE, bytes('b'), bytes('2'));
    await replacement.finish({ term: 2, index: 5 });
    await first.close();
    const second = owned(new LmdbBackend(path));
    expect(contentOf(second)).toEqual(['b=2']);
    expect(second.durable).toEqual({ term: 2, index: 5 });
  });

  test('its size is that of its pages', async () => {
    const backend = owned(new LmdbBackend(directory()));
    const before = backend.size();
    for (let i = 0; i < 1000; i++) {
      backend.put(Table.LIVE, bytes(`key-${i}`), new Uint8Array(1000), true);
    }
    backend.commit({ term: 1, index: 1 });
    await backend.flush();
    const { totalBytes, inUseBytes } = backend.size();
    expect(inUseBytes - before.inUseBytes).toBeGreaterThan(1_000_000);
    expect(totalBytes).toBeGreaterThanOrEqual(inUseBytes);
  });
});

// The LMDB backend while its disk is slower than the changes: they wait in layers.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Table, type View } from './backend.ts';
import { EMPTY } from './bytes.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { LmdbEnvironment } from './lmdb-environment.ts';
import { ChangeWalk } from './lmdb-journal.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

let path: string;
let backend: LmdbBackend;

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'kontiki-layers-'));
  backend = new LmdbBackend(path, { flushChangesMax: 10 });
});
afterEach(async () => {
  await backend.close();
  rmSync(path, { recursive: true, force: true });
});

/** Keeps a plain map beside the backend. */
class Twin {
  readonly map = new Map<string, string>();
  index = 0;

  change(i: number): void {
    const name = `key-${(i * 37) % 211}`;
    const key = encoder.encode(name);
    if (i % 3 === 2 && this.map.delete(name)) backend.remove(Table.LIVE, key);
    else {
      backend.put(Table.LIVE, key, encoder.encode(`${i}`), !this.map.has(name));
      this.map.set(name, `${i}`);
    }
    this.index++;
    backend.commit({ term: 1, index: this.index });
  }

  sorted(): string[] {
    return [...this.map].map(([name, value]) => `${name}=${value}`).sort();
  }
}

function contentOf(view: View): string[] {
  const found: string[] = [];
  const cursor = view.scan(Table.LIVE, EMPTY, null);
  while (cursor.next()) found.push(`${decoder.decode(cursor.key)}=${decoder.decode(cursor.value)}`);
  cursor.close();
  return found.sort();
}

describe('while changes wait for the disk', () => {
  test('reads, counts and snapshots see all of them, and all become durable', async () => {
    const twin = new Twin();
    for (let i = 0; i < 700; i++) twin.change(i);
    const snapshot = backend.snapshot();
    const then = twin.sorted();
    for (let i = 700; i < 1500; i++) twin.change(i);
    // No turn of the event loop has passed, so nothing has been written yet.
    expect(backend.durable.index).toBe(0);
    expect(contentOf(backend)).toEqual(twin.sorted());
    expect(backend.count(Table.LIVE, EMPTY, null, 10_000).count).toBe(twin.map.size);
    for (const [name, value] of twin.map) {
      const found = backend.get(Table.LIVE, encoder.encode(name))!;
      expect(decoder.decode(found)).toBe(value);
    }
    expect(contentOf(snapshot)).toEqual(then);
    expect(backend.pendingBytes).toBeGreaterThan(1500 * 200);

    await backend.flush();
    expect(backend.pendingBytes).toBe(0);
    expect(backend.durable).toEqual({ term: 1, index: 1500 });
    expect(contentOf(backend)).toEqual(twin.sorted());
    expect(contentOf(snapshot)).toEqual(then);
    snapshot.release();
    await backend.close();
    backend = new LmdbBackend(path);
    expect(backend.durable).toEqual({ term: 1, index: 1500 });
    expect(contentOf(backend)).toEqual(twin.sorted());
  });

  test('a write takes one layer, of bounded size, and ends at a commit', async () => {
    const original = LmdbEnvironment.prototype.write;
    const writes: { changes: number; index: number }[] = [];
    LmdbEnvironment.prototype.write = function (changes, at) {
      writes.push({ changes: changes.changes, index: at.index });
      return original.call(this, changes, at);
    };
    try {
      const twin = new Twin();
      for (let i = 0; i < 3000; i++) twin.change(i);
      await backend.flush();
    } finally {
      LmdbEnvironment.prototype.write = original;
    }
    const first = writes.slice(0, 6);
    expect(first.map(({ changes }) => changes)).toEqual([10, 10, 10, 20, 30, 40]);
    expect(Math.max(...writes.map(({ changes }) => changes))).toBe(160);
    let sum = 0;
    for (const { changes, index } of writes) {
      sum += changes;
      expect(index).toBe(sum);
    }
    expect(sum).toBe(3000);
  });

  test('a turn makes no more than 1024 changes ready, and none of them can be read in LMDB', async () => {
    const original = ChangeWalk.prototype.next;
    let inTurn = 0;
    ChangeWalk.prototype.next = function () {
      inTurn++;
      return original.call(this);
    };
    try {
      for (let i = 0; i < 9000; i++) backend.put(Table.DEAD, encoder.encode(`${i}`), EMPTY, true);
      backend.commit({ term: 1, index: 1 });
      const turns: number[] = [];
      while (backend.durable.index === 0) {
        inTurn = 0;
        await new Promise(resolve => setImmediate(resolve));
        if (inTurn > 0) turns.push(inTurn);
      }
      expect(Math.max(...turns)).toBeLessThanOrEqual(1025);
      expect(turns.length).toBe(9);
    } finally {
      ChangeWalk.prototype.next = original;
    }
  });

  test('the layer after the one that is written is made ready meanwhile', async () => {
    const events: string[] = [];
    const { prepare, write } = LmdbEnvironment.prototype;
    LmdbEnvironment.prototype.prepare = function (changes, at) {
      const known = events.includes(`prepare ${at.index}`);
      if (!known) events.push(`prepare ${at.index}`);
      prepare.call(this, changes, at);
    };
    LmdbEnvironment.prototype.write = function (changes, at) {
      events.push(`write ${at.index}`);
      return write.call(this, changes, at);
    };
    try {
      const twin = new Twin();
      for (let i = 0; i < 30; i++) twin.change(i);
      await backend.flush();
      expect(events).toEqual(['write 10', 'prepare 20', 'write 20', 'prepare 30', 'write 30']);
      expect(contentOf(backend)).toEqual(twin.sorted());
    } finally {
      Object.assign(LmdbEnvironment.prototype, { prepare, write });
    }
  });

  test('a new content is durable before it has the name by which a restart finds it', async () => {
    const original = LmdbEnvironment.prototype.sync;
    const atSync: string[][] = [];
    LmdbEnvironment.prototype.sync = async function () {
      await original.call(this);
      atSync.push(readdirSync(path).sort());
    };
    try {
      const replacement = await backend.replace();
      replacement.put(Table.LIVE, encoder.encode('new'), encoder.encode('content'));
      await replacement.finish({ term: 2, index: 9 });
    } finally {
      LmdbEnvironment.prototype.sync = original;
    }
    expect(atSync).toEqual([['building', 'state-1']]);
    expect(contentOf(backend)).toEqual(['new=content']);
  });

  test('what waits belongs to the old content, and goes with it', async () => {
    const twin = new Twin();
    const replacement = await backend.replace();
    for (let i = 0; i < 500; i++) twin.change(i);
    replacement.put(Table.LIVE, encoder.encode('new'), encoder.encode('content'));
    await replacement.finish({ term: 2, index: 9 });
    await backend.flush();
    expect(contentOf(backend)).toEqual(['new=content']);
    expect(backend.durable).toEqual({ term: 2, index: 9 });
    expect(backend.pendingBytes).toBe(0);
  });
});

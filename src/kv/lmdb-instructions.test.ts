// Lists of instructions against LMDB's own thread: whatever is in a list is carried out, as one.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InstructionList } from './lmdb-instructions.ts';

const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
type Bytes = Uint8Array;

let path: string;
let root: RootDatabase<Bytes, Bytes>;
let table: Database<Bytes, Bytes>;
let dbi: number;

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'kontiki-instructions-'));
  root = open<Bytes, Bytes>({ path, overlappingSync: false, eventTurnBatching: false, ...binary });
  table = root.openDB<Bytes, Bytes>({ name: 'table', ...binary });
  dbi = (table as unknown as { db: { dbi: number } }).db.dbi;
});
afterEach(async () => {
  await root.close();
  rmSync(path, { recursive: true, force: true });
});

function filled(length: number, seed: number): Bytes {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);
}

/** Keys of lengths up to the longest, values on both sides of what is copied. */
function samples(): [Bytes, Bytes][] {
  const valueBytes = [0, 1, 31, 32, 100, 4095, 4096, 4097, 70_000];
  const keys = Array.from({ length: 480 }, (_, i) => filled(1 + 4 * i, i));
  return keys.map((key, i) => [key, filled(valueBytes[i % valueBytes.length]!, i)]);
}

function content(): Map<string, string> {
  root.resetReadTxn();
  const hex = (bytes: Bytes) => Buffer.from(bytes).toString('hex');
  return new Map([...table.getRange({})].map(({ key, value }) => [hex(key), hex(value)]));
}

test('a list has keys and values of any size, over many chunks, in its order', async () => {
  const list = new InstructionList();
  const expected = new Map<string, string>();
  for (const [key, value] of samples()) {
    list.put(dbi, key, filled(5, 1));
    list.remove(dbi, key);
    list.put(dbi, key, value);
    expected.set(Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex'));
  }
  await list.carryOut(root);
  expect(content()).toEqual(expected);
}, 60_000);

test('nothing of a list is there before it is carried out, and all of it after', async () => {
  const list = new InstructionList();
  for (let i = 0; i < 5000; i++) {
    list.put(dbi, Uint8Array.of(1, i >>> 8, i), filled(50, i));
    if (i % 1000 === 999) await new Promise(resolve => setImmediate(resolve));
  }
  expect(content().size).toBe(0);
  await list.carryOut(root);
  expect(content().size).toBe(5000);
});

test('a list is empty after it was carried out, and can be used again', async () => {
  const list = new InstructionList();
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 200; i++) list.put(dbi, Uint8Array.of(round + 1, i), filled(2000, round));
    await list.carryOut(root);
    for (let i = 0; i < 200; i++) list.remove(dbi, Uint8Array.of(round + 1, i));
  }
  expect(content().size).toBe(200);
  await list.carryOut(root);
  expect(content().size).toBe(0);
});

test('the removal of a key that is not there is no failure', async () => {
  const list = new InstructionList();
  list.remove(dbi, Uint8Array.of(1));
  list.put(dbi, Uint8Array.of(2), Uint8Array.of(2));
  await list.carryOut(root);
  expect(content()).toEqual(new Map([['02', '02']]));
});

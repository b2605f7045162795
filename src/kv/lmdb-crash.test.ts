// A process that applies commands is killed in the middle of its work. Whatever it had on its disk
// then must be the state of some applied index, with that index: never more, never less, never half.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as kvCodec from '../api/kv-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import { Table } from './backend.ts';
import { CommandTag, encodeCommand } from './command.ts';
import { KvMachine } from './kv-machine.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryBackend } from './memory-backend.ts';

interface Tools {
  kvCodec: typeof kvCodec;
  toBytes: typeof toBytes;
  CommandTag: typeof CommandTag;
  encodeCommand: typeof encodeCommand;
}

/** The command at an index of the log. Self-contained, for its text is given to the child. */
function commandAt(index: number, tools: Tools): Uint8Array {
  const { kvCodec, toBytes, CommandTag, encodeCommand } = tools;
  const mixed = Math.imul(index, 0x9e3779b1) >>> 8;
  const key = new TextEncoder().encode(`key-${mixed % 400}`);
  if (index % 50 === 0) {
    const request = { revision: Math.floor(index / 3), physical: false };
    return encodeCommand(CommandTag.COMPACT, toBytes(kvCodec.encodeCompactionRequest, request));
  }
  if (index % 7 === 0) {
    const request = { key, rangeEnd: new Uint8Array(0), prevKv: false };
    const bytes = toBytes(kvCodec.encodeDeleteRangeRequest, request);
    return encodeCommand(CommandTag.DELETE_RANGE, bytes);
  }
  const value = new Uint8Array(mixed % 900).fill(index);
  const request = { ...kvCodec.emptyPutRequest(), key, value };
  return encodeCommand(CommandTag.PUT, toBytes(kvCodec.encodePutRequest, request));
}

const tools: Tools = { kvCodec, toBytes, CommandTag, encodeCommand };
const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Goes on from what is on disk, as a node replays its log, and kills itself while it writes. */
const child = `
import * as kvCodec from ${url('../api/kv-codec.ts')};
import { toBytes } from ${url('../api/proto-writer.ts')};
import { CommandTag, encodeCommand } from ${url('./command.ts')};
import { KvMachine } from ${url('./kv-machine.ts')};
import { LmdbBackend } from ${url('./lmdb-backend.ts')};
import { MemoryBackend } from ${url('./memory-backend.ts')};
const tools = { kvCodec, toBytes, CommandTag, encodeCommand };
const commandAt = ${commandAt.toString()};
const [directory, stepsText, mode] = process.argv.slice(1);
const machine = new KvMachine(new LmdbBackend(directory, { flushIntervalMs: 1, flushChangesMax: 40 }));
const turn = () => new Promise(resolve => setImmediate(resolve));
const apply = (target, index) => {
  const bookkeeping = { puts: new Map([['index', new TextEncoder().encode(String(index))]]), settle: () => {} };
  const commands = [{ data: commandAt(index, tools) }];
  target.apply({ last: { term: 1, index }, commands, bookkeeping });
};
let left = Number(stepsText);
const step = () => { if (--left <= 0) process.kill(process.pid, 'SIGKILL'); };
if (mode === 'restore') {
  const other = new KvMachine(new MemoryBackend());
  for (let index = 1; index <= 3000; index++) apply(other, index);
  const { last, content } = other.snapshot();
  const slowly = async function* () {
    for await (const chunk of content()) { step(); await turn(); yield chunk; }
  };
  const restoring = machine.restore(last, slowly());
  restoring.then(() => { left = 0; step(); });
  for (;;) { step(); await turn(); }
}
for (let index = machine.applied.index + 1; ; index++) {
  apply(machine, index);
  step();
  if (index % 16 === 0) await turn();
}
`;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'kontiki-crash-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function crash(path: string, steps: number, mode: string): void {
  const args = ['--import', 'tsx', '--input-type=module', '-e', child, path, String(steps), mode];
  const ended = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(ended.signal, ended.stderr).toBe('SIGKILL');
}

function applyUpTo(machine: KvMachine, target: number): void {
  for (let index = machine.applied.index + 1; index <= target; index++) {
    const bookkeeping = {
      puts: new Map([['index', new TextEncoder().encode(String(index))]]),
      settle: () => {},
    };
    const commands = [{ data: commandAt(index, tools) }];
    machine.apply({ last: { term: 1, index }, commands, bookkeeping });
  }
}

async function imageOf(machine: KvMachine): Promise<Buffer> {
  while (!machine.sweep(1000));
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.snapshot().content()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Checks the state on disk and returns its index. */
async function inspect(path: string): Promise<number> {
  const found = new KvMachine(new LmdbBackend(path));
  const { index } = found.applied;
  const expected = new KvMachine(new MemoryBackend());
  applyUpTo(expected, index);
  expect(found.hash(0)).toEqual(expected.hash(0));
  expect([...found.bookkeeping('')]).toEqual([...expected.bookkeeping('')]);
  expect((await imageOf(found)).equals(await imageOf(expected))).toBe(true);
  await found.close();
  return index;
}

/** Fills the disk as far as a limit on the size of files allows. */
const filler = `
import { LmdbBackend } from ${url('./lmdb-backend.ts')};
const backend = new LmdbBackend(process.argv[1], { flushIntervalMs: 1e6 });
const name = error => error.name + ': ' + error.message + ' because of ' + error.cause?.message;
backend.put(1, Uint8Array.of(1), Uint8Array.of(1), true);
backend.commit({ term: 1, index: 1 });
await backend.flush();
for (let i = 0; i < 100; i++) backend.put(1, Uint8Array.of(2, i), new Uint8Array(100_000), true);
backend.commit({ term: 1, index: 2 });
console.log(await backend.flush().catch(name));
await new Promise(resolve => setImmediate(resolve));
try {
  backend.commit({ term: 1, index: 3 });
} catch (error) {
  console.log(name(error));
}
console.log(await backend.close().catch(name));
console.log(backend.durable.index);
`;

describe('a write that fails', () => {
  test('it is the end: flush() rejects, commit() throws, and the state before is still there', async () => {
    const path = join(directory, 'full');
    const command = 'ulimit -f 4000 && exec "$0" "$@"';
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', filler, path];
    const ended = spawnSync('sh', ['-c', command, ...node], { encoding: 'utf8' });
    const what = `the database in ${path} could not be written`;
    const failure = `BackendError: ${what} because of Input/output error`;
    expect(ended.stdout.trim().split('\n'), ended.stderr).toEqual([failure, failure, failure, '1']);
    expect(ended.status).toBe(0);
    const again = new LmdbBackend(path);
    expect(again.durable.index).toBe(1);
    expect(again.get(Table.LIVE, Uint8Array.of(1))).toEqual(Uint8Array.of(1));
    expect(again.get(Table.LIVE, Uint8Array.of(2, 1))).toBeUndefined();
    await again.close();
  }, 60_000);
});

/** Writes a layer that is too large for one batch, and kills itself after so many milliseconds. */
const journaling = `
import { LmdbBackend } from ${url('./lmdb-backend.ts')};
const [directory, killText] = process.argv.slice(1);
const backend = new LmdbBackend(directory, { flushIntervalMs: 1e6 });
const key = i => new TextEncoder().encode('key-' + String(i).padStart(7, '0'));
const old = new TextEncoder().encode('old');
for (let i = 0; i < 40_000; i++) backend.put(1, key(i), old, true);
backend.commit({ term: 1, index: 1 });
await backend.flush();
for (let i = 0; i < 40_000; i++) backend.remove(1, key(i));
for (let i = 0; i < 61_000; i++) backend.put(2, key(i), key(i), true);
backend.commit({ term: 1, index: 2 });
const from = performance.now();
const flushing = backend.flush();
const watch = () => {
  if (performance.now() - from > Number(killText)) process.kill(process.pid, 'SIGKILL');
  if (backend.durable.index < 2) setImmediate(watch);
};
watch();
if (backend.get(1, key(7)) !== undefined || backend.get(2, key(7)) === undefined) throw new Error('view');
await flushing;
console.log(performance.now() - from);
await backend.close();
`;

async function contentAfterJournal(path: string, killMs: number) {
  const args = ['--import', 'tsx', '--input-type=module', '-e', journaling, path, String(killMs)];
  const ended = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(ended.stderr).toBe('');
  const found = new LmdbBackend(path);
  const count = (table: 1 | 2) => {
    const cursor = found.scan(table, new Uint8Array(0), null);
    let keys = 0;
    while (cursor.next()) keys++;
    cursor.close();
    return keys;
  };
  const content = { index: found.durable.index, old: count(1), new: count(2) };
  await found.close();
  return { content, output: ended.stdout.trim() };
}

describe('a layer that is written by way of the journal', () => {
  test('is there whole or not at all, whenever the process ends', async () => {
    const before = { index: 1, old: 40_000, new: 0 };
    const after = { index: 2, old: 0, new: 61_000 };
    const whole = await contentAfterJournal(join(directory, 'journal'), 1e9);
    expect(whole.content).toEqual(after);
    const outcomes: number[] = [];
    for (const share of [0.01, 0.1, 0.2, 0.3, 0.6, 0.9]) {
      const path = join(directory, `journal-${share}`);
      const { content } = await contentAfterJournal(path, share * Number(whole.output));
      expect(content).toEqual(content.index === 1 ? before : after);
      outcomes.push(content.index);
    }
    expect(new Set(outcomes)).toEqual(new Set([1, 2]));
  }, 120_000);
});

describe('after SIGKILL', () => {
  test('the database is at one applied index, and never behind what it was before', async () => {
    const path = join(directory, 'applying');
    let before = 0;
    for (const steps of [433, 1291]) {
      crash(path, steps, 'apply');
      const index = await inspect(path);
      expect(index).toBeGreaterThanOrEqual(before);
      expect(index).toBeLessThanOrEqual(before + steps);
      before = index;
    }
    expect(before).toBeGreaterThan(0);
  }, 60_000);

  test('a restore that was cut off has happened as a whole or not at all', async () => {
    const path = join(directory, 'restoring');
    const machine = new KvMachine(new LmdbBackend(path));
    applyUpTo(machine, 500);
    await machine.close();
    const indexes: number[] = [];
    for (const steps of [4, 1e9]) {
      const copy = `${path}-${steps}`;
      cpSync(path, copy, { recursive: true });
      crash(copy, steps, 'restore');
      indexes.push(await inspect(copy));
      expect(existsSync(join(copy, 'building'))).toBe(false);
    }
    expect(indexes).toEqual([500, 3000]);
  }, 60_000);

  test('a crash between the switch to a new state and the removal of the old one is no harm', async () => {
    const path = join(directory, 'switching');
    const machine = new KvMachine(new LmdbBackend(path));
    applyUpTo(machine, 100);
    await machine.flush();
    cpSync(join(path, 'state-1'), join(directory, 'kept'), { recursive: true });
    const { last, content } = machine.snapshot();
    await machine.restore(last, content());
    applyUpTo(machine, 200);
    await machine.close();
    expect(readdirSync(path)).toEqual(['state-2']);
    cpSync(join(directory, 'kept'), join(path, 'state-1'), { recursive: true });
    expect(await inspect(path)).toBe(200);
    expect(readdirSync(path)).toEqual(['state-2']);
  });
});

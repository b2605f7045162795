// What the key-value store costs on the main thread, and what a large one costs to open again.
//
//     npx tsx bench/store.ts [--keys 1000000] [--value 64] [--memory] [--random]
//
// Puts go through KvMachine.apply in batches of 100, as a leader under load makes them; the event
// loop turns between batches. On Linux, times are processor time of the main thread, which other
// programs on the machine do not disturb much; elsewhere, and for rates, they are elapsed time.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { emptyPutRequest, emptyRangeRequest, encodePutRequest } from '../src/api/kv-codec.ts';
import { toBytes } from '../src/api/proto-writer.ts';
import { CommandTag, encodeCommand } from '../src/kv/command.ts';
import { KvMachine } from '../src/kv/kv-machine.ts';
import { LmdbBackend } from '../src/kv/lmdb-backend.ts';
import { MemoryBackend } from '../src/kv/memory-backend.ts';

const BATCH = 100;
const noBookkeeping = { puts: new Map<string, Uint8Array | null>(), settle: () => {} };

const { values: options } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    value: { type: 'string', default: '64' },
    memory: { type: 'boolean', default: false },
    random: { type: 'boolean', default: false },
    reopen: { type: 'string' },
  },
});
const keys = Number(options.keys);
const value = new Uint8Array(Number(options.value)).fill(0x76);
const encoder = new TextEncoder();

function keyOf(i: number): Uint8Array {
  // A fixed permutation: the multiplier is odd and the count need not be a power of two.
  const n = options.random ? (i * 7_368_787 + 12_345) % keys : i;
  return encoder.encode(`registry/pods/${String(n).padStart(8, '0')}`);
}

/** Milliseconds that the main thread has worked. */
function work(): number {
  try {
    const path = `/proc/self/task/${process.pid}/schedstat`;
    return Number(readFileSync(path, 'latin1').split(' ')[0]) / 1e6;
  } catch {
    return performance.now();
  }
}

function print(name: string, result: string): void {
  console.log(`${name.padEnd(34)} ${result}`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

async function put(machine: KvMachine, count: number, what: string): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  let applied = machine.applied.index;
  const started = work();
  let building = 0;
  const start = performance.now();
  for (let i = 0; i < count; i += BATCH) {
    const commands = [];
    const before = performance.now();
    for (let j = i; j < Math.min(count, i + BATCH); j++) {
      const request = { ...emptyPutRequest(), key: keyOf(j), value };
      commands.push({ data: encodeCommand(CommandTag.PUT, toBytes(encodePutRequest, request)) });
    }
    applied += commands.length;
    building += performance.now() - before;
    machine.apply({ last: { term: 1, index: applied }, commands, bookkeeping: noBookkeeping });
    await turn();
  }
  const wall = performance.now() - start;
  const busy = work() - started;
  await machine.flush();
  const flushed = performance.now() - start - wall;
  delay.disable();
  const each = (ms: number) => `${((ms * 1000) / count).toFixed(2)} us`;
  print(what, `${each(busy)} of the thread, ${each(building)} thereof making the requests`);
  print(
    '',
    `${rate(count, wall)}, longest turn ${(delay.max / 1e6).toFixed(1)} ms, last flush ${flushed.toFixed(0)} ms`,
  );
}

function rate(count: number, ms: number): string {
  return `${Math.round((count * 1000) / ms)}/s`;
}

function time(what: string, count: number, run: (i: number) => void): void {
  for (let i = 0; i < Math.min(count / 10, 1000); i++) run(i);
  const start = work();
  for (let i = 0; i < count; i++) run(i);
  print(what, `${(((work() - start) * 1000) / count).toFixed(2)} us`);
}

function reads(machine: KvMachine): void {
  const hot = { ...emptyRangeRequest(), key: keyOf(5) };
  time('get, one hot key', 100_000, () => void machine.range(hot));
  time('get, any key', 100_000, i => {
    void machine.range({ ...emptyRangeRequest(), key: keyOf((i * 7919) % keys) });
  });
  const all = { ...emptyRangeRequest(), key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
  time('range, limit 500 (and count all)', 10, () => void machine.range({ ...all, limit: 500 }));
  const to = Math.min(10_000, keys);
  const part = {
    ...all,
    key: keyOf(0),
    rangeEnd: encoder.encode(`registry/pods/${String(to).padStart(8, '0')}`),
  };
  if (!options.random) time(`range of ${to} keys`, 10, () => void machine.range(part));
  time('count all', 5, () => void machine.range({ ...all, countOnly: true }));
}

/** Run in a process of its own, so that its memory is that of a fresh server. */
function reopen(directory: string): void {
  const start = performance.now();
  const machine = new KvMachine(new LmdbBackend(directory));
  const opened = performance.now() - start;
  const found = machine.range({ ...emptyRangeRequest(), key: keyOf(1) });
  const ready = performance.now() - start;
  print('reopened, first read', `${opened.toFixed(0)} ms, ${ready.toFixed(0)} ms`);
  print('found', String('count' in found ? found.count : found.text));
  print('memory after reopening', megabytes(process.memoryUsage().rss));
  reads(machine);
  print('memory after reading', megabytes(process.memoryUsage().rss));
  process.exit();
}

async function main(): Promise<void> {
  if (options.reopen !== undefined) return reopen(options.reopen);
  const directory = mkdtempSync(join(tmpdir(), 'kontiki-bench-'));
  try {
    const backend = options.memory ? new MemoryBackend() : new LmdbBackend(directory);
    const machine = new KvMachine(backend);
    await put(machine, keys, `put ${keys} new keys`);
    await put(machine, Math.min(keys, 200_000), 'put again');
    reads(machine);
    time('hash of all', 1, () => void machine.hash(0));
    print(
      'database',
      `${megabytes(machine.size().totalBytes)} of which in use ${megabytes(machine.size().inUseBytes)}`,
    );
    print('memory', megabytes(process.memoryUsage().rss));
    await machine.close();
    if (options.memory) return;
    const again = [
      ...process.execArgv,
      process.argv[1]!,
      ...process.argv.slice(2),
      '--reopen',
      directory,
    ];
    spawnSync(process.execPath, again, { stdio: 'inherit' });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();

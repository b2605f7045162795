// Compaction against crashes and against reads of the past. What it hides goes at once; what it
// removes goes in steps that differ between members, and no answer may depend on them.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  apply,
  bytes,
  compact,
  EVERYTHING,
  install,
  put,
  readTxn,
  remove,
  show,
  txn,
  watch,
} from '../../test/support/kv-commands.ts';
import { emptyRangeRequest } from '../api/kv-codec.ts';
import type { Backend } from './backend.ts';
import { KvMachine } from './kv-machine.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryBackend } from './memory-backend.ts';
import { WatchHub } from './watch-hub.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'kontiki-compaction-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Flushes when told to. */
const onDisk = (path: string) => new LmdbBackend(path, { flushIntervalMs: 1e6 });
/** Sweeps when told to. */
const machineOn = (backend: Backend) => new KvMachine(backend, { sweepPerBatch: 0 });

const LOG = [
  ...['a', 'b', 'c', 'a', 'b'].map(key => put(key)),
  txn(['a', '7'], ['b', null], ['d', '7']),
  remove('c'),
  put('c', '9'),
  // The last change of all is a deletion, and it is what the compaction names.
  remove('a'),
  compact(10),
];
const AFTER = [put('e'), compact(11), put('a', 'again'), remove('d', 'f'), compact(13)];

/** Everything that a client can find out. */
function visible(machine: KvMachine): unknown {
  const { revision, compactRevision } = machine.store;
  const states: unknown[] = [];
  for (let at = 1; at <= revision; at++) {
    states.push(machine.range({ ...emptyRangeRequest(), ...EVERYTHING, revision: at }));
  }
  return { revision, compactRevision, states, hash: machine.hash(0), told: told(machine) };
}

function told(machine: KvMachine): string[] {
  const hub = new WatchHub(machine);
  const startRevision = Math.max(1, machine.store.compactRevision);
  const watcher = hub.create(watch('', { ...EVERYTHING, startRevision, prevKv: true }), () => {})!;
  while (hub.step());
  const lines = show(hub.take(watcher, Infinity, Infinity));
  hub.close();
  return lines;
}

function inMemory(...commands: readonly Uint8Array[]): KvMachine {
  const machine = machineOn(new MemoryBackend());
  for (const command of commands) apply(machine, command);
  return machine;
}

async function imageOf(machine: KvMachine): Promise<Buffer> {
  while (!machine.sweep(100));
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.snapshot().content()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Steps of one record until all is swept; flushes after each if asked to. */
function* sweepSteps(machine: KvMachine): Generator<void> {
  for (let isDone = false; !isDone; ) {
    isDone = machine.sweep(1);
    yield;
  }
}

describe('K03 compaction_crash_points_17780', () => {
  const expected = inMemory(...LOG);
  const expectedAfter = inMemory(...LOG, ...AFTER);

  /** What is on the disk is opened as after a crash; then the log goes on. */
  async function crashHere(path: string, name: string): Promise<void> {
    const copy = `${path}-${name}`;
    cpSync(path, copy, { recursive: true });
    const found = machineOn(onDisk(copy));
    const { index } = found.applied;
    expect(visible(found)).toEqual(visible(inMemory(...LOG.slice(0, index))));
    for (const command of LOG.slice(index)) apply(found, command);
    expect(visible(found)).toEqual(visible(expected));
    for (const command of AFTER) apply(found, command);
    expect(visible(found)).toEqual(visible(expectedAfter));
    expect((await imageOf(found)).equals(await imageOf(inMemory(...LOG, ...AFTER)))).toBe(true);
    await found.close();
    rmSync(copy, { recursive: true });
  }

  test.each([
    [1, 'each step'],
    [3, 'each third step'],
    [100, 'none'],
  ])(
    'nothing that can be seen changes at any step of the sweep, with a flush after step %i',
    async every => {
      const path = join(directory, `sweep-${every}`);
      const machine = machineOn(onDisk(path));
      let points = 0;
      for (const command of LOG) {
        apply(machine, command);
        if (every === 1) await machine.flush();
        await crashHere(path, `log-${points++}`);
      }
      if (every > 1) await machine.flush();
      for (const _ of sweepSteps(machine)) {
        expect(visible(machine)).toEqual(visible(expected));
        if (++points % every === 0) await machine.flush();
        await crashHere(path, `sweep-${points}`);
      }
      // Six of ten records are hidden by the compaction, and the sweep looks at all.
      expect(points).toBeGreaterThan(20);
      await machine.close();
    },
  );

  test('the revision does not fall when the newest record of all is swept', async () => {
    const path = join(directory, 'newest');
    const machine = machineOn(onDisk(path));
    apply(machine, put('a'), remove('a'), compact(3));
    while (!machine.sweep(1));
    await machine.flush();
    await machine.close();
    const again = machineOn(onDisk(path));
    expect(again.store.revision).toBe(3);
    expect(apply(again, put('b'))).toMatchObject([{ revision: 4 }]);
    await again.close();
  });
});

describe('K04 range_at_rev_in_txn_vs_compaction_18667', () => {
  const reads = [8, 9, 10, 11, 12].map(revision => readTxn('\0', '\0', revision));
  // The compaction stands between two rounds of the same reads, and a write beside a read.
  const log = [
    ...LOG.slice(0, -1),
    ...reads,
    compact(9),
    ...reads,
    txn(['a', 'x']),
    compact(11),
    ...reads,
    put('z'),
    ...reads,
  ];

  /** Applied in batches of this size, with this much swept after each. */
  function results(machine: KvMachine, batch: number, sweeps: number): unknown[] {
    const found: unknown[] = [];
    for (let i = 0; i < log.length; i += batch) {
      found.push(...apply(machine, ...log.slice(i, i + batch)));
      if (sweeps > 0) machine.sweep(sweeps);
    }
    return found;
  }

  test('the answer is that of the log, whatever a member has swept and however it batches', () => {
    const first = results(machineOn(new MemoryBackend()), 1, 0);
    const answers = first.slice(-5).map(result => 'text' in (result as object));
    // Reads below the compacted revision are refused, the one at it is not, nor the future's end.
    expect(answers).toEqual([true, true, true, false, false]);
    const lmdb = machineOn(onDisk(join(directory, 'reads')));
    expect(results(lmdb, 3, 2)).toEqual(first);
    for (const batch of [1, 2, 5, 100]) {
      for (const sweeps of [0, 1, 1000]) {
        expect(results(machineOn(new MemoryBackend()), batch, sweeps)).toEqual(first);
      }
    }
    return lmdb.close();
  });

  test('the answer is the same on a member that came by a snapshot', async () => {
    const whole = machineOn(new MemoryBackend());
    const first: unknown[] = [];
    for (let i = 0; i < log.length; i++) {
      const late = machineOn(new MemoryBackend());
      await install(whole, late);
      if (i % 2 === 0) whole.sweep(3);
      first.push(...apply(whole, log[i]!));
      expect(apply(late, log[i]!)).toEqual(first.slice(-1));
    }
  });

  test('a refused read takes the writes of its transaction with it', () => {
    const machine = inMemory(...LOG);
    const before = machine.store.revision;
    apply(machine, readTxn('a', '', 3, ['q', 'never']));
    expect(machine.store.revision).toBe(before);
    const request = { ...emptyRangeRequest(), key: bytes('q') };
    expect(machine.range(request)).toMatchObject({ count: 0 });
  });
});

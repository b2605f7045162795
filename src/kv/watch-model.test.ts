// The hub against the simplest thing that could be right: a list of all changes, filtered.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  apply,
  bytes,
  compact,
  install,
  put,
  remove,
  show,
  txn,
  type Write,
  watch,
} from '../../test/support/kv-commands.ts';
import { KvMachine } from './kv-machine.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryBackend } from './memory-backend.ts';
import { WatchHub } from './watch-hub.ts';
import type { Watcher, WatchOptions } from './watcher.ts';

const KEYS = ['a', 'aa', 'ab', 'b', 'ba', 'c', 'c\xff', 'd'];

interface Fact {
  readonly revision: number;
  readonly key: string;
  readonly isPut: boolean;
  /** As show() shows it, without and with what was before. */
  readonly line: string;
  readonly before: string;
}

/** Every change since the beginning. */
class List {
  readonly facts: Fact[] = [];
  readonly #values = new Map<string, string>();
  revision = 1;

  write(writes: readonly Write[]): void {
    const real = writes.filter(([key, value]) => value !== null || this.#values.has(key));
    if (real.length === 0) return;
    this.revision += 1;
    for (const [key, value] of real) {
      const old = this.#values.get(key);
      const line = `${this.revision}:${key}${value === null ? '' : `=${value}`}`;
      const before = old === undefined ? line : `${line}(${old})`;
      this.facts.push({ revision: this.revision, key, isPut: value !== null, line, before });
      if (value === null) this.#values.delete(key);
      else this.#values.set(key, value);
    }
  }
}

/** A watcher, what it was told, and what the list says that it must be told. */
class Pair {
  readonly watcher: Watcher;
  readonly #first: number;
  readonly #options: { key: string; end: string } & Omit<WatchOptions, 'key' | 'rangeEnd'>;
  readonly told: string[] = [];
  /** Everything up to here was told, by its own word. */
  reached: number;

  constructor(hub: WatchHub, options: ReturnType<typeof drawWatch>) {
    const wanted = watch(options.key, { ...options, key: bytes(options.key) });
    this.#options = { ...wanted, key: options.key, end: options.end };
    const rangeEnd = bytes(options.end);
    this.watcher = hub.create({ ...wanted, rangeEnd }, () => {})!;
    this.#first = wanted.startRevision || hub.revision + 1;
    this.reached = this.#first - 1;
  }

  take(hub: WatchHub, random: () => number): void {
    const eventsMax = 1 + Math.floor(random() * 6);
    const batch = hub.take(this.watcher, eventsMax, 1e6);
    if (batch === null) {
      const progress = hub.progress([this.watcher]);
      if (progress !== null) this.reached = Math.max(this.reached, progress);
      return;
    }
    this.told.push(...show(batch));
    expect(batch.revision).toBeGreaterThan(this.reached);
    this.reached = batch.revision;
  }

  /** What was told is what the list says up to where the watcher claims to be: exactly. */
  check(list: List, compacted: number): void {
    const { key, end, noPut, noDelete, prevKv } = this.#options;
    const facts = list.facts.filter(fact => {
      if (fact.revision < this.#first || fact.revision > this.reached) return false;
      if (fact.isPut ? noPut : noDelete) return false;
      if (end === '') return fact.key === key;
      return fact.key >= key && (end === '\0' || fact.key < end);
    });
    expect(this.told.map(line => line.replace(/\(.*/, ''))).toEqual(facts.map(f => f.line));
    for (const [i, fact] of facts.entries()) {
      // What was before may be gone when it was compacted in the meantime.
      const known = prevKv && (fact.revision > compacted || this.told[i]!.includes('('));
      if (known) expect(this.told[i]).toBe(fact.before);
      if (!prevKv) expect(this.told[i]).toBe(fact.line);
    }
  }
}

function drawWatch(random: () => number, revision: number) {
  const below = (n: number) => Math.floor(random() * n);
  const key = KEYS[below(KEYS.length)]!;
  const ends = ['', '', '\0', `${key}~`, 'd'];
  return {
    key: random() < 0.1 ? '\0' : key,
    end: random() < 0.1 ? '\0' : ends[below(ends.length)]!,
    startRevision: random() < 0.3 ? 0 : 1 + below(revision + 10),
    prevKv: random() < 0.5,
    noPut: random() < 0.15,
    noDelete: random() < 0.15,
  };
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every tenth follower is on disk. */
function openFollower(seed: number): { machine: KvMachine; close: () => Promise<void> } {
  if (seed % 10 !== 0)
    return { machine: new KvMachine(new MemoryBackend()), close: async () => {} };
  const directory = mkdtempSync(join(tmpdir(), 'kontiki-watch-'));
  const machine = new KvMachine(new LmdbBackend(directory, { flushIntervalMs: 1 }));
  const close = async () => {
    await machine.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return { machine, close };
}

async function run(seed: number): Promise<{ live: number; ended: number; told: number }> {
  const random = seeded(seed);
  const below = (n: number) => Math.floor(random() * n);
  const list = new List();
  const leader = new KvMachine(new MemoryBackend());
  const { machine: follower, close } = openFollower(seed);
  const queueEventsMax = [2, 8, 1000][seed % 3]!;
  const liveChangesMax = seed % 2 === 0 ? 3 : 1000;
  const hub = new WatchHub(follower, { queueEventsMax, liveChangesMax });
  const pairs: Pair[] = [];
  let batch: Uint8Array[] = [];
  for (let step = 0; step < 600; step++) {
    const what = random();
    const key = KEYS[below(KEYS.length)]!;
    if (what < 0.25) {
      const value = random() < 0.7 ? `${step}` : null;
      list.write([[key, value]]);
      batch.push(value === null ? remove(key) : put(key, value));
    } else if (what < 0.35) {
      const keys = KEYS.filter(() => random() < 0.4);
      const writes = keys.map((name): Write => [name, random() < 0.7 ? `${step}` : null]);
      if (writes.length > 0) batch.push(txn(...writes));
      list.write(writes);
    } else if (what < 0.36) batch.push(compact(Math.max(1, list.revision - below(40))));
    else if (what < 0.55) {
      apply(leader, ...batch);
      // Now and then the follower hears nothing, and later gets the leader's state instead.
      const lags = follower.applied.index < leader.applied.index - Math.max(1, batch.length);
      if (!lags && random() < 0.9) apply(follower, ...batch);
      else if (random() < 0.4) await install(leader, follower);
      batch = [];
    } else if (what < 0.6 && pairs.length < 30) {
      const options = drawWatch(random, hub.revision);
      if (options.end === '' || options.end === '\0' || options.key < options.end) {
        pairs.push(new Pair(hub, options));
      }
    } else if (what < 0.75) hub.step(1 + below(5));
    else if (what < 0.78) follower.sweep(below(20));
    else if (pairs.length > 0) pairs[below(pairs.length)]!.take(hub, random);
    if (step % 50 === 0) for (const p of pairs) p.check(list, follower.store.compactRevision);
  }
  apply(leader, ...batch);
  await install(leader, follower);
  const isOver = ({ watcher: { state, isDrained } }: Pair) =>
    (state === 'live' || state === 'ended') && isDrained;
  for (let round = 0; round < 20_000 && !pairs.every(isOver); round++) {
    hub.step(10);
    for (const pair of pairs) pair.take(hub, random);
  }
  for (const pair of pairs) pair.take(hub, random);
  for (const pair of pairs) {
    pair.check(list, follower.store.compactRevision);
    const { state, next } = pair.watcher;
    // Whoever did not end knows everything by now.
    if (state !== 'ended' && next <= hub.revision) expect(pair.reached).toBe(hub.revision);
  }
  expect(hub.revision).toBe(list.revision);
  await close();
  const ended = pairs.filter(({ watcher }) => watcher.state === 'ended').length;
  const told = pairs.reduce((sum, pair) => sum + pair.told.length, 0);
  return { live: pairs.length - ended, ended, told };
}

test('watchers are told what a filtered list of all changes says, whatever happens to them', async () => {
  const sums = { live: 0, ended: 0, told: 0 };
  for (let seed = 1; seed <= 40; seed++) {
    const { live, ended, told } = await run(seed);
    sums.live += live;
    sums.ended += ended;
    sums.told += told;
  }
  // Enough of each, or it proves nothing.
  expect(sums.live).toBeGreaterThan(150);
  expect(sums.ended).toBeGreaterThan(150);
  expect(sums.told).toBeGreaterThan(3000);
});

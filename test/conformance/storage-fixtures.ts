// What the tests of storage share: shorthand for entries and batches, a seeded random, and a model
// of the log that says which states a crash may leave.

import type {
  Configuration,
  Entry,
  HardState,
  PersistentState,
  SnapshotMeta,
} from '../../src/raft/types.ts';
import type { LogBatch, LogStore } from '../../src/storage/log-store.ts';
import { crc32c } from '../../src/wire/crc32c.ts';

export const IDENTITY = { clusterId: 4711, nodeId: 2 };
export const CONFIG: Configuration = {
  voters: [1, 2, 3],
  outgoing: [],
  learners: [],
  learnersNext: [],
};

export function snapshotAt(index: number, term: number): SnapshotMeta {
  return { last: { term, index }, config: CONFIG, configIndex: 0 };
}

export const FIRST_STATE: PersistentState = {
  hardState: { currentTerm: 0, votedFor: 0, commitIndex: 0 },
  snapshot: snapshotAt(0, 0),
  entries: [],
};

export function entry(index: number, term: number, bytes = 20): Entry {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) data[i] = (index * 31 + term * 7 + i * i) & 255;
  return { term, index, kind: 'command', data, session: 0, sequence: 0, config: null };
}

export function entries(from: number, to: number, term: number, bytes = 20): Entry[] {
  const result: Entry[] = [];
  for (let index = from; index <= to; index++) result.push(entry(index, term, bytes));
  return result;
}

export function hardState(currentTerm: number, votedFor = 0, commitIndex = 0): HardState {
  return { currentTerm, votedFor, commitIndex };
}

export function batch(parts: Partial<LogBatch>): LogBatch {
  return { hardState: null, entries: [], snapshot: null, ...parts };
}

export function append(store: LogStore, parts: Partial<LogBatch>): Promise<void> {
  return new Promise((resolve, reject) => {
    store.append(batch(parts), error => (error === null ? resolve() : reject(error)));
  });
}

/** Uniform in [0, 1), the same sequence for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Entries as one short string; comparing it is much quicker than comparing their bytes. */
export function digest(list: readonly Entry[]): string {
  return list.map(e => `${e.index}@${e.term}:${e.kind}:${crc32c(e.data)}`).join(' ');
}

/** What a recovery must give back, in a form that compares with toEqual. */
export function image(state: PersistentState | null): unknown {
  if (state === null) return null;
  const base = state.snapshot.last;
  return {
    term: state.hardState.currentTerm,
    vote: state.hardState.votedFor,
    base: `${base.index}@${base.term}`,
    entries: state.entries
      .filter(({ index }) => index > base.index)
      .map(({ index, term, data }) => `${index}@${term}:${data.length}:${crc32c(data)}`),
  };
}

/** Applies batches the slow and obvious way. */
export class LogModel {
  #state: PersistentState = FIRST_STATE;

  get state(): PersistentState {
    return this.#state;
  }

  append(parts: Partial<LogBatch>): void {
    const { hardState: hard, snapshot, entries: added = [] } = parts;
    if (hard) this.#state = { ...this.#state, hardState: hard };
    if (snapshot && snapshot.last.index > this.#state.snapshot.last.index) this.#install(snapshot);
    const first = added[0];
    if (first === undefined) return;
    const kept = this.#state.entries.filter(({ index }) => index < first.index);
    this.#state = { ...this.#state, entries: [...kept, ...added] };
  }

  compact(meta: SnapshotMeta): void {
    this.#state = { ...this.#state, snapshot: meta };
  }

  #install(snapshot: SnapshotMeta): void {
    const { index, term } = snapshot.last;
    const matches = this.#state.entries.some(e => e.index === index && e.term === term);
    this.#state = { ...this.#state, snapshot, entries: matches ? this.#state.entries : [] };
  }
}

// What the store needs below it: a few tables of ordered byte keys that change together. Small on
// purpose, so that memory (simulator, browser, tests) and LMDB (servers) behave alike; one
// conformance suite runs on both.
//
// Writes are visible to reads at once. commit() ends a group: after a crash the backend is in the
// state of some commit() and names it in `durable`, never between two. Durability comes later and
// in the background, because the Raft log already holds every command; flush() waits for it.

import type { Cursor } from './cursor.ts';

export const Table = {
  /** Revision -> change. The only place where values are. */
  LOG: 0,
  /** Key -> where its newest version stands in LOG. Keys that exist. */
  LIVE: 1,
  /** Key -> the same, for keys that were deleted and not yet compacted. */
  DEAD: 2,
  /** Lease id -> lease. */
  LEASE: 3,
  /** Lease id and key -> nothing: the keys of each lease. */
  ATTACHED: 4,
  /** The store's own counters, and the driver's bookkeeping. */
  META: 5,
} as const;
export type Table = (typeof Table)[keyof typeof Table];
export const TABLE_COUNT = 6;

/** A place in the Raft log; kept apart from raft's type, which this layer may not import. */
export interface Position {
  readonly term: number;
  readonly index: number;
}

export const NOWHERE: Position = { term: 0, index: 0 };

export interface Count {
  readonly count: number;
  /** Where to count on from; null when the whole range is counted. */
  readonly next: Uint8Array | null;
}

export interface View {
  /** The caller may keep the bytes; they never change. Undefined when there is no such key. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  /** As get(), but the bytes are good only until the next call of this view. */
  peek(table: Table, key: Uint8Array): Uint8Array | undefined;
  /** Keys from `from` on, below `to` (null: to the end), ascending. Close the cursor. */
  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor;
  /** Counts about `max` keys of the range at most, then says where to go on. For LIVE only. */
  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count;
}

/** A state that stays as it is while the backend changes. Release it: it holds disk space. */
export interface Snapshot extends View {
  release(): void;
}

export interface BackendSize {
  readonly totalBytes: number;
  readonly inUseBytes: number;
}

export interface Backend extends View {
  /** The position given to the last commit() that is durable; NOWHERE when there is none. */
  readonly durable: Position;
  /**
   * Bytes in memory that wait for the disk. Grows without bound when the disk is slower than the
   * changes: whoever lets changes in has to hold back.
   */
  readonly pendingBytes: number;
  /**
   * `isNew` says that the key is not there yet: the caller knows, and counting relies on it. The
   * backend keeps key and value; the caller never changes them again.
   */
  put(table: Table, key: Uint8Array, value: Uint8Array, isNew: boolean): void;
  /** The key must be there. */
  remove(table: Table, key: Uint8Array): void;
  /** Everything written so far belongs to `at`. A group of writes may take many turns. */
  commit(at: Position): void;
  /**
   * Makes the last commit durable, or a later one: in the middle of a group that is the next one.
   * Rejects if the disk fails; then all is over.
   */
  flush(): Promise<void>;
  snapshot(): Snapshot;
  /** A cursor of the backend itself is good until the next write; of a snapshot, until release. */
  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor;
  /** Begins to build a new content beside the old one. */
  replace(): Promise<Replacement>;
  size(): BackendSize;
  /** Flushes, except in the middle of a group: that is given up, and commits right before it may be. */
  close(): Promise<void>;
}

/** A new content under construction. Exactly one of finish() and abandon() ends it. */
export interface Replacement {
  put(table: Table, key: Uint8Array, value: Uint8Array): void;
  /** Gives the backend time to write; call it about once per megabyte. */
  drain(): Promise<void>;
  /**
   * The new content takes the old one's place, durably and at once, also across a crash. Until then
   * the old one may be read and written; what was written to it and is not in the new one is gone.
   * `switched` is called in the same turn as the switch, so that whoever keeps a part of the content
   * in memory (the store, its counters) never writes or shows it beside the other content.
   */
  finish(at: Position, switched?: () => void): Promise<void>;
  abandon(): Promise<void>;
}

/** What is the matter with the disk below a backend; null when the disk is not to blame. */
export type DiskProblem = 'full' | 'failed' | null;

export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly diskProblem: DiskProblem;

  constructor(message: string, options: { cause?: unknown; diskProblem?: DiskProblem } = {}) {
    super(message, { cause: options.cause });
    this.diskProblem = options.diskProblem ?? null;
  }
}

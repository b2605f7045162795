// Reads of one LMDB state: a read transaction and what the tables hold in it.

import type { Database, RootDatabase } from 'lmdb';
import type { Count, Table, View } from './backend.ts';
import { compareBytes, copyOf, RecordWriter } from './bytes.ts';
import type { Cursor } from './cursor.ts';
import {
  bucketBound,
  isLong,
  physicalKey,
  restOfLong,
  SHORT_KEY_BYTES_MAX,
  valueOfLong,
} from './lmdb-keys.ts';

/** A bucket of long keys is sorted in passes, each of which keeps the least keys up to a bound. */
const PASS_ENTRIES_MAX = 1024;
const PASS_BYTES_MAX = 8 * 1024 * 1024;

/** The least key that LMDB knows; it has no empty one. */
const FIRST_KEY = new Uint8Array(1);

const copies = new RecordWriter();

/**
 * How lmdb hands out what a cursor meets: its own way is a Buffer for each, whose slice() is a trap
 * for callers, and which costs an allocation outside of V8's heap.
 */
export const TABLE_FORMAT = {
  encoder: {
    encode: (value: Uint8Array) => value,
    decode: (buffer: Uint8Array, bytes: number) => copyOfPart(buffer, 0, bytes),
  },
  keyEncoder: {
    writeKey(key: Uint8Array, target: Uint8Array, at: number): number {
      target.set(key, at);
      return at + key.length;
    },
    readKey: copyOfPart,
  },
} as const;

function copyOfPart(buffer: Uint8Array, from: number, to: number): Uint8Array {
  return copies.copyOf(buffer, from, to);
}

export type Tables = readonly Database<Uint8Array, Uint8Array>[];
type ReadTransaction = ReturnType<RootDatabase['useReadTransaction']>;
interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}
interface EntryIterator {
  next(): { done?: boolean; value: Entry };
  return?(): unknown;
}

export class LmdbView implements View {
  readonly #tables: Tables;
  /** The same, for what lmdb's type declarations leave out. */
  readonly #reads: readonly ReadDatabase[];
  readonly #transaction: ReadTransaction;
  readonly #options: { transaction: ReadTransaction };
  #uses = 1;

  /** The newest committed state. */
  constructor(root: RootDatabase<Uint8Array, Uint8Array>, tables: Tables) {
    this.#tables = tables;
    this.#reads = tables as unknown as readonly ReadDatabase[];
    root.resetReadTxn();
    this.#transaction = root.useReadTransaction();
    this.#options = { transaction: this.#transaction };
  }

  use(): void {
    this.#uses++;
  }

  /** LMDB cannot reuse pages while a view of them is held. */
  release(): void {
    this.#uses--;
    if (this.#uses === 0) this.#transaction.done();
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const database = this.#reads[table]!;
    const found = database.getBinaryFast(physicalKey(key), this.#options);
    if (found === undefined) return undefined;
    const value = copyOfPart(found, 0, database.lastSize);
    return isLong(key) ? valueOfLong(value) : value;
  }

  peek(table: Table, key: Uint8Array): Uint8Array | undefined {
    if (isLong(key)) return this.get(table, key);
    const database = this.#reads[table]!;
    // The buffer is one for all reads, and longer than what was read.
    return database.getBinaryFast(key, this.#options)?.subarray(0, database.lastSize);
  }

  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor {
    return new LmdbCursor(this, table, from, to);
  }

  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    if (isLong(from) || (to !== null && isLong(to))) return this.#countSlowly(table, from, to, max);
    const range = this.#range(from, to);
    const database = this.#tables[table]!;
    const skip = { ...range, offset: max, limit: 1, values: false };
    for (const next of database.getKeys(skip)) {
      if (next.length > SHORT_KEY_BYTES_MAX) return this.#countSlowly(table, from, to, max);
      return { count: max, next };
    }
    return { count: database.getKeysCount(range), next: null };
  }

  /** Entries as LMDB has them. */
  entries(table: Table, from: Uint8Array, to: Uint8Array | null): EntryIterator {
    const entries = this.#tables[table]!.getRange(this.#range(from, to));
    return entries[Symbol.iterator]() as unknown as EntryIterator;
  }

  #range(from: Uint8Array, to: Uint8Array | null) {
    const start = from.length === 0 ? FIRST_KEY : from;
    const end = to === null ? {} : { end: to };
    return { start, ...end, transaction: this.#transaction };
  }

  #countSlowly(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    const cursor = this.scan(table, from, to);
    let count = 0;
    let next: Uint8Array | null = null;
    while (cursor.next()) {
      if (count === max) {
        next = cursor.key;
        break;
      }
      count++;
    }
    cursor.close();
    return { count, next };
  }
}

interface ReadDatabase {
  readonly lastSize: number;
  getBinaryFast(key: Uint8Array, options: object): Uint8Array | undefined;
}

class LmdbCursor implements Cursor {
  key!: Uint8Array;
  value!: Uint8Array;

  readonly #view: LmdbView;
  readonly #table: Table;
  readonly #from: Uint8Array;
  readonly #to: Uint8Array | null;
  /** Where LMDB ends: the end of the bucket if the range ends inside of one. */
  readonly #physicalTo: Uint8Array | null;
  #entries: EntryIterator | null;
  /** Sorted entries of the bucket we are in; null outside of buckets. */
  #pass: Entry[] | null = null;
  #passAt = 0;
  /** The first bytes of all keys of that bucket. */
  #bucket: Uint8Array = FIRST_KEY;

  constructor(view: LmdbView, table: Table, from: Uint8Array, to: Uint8Array | null) {
    this.#view = view;
    this.#table = table;
    this.#from = from;
    this.#to = to;
    this.#physicalTo = to !== null && isLong(to) ? bucketBound(to, true) : to;
    this.#entries = this.#open(isLong(from) ? bucketBound(from, false) : from);
  }

  next(): boolean {
    for (;;) {
      if (this.#pass !== null) {
        if (this.#nextInBucket(this.#pass)) return true;
        continue;
      }
      if (this.#entries === null) return false;
      const step = this.#entries.next();
      if (step.done === true) {
        this.#entries = null;
        return false;
      }
      if (step.value.key.length <= SHORT_KEY_BYTES_MAX) {
        this.key = step.value.key;
        this.value = step.value.value;
        return true;
      }
      this.close();
      this.#bucket = copyOf(step.value.key.subarray(0, SHORT_KEY_BYTES_MAX));
      this.#startPass(null);
    }
  }

  close(): void {
    this.#entries?.return?.();
    this.#entries = null;
    this.#pass = null;
  }

  #open(from: Uint8Array): EntryIterator | null {
    const to = this.#physicalTo;
    if (to !== null && compareBytes(from, to) >= 0) return null;
    return this.#view.entries(this.#table, from, to);
  }

  /** False when the pass is at its end: then either the next pass or the next entry follows. */
  #nextInBucket(pass: Entry[]): boolean {
    if (this.#passAt < pass.length) {
      const entry = pass[this.#passAt++]!;
      this.key = entry.key;
      this.value = entry.value;
      return true;
    }
    if (pass.length > 0) {
      this.#startPass(pass[pass.length - 1]!.key);
    } else {
      this.#pass = null;
      this.#entries = this.#open(bucketBound(this.#bucket, true));
    }
    return false;
  }

  #startPass(after: Uint8Array | null): void {
    this.#pass = this.#sortPass(after);
    this.#passAt = 0;
  }

  /** The least entries of the bucket that lie in the range and after `after`. */
  #sortPass(after: Uint8Array | null): Entry[] {
    const bucket = this.#bucket;
    let kept: Entry[] = [];
    let bytes = 0;
    let ceiling: Uint8Array | null = null;
    const end = bucketBound(bucket, true);
    const entries = this.#view.entries(this.#table, bucketBound(bucket, false), end);
    for (let step = entries.next(); step.done !== true; step = entries.next()) {
      const physical = step.value.value;
      const key = joined(bucket, restOfLong(physical));
      if (!this.#isWanted(key, after, ceiling)) continue;
      kept.push({ key, value: valueOfLong(physical) });
      bytes += physical.length;
      if (kept.length <= 2 * PASS_ENTRIES_MAX && bytes <= 2 * PASS_BYTES_MAX) continue;
      kept = least(kept);
      bytes = kept.reduce((sum, entry) => sum + entry.key.length + entry.value.length, 0);
      ceiling = kept[kept.length - 1]!.key;
    }
    return kept.sort(byKey);
  }

  #isWanted(key: Uint8Array, after: Uint8Array | null, ceiling: Uint8Array | null): boolean {
    if (compareBytes(key, this.#from) < 0) return false;
    if (this.#to !== null && compareBytes(key, this.#to) >= 0) return false;
    if (after !== null && compareBytes(key, after) <= 0) return false;
    return ceiling === null || compareBytes(key, ceiling) < 0;
  }
}

function byKey(a: Entry, b: Entry): number {
  return compareBytes(a.key, b.key);
}

/** The first entries, in order, within the bounds of one pass; at least one. */
function least(entries: Entry[]): Entry[] {
  entries.sort(byKey);
  let bytes = 0;
  let count = 0;
  while (count < entries.length && count < PASS_ENTRIES_MAX && bytes <= PASS_BYTES_MAX) {
    bytes += entries[count]!.key.length + entries[count]!.value.length;
    count++;
  }
  return entries.slice(0, count);
}

function joined(prefix: Uint8Array, rest: Uint8Array): Uint8Array {
  const key = new Uint8Array(prefix.length + rest.length);
  key.set(prefix);
  key.set(rest, prefix.length);
  return key;
}

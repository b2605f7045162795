// The store as a replicated state machine: what the driver of a node calls. Fits node's Machine
// interface by its shape, for this layer may not import that one.

import type { ErrorStatus } from '../api/errors.ts';
import type { RangeRequest, TxnRequest } from '../api/kv.ts';
import type { RangeResult, TxnResult } from '../api/results.ts';
import { type Backend, type Position, Table } from './backend.ts';
import { copyOf, prefixEnd } from './bytes.ts';
import {
  type Change,
  type ChangeListener,
  type History,
  previousKv,
  readHistory,
} from './changes.ts';
import { applyCommand, type CommandResult } from './command.ts';
import { HashJob, type HashResult } from './hash.ts';
import type { RangeJob } from './range.ts';
import { readImage, writeImage } from './snapshot-stream.ts';
import { Store } from './store.ts';
import { isSwept, sweep } from './sweep.ts';
import { runTxn } from './txn.ts';

/** Records that each batch sweeps while there is something to sweep. */
const SWEEP_RECORDS_PER_BATCH = 32;
const BOOKKEEPING_PREFIX = 'b:';

const utf8 = new TextEncoder();
const text = new TextDecoder();

interface Batch {
  readonly last: Position;
  readonly commands: readonly { readonly data: Uint8Array }[];
  readonly bookkeeping: {
    readonly puts: ReadonlyMap<string, Uint8Array | null>;
    settle(results: readonly unknown[]): void;
  };
}

export class KvMachine {
  readonly store: Store;
  readonly #backend: Backend;
  readonly #sweepPerBatch: number;
  #applied: Position;
  #restored: (() => void) | null = null;

  constructor(backend: Backend, options: { readonly sweepPerBatch?: number } = {}) {
    this.#backend = backend;
    this.#sweepPerBatch = options.sweepPerBatch ?? SWEEP_RECORDS_PER_BATCH;
    this.store = new Store(backend);
    this.#applied = backend.durable;
  }

  get applied(): Position {
    return this.#applied;
  }

  get durable(): Position {
    return this.#backend.durable;
  }

  /**
   * Bytes of applied changes that wait in memory for the disk. Commands of the log have to be applied
   * whatever it is, so a server that accepts commands looks at it before.
   */
  get backlogBytes(): number {
    return this.#backend.pendingBytes;
  }

  apply(batch: Batch): CommandResult[] {
    const { store } = this;
    const results: CommandResult[] = [];
    for (let i = 0; i < batch.commands.length; i++) {
      results.push(applyCommand(store, batch.commands[i]!.data));
    }
    // Replies of session commands are kept, and known only now.
    batch.bookkeeping.settle(results);
    for (const [name, value] of batch.bookkeeping.puts) this.#keep(name, value);
    if (this.#sweepPerBatch > 0 && !isSwept(store)) sweep(store, this.#sweepPerBatch);
    this.#applied = batch.last;
    this.#endBatch();
    return results;
  }

  async flush(): Promise<Position> {
    await this.#backend.flush();
    return this.durable;
  }

  *bookkeeping(prefix: string): Iterable<[name: string, value: Uint8Array]> {
    const from = bookkeepingKey(prefix);
    const found: [string, Uint8Array][] = [];
    const cursor = this.#backend.scan(Table.META, from, prefixEnd(from));
    while (cursor.next()) {
      const name = text.decode(cursor.key.subarray(BOOKKEEPING_PREFIX.length));
      found.push([name, cursor.value]);
    }
    cursor.close();
    yield* found;
  }

  /** The image holds resources until its content is read to the end or given up. */
  snapshot(): { readonly last: Position; content(): AsyncIterable<Uint8Array> } {
    const last = this.#applied;
    const snapshot = this.#backend.snapshot();
    return { last, content: () => writeImage(snapshot, last) };
  }

  async restore(last: Position, content: AsyncIterable<Uint8Array>): Promise<void> {
    // In one turn with the change of the content: a sweep or a read that comes between would join
    // the old counters to the new content.
    await readImage(this.#backend, last, content, () => {
      this.store.reload();
      this.#applied = last;
      this.#restored?.();
    });
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  /** One listener for all watches; null to stop. `restored`: the content is another one from now on. */
  changes(listener: ChangeListener | null, restored: (() => void) | null = null): void {
    this.store.listen(listener);
    this.#restored = restored;
  }

  /** Past changes, inclusive bounds; both at or above the compacted revision. */
  history(from: number, to: number, max: number): History {
    return readHistory(this.#backend, from, to, max);
  }

  previousKv(change: Change): Uint8Array | null {
    return previousKv(this.#backend, change, this.store.compactRevision);
  }

  range(request: RangeRequest): RangeResult | ErrorStatus {
    return this.store.range(request);
  }

  /** A range to evaluate in slices by step(), while commands go on being applied. */
  startRange(request: RangeRequest): RangeJob | ErrorStatus {
    return this.store.startRange(request);
  }

  /** A transaction that only reads (see isReadOnlyTxn), outside of the log. */
  readTxn(request: TxnRequest): TxnResult | ErrorStatus {
    return runTxn(this.store, request);
  }

  /** Begins to hash the store at a revision; 0 is the newest. */
  startHash(revision: number): HashJob | ErrorStatus {
    const { store } = this;
    const error = store.checkRevision(revision);
    if (error !== null) return error;
    const at = revision === 0 ? store.revision : revision;
    return new HashJob(this.#backend.snapshot(), structuredState(store), at);
  }

  hash(revision: number): HashResult | ErrorStatus {
    const job = this.startHash(revision);
    return job instanceof HashJob ? job.step(Infinity)! : job;
  }

  /**
   * Removes some of what compaction has hidden; true when nothing is left. Each batch does a little;
   * a server does the rest when it is idle. Then flush() makes the removal physical.
   */
  sweep(budget: number): boolean {
    if (isSwept(this.store)) return true;
    const isDone = sweep(this.store, budget);
    this.#endBatch();
    return isDone;
  }

  /** Bytes of the database and how many of them are in use; differs between members. */
  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    return this.#backend.size();
  }

  #endBatch(): void {
    this.store.endBatch();
    this.#backend.commit(this.#applied);
  }

  #keep(name: string, value: Uint8Array | null): void {
    const key = bookkeepingKey(name);
    const isThere = this.#backend.peek(Table.META, key) !== undefined;
    if (value !== null) this.#backend.put(Table.META, key, copyOf(value), !isThere);
    else if (isThere) this.#backend.remove(Table.META, key);
  }
}

function structuredState(store: Store) {
  return { ...store.state, sweptTo: { ...store.state.sweptTo } };
}

function bookkeepingKey(name: string): Uint8Array {
  return utf8.encode(BOOKKEEPING_PREFIX + name);
}

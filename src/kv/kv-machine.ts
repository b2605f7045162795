// The store as a replicated state machine: what the driver of a node calls. Fits node's Machine
// interface by its shape, for this layer may not import that one.

import type { ErrorStatus } from '../api/errors.ts';
import type { RangeRequest, TxnRequest } from '../api/kv.ts';
import type { RangeResult, TxnResult } from '../api/results.ts';
import { type Backend, BackendError, type Position, Table } from './backend.ts';
import { copyOf, prefixEnd } from './bytes.ts';
import {
  type Change,
  type ChangeListener,
  type History,
  previousKv,
  readHistory,
} from './changes.ts';
import { applyCommand, type CommandResult, LongCommand } from './command.ts';
import { HashJob, type HashResult } from './hash.ts';
import type { RangeJob } from './range.ts';
import type { Revision } from './record.ts';
import type { Job } from './removal-jobs.ts';
import { readImage, writeImage } from './snapshot-stream.ts';
import { Store } from './store.ts';
import { FrozenStore, type StoreReads } from './store-reads.ts';
import { isSwept, sweep } from './sweep.ts';
import { TxnJob } from './txn.ts';

/** Keys that a long command changes in one turn: about a millisecond. */
const LONG_KEYS_A_TURN = 128;
/** Records that each batch sweeps while there is something to sweep. */
const SWEEP_RECORDS_PER_BATCH = 32;
const BOOKKEEPING_PREFIX = 'b:';

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** A batch with a command that takes more than one turn. */
interface Underway {
  readonly batch: Batch;
  readonly results: CommandResult[];
  readonly command: LongCommand;
  /** What others read until the command is applied as a whole. */
  readonly before: FrozenStore;
}

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
  readonly #longKeysATurn: number;
  #applied: Position;
  #restored: (() => void) | null = null;
  #underway: Underway | null = null;

  constructor(
    backend: Backend,
    options: { readonly sweepPerBatch?: number; readonly longKeysATurn?: number } = {},
  ) {
    this.#backend = backend;
    this.#longKeysATurn = options.longKeysATurn ?? LONG_KEYS_A_TURN;
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

  /** All in one go, however long it takes. */
  apply(batch: Batch): CommandResult[] {
    return this.#goOn(batch, [], Infinity)!;
  }

  /**
   * As apply(), but null when a command of the batch changes or reads very many keys: resume() goes
   * on with it, and must be called until it gives the results. Meanwhile all that is read here is of
   * the state before that command, and nothing of the batch is committed.
   */
  begin(batch: Batch): CommandResult[] | null {
    return this.#goOn(batch, [], this.#longKeysATurn);
  }

  resume(): CommandResult[] | null {
    const { batch, results, command, before } = this.#underway!;
    const result = command.step(this.#longKeysATurn);
    if (result === null) return null;
    this.#underway = null;
    before.release();
    results.push(result);
    return this.#goOn(batch, results, this.#longKeysATurn);
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
    this.#checkBetweenBatches();
    const last = this.#applied;
    const snapshot = this.#backend.snapshot();
    return { last, content: () => writeImage(snapshot, last) };
  }

  async restore(last: Position, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.#checkBetweenBatches();
    // In one turn with the change of the content: a sweep or a read that comes between would join
    // the old counters to the new content.
    await readImage(this.#backend, last, content, () => {
      this.store.reload();
      this.#applied = last;
      this.#restored?.();
    });
  }

  /** A batch under way is lost: the log has it. */
  close(): Promise<void> {
    this.#underway?.before.release();
    return this.#backend.close();
  }

  /** One listener for all watches; null to stop. `restored`: the content is another one from now on. */
  changes(listener: ChangeListener | null, restored: (() => void) | null = null): void {
    this.store.listen(listener);
    this.#restored = restored;
  }

  /**
   * Past changes from `from` on, to the end of revision `to`; both at or above the compacted one.
   * What it leaves may begin inside of a revision.
   */
  history(from: Revision, to: number, max: number): History {
    return readHistory(this.#backend, from, to, max);
  }

  previousKv(change: Change): Uint8Array | null {
    return previousKv(this.#backend, change, this.store.compactRevision);
  }

  range(request: RangeRequest): RangeResult | ErrorStatus {
    return this.#reads.range(request);
  }

  /** A range to evaluate in slices by step(), while commands go on being applied. */
  startRange(request: RangeRequest): RangeJob | ErrorStatus {
    return this.#reads.startRange(request);
  }

  /** A transaction that only reads (see isReadOnlyTxn), outside of the log. */
  readTxn(request: TxnRequest): TxnResult | ErrorStatus {
    return this.startReadTxn(request).step(Infinity)!;
  }

  /** The same in slices, of one revision, while commands go on being applied. */
  startReadTxn(request: TxnRequest): ReadTxnJob {
    return new ReadTxnJob(request, this.#reads);
  }

  /** Begins to hash the store at a revision; 0 is the newest. */
  startHash(revision: number): HashJob | ErrorStatus {
    const { store } = this;
    // What a command under way has written to the log of changes is above every readable revision.
    const error = this.#reads.checkRevision(revision);
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
    if (this.#underway !== null) return false;
    if (isSwept(this.store)) return true;
    const isDone = sweep(this.store, budget);
    this.#endBatch();
    return isDone;
  }

  /** Bytes of the database and how many of them are in use; differs between members. */
  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    return this.#backend.size();
  }

  #checkBetweenBatches(): void {
    if (this.#underway !== null) throw new BackendError('a batch is under way');
  }

  get #reads(): StoreReads {
    return this.#underway?.before ?? this.store;
  }

  /** Null when a command is left that takes more turns. */
  #goOn(batch: Batch, results: CommandResult[], keysMax: number): CommandResult[] | null {
    const { store } = this;
    const { commands } = batch;
    for (let i = results.length; i < commands.length; i++) {
      const result = applyCommand(store, commands[i]!.data, keysMax);
      if (result instanceof LongCommand) {
        this.#underway = { batch, results, command: result, before: new FrozenStore(store) };
        return null;
      }
      results.push(result);
    }
    this.#finish(batch, results);
    return results;
  }

  #finish(batch: Batch, results: readonly CommandResult[]): void {
    // Replies of session commands are kept, and known only now.
    batch.bookkeeping.settle(results);
    for (const [name, value] of batch.bookkeeping.puts) this.#keep(name, value);
    if (this.#sweepPerBatch > 0 && !isSwept(this.store)) sweep(this.store, this.#sweepPerBatch);
    this.#applied = batch.last;
    this.#endBatch();
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

/** Looks at the store itself as long as that is quick, and begins anew on a picture of it if not. */
export class ReadTxnJob implements Job<TxnResult | ErrorStatus> {
  readonly #request: TxnRequest;
  readonly #reads: StoreReads;
  #frozen: FrozenStore | null = null;
  #job: TxnJob | null = null;

  constructor(request: TxnRequest, reads: StoreReads) {
    this.#request = request;
    this.#reads = reads;
  }

  /** The first call must come before anything is applied. */
  step(budget: number): TxnResult | ErrorStatus | null {
    if (this.#job !== null) return this.#stepOn(this.#job, budget);
    const quick = new TxnJob(this.#reads, null, this.#request);
    const result = quick.step(budget);
    if (result !== null) return result;
    quick.abandon();
    this.#frozen = new FrozenStore(this.#reads);
    this.#job = new TxnJob(this.#frozen, null, this.#request);
    return null;
  }

  abandon(): void {
    this.#job?.abandon();
    this.#frozen?.release();
    this.#frozen = null;
  }

  #stepOn(job: TxnJob, budget: number): TxnResult | ErrorStatus | null {
    const result = job.step(budget);
    if (result !== null) this.abandon();
    return result;
  }
}

function structuredState(store: Store) {
  return { ...store.state, sweptTo: { ...store.state.sweptTo } };
}

function bookkeepingKey(name: string): Uint8Array {
  return utf8.encode(BOOKKEEPING_PREFIX + name);
}

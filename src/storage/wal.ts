// The durable log of a running node: batches in, one write and one sync for all that is waiting,
// completions out. While a write is under way the next batch fills, so the disk is always busy with
// as much as there is (group commit), and an append costs neither a promise nor a timer.
//
//   append ─> filling ──> queue ──> write + sync ──> done, done, done
//             (encode)   (sealed)   (one at a time)
//
// After the first failed write or sync nothing is ever acknowledged again: what reached the disk is
// unknown, and a second sync that succeeds would prove nothing.

import type { Entry, HardState, LogIndex, SnapshotMeta } from '../raft/types.ts';
import { ByteWriter } from '../wire/bytes.ts';
import { ENTRIES_PER_RUN_MAX, ENTRY_OVERHEAD_BYTES } from '../wire/entry.ts';
import { BATCH_HEADER_BYTES, batchBytes, beginBatch, sealBatch } from './batch.ts';
import type { Disk, Done } from './disk.ts';
import { asStorageError, LogSegments, type SegmentOptions } from './log-segments.ts';
import { LogShape } from './log-shape.ts';
import { type Identity, type LogBatch, StorageError } from './log-store.ts';
import {
  type Checkpoint,
  writeClosedRecord,
  writeCompactRecord,
  writeEntriesRecord,
  writeHardStateRecord,
  writeInstallRecord,
} from './record.ts';
import type { RecoveredLog } from './recovery.ts';

export interface WalOptions extends SegmentOptions {
  /** Entries before the newest compaction that stay readable after a restart. */
  readonly trailingEntries: number;
}

/** A batch larger than this is closed and the next one begun. */
const BATCH_BYTES_TARGET = 4 * 1024 * 1024;
const ENTRY_BYTES_MAX = 64 * 1024 * 1024;
/** The driver holds back long before; this only keeps a broken one from filling the memory. */
const QUEUED_BYTES_MAX = 512 * 1024 * 1024;
/** Larger buffers are given back to the garbage collector after use. */
const SPARE_BYTES_MAX = 2 * BATCH_BYTES_TARGET;

const SETTLED = Promise.resolve();

/** A batch being filled, waiting or being written. */
interface Pending {
  readonly writer: ByteWriter;
  dones: Done[];
  /** The log's state once this batch is durable; set when the batch is closed. */
  after: Checkpoint | null;
  /** The highest index of an entry in it, after the last install if there is one. */
  maxIndex: LogIndex;
  /** It contains an install that drops the whole log before it. */
  dropsAll: boolean;
}

function newPending(writer: ByteWriter): Pending {
  beginBatch(writer);
  return { writer, dones: [], after: null, maxIndex: 0, dropsAll: false };
}

export class Wal {
  readonly #segments: LogSegments;
  readonly #options: WalOptions;
  /** As of all that was handed in, durable or not. Null before bootstrap(). */
  #shape: LogShape | null;
  #hardState: HardState;
  /** As of the batches written so far; what a new segment begins with. */
  #written: Checkpoint | null;
  #sequence: number;
  #previousCrc: number;
  #filling: Pending = newPending(new ByteWriter());
  #queue: Pending[] = [];
  #queuedBytes = 0;
  #inFlight: Pending | null = null;
  #spare: ByteWriter | null = null;
  #flushScheduled = false;
  /** A write is with the disk; its file must stay open. */
  #writing = false;
  #onIdle: (() => void) | null = null;
  #rolling: Promise<void> = Promise.resolve();
  #failure: StorageError | null = null;
  onFailure: ((error: Error) => void) | null = null;
  #closing = false;

  constructor(disk: Disk, identity: Identity, options: WalOptions, recovered: RecoveredLog) {
    this.#options = options;
    const { segments, nextNumber, state, shape } = recovered;
    this.#segments = new LogSegments(disk, identity, options, segments, nextNumber, error =>
      this.#fail(error),
    );
    this.#shape = shape;
    this.#hardState = state?.hardState ?? { currentTerm: 0, votedFor: 0, commitIndex: 0 };
    this.#written = this.#checkpoint();
    this.#sequence = recovered.nextSequence;
    this.#previousCrc = recovered.previousCrc;
  }

  get usedBytes(): number {
    return this.#segments.usedBytes;
  }

  /** Bytes handed in and not yet durable. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#filling.writer.length - BATCH_HEADER_BYTES;
  }

  /** The error after which nothing is acknowledged any more. */
  get failure(): StorageError | null {
    return this.#failure;
  }

  /** Begins a new segment after recovery; batches may be appended once this has completed. */
  async start(): Promise<void> {
    if (this.#written !== null) await this.#roll(this.#written);
  }

  /** Writes the first state of a node as one batch. */
  async bootstrap(
    hardState: HardState,
    base: SnapshotMeta,
    entries: readonly Entry[],
  ): Promise<void> {
    if (this.#shape !== null) throw new StorageError('IO', 'the log exists already');
    const shape = new LogShape(base, base.last);
    const problem = shape.problemWith(entries);
    if (problem !== null) throw new StorageError('IO', `cannot begin a log: ${problem}`);
    await this.#roll({ hardState, base, last: base.last }, writer => {
      if (entries.length > 0) writeEntriesRecord(writer, entries, 0, entries.length);
    });
    shape.append(entries);
    this.#shape = shape;
    this.#hardState = hardState;
    this.#written = this.#checkpoint();
    this.#segments.active!.maxIndex = shape.last.index;
  }

  append(batch: LogBatch, done: Done): void {
    const refusal = this.#refusal();
    if (refusal !== null) return this.#refuse(refusal, done);
    // The hard state goes first: should a crash cut a huge batch in two, no entry is left without
    // the term it was received in.
    if (batch.hardState !== null) {
      writeHardStateRecord(this.#filling.writer, batch.hardState);
      this.#hardState = batch.hardState;
    }
    if (batch.snapshot !== null) this.#appendInstall(batch.snapshot);
    const problem = this.#shape!.problemWith(batch.entries) ?? tooLarge(batch.entries);
    if (problem !== null)
      return this.#refuse(new StorageError('IO', `no append: ${problem}`), done);
    this.#appendEntries(batch.entries);
    this.#filling.dones.push(done);
    this.#scheduleFlush();
  }

  /** `done` comes once the compaction is durable and the superfluous segments are gone. */
  async compact(meta: SnapshotMeta): Promise<void> {
    const shape = this.#shape;
    if (shape === null) throw this.#failure ?? new StorageError('IO', 'the log is empty');
    if (meta.last.index <= shape.base.last.index) return;
    if (!shape.matches(meta.last)) {
      const { term, index } = meta.last;
      throw new StorageError('IO', `cannot compact: the log has no entry ${index} of term ${term}`);
    }
    await this.#control(writer => {
      writeCompactRecord(writer, meta);
      shape.compact(meta);
    });
    try {
      const keepFrom = this.#written!.base.last.index - this.#options.trailingEntries + 1;
      await this.#segments.removeBefore(keepFrom);
    } catch (error) {
      this.#fail(asStorageError(error));
      throw error;
    }
  }

  /** Lets all that was handed in become durable, then closes the files. */
  async close(): Promise<void> {
    try {
      if (this.#shape !== null && this.#failure === null && !this.#closing) {
        const closed = this.#control(writer => writeClosedRecord(writer));
        this.#closing = true;
        await closed;
      }
    } finally {
      this.#closing = true;
      await this.#rolling;
      if (this.#writing) await new Promise<void>(resolve => (this.#onIdle = resolve));
      await this.#segments.close({ trim: this.#failure === null });
    }
  }

  /** Appends a record and resolves once it is durable. */
  #control(write: (writer: ByteWriter) => void): Promise<void> {
    const problem = this.#failure ?? (this.#closing ? closedError() : null);
    if (problem !== null) return Promise.reject(problem);
    return new Promise((resolve, reject) => {
      write(this.#filling.writer);
      this.#filling.dones.push(error => (error === null ? resolve() : reject(error)));
      this.#scheduleFlush();
    });
  }

  #refusal(): StorageError | null {
    if (this.#failure !== null) return this.#failure;
    if (this.#closing) return closedError();
    if (this.#shape === null) return new StorageError('IO', 'append() before bootstrap()');
    if (this.queuedBytes <= QUEUED_BYTES_MAX) return null;
    return new StorageError('IO', `${this.queuedBytes} bytes wait to be written; giving up`);
  }

  /** An append that can't be done is the end: the log would miss what the core believes it has. */
  #refuse(error: StorageError, done: Done): void {
    this.#filling.dones.push(done);
    this.#fail(error);
  }

  #appendInstall(meta: SnapshotMeta): void {
    const shape = this.#shape!;
    if (meta.last.index <= shape.base.last.index) return;
    // IS6: if the log has the snapshot's last entry, what follows it stays; IS7: else all goes.
    const keepSuffix = shape.matches(meta.last);
    writeInstallRecord(this.#filling.writer, meta, keepSuffix);
    shape.install(meta, keepSuffix);
    if (keepSuffix) return;
    this.#filling.dropsAll = true;
    this.#filling.maxIndex = 0;
  }

  #appendEntries(entries: readonly Entry[]): void {
    const shape = this.#shape!;
    let from = 0;
    while (from < entries.length) {
      const { writer } = this.#filling;
      let to = endOfRun(entries, from, BATCH_BYTES_TARGET - writer.length);
      if (to === from && writer.length > BATCH_HEADER_BYTES) {
        this.#closeFilling();
        continue;
      }
      // An entry larger than the target has a batch of its own.
      to = Math.max(to, from + 1);
      writeEntriesRecord(this.#filling.writer, entries, from, to);
      shape.append(entries, from, to);
      this.#filling.maxIndex = Math.max(this.#filling.maxIndex, shape.last.index);
      from = to;
    }
  }

  #closeFilling(): void {
    const pending = this.#filling;
    pending.after = this.#checkpoint();
    this.#queue.push(pending);
    this.#queuedBytes += pending.writer.length;
    this.#filling = newPending(this.#spare ?? new ByteWriter());
    this.#spare = null;
  }

  #checkpoint(): Checkpoint | null {
    if (this.#shape === null) return null;
    return { hardState: this.#hardState, base: this.#shape.base, last: this.#shape.last };
  }

  /** When the running code has come to its end, so that its appends share one write. */
  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#inFlight !== null) return;
    this.#flushScheduled = true;
    void SETTLED.then(this.#flushIfScheduled);
  }

  readonly #flushIfScheduled = (): void => {
    if (this.#flushScheduled) this.flush();
  };

  /** Begins a write of what waits, unless one is under way: its end begins the next. */
  flush(): void {
    this.#flushScheduled = false;
    if (this.#inFlight !== null || this.#failure !== null) return;
    if (this.#queue.length === 0) {
      if (this.#filling.dones.length === 0) return;
      this.#closeFilling();
    }
    const pending = this.#queue.shift()!;
    this.#inFlight = pending;
    const total = batchBytes(pending.writer.length - BATCH_HEADER_BYTES, this.#options.alignBytes);
    if (this.#segments.fits(total)) this.#write(pending);
    else this.#rolling = this.#rollAndWrite(pending);
  }

  async #rollAndWrite(pending: Pending): Promise<void> {
    try {
      await this.#roll(this.#written!);
    } catch (error) {
      return this.#fail(asStorageError(error));
    }
    if (this.#failure === null) this.#write(pending);
  }

  async #roll(checkpoint: Checkpoint, addRecords?: (writer: ByteWriter) => void): Promise<void> {
    const chain = { sequence: this.#sequence, previousCrc: this.#previousCrc };
    const next = await this.#segments.roll(checkpoint, chain, addRecords);
    this.#sequence = next.sequence;
    this.#previousCrc = next.previousCrc;
  }

  #write(pending: Pending): void {
    const active = this.#segments.active!;
    const { writer } = pending;
    // Sealing adds padding; the queue counted the bytes before it.
    this.#queuedBytes -= writer.length;
    const link = {
      sequence: this.#sequence,
      segmentCrc: active.headerCrc,
      previousCrc: this.#previousCrc,
    };
    this.#previousCrc = sealBatch(writer, link, this.#options.alignBytes);
    this.#sequence += 1;
    this.#writing = true;
    active.file.writeAndSync(active.usedBytes, writer.view(), this.#onWritten);
  }

  readonly #onWritten = (error: Error | null): void => {
    this.#writing = false;
    this.#onIdle?.();
    if (error !== null) return this.#fail(asStorageError(error));
    if (this.#failure !== null) return;
    const pending = this.#inFlight!;
    this.#inFlight = null;
    const active = this.#segments.active!;
    this.#segments.advance(pending.writer.length);
    if (pending.dropsAll) this.#segments.obsoleteAll();
    active.maxIndex = Math.max(active.maxIndex, pending.maxIndex);
    this.#written = pending.after;
    if (pending.writer.capacity <= SPARE_BYTES_MAX) this.#spare = pending.writer;
    // The disk goes on with the next batch before anyone hears of this one.
    this.flush();
    const { dones } = pending;
    for (let i = 0; i < dones.length; i++) dones[i]!(null);
  };

  #fail(error: StorageError): void {
    this.#failure ??= error;
    const waiting = [this.#inFlight, ...this.#queue, this.#filling];
    this.#inFlight = null;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#filling = newPending(new ByteWriter());
    const failure = this.#failure;
    const tell = this.onFailure;
    this.onFailure = null;
    // Never from within append(): a caller may not expect its answer before the call returns.
    void Promise.resolve().then(() => {
      for (const pending of waiting) {
        if (pending !== null) for (const done of pending.dones) done(failure);
      }
      tell?.(failure);
    });
  }
}

/** Where the entries that fit into `room` bytes end; `from` when not even one does. */
function endOfRun(entries: readonly Entry[], from: number, room: number): number {
  const end = Math.min(entries.length, from + ENTRIES_PER_RUN_MAX);
  let to = from;
  for (; to < end; to++) {
    room -= entries[to]!.data.length + ENTRY_OVERHEAD_BYTES;
    if (room < 0) break;
  }
  return to;
}

function tooLarge(entries: readonly Entry[]): string | null {
  for (let i = 0; i < entries.length; i++) {
    const { data, index } = entries[i]!;
    if (data.length > ENTRY_BYTES_MAX) return `entry ${index} has ${data.length} bytes`;
  }
  return null;
}

function closedError(): StorageError {
  return new StorageError('IO', 'the log is closed');
}

// Turns log records, in order, back into a node's persistent state. Entries that a later record
// overwrote or compacted are let go at once, so that memory holds no more than the live log.

import type { Entry, HardState, LogId, LogIndex, PersistentState } from '../raft/types.ts';
import { ByteReader, WireError } from '../wire/bytes.ts';
import { LogShape } from './log-shape.ts';
import { type Checkpoint, type LogRecord, readRecord } from './record.ts';

export class Replay {
  readonly #trailingEntries: number;
  #hardState: HardState = { currentTerm: 0, votedFor: 0, commitIndex: 0 };
  /** Null until the first checkpoint. */
  #shape: LogShape | null = null;
  /** Consecutive; up to shape.last if not empty. */
  #entries: Entry[] = [];
  /** The highest index of an entry in the current segment. */
  #maxIndex: LogIndex = 0;
  /** Segments before the current one are obsolete: an install replaced all they hold. */
  #droppedAll = false;

  constructor(trailingEntries: number) {
    this.#trailingEntries = trailingEntries;
  }

  get shape(): LogShape | null {
    return this.#shape;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  /** Called between segments: what the finished one held. */
  takeSegmentFacts(): { maxIndex: LogIndex; droppedAll: boolean } {
    const facts = { maxIndex: this.#maxIndex, droppedAll: this.#droppedAll };
    this.#maxIndex = 0;
    this.#droppedAll = false;
    return facts;
  }

  /** Applies all records of a batch. Throws a WireError when they don't make sense together. */
  batch(payload: Uint8Array): void {
    const reader = new ByteReader(payload);
    while (reader.remaining > 0) this.#apply(readRecord(reader));
  }

  /** Throws a WireError when entries between the base and the end are missing. */
  finish(): PersistentState | null {
    if (this.#shape === null) return null;
    const { base, last } = this.#shape;
    const first = this.#entries[0]?.index ?? last.index + 1;
    if (first > base.last.index + 1) {
      throw new WireError(`the entries ${base.last.index + 1} to ${first - 1} are missing`);
    }
    const { currentTerm, votedFor, commitIndex } = this.#hardState;
    const commit = Math.min(Math.max(commitIndex, base.last.index), last.index);
    return {
      hardState: { currentTerm, votedFor, commitIndex: commit },
      snapshot: base,
      entries: this.#entries,
    };
  }

  #apply(record: LogRecord): void {
    if (record.kind === 'checkpoint') return this.#checkpoint(record);
    if (this.#shape === null) throw new WireError('the log does not begin with a checkpoint');
    switch (record.kind) {
      case 'entries':
        this.#append(this.#shape, record.entries);
        break;
      case 'hardState':
        this.#hardState = record.hardState;
        break;
      case 'install':
        this.#shape.install(record.meta, record.keepSuffix);
        if (!record.keepSuffix) {
          this.#entries = [];
          this.#maxIndex = 0;
          this.#droppedAll = true;
        }
        this.#dropCompacted();
        break;
      case 'compact':
        if (record.meta.last.index > this.#shape.last.index) {
          throw new WireError('a compaction beyond the end of the log');
        }
        this.#shape.compact(record.meta);
        this.#dropCompacted();
        break;
      case 'closed':
        break;
    }
  }

  #checkpoint(checkpoint: Checkpoint): void {
    if (this.#shape === null) {
      this.#shape = new LogShape(checkpoint.base, checkpoint.last);
      this.#hardState = checkpoint.hardState;
      return;
    }
    const { base, last } = this.#shape;
    if (!sameId(base.last, checkpoint.base.last) || !sameId(last, checkpoint.last)) {
      throw new WireError('the checkpoint contradicts the log before it');
    }
    this.#hardState = checkpoint.hardState;
  }

  #append(shape: LogShape, entries: readonly Entry[]): void {
    const problem = shape.problemWith(entries);
    if (problem !== null) throw new WireError(problem);
    const first = entries[0];
    if (first === undefined) return;
    shape.append(entries);
    const kept = first.index - (this.#entries[0] ?? first).index;
    if (kept < this.#entries.length) this.#entries.length = Math.max(0, kept);
    for (let i = 0; i < entries.length; i++) this.#entries.push(entries[i]!);
    this.#maxIndex = Math.max(this.#maxIndex, entries[entries.length - 1]!.index);
  }

  #dropCompacted(): void {
    const first = this.#entries[0];
    if (first === undefined || this.#shape === null) return;
    const keepFrom = this.#shape.base.last.index - this.#trailingEntries + 1;
    if (keepFrom > first.index) this.#entries.splice(0, keepFrom - first.index);
  }
}

function sameId(a: LogId, b: LogId): boolean {
  return a.term === b.term && a.index === b.index;
}

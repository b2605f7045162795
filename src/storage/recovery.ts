// Reads the log after a restart and tells apart what a crash leaves and what damage leaves.
//
// Writes go out one at a time: batch n+1 is written after batch n was durable. So of all batches
// only the last one written can be incomplete through a crash, and nobody was told that it was
// durable. At the first place without an intact batch the question is which case this is:
//
// - Damage, if anything proves that this batch was once complete: an intact batch with a higher
//   sequence number further on, a following segment, or its own stamps (see batch.ts).
//   The node refuses to start (CORRUPT); nothing is cut, nothing is guessed.
// - A torn tail or the end of the log otherwise: at least one of its sectors was never written. The
//   tail is cut off, the cut made durable, and the log goes on in a new segment.
//
// The guarantee: no acknowledged batch is ever dropped silently, with one exception that no single
// disk can exclude: the last batch before the crash, if a whole sector of it reads as zeros, or if
// the disk never wrote it although it said so. A clean close and every restart write another batch
// behind it, so the exception is limited to the last write before a crash. A disk that loses more,
// back to some earlier batch, is noticed by what the leader has counted: raft/evidence.ts.
//
// All that is accepted is synced before the log is used: after a mere process crash it may have been
// in the page cache only, and what a node acts upon must survive the next power loss.

import type { LogIndex, PersistentState } from '../raft/types.ts';
import { WireError } from '../wire/bytes.ts';
import {
  type BatchHeader,
  batchBytes,
  isStamped,
  readBatchHeader,
  readPayload,
  SECTOR_BYTES,
} from './batch.ts';
import type { Disk, DiskFile, Path } from './disk.ts';
import type { LogShape } from './log-shape.ts';
import { type Identity, StorageError } from './log-store.ts';
import { PayloadSlab } from './payload-slab.ts';
import { Replay } from './replay.ts';
import {
  decodeSegmentHeader,
  LOG_DIR,
  type SegmentHeader,
  segmentNumber,
  segmentPath,
} from './segment.ts';
import { WindowReader } from './window-reader.ts';

const FIRST_SEGMENT = 1;
const FIRST_SEQUENCE = 1;

/** A segment that is complete. */
export interface SegmentFacts {
  readonly number: number;
  readonly usedBytes: number;
  /** The highest index of an entry in it; 0 when nothing in it is needed any more. */
  readonly maxIndex: LogIndex;
}

export interface RecoveredLog {
  /** Null when the log is empty: bootstrap() has not completed. */
  readonly state: PersistentState | null;
  readonly shape: LogShape | null;
  readonly segments: readonly SegmentFacts[];
  readonly nextNumber: number;
  readonly nextSequence: number;
  readonly previousCrc: number;
  /** What was found and done, for the log of the program; empty after a clean close. */
  readonly notes: readonly string[];
}

interface OpenSegment {
  readonly number: number;
  readonly path: Path;
  readonly name: string;
  readonly file: DiskFile;
  readonly reader: WindowReader;
  /** Null: the header was never completely written. */
  readonly head: { readonly header: SegmentHeader; readonly crc: number } | null;
}

export async function recoverLog(
  disk: Disk,
  identity: Identity,
  trailingEntries: number,
): Promise<RecoveredLog> {
  return new Recovery(disk, identity, trailingEntries).run();
}

class Recovery {
  readonly #disk: Disk;
  readonly #identity: Identity;
  readonly #replay: Replay;
  readonly #segments: SegmentFacts[] = [];
  readonly #notes: string[] = [];
  readonly #files = new Set<DiskFile>();
  readonly #slab = new PayloadSlab();
  /** Of the batch that is expected next. */
  #sequence = FIRST_SEQUENCE;
  #previousCrc = 0;

  constructor(disk: Disk, identity: Identity, trailingEntries: number) {
    this.#disk = disk;
    this.#identity = identity;
    this.#replay = new Replay(trailingEntries);
  }

  async run(): Promise<RecoveredLog> {
    try {
      const numbers = await this.#numbers();
      let current: OpenSegment | null = null;
      let unused: OpenSegment | null = null;
      for (const number of numbers) {
        const next = await this.#open(number);
        if (next.head === null) {
          this.#checkUnused(next, numbers);
          unused = next;
          continue;
        }
        if (current !== null) await this.#finishSegment(current, next);
        current = next;
      }
      const end = current === null ? 0 : await this.#readLast(current);
      // Only now is it known which batch the unused segment would have begun with.
      if (unused !== null) await this.#discardUnused(unused);
      if (current !== null) await this.#finishLast(current, end);
      // What was removed need not stay so: it held nothing, and the next segment syncs the directory.
      return this.#result();
    } finally {
      for (const file of this.#files) await file.close();
    }
  }

  async #numbers(): Promise<number[]> {
    const numbers: number[] = [];
    for (const name of await this.#disk.list(LOG_DIR)) {
      const number = segmentNumber(name);
      if (number !== null) numbers.push(number);
    }
    numbers.sort((a, b) => a - b);
    for (let i = 1; i < numbers.length; i++) {
      const missing = numbers[i - 1]! + 1;
      if (numbers[i] !== missing) {
        throw damaged(this.#disk.describe(segmentPath(missing)), 'the file is missing');
      }
    }
    return numbers;
  }

  async #open(number: number): Promise<OpenSegment> {
    const path = segmentPath(number);
    const name = this.#disk.describe(path);
    const file = await this.#disk.open(path, 'never');
    this.#files.add(file);
    const reader = await WindowReader.open(file);
    const sector = reader.window.subarray(0, SECTOR_BYTES);
    const head = decodeSegmentHeader(sector, { identity: this.#identity, number, name });
    if (head === null && isStamped(sector, 0, SECTOR_BYTES)) {
      throw damaged(name, 'its header does not match its checksum');
    }
    return { number, path, name, file, reader, head };
  }

  #checkUnused(segment: OpenSegment, numbers: readonly number[]): void {
    if (numbers.at(-1) !== segment.number) {
      throw damaged(segment.name, 'its header is missing, and later segments exist');
    }
    // Older segments are removed only when a newer one is in use.
    if (numbers.length === 1 && segment.number !== FIRST_SEGMENT) {
      throw damaged(segment.name, 'its header is missing');
    }
  }

  /**
   * A segment without a header holds nothing that was acknowledged, or else is damaged. Its first
   * batch is written with the header, and may stand there although a crash took the header.
   */
  async #discardUnused(segment: OpenSegment): Promise<void> {
    const later = await this.#findLater(segment, SECTOR_BYTES, null);
    if (later !== null) throw damaged(segment.name, `its header is missing, but ${later}`);
    await this.#discard(segment);
  }

  async #discard(segment: OpenSegment): Promise<void> {
    await this.#close(segment);
    await this.#disk.remove(segment.path);
  }

  async #close(segment: OpenSegment): Promise<void> {
    this.#files.delete(segment.file);
    await segment.file.close();
  }

  /** Reads a segment to the end that its successor's header states. */
  async #finishSegment(segment: OpenSegment, next: OpenSegment): Promise<void> {
    const { firstSequence, previousCrc } = next.head!.header;
    const end = await this.#readBatches(segment, firstSequence);
    if (this.#sequence !== firstSequence || this.#previousCrc !== previousCrc) {
      const wanted = `${next.name} continues after batch ${firstSequence - 1}`;
      throw damaged(segment.name, `batch ${this.#sequence} is not readable, but ${wanted}`, end);
    }
    this.#addSegment(segment.number, end);
    await this.#close(segment);
  }

  /** Where the log ends in its last segment. */
  async #readLast(segment: OpenSegment): Promise<number> {
    const end = await this.#readBatches(segment, Number.POSITIVE_INFINITY);
    await this.#checkTail(segment, end);
    return end;
  }

  async #finishLast(segment: OpenSegment, end: number): Promise<void> {
    const { header } = segment.head!;
    if (this.#sequence === header.firstSequence) {
      // The header was written and its checkpoint was torn: the roll never happened.
      this.#notes.push(`${segment.name} was begun but not completed; removed`);
      await this.#discard(segment);
      return;
    }
    await segment.file.truncate(end);
    await segment.file.sync();
    this.#addSegment(segment.number, end);
  }

  #addSegment(number: number, usedBytes: number): void {
    const { maxIndex, droppedAll } = this.#replay.takeSegmentFacts();
    if (droppedAll) {
      for (let i = 0; i < this.#segments.length; i++) {
        this.#segments[i] = { ...this.#segments[i]!, maxIndex: 0 };
      }
    }
    this.#segments.push({ number, usedBytes, maxIndex });
  }

  /** Replays intact batches up to `endSequence`; returns where they end. */
  async #readBatches(segment: OpenSegment, endSequence: number): Promise<number> {
    const { header, crc } = segment.head!;
    const { reader } = segment;
    if (this.#replay.shape === null) {
      this.#sequence = header.firstSequence;
      this.#previousCrc = header.previousCrc;
    }
    let at = header.alignBytes;
    while (this.#sequence < endSequence) {
      if (!reader.holds(at, SECTOR_BYTES)) await reader.load(at, SECTOR_BYTES);
      const head = readBatchHeader(reader.window, at - reader.start);
      if (head === null || !this.#continues(head, crc)) break;
      const total = batchBytes(head.payloadBytes, header.alignBytes);
      if (at + total > reader.size) break;
      if (!reader.holds(at, total)) await reader.load(at, total);
      const payload = readPayload(reader.window, at - reader.start, total, head, this.#slab);
      if (payload === null) break;
      this.#replayBatch(segment, at, payload);
      this.#sequence += 1;
      this.#previousCrc = head.headerCrc;
      at += total;
    }
    return at;
  }

  #continues(head: BatchHeader, segmentCrc: number): boolean {
    return (
      head.segmentCrc === segmentCrc &&
      head.sequence === this.#sequence &&
      head.previousCrc === this.#previousCrc
    );
  }

  #replayBatch(segment: OpenSegment, at: number, payload: Uint8Array): void {
    try {
      this.#replay.batch(payload);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw damaged(segment.name, `batch ${this.#sequence}: ${error.message}`, at);
    }
  }

  /** Decides whether the place where intact batches end is the log's end; throws if not. */
  async #checkTail(segment: OpenSegment, at: number): Promise<void> {
    const { header, crc } = segment.head!;
    const { reader } = segment;
    const sector = await bytesAt(reader, at, SECTOR_BYTES);
    const batch = `batch ${this.#sequence}`;
    const head = readBatchHeader(sector, 0);
    if (head !== null && !this.#continues(head, crc)) {
      throw damaged(segment.name, `another batch stands in the place of ${batch}`, at);
    }
    if (head !== null) {
      const total = batchBytes(head.payloadBytes, header.alignBytes);
      const bytes = await bytesAt(reader, at, total);
      if (isStamped(bytes, 0, total)) {
        throw damaged(segment.name, `${batch} was complete, but its checksum does not match`, at);
      }
    } else if (isStamped(sector, 0, SECTOR_BYTES)) {
      throw damaged(segment.name, `${batch} was written, but its header is not readable`, at);
    }
    const later = await this.#findLater(segment, at + SECTOR_BYTES, crc);
    if (later !== null) throw damaged(segment.name, `${batch} is not readable, but ${later}`, at);
    if (sector.some(byte => byte !== 0)) {
      this.#notes.push(
        `${segment.name}: ${batch} at offset ${at} was cut short by a crash before it was ` +
          'acknowledged; removed',
      );
    }
  }

  /** Looks for an intact header of a batch after the one expected; says where it is. */
  async #findLater(
    segment: OpenSegment,
    from: number,
    segmentCrc: number | null,
  ): Promise<string | null> {
    const { reader } = segment;
    let at = from;
    while (at < reader.size) {
      const bytes = await reader.sectors(at);
      for (let i = 0; i < bytes.length; i += SECTOR_BYTES) {
        const head = readBatchHeader(bytes, i);
        if (head === null || head.sequence <= this.#sequence) continue;
        if (segmentCrc !== null && head.segmentCrc !== segmentCrc) continue;
        return `batch ${head.sequence} at offset ${at + i} is intact`;
      }
      at += bytes.length;
    }
    return null;
  }

  #result(): RecoveredLog {
    let state: PersistentState | null;
    try {
      state = this.#replay.finish();
    } catch (error) {
      throw damaged(this.#disk.describe(LOG_DIR), (error as Error).message);
    }
    return {
      state,
      shape: this.#replay.shape,
      segments: this.#segments,
      nextNumber: (this.#segments.at(-1)?.number ?? FIRST_SEGMENT - 1) + 1,
      nextSequence: this.#sequence,
      previousCrc: this.#previousCrc,
      notes: this.#notes,
    };
  }
}

/** Fewer at the end of the file; valid until the window moves. */
async function bytesAt(reader: WindowReader, at: number, length: number): Promise<Uint8Array> {
  if (!reader.holds(at, length)) await reader.load(at, length);
  const from = at - reader.start;
  return reader.window.subarray(from, from + length);
}

function damaged(name: string, what: string, offset?: number): StorageError {
  const where = offset === undefined ? '' : ` at offset ${offset}`;
  return new StorageError(
    'CORRUPT',
    `${name} is damaged${where}: ${what}. Acknowledged data may be lost, so this node must not ` +
      'vote with it. Check the disk; then remove this node from the cluster, empty its data ' +
      'directory and add it again as a new member, or restore it from a backup',
  );
}

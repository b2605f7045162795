// The segment files of a running log: the one that is written, the next one made ready in advance,
// and the complete ones until compaction makes them superfluous.
//
// A start needs a segment at once and waits for it, so the first one of a process is small; each next
// one is four times as large up to the full size, and is made ready in the background when a quarter
// of the one before is used. An idle node thus never writes a large one.

import type { LogIndex } from '../raft/types.ts';
import { ByteWriter } from '../wire/bytes.ts';
import { type BatchLink, beginBatch, sealBatch } from './batch.ts';
import type { Disk, DiskFile } from './disk.ts';
import { type Identity, StorageError } from './log-store.ts';
import { type Checkpoint, writeCheckpointRecord } from './record.ts';
import type { SegmentFacts } from './recovery.ts';
import { encodeSegmentHeader, LOG_DIR, segmentPath } from './segment.ts';

const FIRST_BYTES_MAX = 1024 * 1024;
const GROWTH = 4;
/** The next segment is made ready when this part of the active one is used. */
const PREPARE_AT = 1 / 4;

interface ActiveSegment {
  readonly number: number;
  readonly file: DiskFile;
  /** Zeros that were written in advance; only a batch larger than all of it goes beyond. */
  readonly capacityBytes: number;
  readonly headerCrc: number;
  /** Where batches after the checkpoint begin. */
  readonly startBytes: number;
  usedBytes: number;
  maxIndex: LogIndex;
}

interface PreparedSegment {
  readonly number: number;
  readonly file: DiskFile;
  readonly capacityBytes: number;
}

interface Chain {
  readonly sequence: number;
  readonly previousCrc: number;
}

export interface SegmentOptions {
  /** Of a segment of full size. */
  readonly segmentBytes: number;
  readonly alignBytes: number;
}

export class LogSegments {
  readonly #disk: Disk;
  readonly #identity: Identity;
  readonly #options: SegmentOptions;
  readonly #onBackgroundError: (error: StorageError) => void;
  #complete: SegmentFacts[];
  /** Removals go one after the other, whoever asks. */
  #removal: Promise<void> = Promise.resolve();
  #nextNumber: number;
  #active: ActiveSegment | null = null;
  /** Null when it is too early to make one ready; resolves to null when there was no room. */
  #prepared: Promise<PreparedSegment | null> | null = null;
  /** Why the next one could not be made ready, other than for want of room. */
  #failure: StorageError | null = null;

  constructor(
    disk: Disk,
    identity: Identity,
    options: SegmentOptions,
    complete: readonly SegmentFacts[],
    nextNumber: number,
    onBackgroundError: (error: StorageError) => void,
  ) {
    this.#onBackgroundError = onBackgroundError;
    this.#disk = disk;
    this.#identity = identity;
    this.#options = options;
    this.#complete = [...complete];
    this.#nextNumber = nextNumber;
  }

  get active(): ActiveSegment | null {
    return this.#active;
  }

  /** Bytes in use, without the preallocated space behind them. */
  get usedBytes(): number {
    let bytes = this.#active?.usedBytes ?? 0;
    for (const segment of this.#complete) bytes += segment.usedBytes;
    return bytes;
  }

  /** A batch goes into the active segment if it fits, or if that has no batch yet. */
  fits(batchBytes: number): boolean {
    const active = this.#active;
    if (active === null) return false;
    if (active.usedBytes === active.startBytes) return true;
    return active.usedBytes + batchBytes <= active.capacityBytes;
  }

  /** A batch was written to the active segment. */
  advance(batchBytes: number): void {
    const active = this.#active!;
    active.usedBytes += batchBytes;
    if (this.#prepared !== null || active.usedBytes < active.capacityBytes * PREPARE_AT) return;
    this.#prepared = this.#prepare();
  }

  /** Puts the next segment into use, begun by the checkpoint (and more records of that batch). */
  async roll(
    checkpoint: Checkpoint,
    chain: Chain,
    addRecords?: (writer: ByteWriter) => void,
  ): Promise<Chain> {
    const { number, file, capacityBytes } = await this.#takeNext();
    const { alignBytes } = this.#options;
    const { block, crc } = encodeSegmentHeader({
      alignBytes,
      identity: this.#identity,
      number,
      firstSequence: chain.sequence,
      previousCrc: chain.previousCrc,
    });
    const writer = new ByteWriter();
    beginBatch(writer);
    writeCheckpointRecord(writer, checkpoint);
    addRecords?.(writer);
    const link: BatchLink = { ...chain, segmentCrc: crc };
    const previousCrc = sealBatch(writer, link, alignBytes);
    const bytes = new Uint8Array(block.length + writer.length);
    bytes.set(block);
    bytes.set(writer.view(), block.length);
    await writeAndSync(file, bytes);
    const old = this.#active;
    const startBytes = bytes.length;
    const position = { startBytes, usedBytes: 0, maxIndex: 0 };
    this.#active = { number, file, capacityBytes, headerCrc: crc, ...position };
    if (old !== null) {
      const { number: oldNumber, usedBytes: oldBytes, maxIndex } = old;
      this.#complete.push({ number: oldNumber, usedBytes: oldBytes, maxIndex });
      await old.file.close();
    }
    this.advance(startBytes);
    return { sequence: chain.sequence + 1, previousCrc };
  }

  /** A snapshot replaced the whole log: nothing written before is needed any more. */
  obsoleteAll(): void {
    for (let i = 0; i < this.#complete.length; i++) {
      this.#complete[i] = { ...this.#complete[i]!, maxIndex: 0 };
    }
    if (this.#active !== null) this.#active.maxIndex = 0;
  }

  /**
   * Removes the oldest segments as long as all their entries lie before `keepFrom`. Each removal is
   * durable before the next, so a crash never leaves a hole between segments.
   */
  removeBefore(keepFrom: LogIndex): Promise<void> {
    const removal = this.#removal.then(() => this.#remove(keepFrom));
    this.#removal = removal.catch(() => {});
    return removal;
  }

  async #remove(keepFrom: LogIndex): Promise<void> {
    while (this.#complete.length > 0 && this.#complete[0]!.maxIndex < keepFrom) {
      const { number } = this.#complete[0]!;
      this.#complete.shift();
      await this.#disk.remove(segmentPath(number));
      await this.#disk.syncDir(LOG_DIR);
    }
  }

  /** `trim`: gives preallocated space back, which the next start would have to read. */
  async close({ trim }: { readonly trim: boolean }): Promise<void> {
    await this.#removal;
    const active = this.#active;
    const prepared = await this.#prepared;
    this.#active = null;
    this.#prepared = null;
    if (trim) await this.#trim(active, prepared);
    await prepared?.file.close();
    await active?.file.close();
  }

  async #trim(active: ActiveSegment | null, prepared: PreparedSegment | null): Promise<void> {
    try {
      await active?.file.truncate(active.usedBytes);
      if (prepared !== null) await this.#disk.remove(segmentPath(prepared.number));
    } catch {
      // The log is complete and durable. With its zeros it is just as good.
    }
  }

  #prepare(): Promise<PreparedSegment | null> {
    return this.#create(this.#nextBytes()).catch(error => {
      // A full disk stops the log only when the space is needed: there may be room by then.
      const failure = asStorageError(error);
      if (failure.code !== 'FULL') this.#giveUp(failure);
      return null;
    });
  }

  #giveUp(failure: StorageError): void {
    this.#failure = failure;
    this.#onBackgroundError(failure);
  }

  async #takeNext(): Promise<PreparedSegment> {
    if (this.#prepared === null) return this.#create(this.#nextBytes());
    const prepared = await this.#prepared;
    this.#prepared = null;
    // Tried again, it could take for ready a file that is just being tidied up.
    if (this.#failure !== null) throw this.#failure;
    // There was no room for a large one. A small one keeps the node alive a little longer.
    return prepared ?? this.#create(this.#firstBytes());
  }

  #firstBytes(): number {
    return Math.min(FIRST_BYTES_MAX, this.#options.segmentBytes);
  }

  #nextBytes(): number {
    if (this.#active === null) return this.#firstBytes();
    return Math.min(GROWTH * this.#active.capacityBytes, this.#options.segmentBytes);
  }

  async #create(capacityBytes: number): Promise<PreparedSegment> {
    const number = this.#nextNumber;
    const path = segmentPath(number);
    const file = await this.#disk.open(path, 'ifMissing');
    try {
      await file.truncate(0);
      await file.allocate(capacityBytes);
      await file.sync();
      await this.#disk.syncDir(LOG_DIR);
    } catch (error) {
      const failure = asStorageError(error);
      const cleanup = file.close().then(() => this.#disk.remove(path));
      // Only a full disk lets the log go on, in a smaller file of this number. Any other failure is
      // told at once: while files are being tidied up, batches would still be acknowledged.
      if (failure.code === 'FULL') await cleanup.catch(() => {});
      else cleanup.catch(() => {});
      throw lackingRoom(failure, capacityBytes);
    }
    this.#nextNumber = number + 1;
    return { number, file, capacityBytes };
  }
}

function lackingRoom(error: StorageError, bytes: number): StorageError {
  if (error.code !== 'FULL') return error;
  const what = `no room for the next ${Math.ceil(bytes / 1024)} KiB of the log`;
  return new StorageError('FULL', `${what}: ${error.message}`, { cause: error });
}

function writeAndSync(file: DiskFile, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    file.writeAndSync(0, bytes, error => (error === null ? resolve() : reject(error)));
  });
}

/** An error of the disk as a StorageError, which a disk should give already. */
export function asStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StorageError('IO', message, { cause: error });
}

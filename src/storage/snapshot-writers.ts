// Writing a snapshot file: from the own state machine's content, or from a peer's raw bytes. Both
// write under a temporary name and sync now and then, so that the log's syncs never wait behind
// gigabytes that the kernel has put off.

import type { SnapshotMeta } from '../raft/types.ts';
import { ByteWriter, WireError } from '../wire/bytes.ts';
import type { DiskFile } from './disk.ts';
import { type SnapshotWriter, StorageError } from './log-store.ts';
import {
  BLOCK_BYTES_MAX,
  type SnapshotParser,
  writeSnapshotBlock,
  writeSnapshotEnd,
  writeSnapshotHeader,
} from './snapshot-format.ts';

const SYNC_EVERY_BYTES = 8 * 1024 * 1024;

/** Where a file stands until it is complete, and what becomes of it. */
export interface SnapshotPlace {
  readonly describe: string;
  /** Gives the file, which is durable, its final name. */
  finish(): Promise<void>;
  remove(): Promise<void>;
}

class SyncedFile {
  readonly #file: DiskFile;
  #offset: number;
  #unsynced = 0;
  #closed = false;

  constructor(file: DiskFile, offset: number) {
    this.#file = file;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw new StorageError('IO', 'the snapshot file is closed');
    await this.#file.write(this.#offset, bytes);
    this.#offset += bytes.length;
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_EVERY_BYTES) return;
    this.#unsynced = 0;
    await this.#file.sync();
  }

  async sync(): Promise<void> {
    await this.#file.sync();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }
}

/** Takes the state machine's content in pieces of any size and cuts it into checked blocks. */
export class OwnSnapshotWriter implements SnapshotWriter {
  readonly #file: SyncedFile;
  readonly #place: SnapshotPlace;
  readonly #out = new ByteWriter(2 * BLOCK_BYTES_MAX);
  readonly #block = new Uint8Array(BLOCK_BYTES_MAX);
  #blockBytes = 0;
  #contentBytes = 0;
  #crc: number;

  constructor(file: DiskFile, place: SnapshotPlace, clusterId: number, meta: SnapshotMeta) {
    this.#file = new SyncedFile(file, 0);
    this.#place = place;
    this.#crc = writeSnapshotHeader(this.#out, clusterId, meta);
  }

  /** Bytes of content. */
  get offset(): number {
    return this.#contentBytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, BLOCK_BYTES_MAX - this.#blockBytes);
      this.#block.set(bytes.subarray(at, at + count), this.#blockBytes);
      this.#blockBytes += count;
      this.#contentBytes += count;
      at += count;
      if (this.#blockBytes === BLOCK_BYTES_MAX) await this.#flushBlock();
    }
  }

  async finish(): Promise<void> {
    if (this.#blockBytes > 0) await this.#flushBlock();
    writeSnapshotEnd(this.#out, this.#contentBytes, this.#crc);
    await this.#file.append(this.#out.view());
    await this.#file.sync();
    await this.#file.close();
    await this.#place.finish();
  }

  async abort(): Promise<void> {
    await this.#file.close();
    await this.#place.remove();
  }

  async #flushBlock(): Promise<void> {
    const content = this.#block.subarray(0, this.#blockBytes);
    this.#crc = writeSnapshotBlock(this.#out, content, this.#crc);
    this.#blockBytes = 0;
    await this.#file.append(this.#out.view());
    this.#out.reset();
  }
}

interface Reception {
  readonly file: DiskFile;
  /** Has seen the file's first `offset` bytes. */
  readonly parser: SnapshotParser;
  readonly meta: SnapshotMeta;
  readonly offset: number;
  readonly place: SnapshotPlace;
}

/** Takes a peer's file as raw bytes; refuses the first one that is not right. */
export class ReceivedSnapshotWriter implements SnapshotWriter {
  readonly #file: SyncedFile;
  readonly #parser: SnapshotParser;
  readonly #meta: SnapshotMeta;
  readonly #place: SnapshotPlace;

  constructor({ file, parser, meta, offset, place }: Reception) {
    this.#file = new SyncedFile(file, offset);
    this.#parser = parser;
    this.#meta = meta;
    this.#place = place;
  }

  get offset(): number {
    return this.#file.offset;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      this.#parser.push(bytes);
      this.#checkMeta();
    } catch (error) {
      if (error instanceof WireError) throw this.#damaged(error.message);
      throw error;
    }
    await this.#file.append(bytes);
  }

  async finish(): Promise<void> {
    if (!this.#parser.done) throw this.#damaged('it is not complete');
    await this.#file.sync();
    await this.#file.close();
    await this.#place.finish();
  }

  async abort(): Promise<void> {
    await this.#file.close();
    await this.#place.remove();
  }

  /** Leaves the partial file, to be taken up again. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #checkMeta(): void {
    const found = this.#parser.meta?.last;
    const { last } = this.#meta;
    if (found === undefined) return;
    if (found.index === last.index && found.term === last.term) return;
    throw new WireError(`it is the snapshot at ${found.index}, not at ${last.index}`);
  }

  #damaged(what: string): StorageError {
    const message = `${this.#place.describe}, received from a peer, is damaged: ${what}`;
    return new StorageError('CORRUPT', message);
  }
}

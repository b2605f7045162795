// Writes a peer's snapshot into its file, chunk by chunk in order, and reports each to the core.

import type { Input, SnapshotWrite } from '../raft/io.ts';
import { type LogStore, type SnapshotWriter, StorageError } from '../storage/log-store.ts';
import type { Clock } from './clock.ts';
import { type KontikiError, storageError } from './errors.ts';

export interface ReceiverHost {
  step(input: Input): void;
  fail(error: KontikiError): void;
}

interface Current {
  readonly from: number;
  readonly lastIndex: number;
  readonly writer: SnapshotWriter;
  usedAt: number;
}

/** A sender that says nothing for this long has given up; its partial file goes. */
const IDLE_MS = 60_000;

export class SnapshotReceiver {
  readonly #store: LogStore;
  readonly #clock: Clock;
  readonly #host: ReceiverHost;
  /** The core has one chunk under way a transfer, so this stays short. */
  #queue: SnapshotWrite[] = [];
  #current: Current | null = null;
  #working = false;
  #stopped = false;

  constructor(store: LogStore, clock: Clock, host: ReceiverHost) {
    this.#store = store;
    this.#clock = clock;
    this.#host = host;
  }

  get isReceiving(): boolean {
    return this.#working || this.#current !== null;
  }

  write(write: SnapshotWrite): void {
    this.#queue.push(write);
    if (this.#working || this.#stopped) return;
    this.#working = true;
    this.#drain().catch(error => {
      if (!this.#stopped) this.#host.fail(storageError(error));
    });
  }

  sweep(now: number): void {
    const current = this.#current;
    if (current === null || this.#working || now - current.usedAt < IDLE_MS) return;
    this.#current = null;
    current.writer.abort().catch(error => {
      if (!this.#stopped) this.#host.fail(storageError(error));
    });
  }

  /** The partial file stays: the same sender's next attempt may take it up. */
  stop(): void {
    this.#stopped = true;
    this.#queue = [];
  }

  async #drain(): Promise<void> {
    for (let write = this.#queue.shift(); write !== undefined; write = this.#queue.shift()) {
      const ok = await this.#writeChunk(write);
      if (this.#stopped) return;
      const { from, meta, offset, data, done } = write;
      const next = offset + data.length;
      this.#host.step({ kind: 'snapshotWritten', from, meta, next, done, ok });
    }
    this.#working = false;
  }

  /** False when the transfer has to begin again. */
  async #writeChunk(write: SnapshotWrite): Promise<boolean> {
    const writer = await this.#writerFor(write);
    if (writer.offset !== write.offset) return false;
    try {
      await writer.write(write.data);
      if (!write.done) return true;
      this.#current = null;
      await writer.finish();
      return true;
    } catch (error) {
      // Damage that came with the bytes is the sender's; a disk that fails here is ours.
      if (!(error instanceof StorageError) || error.code !== 'CORRUPT') throw error;
      this.#current = null;
      await writer.abort();
      return false;
    }
  }

  async #writerFor({ from, meta, offset }: SnapshotWrite): Promise<SnapshotWriter> {
    const lastIndex = meta.last.index;
    const current = this.#current;
    if (current !== null) {
      const same = current.from === from && current.lastIndex === lastIndex;
      if (same && (offset > 0 || current.writer.offset === 0)) {
        current.usedAt = this.#clock.now();
        return current.writer;
      }
      this.#current = null;
      await current.writer.abort();
    }
    let writer = await this.#store.receiveSnapshot(from, meta);
    if (offset === 0 && writer.offset > 0) {
      await writer.abort();
      writer = await this.#store.receiveSnapshot(from, meta);
    }
    this.#current = { from, lastIndex, writer, usedAt: this.#clock.now() };
    return writer;
  }
}

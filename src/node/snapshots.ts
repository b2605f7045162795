// Snapshots that this node makes: when enough was applied since the last one, so that the log can
// be compacted (§5.1 of the dissertation), and when a follower needs one that no file holds.
//
//   machine in memory   writes a file, then the log before it may go
//   durable machine     its own flushed state is the snapshot; a file is made for followers only
//
// One is made at a time, a few pieces a turn. Files are read in chunks, as the core asks for them.

import type { Input, SnapshotRead } from '../raft/io.ts';
import type { LogIndex, NodeId, SnapshotMeta } from '../raft/types.ts';
import type { LogStore, SnapshotReader } from '../storage/log-store.ts';
import type { Applier } from './applier.ts';
import type { Clock } from './clock.ts';
import type { DriverEvents, DriverLimits } from './driver-types.ts';
import { type KontikiError, storageError } from './errors.ts';
import type { Machine } from './machine.ts';
import { Pace } from './pace.ts';

export interface SnapshotHost {
  step(input: Input): void;
  /** The core's log begins after this index. */
  compactedIndex(): LogIndex;
  /** A peer's snapshot is being written here: its partial file must stay. */
  isReceiving(): boolean;
  fail(error: KontikiError): void;
}

interface OpenReader {
  readonly reader: SnapshotReader;
  usedAt: number;
}

/** A file that no follower asks for this long is closed. */
const READER_IDLE_MS = 30_000;

export class Snapshots {
  readonly #machine: Machine;
  readonly #store: LogStore;
  readonly #clock: Clock;
  readonly #limits: DriverLimits;
  readonly #events: DriverEvents;
  readonly #applier: Applier;
  readonly #host: SnapshotHost;
  /** The newest request of each follower. */
  readonly #requests = new Map<NodeId, SnapshotRead>();
  readonly #readers = new Map<LogIndex, OpenReader>();
  #lastIndex: LogIndex;
  #serving = false;
  #taking = false;
  /** The file that is being written, for all who want one. */
  #writing: Promise<SnapshotMeta> | null = null;
  /** The newest file may be damaged: the next one is written even if it is of the same state. */
  #isSuspect = false;
  #stopped = false;

  constructor(
    parts: {
      readonly machine: Machine;
      readonly store: LogStore;
      readonly clock: Clock;
      readonly limits: DriverLimits;
      readonly events: DriverEvents;
      readonly applier: Applier;
      readonly lastIndex: LogIndex;
    },
    host: SnapshotHost,
  ) {
    this.#machine = parts.machine;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#limits = parts.limits;
    this.#events = parts.events;
    this.#applier = parts.applier;
    this.#lastIndex = parts.lastIndex;
    this.#host = host;
  }

  appliedTo(index: LogIndex): void {
    if (index - this.#lastIndex < this.#limits.snapshotCount || this.#taking) return;
    if (this.#stopped || this.#applier.restoring) return;
    this.#taking = true;
    this.#take().catch(error => this.#failed(error));
  }

  /** A received snapshot is in force. */
  restored(meta: SnapshotMeta): void {
    this.#lastIndex = Math.max(this.#lastIndex, meta.last.index);
  }

  read(request: SnapshotRead): void {
    this.#requests.set(request.to, request);
    if (this.#serving) return;
    this.#serving = true;
    this.#serveAll().catch(error => this.#failed(error));
  }

  sweep(now: number): void {
    for (const [index, open] of this.#readers) {
      if (now - open.usedAt < READER_IDLE_MS) continue;
      this.#readers.delete(index);
      open.reader.close().catch(error => this.#failed(error));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#requests.clear();
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    for (const { reader } of readers) await reader.close().catch(() => {});
  }

  async #take(): Promise<void> {
    await this.#takeOne();
    this.#taking = false;
  }

  async #takeOne(): Promise<void> {
    const durable = await this.#machine.flush();
    if (this.#stopped) return;
    const isDurable = durable.index > this.#lastIndex;
    const meta = isDurable ? this.#applier.metaAt(durable) : await this.#writeFile();
    if (this.#stopped || meta.last.index <= this.#lastIndex) return;
    this.#lastIndex = meta.last.index;
    this.#applier.forgetBefore(meta.last.index);
    this.#host.step({ kind: 'snapshotTaken', meta });
    await this.#store.compact(meta);
    this.#events.log?.('info', `log compacted up to index ${meta.last.index}`);
    if (!this.#stopped) await this.#removeOld();
  }

  /** Keeps the newest file as long as a follower could go on from it. */
  async #removeOld(): Promise<void> {
    if (this.#host.isReceiving() || this.#writing !== null) return;
    const newest = this.#store.newestSnapshot;
    // A received file may be newer than the one that the log of a machine in memory stands on.
    const standsOnFile = this.#machine.durable.index === 0;
    if (standsOnFile && newest?.last.index !== this.#lastIndex) return;
    const useful = newest !== null && newest.last.index >= this.#host.compactedIndex();
    await this.#store.removeSnapshotsExcept(useful ? newest.last : null);
  }

  #writeFile(): Promise<SnapshotMeta> {
    this.#writing ??= this.#writeNewFile().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #writeNewFile(): Promise<SnapshotMeta> {
    while (this.#applier.isMidway) {
      if (!(await this.#applier.settled())) throw new Error('stopped before a snapshot was made');
    }
    const newest = this.#store.newestSnapshot;
    // Asked before the image is made, which holds resources until it is read.
    if (newest?.last.index === this.#machine.applied.index && !this.#isSuspect) return newest;
    const image = this.#machine.snapshot();
    const meta = this.#applier.metaAt(image.last);
    this.#isSuspect = false;
    const writer = await this.#store.createSnapshot(meta);
    try {
      const pace = new Pace(this.#clock);
      for await (const piece of image.content()) {
        if (this.#stopped) break;
        await writer.write(piece);
        if (pace.isDue) await pace.turn();
      }
      if (this.#stopped) await writer.abort();
      else await writer.finish();
    } catch (error) {
      // The node stops at once (rule 5): nothing is acknowledged while the file is tidied up.
      writer.abort().catch(() => {});
      throw error;
    }
    return meta;
  }

  /** A follower found what it was sent damaged: this disk may have. The state in memory is intact. */
  async #replaceFile(): Promise<void> {
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    for (const { reader } of readers) await reader.close();
    this.#isSuspect = true;
    await this.#writeFile();
  }

  async #serveAll(): Promise<void> {
    for (const [to, request] of this.#requests) {
      this.#requests.delete(to);
      // A request that is not answered comes again.
      if (!this.#stopped && !this.#applier.restoring) await this.#serve(request);
    }
    this.#serving = false;
  }

  async #serve(request: SnapshotRead): Promise<void> {
    if (request.afresh) await this.#replaceFile();
    const open = (await this.#continued(request)) ?? (await this.#newest());
    if (open === null || this.#stopped) return; // the core asks again
    const { reader } = open;
    const { meta, size } = reader;
    open.usedAt = this.#clock.now();
    const continues = request.meta?.last.index === meta.last.index && request.offset <= size;
    const offset = continues ? request.offset : 0;
    const data = await reader.read(offset, this.#limits.snapshotChunkBytes);
    if (this.#stopped) return;
    const done = offset + data.length >= size;
    this.#host.step({ kind: 'snapshotChunk', to: request.to, meta, offset, data, done });
  }

  async #continued({ meta }: SnapshotRead): Promise<OpenReader | null> {
    return meta === null ? null : this.#open(meta);
  }

  /** A snapshot that a follower can go on from: its log continues where the snapshot ends. */
  async #newest(): Promise<OpenReader | null> {
    const newest = this.#store.newestSnapshot;
    if (newest !== null && newest.last.index >= this.#host.compactedIndex()) {
      const open = await this.#open(newest);
      if (open !== null) return open;
    }
    return this.#open(await this.#writeFile());
  }

  async #open(meta: SnapshotMeta): Promise<OpenReader | null> {
    const known = this.#readers.get(meta.last.index);
    if (known !== undefined) return known;
    const reader = await this.#store.openSnapshot(meta);
    if (reader === null) return null;
    const open = { reader, usedAt: this.#clock.now() };
    this.#readers.set(meta.last.index, open);
    return open;
  }

  #failed(error: unknown): void {
    if (!this.#stopped) this.#host.fail(storageError(error));
  }
}

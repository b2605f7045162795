// A LogStore without files for tests of what stands above it. What is durable lives in a FakeDisk,
// which outlives the store, as a disk does a process. Writes can be held back, or fail.

import type {
  Entry,
  HardState,
  LogId,
  NodeId,
  PersistentState,
  SnapshotMeta,
} from '../../src/raft/types.ts';
import type { Done } from '../../src/storage/disk.ts';
import type {
  Identity,
  LogBatch,
  LogStore,
  SnapshotReader,
  SnapshotWriter,
} from '../../src/storage/log-store.ts';
import { StorageError } from '../../src/storage/log-store.ts';

export class FakeDisk {
  hardState: HardState | null = null;
  snapshot: SnapshotMeta | null = null;
  entries: Entry[] = [];
  condemned: string | null = null;
  readonly files = new Map<number, { meta: SnapshotMeta; bytes: Uint8Array }>();

  get recovered(): PersistentState | null {
    const { hardState, snapshot, entries } = this;
    if (hardState === null || snapshot === null) return null;
    return { hardState, snapshot, entries: [...entries] };
  }

  write({ hardState, entries, snapshot }: LogBatch): void {
    if (hardState !== null) this.hardState = hardState;
    if (snapshot !== null) {
      const { term, index } = snapshot.last;
      const keeps = this.entries.some(entry => entry.index === index && entry.term === term);
      this.entries = keeps ? this.entries.filter(entry => entry.index > index) : [];
      this.snapshot = snapshot;
    }
    const first = entries[0]?.index;
    if (first !== undefined) this.entries = this.entries.filter(entry => entry.index < first);
    for (const entry of entries) this.entries.push({ ...entry, data: entry.data.slice() });
  }
}

interface Write {
  readonly batch: LogBatch;
  readonly done: Done;
}

export class FakeStore implements LogStore {
  readonly identity: Identity;
  readonly disk: FakeDisk;
  readonly recovered: PersistentState | null;
  readonly trailing: number;
  /** Every append() call, in order. */
  readonly appends: LogBatch[] = [];
  readonly compactions: SnapshotMeta[] = [];
  /** While true, appends wait for release(). */
  held = false;
  onFailure: ((error: Error) => void) | null = null;
  #waiting: Write[] = [];
  #failure: Error | null = null;
  #closed = false;

  constructor(nodeId: NodeId, disk: FakeDisk, trailing = 0) {
    this.identity = { clusterId: 1, nodeId };
    this.disk = disk;
    this.trailing = trailing;
    this.recovered = disk.recovered;
  }

  get newestSnapshot(): SnapshotMeta | null {
    const newest = Math.max(...this.disk.files.keys());
    return this.disk.files.get(newest)?.meta ?? null;
  }

  get logBytes(): number {
    return this.disk.entries.reduce((bytes, entry) => bytes + entry.data.length, 0);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  async bootstrap(state: PersistentState): Promise<void> {
    this.disk.hardState = state.hardState;
    this.disk.snapshot = state.snapshot;
  }

  append(batch: LogBatch, done: Done): void {
    this.appends.push(batch);
    this.#waiting.push({ batch, done });
    if (!this.held) queueMicrotask(() => this.release());
  }

  flush(): void {}

  /** Completes the writes that wait: all, or this many. */
  release(count = this.#waiting.length): void {
    for (const { batch, done } of this.#waiting.splice(0, count)) {
      if (this.#closed) return;
      if (this.#failure === null) this.disk.write(batch);
      done(this.#failure);
    }
  }

  /** The next completed write fails, and all after it. */
  fail(error: Error = new StorageError('IO', 'the disk is gone')): void {
    this.#failure = error;
  }

  async compact(meta: SnapshotMeta): Promise<void> {
    this.compactions.push(meta);
    const from = meta.last.index - this.trailing;
    this.disk.snapshot = meta;
    this.disk.entries = this.disk.entries.filter(entry => entry.index > from);
  }

  async createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    return new FakeWriter(this.disk, meta);
  }

  async receiveSnapshot(_from: NodeId, meta: SnapshotMeta): Promise<SnapshotWriter> {
    return new FakeWriter(this.disk, meta);
  }

  async openSnapshot(meta: SnapshotMeta): Promise<SnapshotReader | null> {
    const file = this.disk.files.get(meta.last.index);
    return file === undefined ? null : new FakeReader(file.meta, file.bytes);
  }

  async removeSnapshotsExcept(keep: LogId | null): Promise<void> {
    for (const index of this.disk.files.keys()) {
      if (index !== keep?.index) this.disk.files.delete(index);
    }
  }

  async condemn(reason: string): Promise<void> {
    this.disk.condemned = reason;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

class FakeWriter implements SnapshotWriter {
  readonly #disk: FakeDisk;
  readonly #meta: SnapshotMeta;
  #parts: Uint8Array[] = [];
  offset = 0;

  constructor(disk: FakeDisk, meta: SnapshotMeta) {
    this.#disk = disk;
    this.#meta = meta;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#parts.push(bytes.slice());
    this.offset += bytes.length;
  }

  async finish(): Promise<void> {
    const bytes = Uint8Array.from(Buffer.concat(this.#parts));
    this.#disk.files.set(this.#meta.last.index, { meta: this.#meta, bytes });
  }

  async abort(): Promise<void> {
    this.#parts = [];
    this.offset = 0;
  }
}

class FakeReader implements SnapshotReader {
  readonly meta: SnapshotMeta;
  readonly #bytes: Uint8Array;

  constructor(meta: SnapshotMeta, bytes: Uint8Array) {
    this.meta = meta;
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#bytes.slice(offset, offset + length);
  }

  async *content(): AsyncIterable<Uint8Array> {
    yield this.#bytes;
  }

  async close(): Promise<void> {}
}

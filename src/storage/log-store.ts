// What the driver needs of durable storage: one ordered stream of log records, and snapshot files.
// wal.ts implements it over a Disk; the driver and the simulator see only this.

import type {
  Entry,
  HardState,
  LogId,
  NodeId,
  PersistentState,
  SnapshotMeta,
} from '../raft/types.ts';
import type { Done } from './disk.ts';

export interface Identity {
  readonly clusterId: number;
  readonly nodeId: NodeId;
}

/** What one Ready asks to be made durable. */
export interface LogBatch {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  /** A received snapshot whose file is complete (finish() of its writer was called). */
  readonly snapshot: SnapshotMeta | null;
}

export interface LogStore {
  readonly identity: Identity;
  /** As recovered at open(); not updated afterwards. Null in a directory that was new. */
  readonly recovered: PersistentState | null;
  /**
   * Called once when the store dies, between appends too: the node stops at once (rule 5), for what
   * it says afterwards would come from a disk that has failed.
   */
  onFailure: ((error: Error) => void) | null;
  /** The newest complete snapshot file, kept up to date; null when there is none. */
  readonly newestSnapshot: SnapshotMeta | null;

  /** Writes the first state of a new node: its initial configuration as a snapshot at index 0. */
  bootstrap(state: PersistentState): Promise<void>;
  /**
   * Queues a batch. All that waits while a write is under way goes out in one write and one sync.
   * Completions come in order. After an error the store is dead: every later call fails too.
   */
  append(batch: LogBatch, done: Done): void;
  /** The end of a turn: what was appended goes out now, if the disk is free. Without it: soon. */
  flush(): void;
  /**
   * Lets go of the log up to `meta.last`: the state machine's own durable state or a snapshot
   * file covers it. Records the meta durably first, then removes whole segments; keeps
   * `trailing` entries before `meta.last` readable to followers that are a little behind.
   */
  compact(meta: SnapshotMeta): Promise<void>;

  /** A new snapshot file of the own state machine. Visible only after finish(). */
  createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter>;
  /** The file that receives a peer's snapshot; takes up a partial one of the same sender. */
  receiveSnapshot(from: NodeId, meta: SnapshotMeta): Promise<SnapshotWriter>;
  /** Opens a complete snapshot for reading; the file stays readable until close(). */
  openSnapshot(meta: SnapshotMeta): Promise<SnapshotReader | null>;
  /** Removes complete snapshot files other than `keep`, and partial ones. */
  removeSnapshotsExcept(keep: LogId | null): Promise<void>;

  /**
   * This data has lost what the node had acknowledged: it is never opened again, and `reason` is what
   * whoever tries is told (a StorageError `LOST`).
   */
  condemn(reason: string): Promise<void>;

  /** Bytes of log on disk, for report() and metrics. */
  readonly logBytes: number;
  close(): Promise<void>;
}

export interface SnapshotWriter {
  /** Bytes written so far; a taken-up partial file starts above 0. */
  readonly offset: number;
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the file durable and visible under its final name. Checks its checksum. */
  finish(): Promise<void>;
  /** Removes the partial file. */
  abort(): Promise<void>;
}

export interface SnapshotReader {
  readonly meta: SnapshotMeta;
  /** Size in bytes, including the checksum at the end. */
  readonly size: number;
  /** Raw bytes, as sent to a peer. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The state machine's bytes only, checked against the checksum as they stream. */
  content(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export type StorageErrorCode =
  | 'LOCKED'
  | 'IDENTITY_MISMATCH'
  | 'CORRUPT'
  | 'UNSUPPORTED_VERSION'
  | 'LOST'
  | 'FULL'
  | 'IO';

/** Names the file, the offset and what to do, in words for the person who runs the node. */
export class StorageError extends Error {
  readonly code: StorageErrorCode;
  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StorageError';
    this.code = code;
  }
}

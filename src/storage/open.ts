// Opens a data directory: takes the lock, proves whose it is, recovers the log, lists the snapshots.
//
//   identity       cluster id, node id, whether the node has begun
//   condemned      why this data must never be used again, if so (condemned.ts)
//   lock           held while the store is open
//   log/           segments of the write-ahead log (segment.ts, recovery.ts)
//   snapshots/     snapshot files (snapshot-files.ts)

import type { LogId, NodeId, PersistentState, SnapshotMeta } from '../raft/types.ts';
import { SECTOR_BYTES } from './batch.ts';
import { checkNotCondemned, condemn } from './condemned.ts';
import type { Disk, DiskLock, Done } from './disk.ts';
import { checkIdentity, readIdentity, type StoredIdentity, writeIdentity } from './identity.ts';
import {
  type Identity,
  type LogBatch,
  type LogStore,
  type SnapshotReader,
  type SnapshotWriter,
  StorageError,
} from './log-store.ts';
import { type RecoveredLog, recoverLog } from './recovery.ts';
import { ALIGN_BYTES_MAX, LOG_DIR } from './segment.ts';
import { SNAPSHOT_DIR, SnapshotFiles } from './snapshot-files.ts';
import { Wal, type WalOptions } from './wal.ts';

export interface LogStoreOptions {
  /**
   * Size of a log file once the log is busy; the first ones of a process are smaller. Larger ones
   * roll less often; smaller ones give space back sooner.
   */
  readonly segmentBytes?: number;
  /** Every write begins at a multiple of this: the disk's page, at least a sector. */
  readonly alignBytes?: number;
  /** Entries before the newest compaction that a restart still returns, if they are on disk. */
  readonly trailingEntries?: number;
}

export interface OpenLogStore {
  readonly disk: Disk;
  readonly identity: Identity;
  readonly options?: LogStoreOptions;
  /** Gets a line for whatever a person should know: a tail that was cut, a file that was ignored. */
  readonly log?: (line: string) => void;
}

const DEFAULTS = {
  segmentBytes: 16 * 1024 * 1024,
  alignBytes: 4096,
  trailingEntries: 5000,
} satisfies WalOptions;

const LOCK = 'lock';

export async function openLogStore(request: OpenLogStore): Promise<FileLogStore> {
  const { disk, identity } = request;
  const options = { ...DEFAULTS, ...request.options };
  checkOptions(options);
  const lock = await disk.lock(LOCK);
  try {
    await checkNotCondemned(disk);
    const stored = await claimDirectory(disk, identity);
    const snapshots = new SnapshotFiles(disk, identity.clusterId);
    await snapshots.open();
    const recovered = await recoverLog(disk, identity, options.trailingEntries);
    await checkBegun(disk, stored, recovered);
    for (const note of [...snapshots.notes, ...recovered.notes]) request.log?.(note);
    const wal = new Wal(disk, identity, options, recovered);
    await wal.start();
    return new FileLogStore({ disk, identity, lock, snapshots, wal, recovered: recovered.state });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function checkOptions(options: WalOptions): void {
  const { segmentBytes, alignBytes, trailingEntries } = options;
  const aligned = alignBytes % SECTOR_BYTES === 0 && alignBytes > 0;
  if (!aligned || alignBytes > ALIGN_BYTES_MAX) {
    throw new RangeError(
      `alignBytes must be a multiple of ${SECTOR_BYTES} up to ${ALIGN_BYTES_MAX}`,
    );
  }
  if (!Number.isSafeInteger(segmentBytes) || segmentBytes < 4 * alignBytes) {
    throw new RangeError('segmentBytes must be at least four times alignBytes');
  }
  if (!Number.isSafeInteger(trailingEntries) || trailingEntries < 0) {
    throw new RangeError('trailingEntries must be at least 0');
  }
}

/** Creates what a new directory lacks; refuses one that belongs to another node. */
async function claimDirectory(disk: Disk, identity: Identity): Promise<StoredIdentity> {
  const names = await disk.list('');
  const stored = await readIdentity(disk, names);
  if (stored !== null) checkIdentity(disk, stored, identity);
  // Once a log has begun, the first identity and the directories beside it are durable. Before that, a
  // process that was killed may have left them to be seen only.
  const isWhole = names.includes(LOG_DIR) && names.includes(SNAPSHOT_DIR);
  if (stored?.begun === true && isWhole) return stored;
  await disk.makeDir(LOG_DIR);
  await disk.makeDir(SNAPSHOT_DIR);
  await disk.syncDir('');
  if (stored !== null) return stored;
  // Only a directory without any log is new. A log without an identity was tampered with.
  if ((await disk.list(LOG_DIR)).length > 0) {
    throw new StorageError(
      'CORRUPT',
      `${disk.describe('')} has a log, but its identity file is missing. Restore the file, or ` +
        'remove this node from the cluster, empty its data directory and add it again',
    );
  }
  const fresh = { ...identity, begun: false };
  await writeIdentity(disk, fresh);
  return fresh;
}

async function checkBegun(
  disk: Disk,
  stored: StoredIdentity,
  recovered: RecoveredLog,
): Promise<void> {
  if (recovered.state !== null && !stored.begun) {
    // A crash came between the first batch of the log and this mark.
    return writeIdentity(disk, { ...stored, begun: true });
  }
  if (recovered.state !== null || !stored.begun) return;
  throw new StorageError(
    'CORRUPT',
    `${disk.describe(LOG_DIR)} is empty, but node ${stored.nodeId} has run before: its log was ` +
      'lost, and with it its votes. Remove this node from the cluster, empty its data directory ' +
      'and add it again as a new member, or restore it from a backup',
  );
}

interface Parts {
  readonly disk: Disk;
  readonly identity: Identity;
  readonly lock: DiskLock;
  readonly snapshots: SnapshotFiles;
  readonly wal: Wal;
  readonly recovered: PersistentState | null;
}

export class FileLogStore implements LogStore {
  readonly identity: Identity;
  readonly recovered: PersistentState | null;
  readonly #disk: Disk;
  readonly #lock: DiskLock;
  readonly #snapshots: SnapshotFiles;
  readonly #wal: Wal;
  #closed: Promise<void> | null = null;

  constructor({ disk, identity, lock, snapshots, wal, recovered }: Parts) {
    this.identity = identity;
    this.recovered = recovered;
    this.#disk = disk;
    this.#lock = lock;
    this.#snapshots = snapshots;
    this.#wal = wal;
  }

  get onFailure(): ((error: Error) => void) | null {
    return this.#wal.onFailure;
  }

  set onFailure(tell: ((error: Error) => void) | null) {
    this.#wal.onFailure = tell;
  }

  get newestSnapshot(): SnapshotMeta | null {
    return this.#snapshots.newest;
  }

  get logBytes(): number {
    return this.#wal.usedBytes;
  }

  /** Bytes appended and not yet durable; the driver holds back when there are too many. */
  get queuedBytes(): number {
    return this.#wal.queuedBytes;
  }

  /** The error that ended all writing; null while the log is alive. */
  get failure(): StorageError | null {
    return this.#wal.failure;
  }

  async bootstrap(state: PersistentState): Promise<void> {
    await this.#wal.bootstrap(state.hardState, state.snapshot, state.entries);
    await writeIdentity(this.#disk, { ...this.identity, begun: true });
  }

  append(batch: LogBatch, done: Done): void {
    this.#wal.append(batch, done);
  }

  flush(): void {
    this.#wal.flush();
  }

  compact(meta: SnapshotMeta): Promise<void> {
    return this.#wal.compact(meta);
  }

  createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    return this.#snapshots.create(meta);
  }

  receiveSnapshot(from: NodeId, meta: SnapshotMeta): Promise<SnapshotWriter> {
    return this.#snapshots.receive(from, meta);
  }

  openSnapshot(meta: SnapshotMeta): Promise<SnapshotReader | null> {
    return this.#snapshots.openReader(meta);
  }

  removeSnapshotsExcept(keep: LogId | null): Promise<void> {
    return this.#snapshots.removeExcept(keep);
  }

  condemn(reason: string): Promise<void> {
    return condemn(this.#disk, reason);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      await this.#wal.close();
      await this.#snapshots.close();
    } finally {
      await this.#lock.release();
    }
  }
}

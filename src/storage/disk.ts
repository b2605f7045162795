// The few things that storage asks of a file system. Real files, memory and the simulator's faulty
// disk implement it and pass one conformance suite (test/conformance/disk.ts).
//
// Durability rules that every implementation keeps, because callers lean on them:
// - bytes written are durable only after writeAndSync() or sync() has completed on that file;
// - a created, renamed or removed name is durable only after syncDir() of its directory;
// - a failed write or sync leaves the file in an unknown state: the caller stops (never retries).

/** Paths are relative to the disk's root, with `/` between parts and no `..`. */
export type Path = string;

export type Done = (error: Error | null) => void;

export interface Disk {
  /** Fails when the file exists and `create` is 'new', or is absent and `create` is 'never'. */
  open(path: Path, create: 'new' | 'never' | 'ifMissing'): Promise<DiskFile>;
  /** Names of files and directories, sorted; empty when the directory is absent. */
  list(dir: Path): Promise<string[]>;
  makeDir(dir: Path): Promise<void>;
  remove(path: Path): Promise<void>;
  removeTree(dir: Path): Promise<void>;
  /** Replaces the target atomically. */
  rename(from: Path, to: Path): Promise<void>;
  syncDir(dir: Path): Promise<void>;
  /** Held until release() or the end of the process; a second holder gets a StorageError. */
  lock(path: Path): Promise<DiskLock>;
  /** How the root is named in messages to people. */
  describe(path: Path): string;
}

export interface DiskLock {
  release(): Promise<void>;
}

export interface DiskFile {
  size(): Promise<number>;
  /** Reads exactly `length` bytes, or fewer at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Writes all bytes, or fails. Not durable before sync(). */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  /**
   * The log's hot path: all bytes written and durable, then `done`. One call at a time; the bytes
   * must not change until then. No promise, so that a batch costs one callback.
   */
  writeAndSync(offset: number, bytes: Uint8Array, done: Done): void;
  /** Reserves zero-filled space so that later writes need no metadata update. */
  allocate(size: number): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

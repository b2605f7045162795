// The Disk of a real machine, over node:fs. A log batch is one asynchronous write to a descriptor
// opened with O_DSYNC: the kernel returns when the bytes are durable, so a batch costs one trip
// through the thread pool instead of two (write, fdatasync), and cannot forget the second.

import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Disk, DiskFile, DiskLock, Done, Path } from './disk.ts';
import { StorageError } from './log-store.ts';
import { lockFile } from './node-lock.ts';

const open = promisify(fs.open);
const close = promisify(fs.close);
const fsync = promisify(fs.fsync);
const ftruncate = promisify(fs.ftruncate);
const fstat = promisify(fs.fstat);

const ZEROS = new Uint8Array(1024 * 1024);
const READ_BYTES_MAX = 1024 * 1024 * 1024;
const FILE_MODE = 0o600;
const DIR_MODE = 0o700;

/** A disk whose root is the given directory, which is created when it is absent. */
export class NodeDisk implements Disk {
  readonly #root: string;

  constructor(root: string) {
    this.#root = path.resolve(root);
  }

  async open(name: Path, create: 'new' | 'never' | 'ifMissing'): Promise<DiskFile> {
    const full = this.#full(name);
    const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
    const flags = { new: O_RDWR | O_CREAT | O_EXCL, never: O_RDWR, ifMissing: O_RDWR | O_CREAT };
    return guard(full, async () => {
      if (create !== 'never')
        await fs.promises.mkdir(this.#root, { recursive: true, mode: DIR_MODE });
      return new NodeFile(full, await open(full, flags[create], FILE_MODE));
    });
  }

  async list(dir: Path): Promise<string[]> {
    const full = this.#full(dir);
    try {
      return (await fs.promises.readdir(full)).sort();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw storageError(full, error);
    }
  }

  async makeDir(dir: Path): Promise<void> {
    const full = this.#full(dir);
    await guard(full, () => fs.promises.mkdir(full, { recursive: true, mode: DIR_MODE }));
  }

  remove(name: Path): Promise<void> {
    const full = this.#full(name);
    return guard(full, () => fs.promises.unlink(full));
  }

  removeTree(dir: Path): Promise<void> {
    const full = this.#full(dir);
    return guard(full, () => fs.promises.rm(full, { recursive: true, force: true }));
  }

  rename(from: Path, to: Path): Promise<void> {
    const full = this.#full(from);
    return guard(full, () => fs.promises.rename(full, this.#full(to)));
  }

  syncDir(dir: Path): Promise<void> {
    const full = this.#full(dir);
    return guard(full, async () => {
      const fd = await open(full, fs.constants.O_RDONLY);
      try {
        await fsync(fd);
      } finally {
        await close(fd);
      }
    });
  }

  lock(name: Path): Promise<DiskLock> {
    const full = this.#full(name);
    return guard(full, async () => {
      await fs.promises.mkdir(path.dirname(full), { recursive: true, mode: DIR_MODE });
      return lockFile(full);
    });
  }

  describe(name: Path): string {
    return this.#full(name);
  }

  #full(name: Path): string {
    return path.join(this.#root, name);
  }
}

class NodeFile implements DiskFile {
  readonly #name: string;
  readonly #fd: number;
  /** The same file opened with O_DSYNC, at the first writeAndSync(). */
  #syncedFd: number | null = null;
  #closed = false;

  constructor(name: string, fd: number) {
    this.#name = name;
    this.#fd = fd;
  }

  size(): Promise<number> {
    return this.#guard(async () => (await fstat(this.#fd)).size);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#guard(async () => {
      // A length from a damaged file must not make us allocate what the file doesn't have.
      const available = Math.max(0, (await fstat(this.#fd)).size - offset);
      const bytes = new Uint8Array(Math.min(length, available, READ_BYTES_MAX));
      return bytes.subarray(0, await readFully(this.#fd, bytes, offset));
    });
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#guard(() => write(this.#name, this.#fd, offset, bytes));
  }

  sync(): Promise<void> {
    return this.#guard(() => fsync(this.#fd));
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: Done): void {
    const fd = this.#syncedFd;
    if (fd !== null && !this.#closed) return this.#writeSynced(fd, offset, bytes, done);
    if (this.#closed) return void process.nextTick(done, this.#closedError());
    fs.open(this.#name, fs.constants.O_RDWR | fs.constants.O_DSYNC, (error, opened) => {
      if (error !== null) return done(storageError(this.#name, error));
      this.#syncedFd = opened;
      this.#writeSynced(opened, offset, bytes, done);
    });
  }

  allocate(size: number): Promise<void> {
    return this.#guard(async () => {
      // Zeros are written, not only promised: a later write then changes no metadata, and the disk
      // is full now rather than in the middle of the log.
      let at = (await fstat(this.#fd)).size;
      while (at < size) {
        const count = Math.min(ZEROS.length, size - at);
        await write(this.#name, this.#fd, at, ZEROS.subarray(0, count));
        at += count;
      }
    });
  }

  truncate(size: number): Promise<void> {
    return this.#guard(() => ftruncate(this.#fd, size));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await guard(this.#name, async () => {
      if (this.#syncedFd !== null) await close(this.#syncedFd);
      await close(this.#fd);
    });
  }

  /** Writes may be short (a signal, a nearly full disk): go on until all is there or it fails. */
  #writeSynced(fd: number, offset: number, bytes: Uint8Array, done: Done): void {
    fs.write(fd, bytes, 0, bytes.length, offset, (error, written) => {
      if (error !== null) return done(storageError(this.#name, error));
      if (written === bytes.length) return done(null);
      if (written === 0) return done(noProgress(this.#name));
      this.#writeSynced(fd, offset + written, bytes.subarray(written), done);
    });
  }

  #guard<T>(run: () => Promise<T>): Promise<T> {
    return this.#closed ? Promise.reject(this.#closedError()) : guard(this.#name, run);
  }

  #closedError(): StorageError {
    return new StorageError('IO', `${this.#name} is closed`);
  }
}

function write(name: string, fd: number, offset: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (at: number): void => {
      if (at === bytes.length) return resolve();
      fs.write(fd, bytes, at, bytes.length - at, offset + at, (error, written) => {
        if (error !== null) return reject(error);
        if (written === 0) return reject(noProgress(name));
        step(at + written);
      });
    };
    step(0);
  });
}

function readFully(fd: number, bytes: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const step = (at: number): void => {
      if (at === bytes.length) return resolve(at);
      fs.read(fd, bytes, at, bytes.length - at, offset + at, (error, count) => {
        if (error !== null) return reject(error);
        if (count === 0) return resolve(at);
        step(at + count);
      });
    };
    step(0);
  });
}

async function guard<T>(name: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw storageError(name, error);
  }
}

function storageError(name: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const code = codeOf(error);
  const reason = error instanceof Error ? error.message : String(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const advice = 'free some space on it and start the node again';
    return new StorageError('FULL', `the disk of ${name} is full: ${advice}`, { cause: error });
  }
  return new StorageError('IO', `${name}: ${reason}`, { cause: error });
}

function noProgress(name: string): StorageError {
  const advice = 'free some space on it and start the node again';
  return new StorageError('FULL', `the disk of ${name} takes no more bytes: ${advice}`);
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code;
}

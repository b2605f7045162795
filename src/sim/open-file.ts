// A file of the simulated disk as a node has opened it: the node's own handle, good until it is closed.

import type { DiskFile, Done, Path } from '../storage/disk.ts';
import { StorageError } from '../storage/log-store.ts';
import type { Process } from './process.ts';
import type { SimDisk } from './sim-disk.ts';
import type { SimFile } from './sim-file.ts';

/** Of the disk, for what is no sync. */
export const OPERATION_US = 30;

export class OpenFile implements DiskFile {
  readonly #disk: SimDisk;
  readonly #owner: Process;
  readonly #path: Path;
  readonly #file: SimFile;
  #closed = false;

  constructor(disk: SimDisk, owner: Process, path: Path, file: SimFile) {
    this.#disk = disk;
    this.#owner = owner;
    this.#path = path;
    this.#file = file;
  }

  size(): Promise<number> {
    return this.#look(() => this.#file.size);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#look(() => this.#file.read(offset, length));
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    return this.#operate(2 * OPERATION_US, () => {
      const error = this.#disk.growthError(this.#file, offset + copy.length);
      if (error !== null) {
        this.#disk.writeWhatFits(this.#file, offset, copy);
        throw error;
      }
      this.#file.write(offset, copy);
    });
  }

  sync(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closedError());
    return this.#disk.sync(this.#owner, this.#file);
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: Done): void {
    if (this.#closed) throw this.#closedError();
    this.#disk.writeAndSync(this.#owner, this.#file, offset, bytes, done);
  }

  allocate(size: number): Promise<void> {
    return this.#operate(OPERATION_US, () => {
      const error = this.#disk.growthError(this.#file, size);
      if (error !== null) throw error;
      if (size > this.#file.size) this.#file.resize(size);
    });
  }

  truncate(size: number): Promise<void> {
    return this.#operate(OPERATION_US, () => this.#file.resize(size));
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#disk.close(this.#owner);
  }

  #look<T>(look: () => T): Promise<T> {
    return this.#disk.lookFor(this.#owner, () => {
      if (this.#closed) throw this.#closedError();
      return look();
    });
  }

  #operate<T>(us: number, apply: () => T): Promise<T> {
    return this.#disk.operateOn(this.#owner, us, () => {
      if (this.#closed) throw this.#closedError();
      return apply();
    });
  }

  #closedError(): StorageError {
    return new StorageError('IO', `${this.#path} is closed`);
  }
}

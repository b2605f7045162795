// An open file of the memory disk. It belongs to the process that opened it: after a crash its
// operations never complete.

import type { DiskFile, Done, Path } from './disk.ts';
import { StorageError } from './log-store.ts';
import type { DiskOpKind, MemoryDisk } from './memory-disk.ts';
import type { MemoryInode } from './memory-inode.ts';

export class MemoryFile implements DiskFile {
  readonly #disk: MemoryDisk;
  readonly generation: number;
  readonly path: Path;
  readonly inode: MemoryInode;
  #closed = false;

  constructor(disk: MemoryDisk, generation: number, path: Path, inode: MemoryInode) {
    this.#disk = disk;
    this.generation = generation;
    this.path = path;
    this.inode = inode;
  }

  size(): Promise<number> {
    return this.#operate('size', 0, null, () => this.inode.size);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#operate('read', offset, null, () => this.inode.read(offset, length));
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#operate('write', offset, bytes, () => this.inode.write(offset, bytes));
  }

  sync(): Promise<void> {
    const mark = this.inode.mark();
    return this.#operate('sync', 0, null, noEffect, () => this.inode.settle(mark));
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: Done): void {
    let mark = 0;
    const apply = () => {
      this.inode.write(offset, bytes);
      mark = this.inode.mark();
    };
    const settle = () => this.inode.settle(mark);
    this.#operate('writeAndSync', offset, bytes, apply, settle).then(
      () => done(null),
      error => done(error as Error),
    );
  }

  allocate(size: number): Promise<void> {
    return this.#operate('allocate', size, null, () => {
      if (size > this.inode.size) this.inode.resize(size);
    });
  }

  truncate(size: number): Promise<void> {
    return this.#operate('truncate', size, null, () => this.inode.resize(size));
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return this.#operate('close', 0, null, () => {
      this.#closed = true;
    });
  }

  #operate<T>(
    kind: DiskOpKind,
    offset: number,
    bytes: Uint8Array | null,
    apply: () => T,
    settle?: () => void,
  ): Promise<T> {
    const checked = () => {
      if (this.#closed) throw new StorageError('IO', `${this.path} is closed`);
      return apply();
    };
    return this.#disk.operateOn(this, kind, offset, bytes, checked, settle);
  }
}

function noEffect(): void {}

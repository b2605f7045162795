// A disk in memory that keeps apart what programs see and what a power loss leaves. The simulator
// and the exhaustive crash tests stand on it, so its model is deliberately nastier than real disks:
//
// - an unsynced write may survive whole, in part (any subset of its 512-byte sectors, the last of
//   them cut at any byte), or not at all, independently of other unsynced writes;
// - an unsynced creation, rename or removal may survive or not, independently of the others;
// - every operation can be made to fail, to lie, or to be the last one before the crash.

import type { Disk, DiskFile, DiskLock, Path } from './disk.ts';
import { StorageError } from './log-store.ts';
import { MemoryFile } from './memory-file.ts';
import { type LossModel, MemoryInode } from './memory-inode.ts';

export type DiskOpKind =
  | 'open'
  | 'list'
  | 'makeDir'
  | 'remove'
  | 'removeTree'
  | 'rename'
  | 'syncDir'
  | 'lock'
  | 'size'
  | 'read'
  | 'write'
  | 'sync'
  | 'writeAndSync'
  | 'allocate'
  | 'truncate'
  | 'close';

export interface DiskOp {
  /** 1, 2, 3, ... over the life of the disk object. */
  readonly number: number;
  readonly kind: DiskOpKind;
  readonly path: Path;
  readonly offset: number;
  readonly length: number;
}

/**
 * - `fail`: the operation reports `error`; a write has put its first `writtenBytes` in place.
 * - `halt`: the process dies here. The operation and all later ones never complete; `applied` says
 *   whether this one still reached the disk. Follow with crash().
 * - `lie`: a sync reports success and makes nothing durable.
 */
export type Verdict =
  | { readonly kind: 'fail'; readonly error: Error; readonly writtenBytes?: number }
  | { readonly kind: 'halt'; readonly applied: boolean }
  | { readonly kind: 'lie' };

export interface MemoryDiskOptions {
  /** Decides when an operation completes; must not call `complete` before it returns. */
  readonly schedule?: (complete: () => void, op: DiskOp) => void;
  /** Asked once before each operation. */
  readonly fault?: (op: DiskOp) => Verdict | null;
  /** Stands before paths in messages. */
  readonly name?: string;
}

type NameChange =
  | { kind: 'link'; path: Path; inode: MemoryInode }
  | { kind: 'unlink'; path: Path }
  | { kind: 'rename'; from: Path; to: Path; inode: MemoryInode }
  | { kind: 'makeDir'; path: Path }
  | { kind: 'removeDir'; path: Path };

/** Files and directories as one view of the disk has them. */
interface Names {
  files: Map<Path, MemoryInode>;
  dirs: Set<Path>;
}

interface PendingName {
  dir: Path;
  change: NameChange;
}

function microtask(complete: () => void): void {
  void Promise.resolve().then(complete);
}

export class MemoryDisk implements Disk {
  /** May be exchanged at any time. */
  schedule: (complete: () => void, op: DiskOp) => void;
  fault: ((op: DiskOp) => Verdict | null) | null;
  readonly #name: string;
  #seen: Names = { files: new Map(), dirs: new Set() };
  #durable: Names = { files: new Map(), dirs: new Set() };
  /** Changes of names that are seen but not durable, in order. */
  #pending: PendingName[] = [];
  #locks = new Set<Path>();
  #operations = 0;
  /** Raised by a crash: files opened before belong to a dead process. */
  #generation = 0;
  #halted = false;

  constructor(options: MemoryDiskOptions = {}) {
    this.schedule = options.schedule ?? microtask;
    this.fault = options.fault ?? null;
    this.#name = options.name ?? 'memory';
  }

  /** Operations begun so far. */
  get operations(): number {
    return this.#operations;
  }

  get halted(): boolean {
    return this.#halted;
  }

  /** Power loss: what was not synced suffers, all open files and locks are gone. */
  crash(loss: LossModel = { unsynced: 'lost' }): void {
    for (const { change } of this.#pending) {
      if (keepsName(loss)) applyName(this.#durable, change);
    }
    for (const path of [...this.#durable.files.keys()]) {
      if (!hasParent(this.#durable, path)) this.#durable.files.delete(path);
    }
    for (const inode of new Set(this.#durable.files.values())) inode.crash(loss);
    this.#afterDeath();
    this.#seen = { files: new Map(this.#durable.files), dirs: new Set(this.#durable.dirs) };
    this.#pending = [];
  }

  /** The process dies (kill -9) and the machine goes on: what was written stays, synced or not. */
  killProcess(): void {
    this.#afterDeath();
  }

  #afterDeath(): void {
    this.#generation += 1;
    this.#halted = false;
    this.#locks = new Set();
  }

  /** An independent copy of both images, without open files, locks and faults. */
  clone(options: MemoryDiskOptions = {}): MemoryDisk {
    const copy = new MemoryDisk({ name: this.#name, ...options });
    const copies = new Map<MemoryInode, MemoryInode>();
    const of = (inode: MemoryInode): MemoryInode => {
      const known = copies.get(inode) ?? inode.clone();
      copies.set(inode, known);
      return known;
    };
    const names = (from: Names): Names => ({
      files: new Map([...from.files].map(([path, inode]) => [path, of(inode)])),
      dirs: new Set(from.dirs),
    });
    copy.#seen = names(this.#seen);
    copy.#durable = names(this.#durable);
    copy.#pending = this.#pending.map(({ dir, change }) => ({
      dir,
      change: 'inode' in change ? { ...change, inode: of(change.inode) } : change,
    }));
    return copy;
  }

  /** All files that a program would see now, sorted. */
  files(): Path[] {
    return [...this.#seen.files.keys()].sort();
  }

  /** A copy of a file's content as seen now; null when there is no such file. */
  peek(path: Path): Uint8Array | null {
    return this.#seen.files.get(path)?.content() ?? null;
  }

  /** Bit rot: changes bytes behind everyone's back, in the durable image too. */
  poke(path: Path, offset: number, bytes: Uint8Array): void {
    this.#inode(path).poke(offset, bytes);
  }

  open(path: Path, create: 'new' | 'never' | 'ifMissing'): Promise<DiskFile> {
    return this.#operate(this.#op('open', path), () => {
      const known = this.#seen.files.get(path);
      if (known !== undefined && create === 'new') throw this.#error(`${path} exists already`);
      if (known !== undefined) return new MemoryFile(this, this.#generation, path, known);
      if (create === 'never') throw this.#error(`${path} does not exist`);
      if (!hasParent(this.#seen, path)) throw this.#error(`the directory of ${path} is missing`);
      const inode = new MemoryInode();
      this.#change(parentOf(path), { kind: 'link', path, inode });
      return new MemoryFile(this, this.#generation, path, inode);
    });
  }

  list(dir: Path): Promise<string[]> {
    return this.#operate(this.#op('list', dir), () => {
      const names: string[] = [];
      for (const path of [...this.#seen.files.keys(), ...this.#seen.dirs]) {
        if (path !== '' && parentOf(path) === dir)
          names.push(path.slice(path.lastIndexOf('/') + 1));
      }
      return names.sort();
    });
  }

  makeDir(dir: Path): Promise<void> {
    return this.#operate(this.#op('makeDir', dir), () => {
      if (dir === '' || this.#seen.dirs.has(dir)) return;
      if (!hasParent(this.#seen, dir)) throw this.#error(`the directory of ${dir} is missing`);
      this.#change(parentOf(dir), { kind: 'makeDir', path: dir });
    });
  }

  remove(path: Path): Promise<void> {
    return this.#operate(this.#op('remove', path), () => {
      this.#inode(path);
      this.#change(parentOf(path), { kind: 'unlink', path });
    });
  }

  removeTree(dir: Path): Promise<void> {
    return this.#operate(this.#op('removeTree', dir), () => {
      const inside = (path: Path) => path.startsWith(`${dir}/`);
      for (const path of [...this.#seen.files.keys()].filter(inside)) {
        this.#change(parentOf(path), { kind: 'unlink', path });
      }
      for (const path of [...this.#seen.dirs].filter(inside).sort().reverse()) {
        this.#change(parentOf(path), { kind: 'removeDir', path });
      }
      if (this.#seen.dirs.has(dir)) this.#change(parentOf(dir), { kind: 'removeDir', path: dir });
    });
  }

  rename(from: Path, to: Path): Promise<void> {
    return this.#operate(this.#op('rename', from), () => {
      const inode = this.#inode(from);
      if (!hasParent(this.#seen, to)) throw this.#error(`the directory of ${to} is missing`);
      this.#change(parentOf(to), { kind: 'rename', from, to, inode });
    });
  }

  syncDir(dir: Path): Promise<void> {
    const op = this.#op('syncDir', dir);
    // Changes made while the sync is under way are not covered by it.
    const covered = new Set(this.#pending.filter(pending => pending.dir === dir));
    const settle = () => {
      for (const { change } of covered) applyName(this.#durable, change);
      this.#pending = this.#pending.filter(pending => !covered.has(pending));
    };
    return this.#operate(op, () => {}, settle);
  }

  lock(path: Path): Promise<DiskLock> {
    return this.#operate(this.#op('lock', path), () => {
      if (this.#locks.has(path)) {
        throw new StorageError('LOCKED', `${this.describe(path)} is locked by another node`);
      }
      const locks = this.#locks.add(path);
      return {
        release: () => {
          locks.delete(path);
          return Promise.resolve();
        },
      };
    });
  }

  describe(path: Path): string {
    return path === '' ? this.#name : `${this.#name}/${path}`;
  }

  /** For MemoryFile only: an operation on an open file. */
  operateOn<T>(
    file: MemoryFile,
    kind: DiskOpKind,
    offset: number,
    bytes: Uint8Array | null,
    apply: () => T,
    settle?: () => void,
  ): Promise<T> {
    if (file.generation !== this.#generation) return new Promise(() => {});
    const op = this.#op(kind, file.path, offset, bytes?.length ?? 0);
    return this.#operate(op, apply, settle, written => {
      if (bytes !== null && written > 0) file.inode.write(offset, bytes.subarray(0, written));
    });
  }

  #op(kind: DiskOpKind, path: Path, offset = 0, length = 0): DiskOp {
    this.#operations += 1;
    return { number: this.#operations, kind, path, offset, length };
  }

  /** `apply` takes effect at once, `settle` (durability) when the operation completes. */
  #operate<T>(
    op: DiskOp,
    apply: () => T,
    settle?: () => void,
    applyPart?: (writtenBytes: number) => void,
  ): Promise<T> {
    const generation = this.#generation;
    return new Promise<T>((resolve, reject) => {
      if (this.#halted) return;
      const verdict = this.fault?.(op) ?? null;
      if (verdict?.kind === 'halt') {
        this.#halted = true;
        if (!verdict.applied) return;
      }
      let outcome: () => void;
      let failed = false;
      try {
        if (verdict?.kind === 'fail') {
          applyPart?.(verdict.writtenBytes ?? 0);
          throw verdict.error;
        }
        const value = apply();
        outcome = () => {
          if (verdict?.kind !== 'lie') settle?.();
          resolve(value);
        };
      } catch (error) {
        failed = true;
        outcome = () => reject(error);
      }
      if (verdict?.kind === 'halt') {
        if (!failed) settle?.();
        return;
      }
      this.schedule(() => {
        if (generation === this.#generation && !this.#halted) outcome();
      }, op);
    });
  }

  #change(dir: Path, change: NameChange): void {
    applyName(this.#seen, change);
    this.#pending.push({ dir, change });
  }

  #inode(path: Path): MemoryInode {
    const inode = this.#seen.files.get(path);
    if (inode === undefined) throw this.#error(`${path} does not exist`);
    return inode;
  }

  #error(message: string): StorageError {
    return new StorageError('IO', `${this.#name}: ${message}`);
  }
}

function parentOf(path: Path): Path {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

function hasParent(names: Names, path: Path): boolean {
  for (let dir = parentOf(path); dir !== ''; dir = parentOf(dir)) {
    if (!names.dirs.has(dir)) return false;
  }
  return true;
}

function keepsName(loss: LossModel): boolean {
  if (loss.unsynced === 'random') return loss.random() < 0.5;
  return loss.unsynced !== 'lost';
}

function applyName(names: Names, change: NameChange): void {
  switch (change.kind) {
    case 'link':
      names.files.set(change.path, change.inode);
      break;
    case 'unlink':
      names.files.delete(change.path);
      break;
    case 'rename':
      if (names.files.get(change.from) === change.inode) names.files.delete(change.from);
      names.files.set(change.to, change.inode);
      break;
    case 'makeDir':
      names.dirs.add(change.path);
      break;
    case 'removeDir':
      names.dirs.delete(change.path);
      break;
  }
}

// A node's disk: slow now and then, full, failing, lying in wait. It keeps apart what programs see
// and what a power loss leaves, and completes every operation as an event of the world. Its own
// and not storage's memory disk, because the log's write must cost a callback and nothing else.

import type { Disk, DiskFile, DiskLock, Done, Path } from '../storage/disk.ts';
import { StorageError } from '../storage/log-store.ts';
import { OPERATION_US, OpenFile } from './open-file.ts';
import { mix32, type Prng } from './prng.ts';
import type { Process } from './process.ts';
import { type Loss, SECTOR_BYTES, type SimFile } from './sim-file.ts';
import { SimNames } from './sim-names.ts';

/** How a disk behaves now; the faults change it. Times in microseconds. */
export interface DiskMood {
  /** Mean of a sync. */
  syncUs: number;
  /** Everything takes this many times longer. */
  slowness: number;
  /** Files can't grow. */
  full: boolean;
  /** It was full at some time in this incarnation. */
  wasFull: boolean;
  /** The next sync of any kind fails; what it wrote is in limbo. */
  failNextSync: boolean;
  /** The process dies at the n-th operation from now; 0: it doesn't. */
  dieAt: number;
}

/** A write that will turn out never to have happened, or to have happened elsewhere as well. */
interface LatentDamage {
  readonly kind: 'stale' | 'misdirected';
  file: SimFile | null;
  offset: number;
  before: Uint8Array;
  written: Uint8Array;
  /** Writes to the file since; damage shows only where it is not at the log's very end. */
  writesSince: number;
}

const OPERATION_US_MAX = 10_000_000;
const WRITES_BEFORE_DAMAGE = 3;
const LAST_BYTES = 100;

export class SimDisk implements Disk {
  readonly mood: DiskMood;
  /** Called when `dieAt` is reached: the process must be killed at once. */
  onDeath: (() => void) | null = null;
  /** Called when the process is told that a sync failed. */
  onSyncError: (() => void) | null = null;
  /** A sync has failed in this incarnation: nothing may be acknowledged any more. */
  syncFailed = false;
  operations = 0;
  /** Renames that a power loss took back, because their directory was not synced. */
  renamesLost = 0;
  /** Writes of which a full disk took only a part. */
  shortWrites = 0;
  readonly #name: string;
  readonly #chance: Prng;
  #process: Process | null = null;
  #names = new SimNames();
  #locks = new Set<Path>();
  #halted = false;
  #latent: LatentDamage | null = null;

  constructor(name: string, chance: Prng, syncUs: number) {
    this.#name = name;
    this.#chance = chance;
    this.mood = { syncUs, slowness: 1, full: false, wasFull: false, failNextSync: false, dieAt: 0 };
  }

  /** A new incarnation opens the disk. */
  attach(process: Process): void {
    this.#process = process;
    this.#halted = false;
    this.#locks = new Set();
    this.syncFailed = false;
    this.mood.failNextSync = false;
    this.mood.dieAt = 0;
    this.mood.wasFull = this.mood.full;
  }

  /** The process is gone. Null: the machine goes on, all that was written stays to be seen. */
  release(loss: Loss | null): void {
    this.#process = null;
    if (loss === null) this.#names.detach();
    else this.renamesLost += this.#names.crash(loss, this.#chance);
  }

  /** What would be there after a power loss now. For a second opinion, never for the node. */
  cloneDurable(process: Process, chance: Prng): SimDisk {
    const copy = new SimDisk(`${this.#name}-image`, chance, 1);
    copy.#names = this.#names.cloneDurable();
    copy.attach(process);
    return copy;
  }

  /** All that is durable now, to put back later. */
  durableNames(): SimNames {
    return this.#names.cloneDurable();
  }

  /** The disk, which nobody has open, goes back in time: all files, or those under this prefix. */
  putBack(image: SimNames, prefix: string): void {
    this.#names.putBack(image, prefix);
  }

  get files(): ReadonlyMap<Path, SimFile> {
    return this.#names.files;
  }

  /** Bit rot: one bit of some durable byte changes. Returns where, null when there is nothing. */
  rot(chance: Prng): string | null {
    const path = this.#victim(chance);
    if (path === null) return null;
    const file = this.#names.get(path)!;
    const used = file.usedOffsets();
    if (used.length === 0) return null;
    // The last batch is where damage looks most like a write that a crash cut short.
    const offset = chance.pick(chance.chance(0.5) ? used.slice(-LAST_BYTES) : used);
    const byte = file.peekDurable(offset, 1);
    byte[0] = byte[0]! ^ (1 << chance.below(8));
    file.poke(offset, byte);
    return `${path} at ${offset}`;
  }

  /** The next write of the log leaves damage that shows once it is not the last one any more. */
  plant(kind: LatentDamage['kind']): void {
    const none = new Uint8Array(0);
    this.#latent = { kind, file: null, offset: 0, before: none, written: none, writesSince: 0 };
  }

  open(path: Path, create: 'new' | 'never' | 'ifMissing'): Promise<DiskFile> {
    const known = this.#names.get(path);
    if (known !== undefined || create === 'never') {
      return this.#look(() => {
        if (known === undefined) throw this.#error(`${path} does not exist`);
        if (create === 'new') throw this.#error(`${path} exists already`);
        return new OpenFile(this, this.#process!, path, known);
      });
    }
    return this.#operate(OPERATION_US, () => {
      if (!this.#names.hasParent(path)) throw this.#error(`the directory of ${path} is missing`);
      return new OpenFile(this, this.#process!, path, this.#names.create(path));
    });
  }

  list(dir: Path): Promise<string[]> {
    return this.#look(() => this.#names.list(dir));
  }

  makeDir(dir: Path): Promise<void> {
    return this.#operate(OPERATION_US, () => {
      if (!this.#names.hasParent(dir)) throw this.#error(`the directory of ${dir} is missing`);
      this.#names.makeDir(dir);
    });
  }

  remove(path: Path): Promise<void> {
    return this.#operate(OPERATION_US, () => {
      this.#existing(path);
      this.#names.remove(path);
    });
  }

  removeTree(dir: Path): Promise<void> {
    return this.#operate(OPERATION_US, () => this.#names.removeTree(dir));
  }

  rename(from: Path, to: Path): Promise<void> {
    return this.#operate(OPERATION_US, () => {
      const file = this.#existing(from);
      if (!this.#names.hasParent(to)) throw this.#error(`the directory of ${to} is missing`);
      this.#names.rename(from, to, file);
    });
  }

  syncDir(dir: Path): Promise<void> {
    // Changes made while the sync is under way are not covered by it.
    const settle = this.#names.beginSync(dir);
    return this.#operate(this.#syncUs(), nothing, settle, true);
  }

  lock(path: Path): Promise<DiskLock> {
    return this.#look(() => {
      if (this.#locks.has(path)) {
        throw new StorageError('LOCKED', `${this.describe(path)} is locked by another node`);
      }
      const locks = this.#locks.add(path);
      const release = async () => {
        locks.delete(path);
      };
      return { release };
    });
  }

  describe(path: Path): string {
    return path === '' ? this.#name : `${this.#name}/${path}`;
  }

  // -------------------------------------------------------------------------- for open files

  operateOn<T>(owner: Process, us: number, apply: () => T): Promise<T> {
    if (owner !== this.#process) return new Promise(() => {});
    return this.#operate(us, apply);
  }

  /** Not counted among the operations: nothing depends on it. */
  close(owner: Process): Promise<void> {
    if (owner !== this.#process || this.#halted) return new Promise(() => {});
    this.#stir(owner);
    return Promise.resolve();
  }

  lookFor<T>(owner: Process, look: () => T): Promise<T> {
    return owner === this.#process ? this.#look(look) : new Promise(() => {});
  }

  sync(owner: Process, file: SimFile): Promise<void> {
    if (owner !== this.#process) return new Promise(() => {});
    const mark = file.mark();
    return this.#operate(this.#syncUs(), nothing, () => file.settle(mark), true);
  }

  /** The log's hot path: no promise. */
  writeAndSync(owner: Process, file: SimFile, offset: number, bytes: Uint8Array, done: Done): void {
    if (owner !== this.#process || this.#halted) return;
    const { world } = owner;
    world.digest(digestOf(bytes));
    const dies = this.#counts();
    if (dies && this.#chance.chance(0.5)) return;
    const error = this.growthError(file, offset + bytes.length);
    const before = this.#latent?.file === null ? file.peekDurable(offset, SECTOR_BYTES) : null;
    if (error === null) file.write(offset, bytes);
    else this.writeWhatFits(file, offset, bytes);
    if (dies) return;
    const mark = file.mark();
    owner.logWrites += 1;
    const fails = error === null && this.#takeSyncFailure();
    world.after(this.#takes(this.#syncUs()), 'written', owner, () => {
      owner.logWrites -= 1;
      if (owner.calls > 0) owner.stirred = true;
      if (error !== null || fails) {
        owner.stirred = true;
        if (fails) this.onSyncError?.();
        return done(error ?? this.#error('input/output error'));
      }
      file.settle(mark);
      if (this.#latent !== null) this.#noteWrite(file, offset, bytes, before);
      done(null);
    });
  }

  /** A short write: a disk without room takes what goes into the space that the file has already. */
  writeWhatFits(file: SimFile, offset: number, bytes: Uint8Array): void {
    const fits = Math.min(bytes.length, file.size - offset);
    if (fits <= 0) return;
    this.shortWrites += 1;
    file.write(offset, bytes.subarray(0, fits));
  }

  /** Null, or why a file can't become this large. */
  growthError(file: SimFile, size: number): StorageError | null {
    if (!this.mood.full || size <= file.size) return null;
    return new StorageError('FULL', `${this.#name}: no space left`);
  }

  // -------------------------------------------------------------------------- inside

  /**
   * An operation that leaves nothing for a crash to show: before, during and after it are the same
   * to everybody else, so it takes no time and is no event. The process may die with it all the same.
   */
  #look<T>(look: () => T): Promise<T> {
    const process = this.#process;
    if (process === null || this.#halted || this.#counts()) return new Promise(() => {});
    this.#stir(process);
    try {
      return Promise.resolve(look());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #stir(process: Process): void {
    process.world.activity += 1;
    process.stirred = true;
    process.touch();
  }

  /** `apply` takes effect at once, `settle` (durability) when the operation completes. */
  #operate<T>(us: number, apply: () => T, settle?: () => void, isSync = false): Promise<T> {
    const process = this.#process;
    if (process === null || this.#halted) return new Promise(() => {});
    process.touch();
    const dies = this.#counts();
    if (dies && this.#chance.chance(0.5)) return new Promise(() => {});
    const fails = isSync && this.#takeSyncFailure();
    return new Promise<T>((resolve, reject) => {
      let finish: () => void;
      try {
        if (fails) throw this.#error('input/output error');
        const value = apply();
        finish = () => {
          settle?.();
          resolve(value);
        };
      } catch (error) {
        finish = () => {
          if (fails) this.onSyncError?.();
          reject(error);
        };
      }
      if (dies) return;
      process.diskOperations += 1;
      process.world.after(this.#takes(us), 'disk', process, () => {
        process.diskOperations -= 1;
        process.stirred = true;
        finish();
      });
    });
  }

  /** However slow a disk is: what it was given is done some time. */
  #takes(us: number): number {
    return Math.min(us * this.mood.slowness, OPERATION_US_MAX);
  }

  #syncUs(): number {
    return this.#chance.heavyTail(this.mood.syncUs);
  }

  /** True when the process dies with this operation. */
  #counts(): boolean {
    this.operations += 1;
    if (this.mood.dieAt === 0) return false;
    this.mood.dieAt -= 1;
    if (this.mood.dieAt > 0) return false;
    this.#halted = true;
    this.onDeath?.();
    return true;
  }

  #takeSyncFailure(): boolean {
    if (!this.mood.failNextSync) return false;
    this.mood.failNextSync = false;
    this.syncFailed = true;
    return true;
  }

  #noteWrite(file: SimFile, offset: number, bytes: Uint8Array, before: Uint8Array | null): void {
    const latent = this.#latent!;
    if (latent.file === null) {
      // Planted while this write was under way: the next one.
      if (before === null) return;
      latent.file = file;
      latent.offset = offset;
      latent.before = before;
      latent.written = bytes.slice(0, SECTOR_BYTES);
      return;
    }
    if (file !== latent.file || ++latent.writesSince < WRITES_BEFORE_DAMAGE) return;
    this.#latent = null;
    if (latent.kind === 'stale') {
      file.poke(latent.offset, latent.before);
      return;
    }
    const target = latent.offset + SECTOR_BYTES * (1 + this.#chance.below(WRITES_BEFORE_DAMAGE));
    if (target >= offset) return;
    file.poke(target, latent.written);
  }

  /** Most damage hits the log, because that is where most bytes are. */
  #victim(chance: Prng): Path | null {
    const paths = [...this.#names.files.keys()].sort();
    const logs = paths.filter(path => path.startsWith('log/'));
    if (paths.length === 0) return null;
    if (logs.length === 0 || chance.chance(0.3)) return chance.pick(paths);
    return chance.chance(0.5) ? logs.at(-1)! : chance.pick(logs);
  }

  #existing(path: Path): SimFile {
    const file = this.#names.get(path);
    if (file === undefined) throw this.#error(`${path} does not exist`);
    return file;
  }

  #error(message: string): StorageError {
    return new StorageError('IO', `${this.#name}: ${message}`);
  }
}

function nothing(): void {}

/** Four words stand for a batch: its header and body checksums are among them. */
function digestOf(bytes: Uint8Array): number {
  let h = bytes.length;
  for (let i = 4; i < 12 && i < bytes.length; i++) h = mix32(h, bytes[i]!);
  return h;
}

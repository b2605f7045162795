// One LMDB environment on disk: opening, writing one atomic group, closing when the last reader has
// gone. Which directory holds the newest environment is decided here, too:
//
//     <dir>/state-3/       in use; the highest number wins
//     <dir>/state-2/       left behind by a crash right after state-3 took its place
//     <dir>/building/      a replacement that never got finished
//
// A replacement is built in `building`, synced, and renamed to the next number: one rename is the
// whole switch, so a crash leaves the old state or the new one.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { BackendError, type BackendSize, NOWHERE, type Position, TABLE_COUNT } from './backend.ts';
import { ChangeWalk, nextBlob, type PhysicalChange, readBlob } from './lmdb-journal.ts';
import { LmdbView, type Tables } from './lmdb-view.ts';
import type { Overlay } from './overlay.ts';

const FORMAT_VERSION = 1;
const BUILDING = 'building';
const STATE = /^state-(\d{1,15})$/;
const POSITION_KEY = new TextEncoder().encode('position');
const FORMAT_KEY = new TextEncoder().encode('format');
const HEADER_TABLE = 'header';
const JOURNAL_TABLE = 'journal';
/** The position of a journal that is complete; there is none without it. */
const JOURNAL_KEY = new TextEncoder().encode('journal');
/** Changes that one batch of several takes, and one turn: about a millisecond. */
const BATCH_CHANGES_MAX = 1536;
/**
 * A layer with more is written by way of the journal: everything twice, but in slices. Layers are
 * that large only where a single command is.
 */
const ATOMIC_BATCH_CHANGES_MAX = 100_000;
/** Journal blobs of 64 KiB a batch. */
const BATCH_BLOBS_MAX = 8;

/** Two copies of the root pointers stand at the file's beginning. */
const META_PAGES = 2;

interface TreeStats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}
interface EnvironmentStats {
  readonly root: TreeStats;
  readonly free: TreeStats;
  readonly lastPageNumber: number;
}

function pagesOf(tree: TreeStats): number {
  return tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
}

/**
 * By default lmdb's thread begins to write after 1000 changes of a batch, races the rest of it, and
 * has to be woken for every change; and beyond 300,000 of them lmdb puts the main thread to sleep, a
 * millisecond or more a change. Not so when it begins after the last one. (Its types lack the option.)
 */
const WHOLE_BATCHES = { batchStartThreshold: 1e9 };

const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;

export class LmdbEnvironment {
  readonly path: string;
  readonly #root: RootDatabase<Uint8Array, Uint8Array>;
  readonly #header: Tables[number];
  readonly #journal: Tables[number];
  readonly #tables: Tables;
  #users = 1;
  #closed: Promise<void> | null = null;

  constructor(path: string, mapBytes: number) {
    this.path = path;
    mkdirSync(path, { recursive: true });
    // No overlapping sync: a commit that has resolved is on the disk, by LMDB's plain two-step
    // protocol (pages, sync, meta page), which needs no knowledge of the machine's boots.
    this.#root = open<Uint8Array, Uint8Array>({
      path,
      mapSize: mapBytes,
      maxDbs: TABLE_COUNT + 3,
      overlappingSync: false,
      eventTurnBatching: false,
      ...WHOLE_BATCHES,
      ...binary,
    });
    this.#header = this.#root.openDB<Uint8Array, Uint8Array>({ name: HEADER_TABLE, ...binary });
    this.#journal = this.#root.openDB<Uint8Array, Uint8Array>({ name: JOURNAL_TABLE, ...binary });
    this.#tables = Array.from({ length: TABLE_COUNT }, (_, table) =>
      this.#root.openDB<Uint8Array, Uint8Array>({ name: `table-${table}`, ...binary }),
    );
    this.#checkFormat();
    this.#recoverJournal();
    syncDirectory(path);
  }

  view(): LmdbView {
    return new LmdbView(this.#root, this.#tables);
  }

  /** The position of the state that is on disk. */
  position(): Position {
    return this.#positionAt(POSITION_KEY) ?? NOWHERE;
  }

  /**
   * Writes a layer of changes and its position, all or nothing, on LMDB's own thread. Resolves when it
   * is durable. A synchronous transaction must never run on the same environment: LMDB's binding
   * would commit the half of this one that is already written.
   *
   * Views that are opened before it resolves may see a part of it.
   */
  write(changes: Overlay, at: Position): Promise<void> {
    const isLarge = changes.changes > ATOMIC_BATCH_CHANGES_MAX;
    return this.#using(
      isLarge ? this.#writeByJournal(changes, at) : this.#writeAtOnce(changes, at),
    );
  }

  /** The same for an environment that nobody uses yet: a crash may leave a part of it. */
  fill(changes: Overlay, at: Position): Promise<void> {
    return this.#using(this.#writeTables(changes).then(() => this.#writePosition(at)));
  }

  sizes(): BackendSize {
    const { root, free, lastPageNumber } = this.#root.getStats() as unknown as EnvironmentStats;
    let pages = META_PAGES + pagesOf(root) + pagesOf(free);
    for (const table of [this.#header, this.#journal, ...this.#tables]) {
      pages += pagesOf(table.getStats() as unknown as TreeStats);
    }
    const totalBytes = (lastPageNumber + 1) * root.pageSize;
    return { totalBytes, inUseBytes: Math.min(totalBytes, pages * root.pageSize) };
  }

  use(): void {
    this.#users++;
  }

  /** The last user's release closes the environment: closing it under a reader would crash. */
  release(): Promise<void> {
    this.#users--;
    if (this.#users === 0) this.#closed = this.#root.close();
    return this.#closed ?? Promise.resolve();
  }

  /** An environment that is replaced meanwhile stays open until its write is through. */
  async #using(write: Promise<void>): Promise<void> {
    this.use();
    try {
      await write;
    } finally {
      void this.release();
    }
  }

  #writeAtOnce(changes: Overlay, at: Position): Promise<void> {
    return this.#batch(() => {
      const walk = new ChangeWalk(changes);
      while (walk.next()) this.#apply(walk);
      this.#header.put(POSITION_KEY, encodePosition(at));
    });
  }

  /**
   * Too much for one turn. What is in the journal is written for certain, once it is complete: after a
   * crash the next start finishes it. Each of the steps can be done twice.
   */
  async #writeByJournal(changes: Overlay, at: Position): Promise<void> {
    const walk = new ChangeWalk(changes);
    let blobs = 0;
    for (let isEnded = false; !isEnded; ) {
      await this.#batch(() => {
        for (let i = 0; i < BATCH_BLOBS_MAX && !isEnded; i++) {
          const blob = nextBlob(walk);
          isEnded = blob === null;
          if (blob !== null) this.#journal.put(journalKey(blobs++), blob);
        }
      });
    }
    await this.#batch(() => this.#header.put(JOURNAL_KEY, encodePosition(at)));
    await this.#writeTables(changes);
    await this.#batch(() => {
      this.#header.put(POSITION_KEY, encodePosition(at));
      this.#header.remove(JOURNAL_KEY);
    });
    for (let blob = 0; blob < blobs; ) {
      const end = Math.min(blobs, blob + BATCH_CHANGES_MAX);
      await this.#batch(() => {
        for (; blob < end; blob++) this.#journal.remove(journalKey(blob));
      });
    }
  }

  async #writeTables(changes: Overlay): Promise<void> {
    const walk = new ChangeWalk(changes);
    for (let isEnded = false; !isEnded; ) {
      await this.#batch(() => {
        for (let i = 0; i < BATCH_CHANGES_MAX && !isEnded; i++) {
          isEnded = !walk.next();
          if (!isEnded) this.#apply(walk);
        }
      });
    }
  }

  #writePosition(at: Position): Promise<void> {
    return this.#batch(() => this.#header.put(POSITION_KEY, encodePosition(at)));
  }

  async #batch(write: () => void): Promise<void> {
    try {
      await this.#root.batch(write);
    } catch (error) {
      // lmdb gives the reason in a second promise, whose rejection would otherwise end the process.
      await (error as { commitError?: Promise<unknown> }).commitError;
      throw error;
    }
  }

  #apply({ table, key, value }: PhysicalChange): void {
    const database = this.#tables[table]!;
    if (value === null) database.remove(key);
    else database.put(key, value);
  }

  #positionAt(key: Uint8Array): Position | null {
    const bytes = this.#header.get(key);
    if (bytes === undefined) return null;
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { term: fields.getFloat64(0), index: fields.getFloat64(8) };
  }

  /** Finishes what a crash has left: before any asynchronous write, a synchronous one is safe. */
  #recoverJournal(): void {
    const at = this.#positionAt(JOURNAL_KEY);
    const isEmpty = this.#journal.getKeysCount({ limit: 1 }) === 0;
    if (at === null && isEmpty) return;
    this.#root.transactionSync(() => {
      if (at !== null) {
        for (const { value } of this.#journal.getRange({})) {
          readBlob(value, change => this.#apply(change));
        }
        this.#header.put(POSITION_KEY, encodePosition(at));
        this.#header.remove(JOURNAL_KEY);
      }
      for (const key of [...this.#journal.getKeys({})]) this.#journal.remove(key);
    });
  }

  #checkFormat(): void {
    const found = this.#header.get(FORMAT_KEY);
    if (found === undefined) {
      // Before any asynchronous write has begun, a synchronous one is safe.
      this.#header.putSync(FORMAT_KEY, Uint8Array.of(FORMAT_VERSION));
    } else if (found.length !== 1 || found[0] !== FORMAT_VERSION) {
      throw new BackendError(`${this.path} is of a format that this version does not know`);
    }
  }
}

function encodePosition({ term, index }: Position): Uint8Array {
  const position = new DataView(new ArrayBuffer(16));
  position.setFloat64(0, term);
  position.setFloat64(8, index);
  return new Uint8Array(position.buffer);
}

function journalKey(blob: number): Uint8Array {
  const key = new DataView(new ArrayBuffer(4));
  key.setUint32(0, blob);
  return new Uint8Array(key.buffer);
}

/** The environment to use in `directory`, after what a crash may have left is cleared away. */
export function openNewest(directory: string, mapBytes: number): LmdbEnvironment {
  mkdirSync(directory, { recursive: true });
  const numbers = stateNumbers(directory);
  rmSync(join(directory, BUILDING), { recursive: true, force: true });
  for (const old of numbers.slice(0, -1)) removeState(directory, old);
  const newest = numbers.at(-1) ?? 1;
  const environment = new LmdbEnvironment(stateAt(directory, newest), mapBytes);
  syncDirectory(directory);
  return environment;
}

/** An empty environment that no restart will take for the state. */
export function openBuilding(directory: string, mapBytes: number): LmdbEnvironment {
  const path = join(directory, BUILDING);
  rmSync(path, { recursive: true, force: true });
  return new LmdbEnvironment(path, mapBytes);
}

/** The building environment, closed before, becomes the state. */
export function adoptBuilding(directory: string, mapBytes: number): LmdbEnvironment {
  const next = (stateNumbers(directory).at(-1) ?? 0) + 1;
  const path = stateAt(directory, next);
  syncDirectory(join(directory, BUILDING));
  renameSync(join(directory, BUILDING), path);
  syncDirectory(directory);
  return new LmdbEnvironment(path, mapBytes);
}

export function discardBuilding(directory: string): void {
  rmSync(join(directory, BUILDING), { recursive: true, force: true });
}

function stateNumbers(directory: string): number[] {
  const numbers: number[] = [];
  for (const name of readdirSync(directory)) {
    const match = STATE.exec(name);
    if (match !== null) numbers.push(Number(match[1]));
  }
  return numbers.sort((a, b) => a - b);
}

function stateAt(directory: string, number: number): string {
  return join(directory, `state-${number}`);
}

function removeState(directory: string, number: number): void {
  rmSync(stateAt(directory, number), { recursive: true, force: true });
}

/** A new or renamed name is durable only when its directory is synced. */
function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

// One LMDB environment on disk: opening, writing one atomic group, closing when the last reader has
// gone. Which directory holds the newest environment is decided here, too:
//
//     <dir>/state-3/       in use; the highest number wins
//     <dir>/state-2/       left behind by a crash right after state-3 took its place
//     <dir>/building/      a replacement that never got finished
//
// A replacement is built in `building`, synced, and renamed to the next number: one rename is the
// whole switch, so a crash leaves the old state or the new one.

import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { open as openFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { BackendError, type BackendSize, NOWHERE, type Position, TABLE_COUNT } from './backend.ts';
import { type PhysicalChange, readBlob } from './lmdb-journal.ts';
import { encodePosition, JOURNAL_KEY, LayerWriter, POSITION_KEY } from './lmdb-layer-writer.ts';
import { LmdbView, TABLE_FORMAT, type Tables } from './lmdb-view.ts';
import type { Overlay } from './overlay.ts';

const FORMAT_VERSION = 1;
const BUILDING = 'building';
const STATE = /^state-(\d{1,15})$/;
const FORMAT_KEY = new TextEncoder().encode('format');
const HEADER_TABLE = 'header';
const JOURNAL_TABLE = 'journal';
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

/** What lmdb's types leave out. */
interface SyncedDatabase {
  sync(done: (error?: Error) => void): void;
}
const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;

export class LmdbEnvironment {
  readonly path: string;
  readonly #root: RootDatabase<Uint8Array, Uint8Array>;
  readonly #header: Tables[number];
  readonly #journal: Tables[number];
  readonly #tables: Tables;
  readonly #writer: LayerWriter;
  #users = 1;
  #closed: Promise<void> | null = null;

  /** What is not yet durable is so after sync(): to build a state that nobody relies on before. */
  constructor(path: string, mapBytes: number, isDurable = true) {
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
      noSync: !isDurable,
      ...binary,
    });
    this.#header = this.#root.openDB<Uint8Array, Uint8Array>({ name: HEADER_TABLE, ...binary });
    this.#journal = this.#root.openDB<Uint8Array, Uint8Array>({ name: JOURNAL_TABLE, ...binary });
    this.#tables = Array.from({ length: TABLE_COUNT }, (_, table) =>
      this.#root.openDB<Uint8Array, Uint8Array>({ name: `table-${table}`, ...TABLE_FORMAT }),
    );
    const parts = { header: this.#header, journal: this.#journal, tables: this.#tables };
    this.#writer = new LayerWriter(this.#root, parts);
    this.#checkFormat();
    this.#recoverJournal();
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
   * is durable. A synchronous transaction must never run on the same environment: it would wait for
   * this one, and the event loop with it.
   *
   * Views that are opened before it resolves may see a part of it.
   */
  write(changes: Overlay, at: Position): Promise<void> {
    return this.#using(this.#writer.write(changes, at));
  }

  /** Makes a layer ready that will be written next, so that LMDB need not wait for it. May be repeated. */
  prepare(changes: Overlay, at: Position): void {
    this.#writer.prepare(changes, at);
  }

  /** The same for an environment that nobody uses yet: a crash may leave a part of it. */
  fill(changes: Overlay, at: Position): Promise<void> {
    return this.#using(this.#writer.fill(changes, at));
  }

  /** Makes all of it durable, and its names. */
  async sync(): Promise<void> {
    const root = this.#root as unknown as SyncedDatabase;
    await new Promise<void>((resolve, reject) => {
      root.sync(error => (error === undefined ? resolve() : reject(error)));
    });
    await syncDirectorySoon(this.path);
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
          readBlob(value, change => this.#applyNow(change));
        }
        this.#header.put(POSITION_KEY, encodePosition(at));
        this.#header.remove(JOURNAL_KEY);
      }
      for (const key of [...this.#journal.getKeys({})]) this.#journal.remove(key);
    });
  }

  /** Inside of a synchronous transaction. */
  #applyNow({ table, key, value }: PhysicalChange): void {
    const database = this.#tables[table]!;
    if (value === null) database.remove(key);
    else database.put(key, value);
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

/** The environment to use in `directory`, after what a crash may have left is cleared away. */
export function openNewest(directory: string, mapBytes: number): LmdbEnvironment {
  mkdirSync(directory, { recursive: true });
  const numbers = stateNumbers(directory);
  rmSync(join(directory, BUILDING), { recursive: true, force: true });
  for (const old of numbers.slice(0, -1)) removeState(directory, old);
  const newest = numbers.at(-1) ?? 1;
  const environment = new LmdbEnvironment(stateAt(directory, newest), mapBytes);
  syncDirectory(environment.path);
  syncDirectory(directory);
  return environment;
}

/** An empty environment that no restart will take for the state. */
export function openBuilding(directory: string, mapBytes: number): LmdbEnvironment {
  const path = join(directory, BUILDING);
  rmSync(path, { recursive: true, force: true });
  return new LmdbEnvironment(path, mapBytes, false);
}

/** The building environment, synced and closed before, becomes the state: openNewest() finds it. */
export async function adoptBuilding(directory: string): Promise<string> {
  const next = (stateNumbers(directory).at(-1) ?? 0) + 1;
  const path = stateAt(directory, next);
  await rename(join(directory, BUILDING), path);
  await syncDirectorySoon(directory);
  return path;
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

/** The same without waiting for the disk here. */
async function syncDirectorySoon(path: string): Promise<void> {
  const handle = await openFile(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
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

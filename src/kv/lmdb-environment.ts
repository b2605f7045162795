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
import { EMPTY } from './bytes.ts';
import { physicalKey, physicalValue } from './lmdb-keys.ts';
import { LmdbView, type Tables } from './lmdb-view.ts';
import type { Overlay } from './overlay.ts';

const FORMAT_VERSION = 1;
const BUILDING = 'building';
const STATE = /^state-(\d{1,15})$/;
const POSITION_KEY = new TextEncoder().encode('position');
const FORMAT_KEY = new TextEncoder().encode('format');
const HEADER_TABLE = 'header';

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
      maxDbs: TABLE_COUNT + 2,
      overlappingSync: false,
      eventTurnBatching: false,
      ...WHOLE_BATCHES,
      ...binary,
    });
    this.#header = this.#root.openDB<Uint8Array, Uint8Array>({ name: HEADER_TABLE, ...binary });
    this.#tables = Array.from({ length: TABLE_COUNT }, (_, table) =>
      this.#root.openDB<Uint8Array, Uint8Array>({ name: `table-${table}`, ...binary }),
    );
    this.#checkFormat();
    syncDirectory(path);
  }

  view(): LmdbView {
    return new LmdbView(this.#root, this.#tables);
  }

  /** The position of the state that is on disk. */
  position(): Position {
    const bytes = this.#header.get(POSITION_KEY);
    if (bytes === undefined) return NOWHERE;
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { term: fields.getFloat64(0), index: fields.getFloat64(8) };
  }

  /**
   * Writes a layer of changes and its position in one transaction, on LMDB's own thread. Resolves
   * when it is durable. A synchronous transaction must never run on the same environment: LMDB's
   * binding would commit the half of this one that is already written.
   */
  async write(changes: Overlay, at: Position): Promise<void> {
    // An environment that was replaced meanwhile stays open until its write is through.
    this.use();
    try {
      await this.#root.batch(() => {
        for (let table = 0; table < TABLE_COUNT; table++) this.#writeTable(table, changes);
        const position = new DataView(new ArrayBuffer(16));
        position.setFloat64(0, at.term);
        position.setFloat64(8, at.index);
        this.#header.put(POSITION_KEY, new Uint8Array(position.buffer));
      });
    } catch (error) {
      // lmdb gives the reason in a second promise, whose rejection would otherwise end the process.
      await (error as { commitError?: Promise<unknown> }).commitError;
      throw error;
    } finally {
      void this.release();
    }
  }

  sizes(): BackendSize {
    const { root, free, lastPageNumber } = this.#root.getStats() as unknown as EnvironmentStats;
    let pages = META_PAGES + pagesOf(root) + pagesOf(free);
    for (const table of [this.#header, ...this.#tables]) {
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

  #writeTable(table: number, changes: Overlay): void {
    const database = this.#tables[table]!;
    const cursor = changes.cursor(table as 0, EMPTY, null);
    while (cursor.next()) {
      const { key, value } = cursor;
      if (value === null) database.remove(physicalKey(key));
      else database.put(physicalKey(key), physicalValue(key, value));
    }
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

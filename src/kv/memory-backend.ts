// The tables in memory: for the simulator, the browser and tests. Nothing is durable, and a restart
// begins empty, so a node on this backend is rebuilt from its log and snapshot.

import {
  type Backend,
  type BackendSize,
  type Count,
  NOWHERE,
  type Position,
  type Replacement,
  type Snapshot,
  TABLE_COUNT,
  type Table,
  type View,
} from './backend.ts';
import { CowTree, type TreeCursor } from './cow-tree.ts';
import type { Cursor } from './cursor.ts';

/** What a key costs beside its bytes, as a rough guess that is the same everywhere. */
const ENTRY_BYTES = 64;

type Tree = CowTree<Uint8Array>;

function emptyTrees(): Tree[] {
  return Array.from({ length: TABLE_COUNT }, () => new CowTree<Uint8Array>());
}

export class MemoryBackend implements Backend {
  readonly durable: Position = NOWHERE;
  readonly pendingBytes: number = 0;
  #trees = emptyTrees();
  #bytes = 0;

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#trees[table]!.get(key);
  }

  peek(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#trees[table]!.get(key);
  }

  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor {
    return this.#trees[table]!.cursor(from, to);
  }

  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    return countTree(this.#trees[table]!.cursor(from, to), max);
  }

  put(table: Table, key: Uint8Array, value: Uint8Array, _isNew?: boolean): void {
    const previous = this.#trees[table]!.set(key, value);
    this.#bytes += value.length;
    if (previous === undefined) this.#bytes += key.length + ENTRY_BYTES;
    else this.#bytes -= previous.length;
  }

  remove(table: Table, key: Uint8Array): void {
    const previous = this.#trees[table]!.delete(key);
    if (previous !== undefined) this.#bytes -= key.length + previous.length + ENTRY_BYTES;
  }

  commit(_at: Position): void {}

  async flush(): Promise<void> {}

  snapshot(): Snapshot {
    return new MemorySnapshot(this.#trees.map(tree => tree.freeze()));
  }

  async replace(): Promise<Replacement> {
    const trees = emptyTrees();
    let bytes = 0;
    return {
      put: (table, key, value) => {
        trees[table]!.set(key, value);
        bytes += key.length + value.length + ENTRY_BYTES;
      },
      drain: async () => {},
      finish: async (_at, switched) => {
        this.#trees = trees;
        this.#bytes = bytes;
        switched?.();
      },
      abandon: async () => {},
    };
  }

  size(): BackendSize {
    return { totalBytes: this.#bytes, inUseBytes: this.#bytes };
  }

  async close(): Promise<void> {}
}

class MemorySnapshot implements Snapshot, View {
  readonly #trees: Tree[];

  constructor(trees: Tree[]) {
    this.#trees = trees;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#trees[table]!.get(key);
  }

  peek(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#trees[table]!.get(key);
  }

  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor {
    return this.#trees[table]!.cursor(from, to);
  }

  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    return countTree(this.#trees[table]!.cursor(from, to), max);
  }

  release(): void {}
}

function countTree(cursor: TreeCursor<Uint8Array>, max: number): Count {
  let count = 0;
  while (cursor.next()) {
    if (count >= max) return { count, next: cursor.key };
    count += 1 + cursor.skipLeaf();
  }
  return { count, next: null };
}

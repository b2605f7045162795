// Changes that are visible but not yet in the tables below them, and reading through layers of them.
// The LMDB backend collects writes here and hands them on in large batches.

import { type Count, TABLE_COUNT, Table, type View } from './backend.ts';
import { CowTree, type TreeCursor } from './cow-tree.ts';
import { type Cursor, type LayerCursor, MergedCursor, withoutRemovals } from './cursor.ts';

/** What an entry costs beside its bytes: two views and its place in the tree. */
const CHANGE_BYTES = 250;

/**
 * The value of a key that the layers below do not have. A plain value, and the null of a removal,
 * say that they do; counting needs to know, without looking there. Only LIVE is ever counted, so
 * other tables do without.
 */
class Fresh {
  readonly value: Uint8Array;

  constructor(value: Uint8Array) {
    this.value = value;
  }
}

/** A new value, or null for a removal. */
type Change = Fresh | Uint8Array | null;

function asValue(change: Change): Uint8Array | null {
  return change instanceof Fresh ? change.value : change;
}

export class Overlay {
  readonly #trees: CowTree<Change>[];
  #bytes = 0;
  #changes = 0;

  constructor(trees?: CowTree<Change>[]) {
    this.#trees = trees ?? Array.from({ length: TABLE_COUNT }, () => new CowTree<Change>());
  }

  /** Roughly what it holds in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Writes so far; repeated ones of one key count each. */
  get changes(): number {
    return this.#changes;
  }

  put(table: Table, key: Uint8Array, value: Uint8Array, isNew: boolean): void {
    const tree = this.#trees[table]!;
    this.#changes++;
    this.#bytes += key.length + value.length + CHANGE_BYTES;
    const isFresh = isNew && table === Table.LIVE;
    const previous = tree.set(key, isFresh ? new Fresh(value) : value);
    if (previous instanceof Fresh) tree.set(key, new Fresh(value));
    else if (isFresh && previous === null) tree.set(key, value);
  }

  remove(table: Table, key: Uint8Array): void {
    const tree = this.#trees[table]!;
    this.#changes++;
    this.#bytes += key.length + CHANGE_BYTES;
    if (tree.set(key, null) instanceof Fresh) tree.delete(key);
  }

  /** Undefined when this layer says nothing about the key. */
  find(table: Table, key: Uint8Array): Uint8Array | null | undefined {
    const change = this.#trees[table]!.get(key);
    return change === undefined ? undefined : asValue(change);
  }

  isEmpty(table: Table): boolean {
    return this.#trees[table]!.size === 0;
  }

  cursor(table: Table, from: Uint8Array, to: Uint8Array | null): LayerCursor {
    return new ChangeCursor(this.#trees[table]!.cursor(from, to));
  }

  /** Keys that this layer adds to a range, less those that it removes. */
  countDelta(table: Table, from: Uint8Array, to: Uint8Array | null): number {
    let delta = 0;
    const cursor = this.#trees[table]!.cursor(from, to);
    while (cursor.next()) {
      const change = cursor.value;
      if (change === null) delta--;
      else if (change instanceof Fresh) delta++;
    }
    return delta;
  }

  /** The layer as it is now; this one may change on. */
  freeze(): Overlay {
    return new Overlay(this.#trees.map(tree => tree.freeze()));
  }
}

class ChangeCursor implements LayerCursor {
  readonly #cursor: TreeCursor<Change>;

  constructor(cursor: TreeCursor<Change>) {
    this.#cursor = cursor;
  }

  get key(): Uint8Array {
    return this.#cursor.key;
  }

  get value(): Uint8Array | null {
    return asValue(this.#cursor.value);
  }

  next(): boolean {
    return this.#cursor.next();
  }

  close(): void {
    this.#cursor.close();
  }
}

/** Layers of changes over tables; the first layer is the newest. */
export class LayeredView implements View {
  readonly #layers: readonly Overlay[];
  readonly #base: View;

  constructor(layers: readonly Overlay[], base: View) {
    this.#layers = layers;
    this.#base = base;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const found = this.#find(table, key);
    return found === undefined ? this.#base.get(table, key) : (found ?? undefined);
  }

  peek(table: Table, key: Uint8Array): Uint8Array | undefined {
    const found = this.#find(table, key);
    return found === undefined ? this.#base.peek(table, key) : (found ?? undefined);
  }

  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor {
    let upper: LayerCursor | null = null;
    for (let i = 0; i < this.#layers.length; i++) {
      const layer = this.#layers[i]!;
      if (layer.isEmpty(table)) continue;
      const lower = layer.cursor(table, from, to);
      upper = upper === null ? lower : new MergedCursor(upper, lower, true);
    }
    const base = this.#base.scan(table, from, to);
    return upper === null ? base : withoutRemovals(upper, base);
  }

  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    const { count, next } = this.#base.count(table, from, to, max);
    let total = count;
    for (const layer of this.#layers) total += layer.countDelta(table, from, next ?? to);
    return { count: total, next };
  }

  #find(table: Table, key: Uint8Array): Uint8Array | null | undefined {
    for (let i = 0; i < this.#layers.length; i++) {
      const found = this.#layers[i]!.find(table, key);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

// A B+tree in memory whose copies are free: freeze() shares all nodes, and a later change copies
// only the nodes on its path. The memory backend is made of such trees, and so are the pending
// changes in front of LMDB, which are frozen while they are being written.

import { compareBytes, searchKeys } from './bytes.ts';

const NODE_ENTRIES_MAX = 64;
/** A node below this is joined with a neighbour if the two fit into one half-full node. */
const NODE_ENTRIES_MIN = 16;

/** Who may change a node in place. A frozen tree's nodes belong to an owner that is gone. */
type Owner = object;

/** A leaf has values and no children; an inner node has one child more than it has keys. */
interface Node<V> {
  owner: Owner;
  keys: Uint8Array[];
  values: V[];
  children: Node<V>[] | null;
}

function makeNode<V>(
  owner: Owner,
  keys: Uint8Array[],
  values: V[],
  children: Node<V>[] | null,
): Node<V> {
  return { owner, keys, values, children };
}

/** Index of the child that may hold `key`. Separator i is the least key of child i + 1. */
function childIndex<V>(node: Node<V>, key: Uint8Array): number {
  const at = searchKeys(node.keys, key);
  return at >= 0 ? at + 1 : ~at;
}

export class CowTree<V> {
  #owner: Owner = {};
  #root: Node<V> = makeNode<V>(this.#owner, [], [], null);
  #size = 0;
  /** The separator that belongs before the node that #insert has just split off. */
  #separator!: Uint8Array;
  #previous: V | undefined;

  get size(): number {
    return this.#size;
  }

  get(key: Uint8Array): V | undefined {
    if (this.#size === 0) return undefined;
    let node = this.#root;
    while (node.children !== null) node = node.children[childIndex(node, key)]!;
    const at = searchKeys(node.keys, key);
    return at >= 0 ? node.values[at] : undefined;
  }

  /** Returns what was there before. */
  set(key: Uint8Array, value: V): V | undefined {
    this.#root = this.#owned(this.#root);
    const right = this.#insert(this.#root, key, value);
    if (right !== null) {
      this.#root = makeNode(this.#owner, [this.#separator], [], [this.#root, right]);
    }
    return this.#previous;
  }

  /** Returns what was there. */
  delete(key: Uint8Array): V | undefined {
    if (this.get(key) === undefined) return undefined;
    this.#root = this.#owned(this.#root);
    this.#remove(this.#root, key);
    while (this.#root.children?.length === 1) this.#root = this.#root.children[0]!;
    this.#size--;
    return this.#previous;
  }

  /** The tree as it is now, for ever. */
  freeze(): CowTree<V> {
    const frozen = new CowTree<V>();
    frozen.#root = this.#root;
    frozen.#size = this.#size;
    // Neither tree owns the shared nodes from now on, so both copy before they change them.
    this.#owner = {};
    return frozen;
  }

  /** Ascending from the first key at or after `from`, below `to`. Writes end its life. */
  cursor(from: Uint8Array, to: Uint8Array | null): TreeCursor<V> {
    return new TreeCursor(this.#root, from, to);
  }

  #owned(node: Node<V>): Node<V> {
    if (node.owner === this.#owner) return node;
    const children = node.children === null ? null : node.children.slice();
    return makeNode(this.#owner, node.keys.slice(), node.values.slice(), children);
  }

  /** Returns the right half if the node had to be split. */
  #insert(node: Node<V>, key: Uint8Array, value: V): Node<V> | null {
    if (node.children === null) return this.#insertIntoLeaf(node, key, value);
    const at = childIndex(node, key);
    const child = this.#owned(node.children[at]!);
    node.children[at] = child;
    const right = this.#insert(child, key, value);
    if (right === null) return null;
    node.keys.splice(at, 0, this.#separator);
    node.children.splice(at + 1, 0, right);
    return node.children.length > NODE_ENTRIES_MAX ? this.#splitInner(node) : null;
  }

  #insertIntoLeaf(leaf: Node<V>, key: Uint8Array, value: V): Node<V> | null {
    const found = searchKeys(leaf.keys, key);
    if (found >= 0) {
      this.#previous = leaf.values[found];
      leaf.values[found] = value;
      return null;
    }
    this.#previous = undefined;
    this.#size++;
    const at = ~found;
    if (at === leaf.keys.length) {
      leaf.keys.push(key);
      leaf.values.push(value);
    } else {
      leaf.keys.splice(at, 0, key);
      leaf.values.splice(at, 0, value);
    }
    if (leaf.keys.length <= NODE_ENTRIES_MAX) return null;
    // Keys that come in ascending order, as revisions do, leave full leaves behind.
    const middle = at === leaf.keys.length - 1 ? at : leaf.keys.length >>> 1;
    const keys = leaf.keys.splice(middle);
    this.#separator = keys[0]!;
    return makeNode(this.#owner, keys, leaf.values.splice(middle), null);
  }

  #splitInner(node: Node<V>): Node<V> {
    const children = node.children!;
    const middle = children.length >>> 1;
    const rightChildren = children.splice(middle);
    const rightKeys = node.keys.splice(middle);
    this.#separator = node.keys.pop()!;
    return makeNode(this.#owner, rightKeys, [], rightChildren);
  }

  /** The key is there, and the node is ours. */
  #remove(node: Node<V>, key: Uint8Array): void {
    if (node.children === null) {
      const at = searchKeys(node.keys, key);
      this.#previous = node.values[at];
      node.keys.splice(at, 1);
      node.values.splice(at, 1);
      return;
    }
    const at = childIndex(node, key);
    const child = this.#owned(node.children[at]!);
    node.children[at] = child;
    this.#remove(child, key);
    this.#tidy(node, at);
  }

  /** Joins child `at` with a neighbour if both are nearly empty. */
  #tidy(node: Node<V>, at: number): void {
    const children = node.children!;
    const weight = weightOf(children[at]!);
    if (weight >= NODE_ENTRIES_MIN || children.length === 1) return;
    const left = at > 0 ? at - 1 : 0;
    const first = children[left]!;
    const second = children[left + 1]!;
    if (weight > 0 && weightOf(first) + weightOf(second) > NODE_ENTRIES_MAX / 2) return;
    const joined = this.#owned(first);
    if (joined.children !== null) joined.keys.push(node.keys[left]!);
    for (const key of second.keys) joined.keys.push(key);
    for (const value of second.values) joined.values.push(value);
    if (joined.children !== null) for (const child of second.children!) joined.children.push(child);
    children[left] = joined;
    children.splice(left + 1, 1);
    node.keys.splice(left, 1);
  }
}

function weightOf<V>(node: Node<V>): number {
  return node.children === null ? node.keys.length : node.children.length;
}

export class TreeCursor<V> {
  key!: Uint8Array;
  value!: V;

  readonly #to: Uint8Array | null;
  /** Inner nodes from the root down, and which child of each we are in. */
  readonly #path: Node<V>[] = [];
  readonly #places: number[] = [];
  #leaf: Node<V> | null;
  #at: number;

  constructor(root: Node<V>, from: Uint8Array, to: Uint8Array | null) {
    this.#to = to;
    let node = root;
    while (node.children !== null) {
      const place = childIndex(node, from);
      this.#path.push(node);
      this.#places.push(place);
      node = node.children[place]!;
    }
    const at = searchKeys(node.keys, from);
    this.#leaf = node;
    this.#at = at >= 0 ? at : ~at;
  }

  next(): boolean {
    while (this.#leaf !== null && this.#at >= this.#leaf.keys.length) this.#nextLeaf();
    if (this.#leaf === null) return false;
    this.key = this.#leaf.keys[this.#at]!;
    if (this.#to !== null && compareBytes(this.key, this.#to) >= 0) {
      this.#leaf = null;
      return false;
    }
    this.value = this.#leaf.values[this.#at]!;
    this.#at++;
    return true;
  }

  /** Passes over up to `max` keys whose leaf lies below the end as a whole; returns how many. */
  skipLeaf(): number {
    const leaf = this.#leaf;
    if (leaf === null || this.#at >= leaf.keys.length) return 0;
    if (this.#to !== null && compareBytes(leaf.keys[leaf.keys.length - 1]!, this.#to) >= 0)
      return 0;
    const skipped = leaf.keys.length - this.#at;
    this.#at = leaf.keys.length;
    return skipped;
  }

  close(): void {
    this.#leaf = null;
  }

  #nextLeaf(): void {
    let depth = this.#path.length - 1;
    while (depth >= 0 && this.#places[depth]! + 1 >= this.#path[depth]!.children!.length) depth--;
    if (depth < 0) {
      this.#leaf = null;
      return;
    }
    this.#places[depth]! += 1;
    let node = this.#path[depth]!.children![this.#places[depth]!]!;
    for (let i = depth + 1; i < this.#path.length; i++) {
      this.#path[i] = node;
      this.#places[i] = 0;
      node = node.children![0]!;
    }
    this.#leaf = node;
    this.#at = 0;
  }
}

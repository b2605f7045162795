// Finds the watchers of a key: those of that key alone by a map, those of ranges by a search among
// the ranges that differ. However many watch, a change costs little more than those whom it concerns.

import { compareBytes, successor } from './bytes.ts';
import type { Watcher } from './watcher.ts';

/** Arguments that a call may have; longer keys are spelled in pieces. */
const SPELL_BYTES = 4096;

export class WatchIndex {
  readonly #keys = new Map<string, Set<Watcher>>();
  readonly #ranges = new RangeIndex();

  add(watcher: Watcher): void {
    if (!isOneKey(watcher)) return this.#ranges.add(watcher);
    const name = spell(watcher.from);
    const there = this.#keys.get(name);
    if (there === undefined) this.#keys.set(name, new Set([watcher]));
    else there.add(watcher);
  }

  remove(watcher: Watcher): void {
    if (!isOneKey(watcher)) return this.#ranges.remove(watcher);
    const name = spell(watcher.from);
    const there = this.#keys.get(name);
    there?.delete(watcher);
    if (there?.size === 0) this.#keys.delete(name);
  }

  /** Adds all watchers of `key` to the list. */
  find(key: Uint8Array, found: Watcher[]): void {
    if (this.#keys.size > 0) {
      const there = this.#keys.get(spell(key));
      if (there !== undefined) for (const watcher of there) found.push(watcher);
    }
    this.#ranges.find(key, found);
  }
}

interface Range {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
  readonly watchers: Set<Watcher>;
  /** The greatest end in the part of the list whose middle this range is; null is above all. */
  reach: Uint8Array | null;
}

/**
 * Ranges in the order of their beginnings. The list is read as a balanced tree: the middle of a part
 * is its root. Ranges come and go rarely, so what is derived from the order is made anew then.
 */
class RangeIndex {
  readonly #byName = new Map<string, Range>();
  #sorted: Range[] | null = [];

  add(watcher: Watcher): void {
    const name = rangeName(watcher);
    const there = this.#byName.get(name);
    if (there !== undefined) {
      there.watchers.add(watcher);
      return;
    }
    const { from, to } = watcher;
    this.#byName.set(name, { from, to, watchers: new Set([watcher]), reach: to });
    this.#sorted = null;
  }

  remove(watcher: Watcher): void {
    const name = rangeName(watcher);
    const there = this.#byName.get(name);
    there?.watchers.delete(watcher);
    if (there?.watchers.size !== 0) return;
    this.#byName.delete(name);
    this.#sorted = null;
  }

  find(key: Uint8Array, found: Watcher[]): void {
    const sorted = this.#inOrder();
    if (sorted.length > 0) findIn(sorted, 0, sorted.length, key, found);
  }

  #inOrder(): Range[] {
    if (this.#sorted !== null) return this.#sorted;
    const sorted = [...this.#byName.values()].sort((a, b) => compareBytes(a.from, b.from));
    setReach(sorted, 0, sorted.length);
    this.#sorted = sorted;
    return sorted;
  }
}

function findIn(sorted: Range[], low: number, high: number, key: Uint8Array, found: Watcher[]) {
  if (low >= high) return;
  const middle = (low + high) >>> 1;
  const range = sorted[middle]!;
  if (!isBefore(key, range.reach)) return;
  findIn(sorted, low, middle, key, found);
  if (compareBytes(range.from, key) > 0) return;
  if (isBefore(key, range.to)) for (const watcher of range.watchers) found.push(watcher);
  findIn(sorted, middle + 1, high, key, found);
}

/** Returns the greatest end of the part; undefined for an empty one. */
function setReach(sorted: Range[], low: number, high: number): Uint8Array | null | undefined {
  if (low >= high) return undefined;
  const middle = (low + high) >>> 1;
  const range = sorted[middle]!;
  range.reach = range.to;
  for (const end of [setReach(sorted, low, middle), setReach(sorted, middle + 1, high)]) {
    if (end === undefined || range.reach === null) continue;
    if (end === null || compareBytes(end, range.reach) > 0) range.reach = end;
  }
  return range.reach;
}

function isBefore(key: Uint8Array, end: Uint8Array | null): boolean {
  return end === null || compareBytes(key, end) < 0;
}

function isOneKey({ from, to }: Watcher): boolean {
  return to !== null && compareBytes(successor(from), to) === 0;
}

function rangeName({ from, to }: Watcher): string {
  return `${from.length}:${spell(from)}${to === null ? '' : `:${spell(to)}`}`;
}

/** One character a byte: bytes can't be keys of a map. */
function spell(bytes: Uint8Array): string {
  if (bytes.length <= SPELL_BYTES) return String.fromCharCode(...bytes);
  return spell(bytes.subarray(0, SPELL_BYTES)) + spell(bytes.subarray(SPELL_BYTES));
}

// Walking over ordered keys, and merging layers of them: a layer of pending changes hides what lies
// below it, and a removal there hides a key altogether.

import { compareBytes } from './bytes.ts';

export interface Cursor {
  /** Moves to the first or next key; false at the end, and from then on. */
  next(): boolean;
  /** Good after a next() that gave true, until the one after it. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  close(): void;
}

/** A cursor over a layer of changes, where a null value is a removal. */
export interface LayerCursor {
  next(): boolean;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  close(): void;
}

/** `upper` over `lower`: both sorted, the upper one wins, its removals hide. */
export class MergedCursor implements LayerCursor {
  key!: Uint8Array;
  value: Uint8Array | null = null;

  readonly #upper: LayerCursor;
  readonly #lower: LayerCursor;
  readonly #keepRemovals: boolean;
  #upperThere = false;
  #lowerThere = false;
  #advanceUpper = true;
  #advanceLower = true;

  constructor(upper: LayerCursor, lower: LayerCursor, keepRemovals: boolean) {
    this.#upper = upper;
    this.#lower = lower;
    this.#keepRemovals = keepRemovals;
  }

  next(): boolean {
    while (this.#step()) if (this.value !== null || this.#keepRemovals) return true;
    return false;
  }

  close(): void {
    this.#upper.close();
    this.#lower.close();
  }

  #step(): boolean {
    if (this.#advanceUpper) this.#upperThere = this.#upper.next();
    if (this.#advanceLower) this.#lowerThere = this.#lower.next();
    this.#advanceUpper = false;
    this.#advanceLower = false;
    if (!this.#upperThere && !this.#lowerThere) return false;
    const order = this.#order();
    const from = order <= 0 ? this.#upper : this.#lower;
    this.key = from.key;
    this.value = from.value;
    this.#advanceUpper = order <= 0;
    this.#advanceLower = order >= 0;
    return true;
  }

  #order(): number {
    if (!this.#lowerThere) return -1;
    if (!this.#upperThere) return 1;
    return compareBytes(this.#upper.key, this.#lower.key);
  }
}

/** The same as a cursor that has no removals left in it. */
export function withoutRemovals(upper: LayerCursor, lower: LayerCursor): Cursor {
  return new MergedCursor(upper, lower, false) as Cursor;
}

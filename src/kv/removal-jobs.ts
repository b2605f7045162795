// Removals of any number of keys in one revision, in slices. Nothing else may write between them:
// until the last one the store is in the middle of a command.

import type { DeleteRangeRequest } from '../api/kv.ts';
import type { DeleteRangeResult } from '../api/results.ts';
import { Table, type View } from './backend.ts';
import { compareBytes, EMPTY, prefixEnd, successor } from './bytes.ts';
import { leaseKey, readLeaseKey } from './record.ts';
import type { RevisionResult, Store } from './store.ts';
import { currentKv, rangeBound } from './version-reader.ts';

/** Work in slices: `budget` keys or so at a time; the result with the last of them. */
export interface Job<T> {
  step(budget: number): T | null;
}

interface Keys {
  readonly keys: Uint8Array[];
  /** Where to go on; null when these were all. */
  readonly next: Uint8Array | null;
}

export class DeleteJob implements Job<DeleteRangeResult> {
  readonly #store: Store;
  readonly #request: DeleteRangeRequest;
  readonly #to: Uint8Array | null;
  readonly #encodedPrevKvs: Uint8Array[] = [];
  #ahead: Keys | null = null;
  #next: Uint8Array | null;
  #deleted = 0;

  constructor(store: Store, request: DeleteRangeRequest) {
    this.#store = store;
    this.#request = request;
    this.#to = rangeBound(request.key, request.rangeEnd);
    const isEmpty = this.#to !== null && compareBytes(request.key, this.#to) >= 0;
    this.#next = isEmpty ? null : request.key;
  }

  /** Whether one step of this budget leaves something to do. Writes nothing. */
  isLong(budget: number): boolean {
    if (this.#next === null) return false;
    this.#ahead = keysFrom(this.#store.view, Table.LIVE, this.#next, this.#to, budget);
    return this.#ahead.next !== null;
  }

  step(budget: number): DeleteRangeResult | null {
    if (this.#next !== null) this.#deleteFrom(this.#next, budget);
    if (this.#next !== null) return null;
    const revision = this.#store.readRevision;
    return { revision, deleted: this.#deleted, encodedPrevKvs: this.#encodedPrevKvs };
  }

  #deleteFrom(from: Uint8Array, budget: number): void {
    const store = this.#store;
    const { keys, next } = this.#ahead ?? keysFrom(store.view, Table.LIVE, from, this.#to, budget);
    this.#ahead = null;
    this.#next = next;
    this.#deleted += keys.length;
    for (const key of keys) {
      if (this.#request.prevKv) this.#encodedPrevKvs.push(currentKv(store.view, key) ?? EMPTY);
      store.deleteKey(key);
    }
  }
}

/** Takes a lease away, and with it all its keys. */
export class RevokeJob implements Job<RevisionResult> {
  readonly #store: Store;
  readonly #lease: bigint;
  readonly #to: Uint8Array | null;
  #ahead: Keys | null = null;
  #next: Uint8Array | null;

  /** The lease is there. */
  constructor(store: Store, lease: bigint) {
    this.#store = store;
    this.#lease = lease;
    this.#next = leaseKey(lease);
    this.#to = prefixEnd(this.#next);
  }

  isLong(budget: number): boolean {
    this.#ahead = keysFrom(this.#store.view, Table.ATTACHED, this.#next!, this.#to, budget);
    return this.#ahead.next !== null;
  }

  step(budget: number): RevisionResult | null {
    if (this.#next !== null) this.#deleteFrom(this.#next, budget);
    if (this.#next !== null) return null;
    this.#store.leases.remove(this.#lease);
    return { revision: this.#store.readRevision };
  }

  #deleteFrom(from: Uint8Array, budget: number): void {
    const { view } = this.#store;
    const { keys, next } = this.#ahead ?? keysFrom(view, Table.ATTACHED, from, this.#to, budget);
    this.#ahead = null;
    this.#next = next;
    for (const key of keys) this.#store.deleteKey(readLeaseKey(key).key);
  }
}

/** The same for the one key of a request without range_end. */
export function deleteOne(store: Store, { key, prevKv }: DeleteRangeRequest): DeleteRangeResult {
  const encodedPrevKvs: Uint8Array[] = [];
  const isThere = store.view.peek(Table.LIVE, key) !== undefined;
  if (isThere && prevKv) encodedPrevKvs.push(currentKv(store.view, key) ?? EMPTY);
  if (isThere) store.deleteKey(key);
  return { revision: store.readRevision, deleted: isThere ? 1 : 0, encodedPrevKvs };
}

/** Whether a range holds more than `max` keys. */
export function holdsMore(
  view: View,
  range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
  max: number,
): boolean {
  const to = rangeBound(range.key, range.rangeEnd);
  if (to !== null && compareBytes(range.key, to) >= 0) return false;
  return keysFrom(view, Table.LIVE, range.key, to, max).next !== null;
}

/** Collected first, because a write ends the life of a cursor. */
function keysFrom(
  view: View,
  table: Table,
  from: Uint8Array,
  to: Uint8Array | null,
  max: number,
): Keys {
  const keys: Uint8Array[] = [];
  const cursor = view.scan(table, from, to);
  let next: Uint8Array | null = null;
  while (cursor.next()) {
    if (keys.length >= max) {
      next = successor(keys[keys.length - 1]!);
      break;
    }
    keys.push(cursor.key);
  }
  cursor.close();
  return { keys, next };
}

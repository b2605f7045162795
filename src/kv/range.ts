// Evaluates a range request at one revision, all at once or in slices. A slice that does not finish
// pins the state it reads, so that the answer is of one revision however many writes go on.

import { type RangeRequest, SortOrder, SortTarget } from '../api/kv.ts';
import type { RangeResult } from '../api/results.ts';
import {
  readCreateRevision,
  readModRevision,
  readValue,
  readVersion,
  withoutValue,
} from '../api/stored-key-value.ts';
import { type Snapshot, Table, type View } from './backend.ts';
import { compareBytes } from './bytes.ts';
import type { Cursor } from './cursor.ts';
import { SortedKvs } from './sorted-kvs.ts';
import {
  currentKv,
  EveryKeyCursor,
  kvAt,
  kvOfEntryAt,
  newestKv,
  rangeBound,
} from './version-reader.ts';

/** Keys that the tables count in one go. Counting costs about a twentieth of reading. */
const COUNT_STRIDE = 20_000;
const COUNTED_PER_READ = 20;
/** Steps of a merge that cost about as much as reading a key. */
const MERGED_PER_READ = 8;

export interface RangePlan {
  readonly request: RangeRequest;
  /** The revision to read at; readable, as checked by the store. */
  readonly revision: number;
  /** Whether `revision` is the newest, so that deleted keys need no look. */
  readonly isNewest: boolean;
  /** The revision that the answer's header names. */
  readonly headerRevision: number;
}

export class RangeJob {
  readonly #plan: RangePlan;
  readonly #to: Uint8Array | null;
  readonly #pin: () => Snapshot;
  /** Results to gather, one more than the limit to know whether there are more. */
  readonly #wanted: number;
  #view: View;
  #snapshot: Snapshot | null = null;
  /** Where to go on; null when the range is done. */
  #next: Uint8Array | null;
  #count = 0;
  #kvs: Uint8Array[] = [];
  /** Instead of #kvs when the answer is not in the order of keys. */
  readonly #sorted: SortedKvs<never> | null;
  #result: RangeResult | null = null;

  /** `view` must not change between calls of one slice; `pin` gives a view that never does. */
  constructor(plan: RangePlan, view: View, pin: () => Snapshot) {
    const { request } = plan;
    this.#plan = plan;
    this.#view = view;
    this.#pin = pin;
    this.#to = rangeBound(request.key, request.rangeEnd);
    this.#wanted = resultsWanted(request);
    this.#sorted = sorted(request) as SortedKvs<never> | null;
    const isEmpty = this.#to !== null && compareBytes(request.key, this.#to) >= 0;
    this.#next = isEmpty ? null : request.key;
  }

  /** Works on about `budget` keys; the answer when it is complete, null when it is not. */
  step(budget: number): RangeResult | null {
    if (this.#result !== null) return this.#result;
    let left = budget;
    if (this.#next !== null && !this.#isCounting()) left -= this.#gather(this.#next, left);
    while (this.#next !== null && this.#isCounting() && left > 0) {
      left -= this.#countOn(this.#next, left);
    }
    if (this.#next !== null) {
      this.#pinView();
      return null;
    }
    this.abandon();
    if (left > 0) this.#result = this.#finish(left);
    return this.#result;
  }

  /** For a caller that has lost interest before the end. */
  abandon(): void {
    this.#snapshot?.release();
    this.#snapshot = null;
    this.#next = null;
  }

  /** Whether only the count is missing, and the tables can give it. */
  #isCounting(): boolean {
    return this.#plan.isNewest && this.#kvs.length >= this.#wanted;
  }

  /** Reads on from `from`; returns the keys looked at. */
  #gather(from: Uint8Array, budget: number): number {
    const cursor = this.#cursor(from);
    let looked = 0;
    for (;;) {
      if (!cursor.next()) {
        this.#next = null;
        break;
      }
      if (looked >= budget || this.#isCounting()) {
        this.#next = cursor.key;
        break;
      }
      looked++;
      this.#take(cursor);
    }
    cursor.close();
    return looked;
  }

  #take(cursor: Cursor): void {
    const { isNewest, revision } = this.#plan;
    const kv = isNewest
      ? newestKv(this.#view, cursor.value)
      : kvOfEntryAt(this.#view, cursor.value, revision);
    if (kv === undefined) return;
    this.#count++;
    if (this.#kvs.length >= this.#wanted || !passes(kv, this.#plan.request)) return;
    if (this.#sorted !== null) this.#sorted.add(kv);
    else this.#kvs.push(this.#plan.request.keysOnly ? withoutValue(kv) : kv);
  }

  #countOn(from: Uint8Array, budget: number): number {
    const max = Math.min(COUNT_STRIDE, budget * COUNTED_PER_READ);
    const { count, next } = this.#view.count(Table.LIVE, from, this.#to, max);
    this.#count += count;
    this.#next = next;
    return Math.max(1, Math.ceil(max / COUNTED_PER_READ));
  }

  #cursor(from: Uint8Array): Cursor {
    if (this.#plan.isNewest) return this.#view.scan(Table.LIVE, from, this.#to);
    return new EveryKeyCursor(this.#view, from, this.#to);
  }

  #pinView(): void {
    if (this.#snapshot !== null) return;
    this.#snapshot = this.#pin();
    this.#view = this.#snapshot;
  }

  /** Null while the sorting needs another slice. */
  #finish(budget: number): RangeResult | null {
    const { request, headerRevision } = this.#plan;
    const sorted = this.#sorted;
    // The value was needed to sort by.
    const leave = request.keysOnly ? withoutValue : unchanged;
    const kvs = sorted === null ? this.#kvs : sorted.finish(budget * MERGED_PER_READ, leave);
    if (kvs === null) return null;
    const found = sorted?.added ?? kvs.length;
    const more = request.limit > 0 && found > request.limit;
    const encodedKvs = this.#cut(kvs, more);
    return { revision: headerRevision, encodedKvs, more, count: this.#count };
  }

  #cut(kvs: Uint8Array[], more: boolean): Uint8Array[] {
    const { request } = this.#plan;
    if (isDescendingByKey(request)) {
      return (more ? kvs.slice(kvs.length - request.limit) : kvs).reverse();
    }
    return more ? kvs.slice(0, request.limit) : kvs;
  }
}

/** The same for the one key of a request without range_end: no cursor, no sorting, no slices. */
export function rangeOne(view: View, plan: RangePlan): RangeResult {
  const { request, revision, isNewest, headerRevision } = plan;
  const result: RangeResult = { revision: headerRevision, encodedKvs: [], more: false, count: 0 };
  const kv = isNewest ? currentKv(view, request.key) : kvAt(view, request.key, revision);
  if (kv === undefined) return result;
  result.count = 1;
  if (request.countOnly || !passes(kv, request)) return result;
  result.encodedKvs.push(request.keysOnly ? withoutValue(kv) : kv);
  return result;
}

function hasFilters(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  );
}

function isInKeyOrder(request: RangeRequest): boolean {
  return request.sortTarget === SortTarget.KEY && request.sortOrder !== SortOrder.DESCEND;
}

/** A sort or a filter needs to see everything before the limit can cut. */
function resultsWanted(request: RangeRequest): number {
  if (request.countOnly) return 0;
  if (request.limit <= 0 || hasFilters(request) || !isInKeyOrder(request)) return Infinity;
  return request.limit + 1;
}

function passes(kv: Uint8Array, request: RangeRequest): boolean {
  if (!hasFilters(request)) return true;
  const mod = readModRevision(kv);
  const create = readCreateRevision(kv);
  return (
    (request.maxModRevision === 0 || mod <= request.maxModRevision) &&
    (request.minModRevision === 0 || mod >= request.minModRevision) &&
    (request.maxCreateRevision === 0 || create <= request.maxCreateRevision) &&
    (request.minCreateRevision === 0 || create >= request.minCreateRevision)
  );
}

function unchanged(kv: Uint8Array): Uint8Array {
  return kv;
}

function isDescendingByKey(request: RangeRequest): boolean {
  return request.sortTarget === SortTarget.KEY && request.sortOrder === SortOrder.DESCEND;
}

/** Equal ones stay in key order. Null when the order is that of keys, or its reverse. */
function sorted(request: RangeRequest): SortedKvs<number> | SortedKvs<Uint8Array> | null {
  const { sortTarget, limit } = request;
  if (request.countOnly || sortTarget === SortTarget.KEY) return null;
  const sign = request.sortOrder === SortOrder.DESCEND ? -1 : 1;
  const kept = limit > 0 ? limit : Infinity;
  if (sortTarget === SortTarget.VALUE) {
    return new SortedKvs(readValue, (a, b) => sign * compareBytes(a, b), kept);
  }
  return new SortedKvs(numberOf(sortTarget), (a, b) => sign * (a - b), kept);
}

function numberOf(target: number): (kv: Uint8Array) => number {
  if (target === SortTarget.VERSION) return readVersion;
  return target === SortTarget.CREATE ? readCreateRevision : readModRevision;
}

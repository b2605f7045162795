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
  #result: RangeResult | null = null;

  /** `view` must not change between calls of one slice; `pin` gives a view that never does. */
  constructor(plan: RangePlan, view: View, pin: () => Snapshot) {
    const { request } = plan;
    this.#plan = plan;
    this.#view = view;
    this.#pin = pin;
    this.#to = rangeBound(request.key, request.rangeEnd);
    this.#wanted = resultsWanted(request);
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
    this.#result = this.#finish();
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
    if (this.#kvs.length < this.#wanted && passes(kv, this.#plan.request)) this.#kvs.push(kv);
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

  #finish(): RangeResult {
    const { request, headerRevision } = this.#plan;
    let kvs = this.#kvs;
    sortKvs(kvs, request);
    const more = request.limit > 0 && kvs.length > request.limit;
    if (more) kvs = kvs.slice(0, request.limit);
    if (request.keysOnly) kvs = kvs.map(withoutValue);
    return { revision: headerRevision, encodedKvs: kvs, more, count: this.#count };
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

/** Equal ones stay in key order. */
function sortKvs(kvs: Uint8Array[], request: RangeRequest): void {
  if (isInKeyOrder(request)) return;
  const sign = request.sortOrder === SortOrder.DESCEND ? -1 : 1;
  if (request.sortTarget === SortTarget.KEY) {
    kvs.reverse();
  } else if (request.sortTarget === SortTarget.VALUE) {
    sortBy(kvs, readValue, (a, b) => sign * compareBytes(a, b));
  } else {
    sortBy(kvs, numberOf(request.sortTarget), (a, b) => sign * (a - b));
  }
}

/** Reads each kv's sort key once. */
function sortBy<K>(kvs: Uint8Array[], keyOf: (kv: Uint8Array) => K, order: (a: K, b: K) => number) {
  const pairs = kvs.map(kv => ({ kv, key: keyOf(kv) }));
  pairs.sort((a, b) => order(a.key, b.key));
  for (let i = 0; i < pairs.length; i++) kvs[i] = pairs[i]!.kv;
}

function numberOf(target: number): (kv: Uint8Array) => number {
  if (target === SortTarget.VERSION) return readVersion;
  return target === SortTarget.CREATE ? readCreateRevision : readModRevision;
}

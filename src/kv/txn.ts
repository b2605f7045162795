// Transactions: which branch is taken is decided for all nested transactions at once, on the state
// before; then everything that can fail is checked; only then is anything written.

import type { ErrorStatus } from '../api/errors.ts';
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type RequestOp,
  type TxnRequest,
} from '../api/kv.ts';
import type { RangeResult, TxnResult } from '../api/results.ts';
import {
  readCreateRevision,
  readLease,
  readModRevision,
  readValue,
  readVersion,
} from '../api/stored-key-value.ts';
import { Table, type View } from './backend.ts';
import { compareBytes, EMPTY } from './bytes.ts';
import { checkTxnShape } from './check.ts';
import { RangeJob } from './range.ts';
import { DeleteJob, deleteOne, holdsMore, type Job } from './removal-jobs.ts';
import type { Store } from './store.ts';
import type { StoreReads } from './store-reads.ts';
import { currentKv, newestKv, rangeBound } from './version-reader.ts';

/** A transaction with its branch chosen, and the same for each nested one, in order. */
interface Path {
  readonly succeeded: boolean;
  readonly ops: readonly RequestOp[];
  readonly nested: readonly Path[];
}

type PlainOp = Exclude<RequestOp, null | { kind: 'txn' }>;

/** An operation and where its answer goes, or the end of a transaction. */
type Leaf =
  | { readonly op: PlainOp; readonly into: TxnResult; readonly at: number }
  | { readonly op: null; readonly into: TxnResult };

/** Runs a transaction, or refuses it as a whole. The caller ends the command. */
export function runTxn(store: Store, request: TxnRequest): TxnResult | ErrorStatus {
  return new TxnJob(store, store, request).step(Infinity)!;
}

/** Whether the ranges of a transaction hold more than `max` keys, in any branch that it may take. */
export function isLongTxn(reads: StoreReads, request: TxnRequest, max: number): boolean {
  for (const range of request.compare) if (isLongRange(reads, range, max)) return true;
  for (const ops of [request.success, request.failure]) {
    for (const op of ops) {
      if (op?.kind === 'range' && isLongRange(reads, op.range, max)) return true;
      if (op?.kind === 'deleteRange' && isLongRange(reads, op.deleteRange, max)) return true;
      if (op?.kind === 'txn' && isLongTxn(reads, op.txn, max)) return true;
    }
  }
  return false;
}

function isLongRange(
  reads: StoreReads,
  range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
  max: number,
): boolean {
  return range.rangeEnd.length > 0 && holdsMore(reads.view, range, max);
}

/**
 * A transaction in slices. Nothing but the transaction itself may change what it reads meanwhile: it
 * reads a store that is closed to others, or a frozen one.
 */
export class TxnJob implements Job<TxnResult | ErrorStatus> {
  readonly #reads: StoreReads;
  readonly #store: Store | null;
  readonly #request: TxnRequest;
  /** Comparisons of ranges, which take long; null once all are known. */
  #comparisons: RangedCompare[] | null = null;
  #known: Map<Compare, boolean> | null = null;
  #result: TxnResult | null = null;
  #leaves: Leaf[] = [];
  #at = 0;
  #open: Job<unknown> | null = null;

  /** Without a store to write to it must be a transaction that only reads. */
  constructor(reads: StoreReads, store: Store | null, request: TxnRequest) {
    this.#reads = reads;
    this.#store = store;
    this.#request = request;
  }

  step(budget: number): TxnResult | ErrorStatus | null {
    if (this.#result === null) {
      const malformed = checkTxnShape(this.#request, Infinity);
      if (malformed !== null) return malformed;
      if (!this.#compareRanges(budget)) return null;
      const path = choosePath(this.#reads, this.#request, this.#known);
      const error = checkPath(this.#reads, this.#store, path);
      if (error !== null) return error;
      this.#result = flatten(path, this.#leaves);
    }
    return this.#runLeaves(budget) ? this.#result : null;
  }

  abandon(): void {
    if (this.#open instanceof RangeJob) this.#open.abandon();
  }

  /** In one go they are compared where they stand, and only those that matter. */
  #compareRanges(budget: number): boolean {
    if (budget === Infinity) return true;
    this.#comparisons ??= rangedCompares(this.#reads, this.#request, []);
    let next = this.#comparisons.at(-1);
    if (next === undefined) return true;
    const holds = next.step(budget);
    if (holds === null) return false;
    this.#known ??= new Map();
    this.#known.set(next.compare, holds);
    this.#comparisons.pop();
    next = this.#comparisons.at(-1);
    return next === undefined;
  }

  /** At most one range a slice; true when all is done. */
  #runLeaves(budget: number): boolean {
    while (this.#at < this.#leaves.length) {
      const leaf = this.#leaves[this.#at]!;
      if (leaf.op === null) leaf.into.revision = this.#reads.readRevision;
      else {
        const isRange = this.#runOp(leaf.op, leaf.into, leaf.at, budget);
        if (this.#open !== null) return false;
        if (isRange && budget !== Infinity) {
          this.#at++;
          return this.#at === this.#leaves.length;
        }
      }
      this.#at++;
    }
    return true;
  }

  /** Whether the operation was one on a range. Sets or clears #open. */
  #runOp(op: PlainOp, into: TxnResult, at: number, budget: number): boolean {
    switch (op.kind) {
      case 'put':
        into.responses[at] = { kind: 'put', put: this.#store!.put(op.put) };
        return false;
      case 'deleteRange': {
        const { deleteRange: request } = op;
        const isRange = request.rangeEnd.length > 0;
        const answer = isRange
          ? this.#goOn(() => new DeleteJob(this.#store!, request), budget)
          : deleteOne(this.#store!, request);
        if (answer !== null) into.responses[at] = { kind: 'deleteRange', deleteRange: answer };
        return isRange;
      }
      case 'range': {
        const { range: request } = op;
        const isRange = request.rangeEnd.length > 0;
        // Its revision was found readable, and nothing that the transaction does changes that.
        const answer = isRange
          ? this.#goOn(() => this.#reads.startRange(request) as RangeJob, budget)
          : (this.#reads.range(request) as RangeResult);
        if (answer !== null) into.responses[at] = { kind: 'range', range: answer };
        return isRange;
      }
    }
  }

  #goOn<T>(begin: () => Job<T>, budget: number): T | null {
    this.#open ??= begin();
    const answer = (this.#open as Job<T>).step(budget);
    if (answer !== null) this.#open = null;
    return answer;
  }
}

function choosePath(
  reads: StoreReads,
  request: TxnRequest,
  known: ReadonlyMap<Compare, boolean> | null,
): Path {
  const succeeded = request.compare.every(compare => known?.get(compare) ?? holds(reads, compare));
  const ops = succeeded ? request.success : request.failure;
  const nested: Path[] = [];
  for (const op of ops) if (op?.kind === 'txn') nested.push(choosePath(reads, op.txn, known));
  return { succeeded, ops, nested };
}

function checkPath(reads: StoreReads, store: Store | null, path: Path): ErrorStatus | null {
  let nestedAt = 0;
  for (const op of path.ops) {
    let error: ErrorStatus | null = null;
    if (op?.kind === 'txn') error = checkPath(reads, store, path.nested[nestedAt++]!);
    else if (op?.kind === 'put') error = store!.checkPutState(op.put);
    else if (op?.kind === 'range') error = reads.checkRevision(op.range.revision);
    if (error !== null) return error;
  }
  return null;
}

/** The operations of all nested transactions in the order in which they run. */
function flatten(path: Path, leaves: Leaf[]): TxnResult {
  const result: TxnResult = { revision: 0, succeeded: path.succeeded, responses: [] };
  let nestedAt = 0;
  let at = 0;
  for (const op of path.ops) {
    if (op === null) continue;
    if (op.kind === 'txn') {
      result.responses[at] = { kind: 'txn', txn: flatten(path.nested[nestedAt++]!, leaves) };
    } else leaves.push({ op, into: result, at });
    at++;
  }
  leaves.push({ op: null, into: result });
  return result;
}

function rangedCompares(
  reads: StoreReads,
  request: TxnRequest,
  found: RangedCompare[],
): RangedCompare[] {
  for (const compare of request.compare) {
    if (compare.rangeEnd.length > 0) found.push(new RangedCompare(reads.view, compare));
  }
  for (const ops of [request.success, request.failure]) {
    for (const op of ops) if (op?.kind === 'txn') rangedCompares(reads, op.txn, found);
  }
  return found;
}

function holds(reads: StoreReads, compare: Compare): boolean {
  if (compare.rangeEnd.length === 0) return holdsFor(currentKv(reads.view, compare.key), compare);
  return new RangedCompare(reads.view, compare).step(Infinity)!;
}

/** Every key of the range must satisfy the comparison; an empty range is like a missing key. */
class RangedCompare implements Job<boolean> {
  readonly compare: Compare;
  readonly #view: View;
  readonly #to: Uint8Array | null;
  #next: Uint8Array | null;
  #isEmpty = true;
  #all = true;

  constructor(view: View, compare: Compare) {
    this.#view = view;
    this.compare = compare;
    this.#to = rangeBound(compare.key, compare.rangeEnd);
    const isEmpty = this.#to !== null && compareBytes(compare.key, this.#to) >= 0;
    this.#next = isEmpty ? null : compare.key;
  }

  step(budget: number): boolean | null {
    if (this.#next !== null) this.#compareFrom(this.#next, budget);
    if (this.#next !== null) return null;
    return this.#isEmpty ? holdsFor(undefined, this.compare) : this.#all;
  }

  #compareFrom(from: Uint8Array, budget: number): void {
    const cursor = this.#view.scan(Table.LIVE, from, this.#to);
    this.#next = null;
    for (let left = budget; this.#all && cursor.next(); left--) {
      if (left <= 0) {
        this.#next = cursor.key;
        break;
      }
      this.#isEmpty = false;
      this.#all = holdsFor(newestKv(this.#view, cursor.value), this.compare);
    }
    cursor.close();
  }
}

/** A missing key has zeros everywhere, but no value to compare with, not even by NOT_EQUAL. */
function holdsFor(kv: Uint8Array | undefined, compare: Compare): boolean {
  if (kv === undefined && compare.target === CompareTarget.VALUE) return false;
  const order = orderOf(kv ?? EMPTY, compare);
  switch (compare.result) {
    case CompareResult.EQUAL:
      return order === 0;
    case CompareResult.NOT_EQUAL:
      return order !== 0;
    case CompareResult.GREATER:
      return order > 0;
    case CompareResult.LESS:
      return order < 0;
    default:
      return true;
  }
}

/** What to compare with counts only if it is of the target's kind; otherwise it is 0 or empty. */
function orderOf(kv: Uint8Array, { target, targetUnion: given }: Compare): number {
  switch (target) {
    case CompareTarget.VALUE:
      return compareBytes(readValue(kv), given?.kind === 'value' ? given.value : EMPTY);
    case CompareTarget.CREATE:
      return readCreateRevision(kv) - (given?.kind === 'createRevision' ? given.createRevision : 0);
    case CompareTarget.MOD:
      return readModRevision(kv) - (given?.kind === 'modRevision' ? given.modRevision : 0);
    case CompareTarget.VERSION:
      return readVersion(kv) - (given?.kind === 'version' ? given.version : 0);
    case CompareTarget.LEASE: {
      const difference = readLease(kv) - (given?.kind === 'lease' ? given.lease : 0n);
      return difference === 0n ? 0 : difference > 0n ? 1 : -1;
    }
    default:
      return 0;
  }
}

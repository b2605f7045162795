// What a request must fulfil whatever the store holds, with etcd's errors. The server asks before it
// proposes, so that no bad request costs a log entry; apply asks again, because a log may be written
// by anyone. These checks read nothing but the request.

import { type ErrorStatus, etcdErrors } from '../api/errors.ts';
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../api/kv.ts';
import { compareBytes } from './bytes.ts';
import { rangeBound } from './version-reader.ts';

const SORT_ORDER_MAX = 2;
const SORT_TARGET_MAX = 4;

export function checkRange(request: RangeRequest): ErrorStatus | null {
  if (request.key.length === 0) return etcdErrors.emptyKey;
  const { sortOrder, sortTarget } = request;
  const isKnown =
    sortOrder >= 0 &&
    sortOrder <= SORT_ORDER_MAX &&
    sortTarget >= 0 &&
    sortTarget <= SORT_TARGET_MAX;
  return isKnown ? null : etcdErrors.invalidSortOption;
}

export function checkPut(request: PutRequest): ErrorStatus | null {
  if (request.key.length === 0) return etcdErrors.emptyKey;
  if (request.ignoreValue && request.value.length !== 0) return etcdErrors.valueProvided;
  if (request.ignoreLease && request.lease !== 0n) return etcdErrors.leaseProvided;
  return null;
}

export function checkDelete(request: DeleteRangeRequest): ErrorStatus | null {
  return request.key.length === 0 ? etcdErrors.emptyKey : null;
}

/** `opsMax` bounds the longest of the three lists; a nested transaction gets what is left of it. */
export function checkTxn(request: TxnRequest, opsMax: number): ErrorStatus | null {
  return checkTxnShape(request, opsMax) ?? checkOverlap(request);
}

/**
 * Whether a transaction can be answered by a read. One with a nested transaction goes through the
 * log even if it only reads, as in etcd.
 */
export function isReadOnlyTxn(request: TxnRequest): boolean {
  return request.success.every(isRange) && request.failure.every(isRange);
}

function isRange(op: RequestOp): boolean {
  return op?.kind === 'range';
}

/** All of checkTxn() but the comparison of keys; apply asks no more, for it can do with repeats. */
export function checkTxnShape(request: TxnRequest, opsMax: number): ErrorStatus | null {
  const { compare, success, failure } = request;
  const ops = Math.max(compare.length, success.length, failure.length);
  if (ops > opsMax) return etcdErrors.tooManyOps;
  for (const { key } of compare) if (key.length === 0) return etcdErrors.emptyKey;
  return checkOps(success, opsMax - ops) ?? checkOps(failure, opsMax - ops);
}

function checkOps(ops: readonly RequestOp[], opsMax: number): ErrorStatus | null {
  for (const op of ops) {
    const error = checkOp(op, opsMax);
    if (error !== null) return error;
  }
  return null;
}

function checkOp(op: RequestOp, opsMax: number): ErrorStatus | null {
  if (op === null) return etcdErrors.keyNotFound;
  switch (op.kind) {
    case 'range':
      return checkRange(op.range);
    case 'put':
      return checkPut(op.put);
    case 'deleteRange':
      return checkDelete(op.deleteRange);
    case 'txn':
      return checkTxnShape(op.txn, opsMax);
  }
}

/** The keys that a list of operations may write, and the ranges it may delete. */
interface Writes {
  readonly puts: Map<string, Uint8Array>;
  readonly deletes: Interval[];
}
interface Interval {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

/** One revision holds one change of a key: no branch may put a key twice, or put and delete it. */
function checkOverlap(request: TxnRequest): ErrorStatus | null {
  if (request.success.length <= 1 && request.failure.length <= 1 && !hasNested(request))
    return null;
  const isDisjoint =
    collectWrites(request.success) !== null && collectWrites(request.failure) !== null;
  return isDisjoint ? null : etcdErrors.duplicateKey;
}

function hasNested(request: TxnRequest): boolean {
  return request.success.some(isTxn) || request.failure.some(isTxn);
}

function isTxn(op: RequestOp): boolean {
  return op?.kind === 'txn';
}

/** Null when two of them collide. */
function collectWrites(ops: readonly RequestOp[]): Writes | null {
  const writes: Writes = { puts: new Map(), deletes: [] };
  for (const op of ops) {
    if (op?.kind !== 'deleteRange') continue;
    const { key, rangeEnd } = op.deleteRange;
    writes.deletes.push({ from: key, to: rangeBound(key, rangeEnd) });
  }
  for (const op of ops) {
    if (op?.kind === 'txn' && !collectNested(op.txn, writes)) return null;
  }
  const deletes = union(writes.deletes);
  for (const op of ops) {
    if (op?.kind === 'put' && !addPut(op.put.key, writes.puts, deletes)) return null;
  }
  return writes;
}

/** Both branches of a nested transaction may put one key, for only one of them will run. */
function collectNested(request: TxnRequest, writes: Writes): boolean {
  const success = collectWrites(request.success);
  const failure = collectWrites(request.failure);
  if (success === null || failure === null) return false;
  const deletes = union(writes.deletes);
  for (const key of success.puts.values()) if (!addPut(key, writes.puts, deletes)) return false;
  for (const [name, key] of failure.puts) {
    if (success.puts.has(name)) continue;
    if (!addPut(key, writes.puts, deletes)) return false;
  }
  writes.deletes.push(...success.deletes, ...failure.deletes);
  return true;
}

function addPut(key: Uint8Array, puts: Map<string, Uint8Array>, deletes: Interval[]): boolean {
  const name = nameOf(key);
  if (puts.has(name) || isCovered(key, deletes)) return false;
  puts.set(name, key);
  return true;
}

/** A string for each byte string, to look it up by. */
function nameOf(key: Uint8Array): string {
  let name = '';
  for (let i = 0; i < key.length; i += 4096) {
    name += String.fromCharCode(...key.subarray(i, i + 4096));
  }
  return name;
}

/** The same keys as disjoint intervals in order, so that looking one up takes few steps. */
function union(intervals: readonly Interval[]): Interval[] {
  if (intervals.length < 2) return intervals.filter(isNotEmpty);
  const sorted = intervals.filter(isNotEmpty).sort((a, b) => compareBytes(a.from, b.from));
  const merged: Interval[] = [];
  for (const interval of sorted) {
    const last = merged.at(-1);
    if (last === undefined || (last.to !== null && compareBytes(last.to, interval.from) < 0)) {
      merged.push(interval);
    } else if (last.to !== null && !endsBy(interval, last.to)) {
      merged[merged.length - 1] = { from: last.from, to: interval.to };
    }
  }
  return merged;
}

function isNotEmpty({ from, to }: Interval): boolean {
  return to === null || compareBytes(from, to) < 0;
}

function endsBy(interval: Interval, end: Uint8Array): boolean {
  return interval.to !== null && compareBytes(interval.to, end) <= 0;
}

function isCovered(key: Uint8Array, sorted: readonly Interval[]): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(sorted[middle]!.from, key) <= 0) low = middle + 1;
    else high = middle;
  }
  const candidate = sorted[low - 1];
  if (candidate === undefined) return false;
  return candidate.to === null || compareBytes(key, candidate.to) < 0;
}

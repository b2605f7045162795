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
import type { OpResult, RangeResult, TxnResult } from '../api/results.ts';
import {
  readCreateRevision,
  readLease,
  readModRevision,
  readValue,
  readVersion,
} from '../api/stored-key-value.ts';
import { Table } from './backend.ts';
import { compareBytes, EMPTY } from './bytes.ts';
import { checkTxnShape } from './check.ts';
import type { Store } from './store.ts';
import { currentKv, newestKv, rangeBound } from './version-reader.ts';

/** A transaction with its branch chosen, and the same for each nested one, in order. */
interface Path {
  readonly succeeded: boolean;
  readonly ops: readonly RequestOp[];
  readonly nested: readonly Path[];
}

/** Runs a transaction, or refuses it as a whole. The caller ends the command. */
export function runTxn(store: Store, request: TxnRequest): TxnResult | ErrorStatus {
  const malformed = checkTxnShape(request, Infinity);
  if (malformed !== null) return malformed;
  const path = choosePath(store, request);
  return checkPath(store, path) ?? runPath(store, path);
}

function choosePath(store: Store, request: TxnRequest): Path {
  const succeeded = request.compare.every(compare => holds(store, compare));
  const ops = succeeded ? request.success : request.failure;
  const nested: Path[] = [];
  for (const op of ops) if (op?.kind === 'txn') nested.push(choosePath(store, op.txn));
  return { succeeded, ops, nested };
}

function checkPath(store: Store, path: Path): ErrorStatus | null {
  let nestedAt = 0;
  for (const op of path.ops) {
    let error: ErrorStatus | null = null;
    if (op?.kind === 'txn') error = checkPath(store, path.nested[nestedAt++]!);
    else if (op?.kind === 'put') error = store.checkPutState(op.put);
    else if (op?.kind === 'range') error = store.checkRevision(op.range.revision);
    if (error !== null) return error;
  }
  return null;
}

function runPath(store: Store, path: Path): TxnResult {
  const responses: OpResult[] = [];
  let nestedAt = 0;
  for (const op of path.ops) {
    if (op === null) continue;
    if (op.kind === 'txn') {
      responses.push({ kind: 'txn', txn: runPath(store, path.nested[nestedAt++]!) });
    } else responses.push(runOp(store, op));
  }
  return { revision: store.readRevision, succeeded: path.succeeded, responses };
}

function runOp(store: Store, op: Exclude<RequestOp, null | { kind: 'txn' }>): OpResult {
  switch (op.kind) {
    case 'put':
      return { kind: 'put', put: store.put(op.put) };
    case 'deleteRange':
      return { kind: 'deleteRange', deleteRange: store.deleteRange(op.deleteRange) };
    case 'range':
      // Its revision was found readable, and nothing that the transaction does changes that.
      return { kind: 'range', range: store.range(op.range) as RangeResult };
  }
}

/** Every key of the range must satisfy the comparison; an empty range is like a missing key. */
function holds(store: Store, compare: Compare): boolean {
  if (compare.rangeEnd.length === 0) {
    return holdsFor(currentKv(store.backend, compare.key), compare);
  }
  const to = rangeBound(compare.key, compare.rangeEnd);
  if (to !== null && compareBytes(compare.key, to) >= 0) return holdsFor(undefined, compare);
  let isEmpty = true;
  let all = true;
  const cursor = store.backend.scan(Table.LIVE, compare.key, to);
  while (all && cursor.next()) {
    isEmpty = false;
    all = holdsFor(newestKv(store.backend, cursor.value), compare);
  }
  cursor.close();
  return isEmpty ? holdsFor(undefined, compare) : all;
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

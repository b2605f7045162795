// The checks before the log: etcd's refusals of requests that no state could make right.

import { describe, expect, test } from 'vitest';
import { etcdErrors } from '../api/errors.ts';
import type { Compare, RequestOp, TxnRequest } from '../api/kv.ts';
import { emptyPutRequest, emptyRangeRequest } from '../api/kv-codec.ts';
import { emptyTxnRequest } from '../api/txn-codec.ts';
import { checkDelete, checkPut, checkRange, checkTxn, isReadOnlyTxn } from './check.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const put = (key: string): RequestOp => ({
  kind: 'put',
  put: { ...emptyPutRequest(), key: bytes(key) },
});
const remove = (key: string, rangeEnd = ''): RequestOp => ({
  kind: 'deleteRange',
  deleteRange: { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: false },
});
const range = (key: string): RequestOp => ({
  kind: 'range',
  range: { ...emptyRangeRequest(), key: bytes(key) },
});
const txn = (success: RequestOp[], failure: RequestOp[] = []): TxnRequest => ({
  ...emptyTxnRequest(),
  success,
  failure,
});
const nested = (success: RequestOp[], failure: RequestOp[] = []): RequestOp => ({
  kind: 'txn',
  txn: txn(success, failure),
});
const check = (success: RequestOp[], opsMax = 128) => checkTxn(txn(success), opsMax);

describe('single requests', () => {
  test('no request is without a key', () => {
    expect(checkRange(emptyRangeRequest())).toBe(etcdErrors.emptyKey);
    expect(checkPut(emptyPutRequest())).toBe(etcdErrors.emptyKey);
    expect(checkDelete({ key: bytes(''), rangeEnd: bytes('a'), prevKv: false })).toBe(
      etcdErrors.emptyKey,
    );
  });

  test('a sort order or target that is not known is refused', () => {
    const request = { ...emptyRangeRequest(), key: bytes('a') };
    expect(checkRange(request)).toBeNull();
    expect(checkRange({ ...request, sortOrder: 3 })).toBe(etcdErrors.invalidSortOption);
    expect(checkRange({ ...request, sortTarget: -1 })).toBe(etcdErrors.invalidSortOption);
    expect(checkRange({ ...request, sortTarget: 5 })).toBe(etcdErrors.invalidSortOption);
  });

  test('what is to be ignored must not be given', () => {
    const request = { ...emptyPutRequest(), key: bytes('a') };
    expect(checkPut({ ...request, ignoreValue: true, value: bytes('v') })).toBe(
      etcdErrors.valueProvided,
    );
    expect(checkPut({ ...request, ignoreLease: true, lease: 1n })).toBe(etcdErrors.leaseProvided);
    expect(checkPut({ ...request, ignoreLease: true, ignoreValue: true })).toBeNull();
  });
});

describe('transactions', () => {
  test('the longest list counts, and a nested transaction has what the outer one left', () => {
    const ops = (n: number) => Array.from({ length: n }, (_, i) => put(`k${i}`));
    expect(check(ops(128))).toBeNull();
    expect(check(ops(129))).toBe(etcdErrors.tooManyOps);
    expect(check([nested(ops(7))], 8)).toBeNull();
    expect(check([nested(ops(8))], 8)).toBe(etcdErrors.tooManyOps);
    const compares = Array.from({ length: 129 }, () => ({ key: bytes('a') }) as Compare);
    expect(checkTxn({ ...emptyTxnRequest(), compare: compares }, 128)).toBe(etcdErrors.tooManyOps);
  });

  test('empty keys and operations of no kind are found in every branch and depth', () => {
    expect(check([put('')])).toBe(etcdErrors.emptyKey);
    expect(checkTxn(txn([], [range('')]), 128)).toBe(etcdErrors.emptyKey);
    expect(check([nested([], [nested([remove('')])])])).toBe(etcdErrors.emptyKey);
    expect(check([null])).toBe(etcdErrors.keyNotFound);
    const compare = { key: bytes('') } as Compare;
    expect(checkTxn({ ...emptyTxnRequest(), compare: [compare] }, 128)).toBe(etcdErrors.emptyKey);
  });

  test.each<[string, RequestOp[]]>([
    ['two puts of a key', [put('a'), put('b'), put('a')]],
    ['a put in a range that is deleted after', [put('b'), remove('a', 'c')]],
    ['a put in a range that is deleted before', [remove('a', 'c'), put('b')]],
    ['a put and a delete of a key', [put('a'), remove('a')]],
    ['a put of a key from which on all are deleted', [remove('a', '\0'), put('z')]],
    ['a put that a nested one repeats', [put('a'), nested([put('a')])]],
    ['puts of a key in two nested ones', [nested([put('a')]), nested([], [put('a')])]],
    ['a nested put in a deleted range', [nested([put('b')]), remove('a', 'c')]],
    [
      'a put in a range that is deleted in a nested one',
      [put('b'), nested([], [remove('a', 'c')])],
    ],
    ['a put inside of overlapping deletes', [remove('a', 'd'), remove('b', 'c'), put('cc')]],
  ])('%s is a duplicate', (_name, ops) => {
    expect(check(ops)).toBe(etcdErrors.duplicateKey);
  });

  test.each<[string, RequestOp[]]>([
    ['two deletes that overlap', [remove('a', 'c'), remove('b', 'd')]],
    ['a put at the end of a deleted range', [remove('a', 'c'), put('c')]],
    ['a put of a key in both branches of a nested one', [nested([put('a')], [put('a')])]],
    ['a put inside of a range that is empty', [remove('c', 'a'), put('b')]],
    ['a put between two deletes', [remove('a', 'b'), remove('c', 'd'), put('b')]],
    ['a read of what is written', [put('a'), range('a')]],
  ])('%s is none', (_name, ops) => {
    expect(check(ops)).toBeNull();
  });

  test('only a transaction of nothing but ranges is a read', () => {
    expect(isReadOnlyTxn(txn([range('a')], [range('b')]))).toBe(true);
    expect(isReadOnlyTxn(txn([]))).toBe(true);
    expect(isReadOnlyTxn(txn([range('a')], [put('b')]))).toBe(false);
    expect(isReadOnlyTxn(txn([nested([range('a')])]))).toBe(false);
  });
});

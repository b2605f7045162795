// What the etcd API promises about keys and revisions, fact by fact, against a store in memory.

import { describe, expect, test } from 'vitest';
import { decodeKeyValue } from '../api/common-codec.ts';
import { etcdErrors } from '../api/errors.ts';
import {
  CompareResult,
  CompareTarget,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  SortOrder,
  SortTarget,
  type TxnRequest,
} from '../api/kv.ts';
import { emptyPutRequest, emptyRangeRequest } from '../api/kv-codec.ts';
import type { RangeResult, TxnResult } from '../api/results.ts';
import { emptyTxnRequest } from '../api/txn-codec.ts';
import { MemoryBackend } from './memory-backend.ts';
import { RangeJob } from './range.ts';
import { DeleteJob, RevokeJob } from './removal-jobs.ts';
import { Store } from './store.ts';
import { runTxn } from './txn.ts';

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);
const END = Uint8Array.of(0);

function open() {
  const store = new Store(new MemoryBackend());
  const end = <T>(result: T): T => {
    store.endCommand();
    store.endBatch();
    return result;
  };
  return {
    store,
    put(key: string, value = 'v', more: Partial<PutRequest> = {}) {
      const request = { ...emptyPutRequest(), key: bytes(key), value: bytes(value), ...more };
      return end(store.checkPutState(request) ?? store.put(request));
    },
    remove(key: string, rangeEnd = '', prevKv = false) {
      const request = { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv };
      return end(new DeleteJob(store, request).step(Infinity)!);
    },
    txn(request: Partial<TxnRequest>) {
      return end(runTxn(store, { ...emptyTxnRequest(), ...request }));
    },
    compact: (revision: number) => end(store.compact({ revision, physical: false })),
    range(key: string, rangeEnd: string | Uint8Array = '', more: Partial<RangeRequest> = {}) {
      const to = typeof rangeEnd === 'string' ? bytes(rangeEnd) : rangeEnd;
      return store.range({ ...emptyRangeRequest(), key: bytes(key), rangeEnd: to, ...more });
    },
    kvs(key: string, rangeEnd: string | Uint8Array = '', more: Partial<RangeRequest> = {}) {
      const result = this.range(key, rangeEnd, more) as RangeResult;
      return result.encodedKvs.map(decodeKeyValue);
    },
    keys(key: string, rangeEnd: string | Uint8Array = '', more: Partial<RangeRequest> = {}) {
      return this.kvs(key, rangeEnd, more).map(kv => text(kv.key));
    },
  };
}

const putOp = (key: string, value = 'v', more: Partial<PutRequest> = {}): RequestOp => ({
  kind: 'put',
  put: { ...emptyPutRequest(), key: bytes(key), value: bytes(value), ...more },
});
const rangeOp = (key: string, more: Partial<RangeRequest> = {}): RequestOp => ({
  kind: 'range',
  range: { ...emptyRangeRequest(), key: bytes(key), ...more },
});
const deleteOp = (key: string, rangeEnd = ''): RequestOp => ({
  kind: 'deleteRange',
  deleteRange: { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: false },
});
const compare = (key: string, target: number, result: number, targetUnion: unknown = null) =>
  ({ key: bytes(key), target, result, targetUnion, rangeEnd: bytes('') }) as never;

describe('revisions', () => {
  test('an empty store is at revision 1 and the first put makes 2', () => {
    const { store, put } = open();
    expect(store.revision).toBe(1);
    expect(put('a')).toMatchObject({ revision: 2 });
  });

  test('a put of the same value is a change', () => {
    const s = open();
    s.put('a', 'same');
    expect(s.put('a', 'same')).toMatchObject({ revision: 3 });
  });

  test('deleting nothing, an empty txn and a txn that only reads make no revision', () => {
    const s = open();
    s.put('a');
    expect(s.remove('b')).toMatchObject({ revision: 2, deleted: 0 });
    expect(s.txn({})).toMatchObject({ revision: 2, succeeded: true, responses: [] });
    expect(s.txn({ success: [rangeOp('a')] })).toMatchObject({ revision: 2 });
    expect(s.store.revision).toBe(2);
  });

  test('all changes of one txn have one revision', () => {
    const s = open();
    s.txn({ success: [putOp('a'), putOp('b'), putOp('c')] });
    expect(s.kvs('a', END).map(kv => kv.modRevision)).toEqual([2, 2, 2]);
    expect(s.store.revision).toBe(2);
  });

  test('deleting many keys takes one revision', () => {
    const s = open();
    for (const key of ['a', 'b', 'c']) s.put(key);
    expect(s.remove('a', 'c')).toMatchObject({ revision: 5, deleted: 2 });
    expect(s.keys('a', END)).toEqual(['c']);
  });
});

describe('a key', () => {
  test('its version counts from 1 and its create revision stays until it is deleted', () => {
    const s = open();
    s.put('a', '1');
    s.put('b');
    s.put('a', '2');
    expect(s.kvs('a')[0]).toMatchObject({ createRevision: 2, modRevision: 4, version: 2 });
    s.remove('a');
    s.put('a', '3');
    expect(s.kvs('a')[0]).toMatchObject({ createRevision: 6, modRevision: 6, version: 1 });
  });

  test('every version can be read at its revision, also among thousands', () => {
    const s = open();
    for (let i = 0; i < 5000; i++) {
      if (i % 1000 === 999) s.remove('a');
      else s.put('a', String(i));
    }
    for (let i = 0; i < 5000; i++) {
      const kvs = s.kvs('a', '', { revision: i + 2 });
      if (i % 1000 === 999) expect(kvs).toEqual([]);
      else if (i % 7 === 0 || i < 300) expect(text(kvs[0]!.value)).toBe(String(i));
    }
  });

  test('a version long ago is found in few steps', () => {
    const s = open();
    for (let i = 0; i < 70_000; i++) s.put('a', '');
    let reads = 0;
    const backend = s.store.backend as MemoryBackend;
    const get = backend.get.bind(backend);
    backend.get = (table, key) => {
      reads++;
      return get(table, key);
    };
    expect(s.kvs('a', '', { revision: 3 })[0]!.version).toBe(2);
    expect(reads).toBeLessThan(80);
  });

  test('prev_kv gives what was there, and nothing for a new key', () => {
    const s = open();
    expect(s.put('a', '1', { prevKv: true })).toMatchObject({ encodedPrevKv: null });
    const result = s.put('a', '2', { prevKv: true }) as { encodedPrevKv: Uint8Array };
    expect(text(decodeKeyValue(result.encodedPrevKv).value)).toBe('1');
    const { encodedPrevKvs } = s.remove('a', '', true);
    expect(encodedPrevKvs.map(kv => text(decodeKeyValue(kv).value))).toEqual(['2']);
  });

  test('ignore_value keeps the value, ignore_lease the lease; a missing key is refused', () => {
    const s = open();
    s.store.leases.grant(7n, 60);
    s.put('a', 'kept', { lease: 7n });
    s.put('a', '', { ignoreValue: true });
    expect(s.kvs('a')[0]).toMatchObject({ lease: 0n, version: 2 });
    expect(text(s.kvs('a')[0]!.value)).toBe('kept');
    s.put('a', 'x', { lease: 7n });
    s.put('a', 'y', { ignoreLease: true });
    expect(s.kvs('a')[0]).toMatchObject({ lease: 7n, version: 4 });
    expect(s.put('no', '', { ignoreValue: true })).toBe(etcdErrors.keyNotFound);
    expect(s.put('no', '', { ignoreLease: true })).toBe(etcdErrors.keyNotFound);
    expect(s.store.revision).toBe(5);
  });
});

describe('ranges', () => {
  const filled = () => {
    const s = open();
    for (const key of ['a', 'aa', 'ab', 'b', 'c']) s.put(key, `value of ${key}`);
    return s;
  };

  test('an end at or before the key gives nothing, a zero byte gives all from the key on', () => {
    const s = filled();
    expect(s.keys('b', 'a')).toEqual([]);
    expect(s.keys('b', 'b')).toEqual([]);
    expect(s.keys('ab', END)).toEqual(['ab', 'b', 'c']);
    expect(s.keys('a', 'b')).toEqual(['a', 'aa', 'ab']);
    expect(s.store.range({ ...emptyRangeRequest(), key: END, rangeEnd: END })).toMatchObject({
      count: 5,
    });
  });

  test('the limit cuts the answer, not the count', () => {
    const s = filled();
    expect(s.range('a', END, { limit: 2 })).toMatchObject({ count: 5, more: true });
    expect(s.keys('a', END, { limit: 2 })).toEqual(['a', 'aa']);
    expect(s.range('a', END, { limit: 5 })).toMatchObject({ count: 5, more: false });
    expect(s.range('a', END, { limit: 2, revision: 4 })).toMatchObject({ count: 3, more: true });
  });

  test('count_only gives only the count, keys_only no values', () => {
    const s = filled();
    expect(s.range('a', END, { countOnly: true })).toMatchObject({ count: 5, encodedKvs: [] });
    const kvs = s.kvs('a', 'b', { keysOnly: true });
    expect(kvs.map(kv => kv.value.length)).toEqual([0, 0, 0]);
    expect(kvs[1]).toMatchObject({ createRevision: 3, modRevision: 3, version: 1 });
  });

  test('sorting is by any field, in both orders, before the limit', () => {
    const s = filled();
    s.put('a', 'changed');
    const sorted = (sortTarget: number, sortOrder: number) =>
      s.keys('a', END, { sortTarget, sortOrder, limit: 2 });
    expect(sorted(SortTarget.MOD, SortOrder.DESCEND)).toEqual(['a', 'c']);
    expect(sorted(SortTarget.MOD, SortOrder.NONE)).toEqual(['aa', 'ab']);
    expect(sorted(SortTarget.KEY, SortOrder.DESCEND)).toEqual(['c', 'b']);
    expect(sorted(SortTarget.VERSION, SortOrder.DESCEND)).toEqual(['a', 'aa']);
    expect(sorted(SortTarget.VALUE, SortOrder.ASCEND)).toEqual(['a', 'aa']);
  });

  test('the filters are inclusive and leave the count alone', () => {
    const s = filled();
    s.put('aa');
    const filtered = (more: Partial<RangeRequest>) => s.keys('a', END, more);
    expect(filtered({ minModRevision: 5 })).toEqual(['aa', 'b', 'c']);
    expect(filtered({ maxModRevision: 4 })).toEqual(['a', 'ab']);
    expect(filtered({ minCreateRevision: 3, maxCreateRevision: 4 })).toEqual(['aa', 'ab']);
    expect(s.range('a', END, { minModRevision: 6, limit: 1 })).toMatchObject({
      count: 5,
      more: true,
    });
  });

  test('an old revision is readable, a future one is not; the header names the newest', () => {
    const s = filled();
    s.remove('aa');
    expect(s.keys('a', END, { revision: 3 })).toEqual(['a', 'aa']);
    expect(s.range('a', END, { revision: 3 })).toMatchObject({ revision: 7 });
    expect(s.range('a', '', { revision: 8 })).toBe(etcdErrors.futureRevision);
    expect(s.range('a', '', { revision: -5 })).toMatchObject({ count: 1 });
  });

  test('a range in slices is of the revision at which it began', () => {
    const s = open();
    for (let i = 0; i < 500; i++) s.put(`k${1000 + i}`, 'old');
    for (const more of [{}, { limit: 50 }, { revision: 400 }, { countOnly: true }]) {
      const request = { ...emptyRangeRequest(), key: bytes('k'), rangeEnd: END, ...more };
      const expected = s.store.range(request);
      const job = s.store.startRange(request);
      expect(job).toBeInstanceOf(RangeJob);
      let slices = 1;
      let result = (job as RangeJob).step(7);
      while (result === null) {
        s.put(`k${1000 + slices}`, 'new');
        s.remove(`k${1400 + slices}`);
        s.put(`k${2000 + slices}`, 'more');
        slices++;
        result = (job as RangeJob).step(7);
      }
      expect(slices).toBeGreaterThan(2);
      expect(result).toEqual(expected);
    }
  });
});

describe('transactions', () => {
  test('a comparison picks the branch, and reads in it see its writes', () => {
    const s = open();
    const result = s.txn({
      compare: [compare('a', CompareTarget.CREATE, CompareResult.EQUAL)],
      success: [rangeOp('a'), putOp('a', '1'), rangeOp('a'), deleteOp('a'), rangeOp('a')],
      failure: [putOp('b')],
    }) as TxnResult;
    expect(result).toMatchObject({ succeeded: true, revision: 2 });
    const counts = result.responses.map(r => (r.kind === 'range' ? r.range.count : null));
    expect(counts).toEqual([0, null, 1, null, 0]);
    const revisions = result.responses.map(
      r => (r as unknown as Record<string, RangeResult>)[r.kind]!.revision,
    );
    expect(revisions).toEqual([1, 2, 2, 2, 2]);
  });

  test('a missing key has zeros to compare with, but never a value', () => {
    const s = open();
    const holds = (target: number, result: number, union: unknown = null) =>
      (s.txn({ compare: [compare('no', target, result, union)] }) as TxnResult).succeeded;
    expect(holds(CompareTarget.VERSION, CompareResult.EQUAL)).toBe(true);
    expect(
      holds(CompareTarget.MOD, CompareResult.LESS, { kind: 'modRevision', modRevision: 1 }),
    ).toBe(true);
    expect(holds(CompareTarget.LEASE, CompareResult.EQUAL)).toBe(true);
    for (const result of [0, 1, 2, 3]) expect(holds(CompareTarget.VALUE, result)).toBe(false);
  });

  test('a comparison of a range asks for every key in it', () => {
    const s = open();
    s.put('a');
    s.put('b');
    const all = (modRevision: number) =>
      (
        s.txn({
          compare: [
            {
              key: bytes('a'),
              rangeEnd: bytes('c'),
              target: CompareTarget.MOD,
              result: CompareResult.GREATER,
              targetUnion: { kind: 'modRevision', modRevision },
            },
          ],
        }) as TxnResult
      ).succeeded;
    expect(all(1)).toBe(true);
    expect(all(2)).toBe(false);
  });

  test('nested branches are chosen on the state before anything is written', () => {
    const s = open();
    const nested: RequestOp = {
      kind: 'txn',
      txn: {
        compare: [compare('a', CompareTarget.CREATE, CompareResult.EQUAL)],
        success: [putOp('was-missing')],
        failure: [putOp('was-there')],
      },
    };
    s.txn({ success: [putOp('a'), nested] });
    expect(s.keys('was', 'wat')).toEqual(['was-missing']);
  });

  test.each([
    ['an unknown lease', putOp('b', 'v', { lease: 9n }), etcdErrors.leaseNotFound],
    ['ignore_value without a key', putOp('b', '', { ignoreValue: true }), etcdErrors.keyNotFound],
    ['a future revision', rangeOp('b', { revision: 99 }), etcdErrors.futureRevision],
    ['a compacted revision', rangeOp('b', { revision: 2 }), etcdErrors.compacted],
    ['a negative revision', rangeOp('b', { revision: -2 }), etcdErrors.compacted],
    ['an operation of no kind', null, etcdErrors.keyNotFound],
    ['an empty key', putOp(''), etcdErrors.emptyKey],
  ])('%s refuses the whole of it, also when nested', (_name, op, error) => {
    const s = open();
    s.put('x');
    s.put('x');
    s.compact(3);
    expect(s.txn({ success: [putOp('a'), op] })).toBe(error);
    const nested: RequestOp = { kind: 'txn', txn: { ...emptyTxnRequest(), success: [op] } };
    expect(s.txn({ success: [putOp('a'), nested] })).toBe(error);
    expect(s.keys('a')).toEqual([]);
    expect(s.store.revision).toBe(3);
  });
});

describe('compaction', () => {
  test('below it nothing is readable; at it and above everything is', () => {
    const s = open();
    for (let i = 0; i < 4; i++) s.put('a', String(i));
    s.remove('a');
    expect(s.compact(4)).toEqual({ revision: 6 });
    expect(s.range('a', '', { revision: 3 })).toBe(etcdErrors.compacted);
    expect(text(s.kvs('a', '', { revision: 4 })[0]!.value)).toBe('2');
    expect(s.keys('a', '', { revision: 6 })).toEqual([]);
  });

  test('a revision is compacted once, and none before it is made', () => {
    const s = open();
    s.put('a');
    expect(s.store.compactRevision).toBe(-1);
    expect(s.compact(3)).toBe(etcdErrors.futureRevision);
    expect(s.compact(2)).toEqual({ revision: 2 });
    expect(s.compact(2)).toBe(etcdErrors.compacted);
    expect(s.compact(1)).toBe(etcdErrors.compacted);
  });
});

describe('leases', () => {
  test('a put needs its lease to exist', () => {
    const s = open();
    expect(s.put('a', 'v', { lease: 5n })).toBe(etcdErrors.leaseNotFound);
    expect(s.store.leases.grant(5n, 60)).toBeNull();
    expect(s.put('a', 'v', { lease: 5n })).toMatchObject({ revision: 2 });
    expect(s.kvs('a')[0]).toMatchObject({ lease: 5n });
  });

  test('a put without a lease detaches the key, one with another moves it', () => {
    const s = open();
    s.store.leases.grant(5n, 60);
    s.store.leases.grant(6n, 60);
    s.put('a', 'v', { lease: 5n });
    s.put('a', 'v', { lease: 6n });
    expect(s.store.leases.keysOf(5n)).toEqual([]);
    expect(s.store.leases.keysOf(6n).map(text)).toEqual(['a']);
    s.put('a');
    expect(s.store.leases.keysOf(6n)).toEqual([]);
  });

  test('a revoked lease takes its keys with it, in order and in one revision', () => {
    const s = open();
    const order: string[] = [];
    s.store.leases.grant(5n, 60);
    for (const key of ['b', 'a', 'c']) s.put(key, 'v', { lease: 5n });
    s.put('d');
    s.store.listen(changes => order.push(...changes.map(c => `${text(c.key)}@${c.revision.main}`)));
    expect(new RevokeJob(s.store, 5n).step(Infinity)).toEqual({ revision: 6 });
    s.store.endCommand();
    s.store.endBatch();
    expect(order).toEqual(['a@6', 'b@6', 'c@6']);
    expect(s.keys('a', END)).toEqual(['d']);
    expect(s.store.leases.all()).toEqual([]);
  });

  test('an id is granted once, and no time to live is beyond all bounds', () => {
    const { store } = open();
    expect(store.leases.grant(5n, 9_000_000_001)).toBe(etcdErrors.leaseTtlTooLarge);
    store.leases.grant(5n, 60);
    expect(store.leases.grant(5n, 60)).toBe(etcdErrors.leaseExists);
    store.leases.checkpoint(5n, 20);
    expect(store.leases.all()).toEqual([{ id: 5n, ttl: 60, remainingTtl: 20 }]);
  });
});

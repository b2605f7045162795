import { describe, expect, test } from 'vitest';
import type { KeyValue } from './common.ts';
import { decodeResponseHeader } from './common-codec.ts';
import { decodeDeleteRangeResponse, decodePutResponse, decodeRangeResponse } from './kv-codec.ts';
import { ProtoReader } from './proto-reader.ts';
import { type Encode, ProtoWriter } from './proto-writer.ts';
import type { TxnResult } from './results.ts';
import {
  encodeDeleteRangeResult,
  encodeEventRecord,
  encodePutResult,
  encodeRangeResult,
  encodeTxnResult,
  encodeWatchResult,
  HeaderEncoder,
} from './results-codec.ts';
import { toStoredKeyValue } from './stored-key-value.ts';
import { decodeTxnResponse } from './txn-codec.ts';
import { decodeWatchResponse } from './watch-codec.ts';

const ids = { clusterId: 0xcdf818194e3a8c32n, memberId: 0x8e9e05c52164694dn };
const headers = new HeaderEncoder(ids);

const kv = (name: string, modRevision: number): KeyValue => ({
  key: new TextEncoder().encode(name),
  createRevision: 2,
  modRevision,
  version: 3,
  value: new TextEncoder().encode(`value of ${name}`),
  lease: 0n,
});
const a = kv('a', 7);
const b = kv('b', 8);
const encoded = [a, b].map(toStoredKeyValue);

/** The response that a client gets for a result at revision 9, term 4. */
function respond<T>(encode: Encode<T>, result: T): Uint8Array {
  const w = new ProtoWriter();
  encode(result, w);
  headers.encode({ revision: 9, raftTerm: 4 }, w);
  return w.finish();
}
const header = { ...ids, revision: 9, raftTerm: 4 };
const inner = (revision: number) => ({ clusterId: 0n, memberId: 0n, revision, raftTerm: 0 });

describe('results with stored KeyValues read back as responses', () => {
  test('a header with revision and term 0 holds the ids alone', () => {
    const w = new ProtoWriter();
    headers.encode({ revision: 0, raftTerm: 0 }, w);
    const r = new ProtoReader(w.finish());
    expect(r.next()).toBe(1);
    expect(r.message(decodeResponseHeader)).toEqual({ ...ids, revision: 0, raftTerm: 0 });
  });

  test('range', () => {
    const result = { revision: 9, encodedKvs: encoded, more: true, count: 300 };
    expect(decodeRangeResponse(respond(encodeRangeResult, result))).toEqual({
      header,
      kvs: [a, b],
      more: true,
      count: 300,
    });
  });

  test('put with and without the previous value', () => {
    const put = (encodedPrevKv: Uint8Array | null) =>
      decodePutResponse(respond(encodePutResult, { revision: 9, encodedPrevKv }));
    expect(put(null)).toEqual({ header, prevKv: null });
    expect(put(encoded[0]!)).toEqual({ header, prevKv: a });
  });

  test('delete range', () => {
    const result = { revision: 9, deleted: 2, encodedPrevKvs: encoded };
    expect(decodeDeleteRangeResponse(respond(encodeDeleteRangeResult, result))).toEqual({
      header,
      deleted: 2,
      prevKvs: [a, b],
    });
  });

  test('in a txn sub-responses carry the revision only, and a nested txn an empty header', () => {
    const result: TxnResult = {
      revision: 9,
      succeeded: true,
      responses: [
        { kind: 'put', put: { revision: 9, encodedPrevKv: encoded[1]! } },
        { kind: 'range', range: { revision: 10, encodedKvs: [], more: false, count: 0 } },
        { kind: 'txn', txn: { revision: 9, succeeded: false, responses: [] } },
        { kind: 'deleteRange', deleteRange: { revision: 9, deleted: 1, encodedPrevKvs: [] } },
      ],
    };
    expect(decodeTxnResponse(respond(encodeTxnResult, result))).toEqual({
      header,
      succeeded: true,
      responses: [
        { kind: 'put', put: { header: inner(9), prevKv: b } },
        { kind: 'range', range: { header: inner(10), kvs: [], more: false, count: 0 } },
        { kind: 'txn', txn: { header: inner(0), succeeded: false, responses: [] } },
        { kind: 'deleteRange', deleteRange: { header: inner(9), deleted: 1, prevKvs: [] } },
      ],
    });
  });

  test('one event record serves several watchers', () => {
    const [encodedKv, encodedPrevKv] = [encoded[1]!, encoded[0]!];
    const record = encodeEventRecord({ type: 1, encodedKv, encodedPrevKv });
    const first = encodeEventRecord({ type: 0, encodedKv, encodedPrevKv: null });
    for (const watchId of [0, 5, 70_000]) {
      const response = {
        watchId,
        created: false,
        canceled: true,
        compactRevision: 6,
        cancelReason: 'why',
        fragment: true,
      };
      const result = { ...response, eventRecords: [first, record] };
      expect(decodeWatchResponse(respond(encodeWatchResult, result))).toEqual({
        header,
        ...response,
        events: [
          { type: 0, kv: b, prevKv: null },
          { type: 1, kv: b, prevKv: a },
        ],
      });
    }
  });
});

// Are hand-written codecs worth their lines? Round trips of Put, Range and Txn, ours against
// protobufjs, which compiles its codecs from our proto files, in one run.
//
//     npx tsx bench/codec.ts [rounds]

import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { CompareResult, CompareTarget, type TxnRequest } from '../src/api/kv.ts';
import {
  decodePutRequest,
  decodePutResponse,
  decodeRangeRequest,
  decodeRangeResponse,
  emptyRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
} from '../src/api/kv-codec.ts';
import { type Encode, ProtoWriter } from '../src/api/proto-writer.ts';
import type { TxnResult } from '../src/api/results.ts';
import {
  encodePutResult,
  encodeRangeResult,
  encodeTxnResult,
  HeaderEncoder,
} from '../src/api/results-codec.ts';
import { toStoredKeyValue } from '../src/api/stored-key-value.ts';
import { decodeTxnRequest, decodeTxnResponse, encodeTxnRequest } from '../src/api/txn-codec.ts';

const rounds = Number(process.argv[2] ?? 200_000);
const { Long } = protobuf.util;

const key = new TextEncoder().encode('/registry/pods/default/web-5f6d9c7b8-x2x4q');
const value = new Uint8Array(256).fill(7);
const ids = { clusterId: 0xcdf818194e3a8c32n, memberId: 0x8e9e05c52164694dn };
const position = { revision: 123_456_789, raftTerm: 12 };

const root = protobuf.loadSync(fileURLToPath(new URL('../proto/rpc.proto', import.meta.url)));
const type = (name: string) => root.lookupType(`etcdserverpb.${name}`);

// ---- The same messages twice ----

const put = { key, value, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };
const theirPut = { key, value };

const range = { ...emptyRangeRequest(), key, limit: 1 };
const theirRange = { key, limit: 1 };

const txn: TxnRequest = {
  compare: [
    {
      result: CompareResult.EQUAL,
      target: CompareTarget.MOD,
      key,
      targetUnion: { kind: 'modRevision', modRevision: 123_456_780 },
      rangeEnd: new Uint8Array(0),
    },
  ],
  success: [{ kind: 'put', put }],
  failure: [{ kind: 'range', range }],
};
const theirTxn = {
  compare: [{ target: CompareTarget.MOD, key, modRevision: 123_456_780 }],
  success: [{ requestPut: theirPut }],
  failure: [{ requestRange: theirRange }],
};

const kv = {
  key,
  createRevision: 99_000_000,
  modRevision: 123_456_780,
  version: 7,
  value,
  lease: 0n,
};
const stored = toStoredKeyValue(kv);
const { lease: _, ...theirKv } = kv;
const unsigned = (id: bigint) => new Long(Number(id & 0xffff_ffffn), Number(id >> 32n), true);
const theirHeader = {
  clusterId: unsigned(ids.clusterId),
  memberId: unsigned(ids.memberId),
  ...position,
};
const rangeResult = (count: number) => ({
  revision: position.revision,
  encodedKvs: Array<Uint8Array>(count).fill(stored),
  more: false,
  count,
});
const theirRangeResponse = (count: number) => ({
  header: theirHeader,
  kvs: Array<object>(count).fill(theirKv),
  count,
});
const txnResult: TxnResult = {
  revision: position.revision,
  succeeded: true,
  responses: [{ kind: 'put', put: { revision: position.revision, encodedPrevKv: null } }],
};
const theirTxnResponse = {
  header: theirHeader,
  succeeded: true,
  responses: [{ responsePut: { header: { revision: position.revision } } }],
};

// ---- One round trip: client writes, server reads, server answers, client reads ----

const headers = new HeaderEncoder(ids);
const writer = new ProtoWriter();

function write<T>(encode: Encode<T>, message: T): Uint8Array {
  writer.reset();
  encode(message, writer);
  return writer.finish();
}

function answer<T>(encode: Encode<T>, result: T): Uint8Array {
  writer.reset();
  encode(result, writer);
  headers.encode(position, writer);
  return writer.finish();
}

function theirTrip(name: string, request: object, response: object): () => void {
  const requests = type(`${name}Request`);
  const responses = type(`${name}Response`);
  return () => {
    requests.decode(requests.encode(request).finish());
    responses.decode(responses.encode(response).finish());
  };
}

const ten = rangeResult(10);
const trips: [name: string, ours: () => void, theirs: () => void][] = [
  [
    'Put 256 B',
    () => {
      decodePutRequest(write(encodePutRequest, put));
      decodePutResponse(answer(encodePutResult, { revision: 0, encodedPrevKv: null }));
    },
    theirTrip('Put', theirPut, { header: theirHeader }),
  ],
  [
    'Range of 10 keys',
    () => {
      decodeRangeRequest(write(encodeRangeRequest, range));
      decodeRangeResponse(answer(encodeRangeResult, ten));
    },
    theirTrip('Range', theirRange, theirRangeResponse(10)),
  ],
  [
    'Txn compare-put-get',
    () => {
      decodeTxnRequest(write(encodeTxnRequest, txn));
      decodeTxnResponse(answer(encodeTxnResult, txnResult));
    },
    theirTrip('Txn', theirTxn, theirTxnResponse),
  ],
];

// ---- The server's half alone, which is what its core pays ----

function theirHalf(name: string, request: object, response: object): () => void {
  const requests = type(`${name}Request`);
  const responses = type(`${name}Response`);
  const bytes = requests.encode(request).finish();
  return () => {
    requests.decode(bytes);
    responses.encode(response).finish();
  };
}

const putBytes = write(encodePutRequest, put);
const rangeBytes = write(encodeRangeRequest, range);
const txnBytes = write(encodeTxnRequest, txn);
const putResult = { revision: 0, encodedPrevKv: null };
const halves: typeof trips = [
  [
    'Put, server half',
    () => {
      decodePutRequest(putBytes);
      answer(encodePutResult, putResult);
    },
    theirHalf('Put', theirPut, { header: theirHeader }),
  ],
  [
    'Range of 10, server half',
    () => {
      decodeRangeRequest(rangeBytes);
      answer(encodeRangeResult, ten);
    },
    theirHalf('Range', theirRange, theirRangeResponse(10)),
  ],
  [
    'Txn, server half',
    () => {
      decodeTxnRequest(txnBytes);
      answer(encodeTxnResult, txnResult);
    },
    theirHalf('Txn', theirTxn, theirTxnResponse),
  ],
];

/** CPU time of the process, collection of garbage included. */
function nanosecondsPerCall(work: () => void): number {
  const start = process.cpuUsage();
  for (let i = 0; i < rounds; i++) work();
  const used = process.cpuUsage(start);
  return ((used.user + used.system) * 1000) / rounds;
}

/** The best of five alternating passes: the machine is shared, and noise only ever adds. */
function compare(ours: () => void, theirs: () => void): { ours: number; theirs: number } {
  const best = { ours: Number.POSITIVE_INFINITY, theirs: Number.POSITIVE_INFINITY };
  for (let pass = 0; pass < 5; pass++) {
    best.ours = Math.min(best.ours, nanosecondsPerCall(ours));
    best.theirs = Math.min(best.theirs, nanosecondsPerCall(theirs));
  }
  return best;
}

console.log(`node ${process.version}, ${rounds} rounds, best of 5, CPU ns per call`);
for (const [name, ours, theirs] of [...trips, ...halves]) {
  const best = compare(ours, theirs);
  const columns = [best.ours.toFixed(0), best.theirs.toFixed(0)].map(n => n.padStart(8));
  const ratio = (best.theirs / best.ours).toFixed(1);
  console.log(`${name.padEnd(26)} ours${columns[0]}   protobufjs${columns[1]}   ${ratio} x`);
}

// Codecs of transactions: comparisons, and operations that may nest further transactions. Encoders
// name fields in falling order: see proto-writer.ts.

import { decodeResponseHeader, encodeResponseHeader } from './common-codec.ts';
import type {
  Compare,
  CompareTargetUnion,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from './kv.ts';
import {
  decodeDeleteRangeRequest,
  decodeDeleteRangeResponse,
  decodePutRequest,
  decodePutResponse,
  decodeRangeRequest,
  decodeRangeResponse,
  encodeDeleteRangeRequest,
  encodeDeleteRangeResponse,
  encodePutRequest,
  encodePutResponse,
  encodeRangeRequest,
  encodeRangeResponse,
} from './kv-codec.ts';
import { EMPTY_BYTES, ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';
import { unreachable } from './unreachable.ts';

/**
 * Nested messages in one request, all levels together: 65,536 operations. Two bytes on the wire can
 * become an object of two hundred, so a request of 2 MiB could otherwise fill the heap.
 */
const TXN_MESSAGES_MAX = 131_072;

export function emptyTxnRequest(): TxnRequest {
  return { compare: [], success: [], failure: [] };
}

export function encodeTxnRequest(m: TxnRequest, w: ProtoWriter): void {
  w.messages(3, m.failure, encodeRequestOp);
  w.messages(2, m.success, encodeRequestOp);
  w.messages(1, m.compare, encodeCompare);
}

export function decodeTxnRequest(source: Uint8Array | ProtoReader): TxnRequest {
  const r = source instanceof ProtoReader ? source : new ProtoReader(source, TXN_MESSAGES_MAX);
  const m = emptyTxnRequest();
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.compare.push(r.message(decodeCompare));
        break;
      case 2:
        m.success.push(r.message(decodeRequestOp));
        break;
      case 3:
        m.failure.push(r.message(decodeRequestOp));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeCompare(m: Compare, w: ProtoWriter): void {
  w.bytes(64, m.rangeEnd);
  encodeTargetUnion(m.targetUnion, w);
  w.bytes(3, m.key);
  w.int(2, m.target);
  w.int(1, m.result);
}

/** A member of a oneof is written even when it is 0: its presence is what counts. */
function encodeTargetUnion(m: CompareTargetUnion, w: ProtoWriter): void {
  if (m === null) return;
  switch (m.kind) {
    case 'version':
      w.presentInt(4, m.version);
      break;
    case 'createRevision':
      w.presentInt(5, m.createRevision);
      break;
    case 'modRevision':
      w.presentInt(6, m.modRevision);
      break;
    case 'value':
      w.embedded(7, m.value);
      break;
    case 'lease':
      w.presentId(8, m.lease);
      break;
    default:
      unreachable(m);
  }
}

export function decodeCompare(source: Uint8Array | ProtoReader): Compare {
  const r = readerOf(source);
  const m: Compare = {
    result: 0,
    target: 0,
    key: EMPTY_BYTES,
    targetUnion: null,
    rangeEnd: EMPTY_BYTES,
  };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.result = r.enum();
        break;
      case 2:
        m.target = r.enum();
        break;
      case 3:
        m.key = r.bytes();
        break;
      case 4:
        m.targetUnion = { kind: 'version', version: r.int() };
        break;
      case 5:
        m.targetUnion = { kind: 'createRevision', createRevision: r.int() };
        break;
      case 6:
        m.targetUnion = { kind: 'modRevision', modRevision: r.int() };
        break;
      case 7:
        m.targetUnion = { kind: 'value', value: r.bytes() };
        break;
      case 8:
        m.targetUnion = { kind: 'lease', lease: r.int64() };
        break;
      case 64:
        m.rangeEnd = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeRequestOp(m: RequestOp, w: ProtoWriter): void {
  if (m === null) return;
  switch (m.kind) {
    case 'range':
      w.message(1, m.range, encodeRangeRequest);
      break;
    case 'put':
      w.message(2, m.put, encodePutRequest);
      break;
    case 'deleteRange':
      w.message(3, m.deleteRange, encodeDeleteRangeRequest);
      break;
    case 'txn':
      w.message(4, m.txn, encodeTxnRequest);
      break;
    default:
      unreachable(m);
  }
}

export function decodeRequestOp(source: Uint8Array | ProtoReader): RequestOp {
  const r = readerOf(source);
  let m: RequestOp = null;
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m = { kind: 'range', range: r.message(decodeRangeRequest) };
        break;
      case 2:
        m = { kind: 'put', put: r.message(decodePutRequest) };
        break;
      case 3:
        m = { kind: 'deleteRange', deleteRange: r.message(decodeDeleteRangeRequest) };
        break;
      case 4:
        m = { kind: 'txn', txn: r.message(decodeTxnRequest) };
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeTxnResponse(m: TxnResponse, w: ProtoWriter): void {
  w.messages(3, m.responses, encodeResponseOp);
  w.bool(2, m.succeeded);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeTxnResponse(source: Uint8Array | ProtoReader): TxnResponse {
  const r = readerOf(source);
  const m: TxnResponse = { header: null, succeeded: false, responses: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.succeeded = r.bool();
        break;
      case 3:
        m.responses.push(r.message(decodeResponseOp));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeResponseOp(m: ResponseOp, w: ProtoWriter): void {
  if (m === null) return;
  switch (m.kind) {
    case 'range':
      w.message(1, m.range, encodeRangeResponse);
      break;
    case 'put':
      w.message(2, m.put, encodePutResponse);
      break;
    case 'deleteRange':
      w.message(3, m.deleteRange, encodeDeleteRangeResponse);
      break;
    case 'txn':
      w.message(4, m.txn, encodeTxnResponse);
      break;
    default:
      unreachable(m);
  }
}

export function decodeResponseOp(source: Uint8Array | ProtoReader): ResponseOp {
  const r = readerOf(source);
  let m: ResponseOp = null;
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m = { kind: 'range', range: r.message(decodeRangeResponse) };
        break;
      case 2:
        m = { kind: 'put', put: r.message(decodePutResponse) };
        break;
      case 3:
        m = { kind: 'deleteRange', deleteRange: r.message(decodeDeleteRangeResponse) };
        break;
      case 4:
        m = { kind: 'txn', txn: r.message(decodeTxnResponse) };
        break;
      default:
        r.skip();
    }
  }
  return m;
}

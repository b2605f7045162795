// Codecs of the KV messages. Encoders name fields in falling order: see proto-writer.ts.

import {
  decodeKeyValue,
  decodeResponseHeader,
  encodeKeyValue,
  encodeResponseHeader,
} from './common-codec.ts';
import type {
  CompactionRequest,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  RangeStreamResponse,
} from './kv.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function emptyRangeRequest(): RangeRequest {
  return {
    key: EMPTY_BYTES,
    rangeEnd: EMPTY_BYTES,
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}

export function encodeRangeRequest(m: RangeRequest, w: ProtoWriter): void {
  w.int(13, m.maxCreateRevision);
  w.int(12, m.minCreateRevision);
  w.int(11, m.maxModRevision);
  w.int(10, m.minModRevision);
  w.bool(9, m.countOnly);
  w.bool(8, m.keysOnly);
  w.bool(7, m.serializable);
  w.int(6, m.sortTarget);
  w.int(5, m.sortOrder);
  w.int(4, m.revision);
  w.int(3, m.limit);
  w.bytes(2, m.rangeEnd);
  w.bytes(1, m.key);
}

export function decodeRangeRequest(source: Uint8Array | ProtoReader): RangeRequest {
  const r = readerOf(source);
  const m: RangeRequest = emptyRangeRequest();
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.key = r.bytes();
        break;
      case 2:
        m.rangeEnd = r.bytes();
        break;
      case 3:
        m.limit = r.int();
        break;
      case 4:
        m.revision = r.int();
        break;
      case 5:
        m.sortOrder = r.enum();
        break;
      case 6:
        m.sortTarget = r.enum();
        break;
      case 7:
        m.serializable = r.bool();
        break;
      case 8:
        m.keysOnly = r.bool();
        break;
      case 9:
        m.countOnly = r.bool();
        break;
      case 10:
        m.minModRevision = r.int();
        break;
      case 11:
        m.maxModRevision = r.int();
        break;
      case 12:
        m.minCreateRevision = r.int();
        break;
      case 13:
        m.maxCreateRevision = r.int();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeRangeResponse(m: RangeResponse, w: ProtoWriter): void {
  w.int(4, m.count);
  w.bool(3, m.more);
  w.messages(2, m.kvs, encodeKeyValue);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeRangeResponse(source: Uint8Array | ProtoReader): RangeResponse {
  const r = readerOf(source);
  const m: RangeResponse = { header: null, kvs: [], more: false, count: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.kvs.push(r.message(decodeKeyValue));
        break;
      case 3:
        m.more = r.bool();
        break;
      case 4:
        m.count = r.int();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeRangeStreamResponse(m: RangeStreamResponse, w: ProtoWriter): void {
  w.message(1, m.rangeResponse, encodeRangeResponse);
}

export function decodeRangeStreamResponse(source: Uint8Array | ProtoReader): RangeStreamResponse {
  const r = readerOf(source);
  const m: RangeStreamResponse = { rangeResponse: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.rangeResponse = r.message(decodeRangeResponse);
    else r.skip();
  }
  return m;
}

export function emptyPutRequest(): PutRequest {
  return {
    key: EMPTY_BYTES,
    value: EMPTY_BYTES,
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  };
}

export function encodePutRequest(m: PutRequest, w: ProtoWriter): void {
  w.bool(6, m.ignoreLease);
  w.bool(5, m.ignoreValue);
  w.bool(4, m.prevKv);
  w.id(3, m.lease);
  w.bytes(2, m.value);
  w.bytes(1, m.key);
}

export function decodePutRequest(source: Uint8Array | ProtoReader): PutRequest {
  const r = readerOf(source);
  const m: PutRequest = emptyPutRequest();
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.key = r.bytes();
        break;
      case 2:
        m.value = r.bytes();
        break;
      case 3:
        m.lease = r.int64();
        break;
      case 4:
        m.prevKv = r.bool();
        break;
      case 5:
        m.ignoreValue = r.bool();
        break;
      case 6:
        m.ignoreLease = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodePutResponse(m: PutResponse, w: ProtoWriter): void {
  w.message(2, m.prevKv, encodeKeyValue);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodePutResponse(source: Uint8Array | ProtoReader): PutResponse {
  const r = readerOf(source);
  const m: PutResponse = { header: null, prevKv: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.prevKv = r.message(decodeKeyValue);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function emptyDeleteRangeRequest(): DeleteRangeRequest {
  return { key: EMPTY_BYTES, rangeEnd: EMPTY_BYTES, prevKv: false };
}

export function encodeDeleteRangeRequest(m: DeleteRangeRequest, w: ProtoWriter): void {
  w.bool(3, m.prevKv);
  w.bytes(2, m.rangeEnd);
  w.bytes(1, m.key);
}

export function decodeDeleteRangeRequest(source: Uint8Array | ProtoReader): DeleteRangeRequest {
  const r = readerOf(source);
  const m: DeleteRangeRequest = emptyDeleteRangeRequest();
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.key = r.bytes();
        break;
      case 2:
        m.rangeEnd = r.bytes();
        break;
      case 3:
        m.prevKv = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeDeleteRangeResponse(m: DeleteRangeResponse, w: ProtoWriter): void {
  w.messages(3, m.prevKvs, encodeKeyValue);
  w.int(2, m.deleted);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeDeleteRangeResponse(source: Uint8Array | ProtoReader): DeleteRangeResponse {
  const r = readerOf(source);
  const m: DeleteRangeResponse = { header: null, deleted: 0, prevKvs: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.deleted = r.int();
        break;
      case 3:
        m.prevKvs.push(r.message(decodeKeyValue));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeCompactionRequest(m: CompactionRequest, w: ProtoWriter): void {
  w.bool(2, m.physical);
  w.int(1, m.revision);
}

export function decodeCompactionRequest(source: Uint8Array | ProtoReader): CompactionRequest {
  const r = readerOf(source);
  const m: CompactionRequest = { revision: 0, physical: false };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.revision = r.int();
        break;
      case 2:
        m.physical = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

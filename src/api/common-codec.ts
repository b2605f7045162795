// Codecs of the shared messages. Encoders name fields in falling order: see proto-writer.ts.

import type {
  EmptyRequest,
  Event,
  HeaderOnlyResponse,
  KeyValue,
  ResponseHeader,
} from './common.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeResponseHeader(m: ResponseHeader, w: ProtoWriter): void {
  w.int(4, m.raftTerm);
  w.int(3, m.revision);
  w.id(2, m.memberId);
  w.id(1, m.clusterId);
}

export function decodeResponseHeader(source: Uint8Array | ProtoReader): ResponseHeader {
  const r = readerOf(source);
  const m: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.clusterId = r.uint64();
        break;
      case 2:
        m.memberId = r.uint64();
        break;
      case 3:
        m.revision = r.int();
        break;
      case 4:
        m.raftTerm = r.uint();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeKeyValue(m: KeyValue, w: ProtoWriter): void {
  w.id(6, m.lease);
  w.bytes(5, m.value);
  w.int(4, m.version);
  w.int(3, m.modRevision);
  w.int(2, m.createRevision);
  w.bytes(1, m.key);
}

export function decodeKeyValue(source: Uint8Array | ProtoReader): KeyValue {
  const r = readerOf(source);
  const m: KeyValue = {
    key: EMPTY_BYTES,
    createRevision: 0,
    modRevision: 0,
    version: 0,
    value: EMPTY_BYTES,
    lease: 0n,
  };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.key = r.bytes();
        break;
      case 2:
        m.createRevision = r.int();
        break;
      case 3:
        m.modRevision = r.int();
        break;
      case 4:
        m.version = r.int();
        break;
      case 5:
        m.value = r.bytes();
        break;
      case 6:
        m.lease = r.int64();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeEvent(m: Event, w: ProtoWriter): void {
  w.message(3, m.prevKv, encodeKeyValue);
  w.message(2, m.kv, encodeKeyValue);
  w.int(1, m.type);
}

export function decodeEvent(source: Uint8Array | ProtoReader): Event {
  const r = readerOf(source);
  const m: Event = { type: 0, kv: null, prevKv: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.type = r.enum();
        break;
      case 2:
        m.kv = r.message(decodeKeyValue);
        break;
      case 3:
        m.prevKv = r.message(decodeKeyValue);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeHeaderOnlyResponse(m: HeaderOnlyResponse, w: ProtoWriter): void {
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeHeaderOnlyResponse(source: Uint8Array | ProtoReader): HeaderOnlyResponse {
  const r = readerOf(source);
  const m: HeaderOnlyResponse = { header: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.header = r.message(decodeResponseHeader);
    else r.skip();
  }
  return m;
}

export function encodeEmptyRequest(_m: EmptyRequest, _w: ProtoWriter): void {}

export function decodeEmptyRequest(source: Uint8Array | ProtoReader): EmptyRequest {
  const r = readerOf(source);
  while (r.next() !== 0) r.skip();
  return {};
}

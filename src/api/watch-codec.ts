// Codecs of the Watch messages. Encoders name fields in falling order: see proto-writer.ts.

import {
  decodeEmptyRequest,
  decodeEvent,
  decodeResponseHeader,
  encodeEmptyRequest,
  encodeEvent,
  encodeResponseHeader,
} from './common-codec.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';
import type {
  WatchCancelRequest,
  WatchCreateRequest,
  WatchRequest,
  WatchResponse,
} from './watch.ts';

export function emptyWatchCreateRequest(): WatchCreateRequest {
  return {
    key: EMPTY_BYTES,
    rangeEnd: EMPTY_BYTES,
    startRevision: 0,
    progressNotify: false,
    filters: [],
    prevKv: false,
    watchId: 0,
    fragment: false,
  };
}

export function encodeWatchCreateRequest(m: WatchCreateRequest, w: ProtoWriter): void {
  w.bool(8, m.fragment);
  w.int(7, m.watchId);
  w.bool(6, m.prevKv);
  w.packedInts(5, m.filters);
  w.bool(4, m.progressNotify);
  w.int(3, m.startRevision);
  w.bytes(2, m.rangeEnd);
  w.bytes(1, m.key);
}

export function decodeWatchCreateRequest(source: Uint8Array | ProtoReader): WatchCreateRequest {
  const r = readerOf(source);
  const m: WatchCreateRequest = emptyWatchCreateRequest();
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
        m.startRevision = r.int();
        break;
      case 4:
        m.progressNotify = r.bool();
        break;
      case 5:
        r.enums(m.filters);
        break;
      case 6:
        m.prevKv = r.bool();
        break;
      case 7:
        m.watchId = r.int();
        break;
      case 8:
        m.fragment = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeWatchCancelRequest(m: WatchCancelRequest, w: ProtoWriter): void {
  w.int(1, m.watchId);
}

export function decodeWatchCancelRequest(source: Uint8Array | ProtoReader): WatchCancelRequest {
  const r = readerOf(source);
  const m: WatchCancelRequest = { watchId: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.watchId = r.int();
    else r.skip();
  }
  return m;
}

export function encodeWatchRequest(m: WatchRequest, w: ProtoWriter): void {
  if (m === null) return;
  if (m.kind === 'create') w.message(1, m.create, encodeWatchCreateRequest);
  else if (m.kind === 'cancel') w.message(2, m.cancel, encodeWatchCancelRequest);
  else w.message(3, {}, encodeEmptyRequest);
}

export function decodeWatchRequest(source: Uint8Array | ProtoReader): WatchRequest {
  const r = readerOf(source);
  let m: WatchRequest = null;
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m = { kind: 'create', create: r.message(decodeWatchCreateRequest) };
        break;
      case 2:
        m = { kind: 'cancel', cancel: r.message(decodeWatchCancelRequest) };
        break;
      case 3:
        r.message(decodeEmptyRequest);
        m = { kind: 'progress' };
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeWatchResponse(m: WatchResponse, w: ProtoWriter): void {
  w.messages(11, m.events, encodeEvent);
  w.bool(7, m.fragment);
  w.string(6, m.cancelReason);
  w.int(5, m.compactRevision);
  w.bool(4, m.canceled);
  w.bool(3, m.created);
  w.int(2, m.watchId);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeWatchResponse(source: Uint8Array | ProtoReader): WatchResponse {
  const r = readerOf(source);
  const m: WatchResponse = {
    header: null,
    watchId: 0,
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: '',
    fragment: false,
    events: [],
  };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.watchId = r.int();
        break;
      case 3:
        m.created = r.bool();
        break;
      case 4:
        m.canceled = r.bool();
        break;
      case 5:
        m.compactRevision = r.int();
        break;
      case 6:
        m.cancelReason = r.string();
        break;
      case 7:
        m.fragment = r.bool();
        break;
      case 11:
        m.events.push(r.message(decodeEvent));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

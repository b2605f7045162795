// Codecs of the Election and Lock messages. Encoders name fields in falling order: see
// proto-writer.ts.

import {
  decodeKeyValue,
  decodeResponseHeader,
  encodeKeyValue,
  encodeResponseHeader,
} from './common-codec.ts';
import type {
  CampaignRequest,
  CampaignResponse,
  LeaderKey,
  LeaderRequest,
  LeaderResponse,
  LockRequest,
  LockResponse,
  ProclaimRequest,
  ResignRequest,
  UnlockRequest,
} from './concurrency.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeLeaderKey(m: LeaderKey, w: ProtoWriter): void {
  w.id(4, m.lease);
  w.int(3, m.rev);
  w.bytes(2, m.key);
  w.bytes(1, m.name);
}

export function decodeLeaderKey(source: Uint8Array | ProtoReader): LeaderKey {
  const r = readerOf(source);
  const m: LeaderKey = { name: EMPTY_BYTES, key: EMPTY_BYTES, rev: 0, lease: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.bytes();
        break;
      case 2:
        m.key = r.bytes();
        break;
      case 3:
        m.rev = r.int();
        break;
      case 4:
        m.lease = r.int64();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeCampaignRequest(m: CampaignRequest, w: ProtoWriter): void {
  w.bytes(3, m.value);
  w.id(2, m.lease);
  w.bytes(1, m.name);
}

export function decodeCampaignRequest(source: Uint8Array | ProtoReader): CampaignRequest {
  const r = readerOf(source);
  const m: CampaignRequest = { name: EMPTY_BYTES, lease: 0n, value: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.bytes();
        break;
      case 2:
        m.lease = r.int64();
        break;
      case 3:
        m.value = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeCampaignResponse(m: CampaignResponse, w: ProtoWriter): void {
  w.message(2, m.leader, encodeLeaderKey);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeCampaignResponse(source: Uint8Array | ProtoReader): CampaignResponse {
  const r = readerOf(source);
  const m: CampaignResponse = { header: null, leader: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.leader = r.message(decodeLeaderKey);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaderRequest(m: LeaderRequest, w: ProtoWriter): void {
  w.bytes(1, m.name);
}

export function decodeLeaderRequest(source: Uint8Array | ProtoReader): LeaderRequest {
  const r = readerOf(source);
  const m: LeaderRequest = { name: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.name = r.bytes();
    else r.skip();
  }
  return m;
}

export function encodeLeaderResponse(m: LeaderResponse, w: ProtoWriter): void {
  w.message(2, m.kv, encodeKeyValue);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeLeaderResponse(source: Uint8Array | ProtoReader): LeaderResponse {
  const r = readerOf(source);
  const m: LeaderResponse = { header: null, kv: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.kv = r.message(decodeKeyValue);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeResignRequest(m: ResignRequest, w: ProtoWriter): void {
  w.message(1, m.leader, encodeLeaderKey);
}

export function decodeResignRequest(source: Uint8Array | ProtoReader): ResignRequest {
  const r = readerOf(source);
  const m: ResignRequest = { leader: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.leader = r.message(decodeLeaderKey);
    else r.skip();
  }
  return m;
}

export function encodeProclaimRequest(m: ProclaimRequest, w: ProtoWriter): void {
  w.bytes(2, m.value);
  w.message(1, m.leader, encodeLeaderKey);
}

export function decodeProclaimRequest(source: Uint8Array | ProtoReader): ProclaimRequest {
  const r = readerOf(source);
  const m: ProclaimRequest = { leader: null, value: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.leader = r.message(decodeLeaderKey);
        break;
      case 2:
        m.value = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLockRequest(m: LockRequest, w: ProtoWriter): void {
  w.id(2, m.lease);
  w.bytes(1, m.name);
}

export function decodeLockRequest(source: Uint8Array | ProtoReader): LockRequest {
  const r = readerOf(source);
  const m: LockRequest = { name: EMPTY_BYTES, lease: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.bytes();
        break;
      case 2:
        m.lease = r.int64();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLockResponse(m: LockResponse, w: ProtoWriter): void {
  w.bytes(2, m.key);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeLockResponse(source: Uint8Array | ProtoReader): LockResponse {
  const r = readerOf(source);
  const m: LockResponse = { header: null, key: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.key = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeUnlockRequest(m: UnlockRequest, w: ProtoWriter): void {
  w.bytes(1, m.key);
}

export function decodeUnlockRequest(source: Uint8Array | ProtoReader): UnlockRequest {
  const r = readerOf(source);
  const m: UnlockRequest = { key: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.key = r.bytes();
    else r.skip();
  }
  return m;
}

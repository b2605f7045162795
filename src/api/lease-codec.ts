// Codecs of the Lease messages. Encoders name fields in falling order: see proto-writer.ts.

import { decodeResponseHeader, encodeResponseHeader } from './common-codec.ts';
import type {
  LeaseCheckpoint,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseLeasesResponse,
  LeaseRevokeRequest,
  LeaseStatus,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from './lease.ts';
import { type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeLeaseGrantRequest(m: LeaseGrantRequest, w: ProtoWriter): void {
  w.id(2, m.id);
  w.int(1, m.ttl);
}

export function decodeLeaseGrantRequest(source: Uint8Array | ProtoReader): LeaseGrantRequest {
  const r = readerOf(source);
  const m: LeaseGrantRequest = { ttl: 0, id: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.ttl = r.int();
        break;
      case 2:
        m.id = r.int64();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaseGrantResponse(m: LeaseGrantResponse, w: ProtoWriter): void {
  w.string(4, m.error);
  w.int(3, m.ttl);
  w.id(2, m.id);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeLeaseGrantResponse(source: Uint8Array | ProtoReader): LeaseGrantResponse {
  const r = readerOf(source);
  const m: LeaseGrantResponse = { header: null, id: 0n, ttl: 0, error: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.id = r.int64();
        break;
      case 3:
        m.ttl = r.int();
        break;
      case 4:
        m.error = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaseRevokeRequest(m: LeaseRevokeRequest, w: ProtoWriter): void {
  w.id(1, m.id);
}

export function decodeLeaseRevokeRequest(source: Uint8Array | ProtoReader): LeaseRevokeRequest {
  const r = readerOf(source);
  const m: LeaseRevokeRequest = { id: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.id = r.int64();
    else r.skip();
  }
  return m;
}

export function encodeLeaseCheckpoint(m: LeaseCheckpoint, w: ProtoWriter): void {
  w.int(2, m.remainingTtl);
  w.id(1, m.id);
}

export function decodeLeaseCheckpoint(source: Uint8Array | ProtoReader): LeaseCheckpoint {
  const r = readerOf(source);
  const m: LeaseCheckpoint = { id: 0n, remainingTtl: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.id = r.int64();
        break;
      case 2:
        m.remainingTtl = r.int();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaseCheckpointRequest(m: LeaseCheckpointRequest, w: ProtoWriter): void {
  w.messages(1, m.checkpoints, encodeLeaseCheckpoint);
}

export function decodeLeaseCheckpointRequest(
  source: Uint8Array | ProtoReader,
): LeaseCheckpointRequest {
  const r = readerOf(source);
  const m: LeaseCheckpointRequest = { checkpoints: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.checkpoints.push(r.message(decodeLeaseCheckpoint));
    else r.skip();
  }
  return m;
}

export function encodeLeaseKeepAliveRequest(m: LeaseKeepAliveRequest, w: ProtoWriter): void {
  w.id(1, m.id);
}

export function decodeLeaseKeepAliveRequest(
  source: Uint8Array | ProtoReader,
): LeaseKeepAliveRequest {
  const r = readerOf(source);
  const m: LeaseKeepAliveRequest = { id: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.id = r.int64();
    else r.skip();
  }
  return m;
}

export function encodeLeaseKeepAliveResponse(m: LeaseKeepAliveResponse, w: ProtoWriter): void {
  w.int(3, m.ttl);
  w.id(2, m.id);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeLeaseKeepAliveResponse(
  source: Uint8Array | ProtoReader,
): LeaseKeepAliveResponse {
  const r = readerOf(source);
  const m: LeaseKeepAliveResponse = { header: null, id: 0n, ttl: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.id = r.int64();
        break;
      case 3:
        m.ttl = r.int();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaseTimeToLiveRequest(m: LeaseTimeToLiveRequest, w: ProtoWriter): void {
  w.bool(2, m.keys);
  w.id(1, m.id);
}

export function decodeLeaseTimeToLiveRequest(
  source: Uint8Array | ProtoReader,
): LeaseTimeToLiveRequest {
  const r = readerOf(source);
  const m: LeaseTimeToLiveRequest = { id: 0n, keys: false };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.id = r.int64();
        break;
      case 2:
        m.keys = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaseTimeToLiveResponse(m: LeaseTimeToLiveResponse, w: ProtoWriter): void {
  w.embeddedList(5, m.keys);
  w.int(4, m.grantedTtl);
  w.int(3, m.ttl);
  w.id(2, m.id);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeLeaseTimeToLiveResponse(
  source: Uint8Array | ProtoReader,
): LeaseTimeToLiveResponse {
  const r = readerOf(source);
  const m: LeaseTimeToLiveResponse = { header: null, id: 0n, ttl: 0, grantedTtl: 0, keys: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.id = r.int64();
        break;
      case 3:
        m.ttl = r.int();
        break;
      case 4:
        m.grantedTtl = r.int();
        break;
      case 5:
        m.keys.push(r.bytes());
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeLeaseStatus(m: LeaseStatus, w: ProtoWriter): void {
  w.id(1, m.id);
}

export function decodeLeaseStatus(source: Uint8Array | ProtoReader): LeaseStatus {
  const r = readerOf(source);
  const m: LeaseStatus = { id: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.id = r.int64();
    else r.skip();
  }
  return m;
}

export function encodeLeaseLeasesResponse(m: LeaseLeasesResponse, w: ProtoWriter): void {
  w.messages(2, m.leases, encodeLeaseStatus);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeLeaseLeasesResponse(source: Uint8Array | ProtoReader): LeaseLeasesResponse {
  const r = readerOf(source);
  const m: LeaseLeasesResponse = { header: null, leases: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.leases.push(r.message(decodeLeaseStatus));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

// Codecs of the Maintenance messages. Encoders name fields in falling order: see proto-writer.ts.

import { decodeResponseHeader, encodeResponseHeader } from './common-codec.ts';
import type {
  AlarmMember,
  AlarmRequest,
  AlarmResponse,
  DowngradeInfo,
  DowngradeRequest,
  DowngradeResponse,
  HashKVRequest,
  HashKVResponse,
  HashResponse,
  MoveLeaderRequest,
  SnapshotResponse,
  StatusResponse,
} from './maintenance.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeAlarmRequest(m: AlarmRequest, w: ProtoWriter): void {
  w.int(3, m.alarm);
  w.id(2, m.memberId);
  w.int(1, m.action);
}

export function decodeAlarmRequest(source: Uint8Array | ProtoReader): AlarmRequest {
  const r = readerOf(source);
  const m: AlarmRequest = { action: 0, memberId: 0n, alarm: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.action = r.enum();
        break;
      case 2:
        m.memberId = r.uint64();
        break;
      case 3:
        m.alarm = r.enum();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAlarmMember(m: AlarmMember, w: ProtoWriter): void {
  w.int(2, m.alarm);
  w.id(1, m.memberId);
}

export function decodeAlarmMember(source: Uint8Array | ProtoReader): AlarmMember {
  const r = readerOf(source);
  const m: AlarmMember = { memberId: 0n, alarm: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.memberId = r.uint64();
        break;
      case 2:
        m.alarm = r.enum();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAlarmResponse(m: AlarmResponse, w: ProtoWriter): void {
  w.messages(2, m.alarms, encodeAlarmMember);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAlarmResponse(source: Uint8Array | ProtoReader): AlarmResponse {
  const r = readerOf(source);
  const m: AlarmResponse = { header: null, alarms: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.alarms.push(r.message(decodeAlarmMember));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeDowngradeInfo(m: DowngradeInfo, w: ProtoWriter): void {
  w.string(2, m.targetVersion);
  w.bool(1, m.enabled);
}

export function decodeDowngradeInfo(source: Uint8Array | ProtoReader): DowngradeInfo {
  const r = readerOf(source);
  const m: DowngradeInfo = { enabled: false, targetVersion: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.enabled = r.bool();
        break;
      case 2:
        m.targetVersion = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeStatusResponse(m: StatusResponse, w: ProtoWriter): void {
  w.message(13, m.downgradeInfo, encodeDowngradeInfo);
  w.int(12, m.dbSizeQuota);
  w.string(11, m.storageVersion);
  w.bool(10, m.isLearner);
  w.int(9, m.dbSizeInUse);
  w.strings(8, m.errors);
  w.int(7, m.raftAppliedIndex);
  w.int(6, m.raftTerm);
  w.int(5, m.raftIndex);
  w.id(4, m.leader);
  w.int(3, m.dbSize);
  w.string(2, m.version);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeStatusResponse(source: Uint8Array | ProtoReader): StatusResponse {
  const r = readerOf(source);
  const m: StatusResponse = {
    header: null,
    version: '',
    dbSize: 0,
    leader: 0n,
    raftIndex: 0,
    raftTerm: 0,
    raftAppliedIndex: 0,
    errors: [],
    dbSizeInUse: 0,
    isLearner: false,
    storageVersion: '',
    dbSizeQuota: 0,
    downgradeInfo: null,
  };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.version = r.string();
        break;
      case 3:
        m.dbSize = r.int();
        break;
      case 4:
        m.leader = r.uint64();
        break;
      case 5:
        m.raftIndex = r.uint();
        break;
      case 6:
        m.raftTerm = r.uint();
        break;
      case 7:
        m.raftAppliedIndex = r.uint();
        break;
      case 8:
        m.errors.push(r.string());
        break;
      case 9:
        m.dbSizeInUse = r.int();
        break;
      case 10:
        m.isLearner = r.bool();
        break;
      case 11:
        m.storageVersion = r.string();
        break;
      case 12:
        m.dbSizeQuota = r.int();
        break;
      case 13:
        m.downgradeInfo = r.message(decodeDowngradeInfo);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeHashResponse(m: HashResponse, w: ProtoWriter): void {
  w.int(2, m.hash);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeHashResponse(source: Uint8Array | ProtoReader): HashResponse {
  const r = readerOf(source);
  const m: HashResponse = { header: null, hash: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.hash = r.uint32();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeHashKVRequest(m: HashKVRequest, w: ProtoWriter): void {
  w.int(1, m.revision);
}

export function decodeHashKVRequest(source: Uint8Array | ProtoReader): HashKVRequest {
  const r = readerOf(source);
  const m: HashKVRequest = { revision: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.revision = r.int();
    else r.skip();
  }
  return m;
}

export function encodeHashKVResponse(m: HashKVResponse, w: ProtoWriter): void {
  w.int(4, m.hashRevision);
  w.int(3, m.compactRevision);
  w.int(2, m.hash);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeHashKVResponse(source: Uint8Array | ProtoReader): HashKVResponse {
  const r = readerOf(source);
  const m: HashKVResponse = { header: null, hash: 0, compactRevision: 0, hashRevision: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.hash = r.uint32();
        break;
      case 3:
        m.compactRevision = r.int();
        break;
      case 4:
        m.hashRevision = r.int();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeSnapshotResponse(m: SnapshotResponse, w: ProtoWriter): void {
  w.string(4, m.version);
  w.bytes(3, m.blob);
  w.int(2, m.remainingBytes);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeSnapshotResponse(source: Uint8Array | ProtoReader): SnapshotResponse {
  const r = readerOf(source);
  const m: SnapshotResponse = { header: null, remainingBytes: 0, blob: EMPTY_BYTES, version: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.remainingBytes = r.uint();
        break;
      case 3:
        m.blob = r.bytes();
        break;
      case 4:
        m.version = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeMoveLeaderRequest(m: MoveLeaderRequest, w: ProtoWriter): void {
  w.id(1, m.targetId);
}

export function decodeMoveLeaderRequest(source: Uint8Array | ProtoReader): MoveLeaderRequest {
  const r = readerOf(source);
  const m: MoveLeaderRequest = { targetId: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.targetId = r.uint64();
    else r.skip();
  }
  return m;
}

export function encodeDowngradeRequest(m: DowngradeRequest, w: ProtoWriter): void {
  w.string(2, m.version);
  w.int(1, m.action);
}

export function decodeDowngradeRequest(source: Uint8Array | ProtoReader): DowngradeRequest {
  const r = readerOf(source);
  const m: DowngradeRequest = { action: 0, version: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.action = r.enum();
        break;
      case 2:
        m.version = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeDowngradeResponse(m: DowngradeResponse, w: ProtoWriter): void {
  w.string(2, m.version);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeDowngradeResponse(source: Uint8Array | ProtoReader): DowngradeResponse {
  const r = readerOf(source);
  const m: DowngradeResponse = { header: null, version: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.version = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

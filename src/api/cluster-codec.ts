// Codecs of the Cluster messages. Encoders name fields in falling order: see proto-writer.ts.

import type {
  Member,
  MemberAddRequest,
  MemberAddResponse,
  MemberListRequest,
  MemberPromoteRequest,
  MemberRemoveRequest,
  MembersResponse,
  MemberUpdateRequest,
} from './cluster.ts';
import { decodeResponseHeader, encodeResponseHeader } from './common-codec.ts';
import { type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeMember(m: Member, w: ProtoWriter): void {
  w.bool(5, m.isLearner);
  w.strings(4, m.clientUrls);
  w.strings(3, m.peerUrls);
  w.string(2, m.name);
  w.id(1, m.id);
}

export function decodeMember(source: Uint8Array | ProtoReader): Member {
  const r = readerOf(source);
  const m: Member = { id: 0n, name: '', peerUrls: [], clientUrls: [], isLearner: false };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.id = r.uint64();
        break;
      case 2:
        m.name = r.string();
        break;
      case 3:
        m.peerUrls.push(r.string());
        break;
      case 4:
        m.clientUrls.push(r.string());
        break;
      case 5:
        m.isLearner = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeMembersResponse(m: MembersResponse, w: ProtoWriter): void {
  w.messages(2, m.members, encodeMember);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeMembersResponse(source: Uint8Array | ProtoReader): MembersResponse {
  const r = readerOf(source);
  const m: MembersResponse = { header: null, members: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.members.push(r.message(decodeMember));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeMemberAddRequest(m: MemberAddRequest, w: ProtoWriter): void {
  w.bool(2, m.isLearner);
  w.strings(1, m.peerUrls);
}

export function decodeMemberAddRequest(source: Uint8Array | ProtoReader): MemberAddRequest {
  const r = readerOf(source);
  const m: MemberAddRequest = { peerUrls: [], isLearner: false };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.peerUrls.push(r.string());
        break;
      case 2:
        m.isLearner = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeMemberAddResponse(m: MemberAddResponse, w: ProtoWriter): void {
  w.messages(3, m.members, encodeMember);
  w.message(2, m.member, encodeMember);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeMemberAddResponse(source: Uint8Array | ProtoReader): MemberAddResponse {
  const r = readerOf(source);
  const m: MemberAddResponse = { header: null, member: null, members: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.member = r.message(decodeMember);
        break;
      case 3:
        m.members.push(r.message(decodeMember));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeMemberRemoveRequest(m: MemberRemoveRequest, w: ProtoWriter): void {
  w.id(1, m.id);
}

export function decodeMemberRemoveRequest(source: Uint8Array | ProtoReader): MemberRemoveRequest {
  const r = readerOf(source);
  const m: MemberRemoveRequest = { id: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.id = r.uint64();
    else r.skip();
  }
  return m;
}

export function encodeMemberUpdateRequest(m: MemberUpdateRequest, w: ProtoWriter): void {
  w.strings(2, m.peerUrls);
  w.id(1, m.id);
}

export function decodeMemberUpdateRequest(source: Uint8Array | ProtoReader): MemberUpdateRequest {
  const r = readerOf(source);
  const m: MemberUpdateRequest = { id: 0n, peerUrls: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.id = r.uint64();
        break;
      case 2:
        m.peerUrls.push(r.string());
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeMemberListRequest(m: MemberListRequest, w: ProtoWriter): void {
  w.bool(1, m.linearizable);
}

export function decodeMemberListRequest(source: Uint8Array | ProtoReader): MemberListRequest {
  const r = readerOf(source);
  const m: MemberListRequest = { linearizable: false };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.linearizable = r.bool();
    else r.skip();
  }
  return m;
}

export function encodeMemberPromoteRequest(m: MemberPromoteRequest, w: ProtoWriter): void {
  w.id(1, m.id);
}

export function decodeMemberPromoteRequest(source: Uint8Array | ProtoReader): MemberPromoteRequest {
  const r = readerOf(source);
  const m: MemberPromoteRequest = { id: 0n };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.id = r.uint64();
    else r.skip();
  }
  return m;
}

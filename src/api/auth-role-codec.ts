// Codecs of the role and permission messages of Auth. Encoders name fields in falling order: see
// proto-writer.ts.

import type {
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGetRequest,
  AuthRoleGetResponse,
  AuthRoleGrantPermissionRequest,
  AuthRoleListResponse,
  AuthRoleRevokePermissionRequest,
  Permission,
  Role,
} from './auth.ts';
import { decodeResponseHeader, encodeResponseHeader } from './common-codec.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodePermission(m: Permission, w: ProtoWriter): void {
  w.bytes(3, m.rangeEnd);
  w.bytes(2, m.key);
  w.int(1, m.permType);
}

export function decodePermission(source: Uint8Array | ProtoReader): Permission {
  const r = readerOf(source);
  const m: Permission = { permType: 0, key: EMPTY_BYTES, rangeEnd: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.permType = r.enum();
        break;
      case 2:
        m.key = r.bytes();
        break;
      case 3:
        m.rangeEnd = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeRole(m: Role, w: ProtoWriter): void {
  w.messages(2, m.keyPermission, encodePermission);
  w.bytes(1, m.name);
}

export function decodeRole(source: Uint8Array | ProtoReader): Role {
  const r = readerOf(source);
  const m: Role = { name: EMPTY_BYTES, keyPermission: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.bytes();
        break;
      case 2:
        m.keyPermission.push(r.message(decodePermission));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthRoleAddRequest(m: AuthRoleAddRequest, w: ProtoWriter): void {
  w.string(1, m.name);
}

export function decodeAuthRoleAddRequest(source: Uint8Array | ProtoReader): AuthRoleAddRequest {
  const r = readerOf(source);
  const m: AuthRoleAddRequest = { name: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.name = r.string();
    else r.skip();
  }
  return m;
}

export function encodeAuthRoleGetRequest(m: AuthRoleGetRequest, w: ProtoWriter): void {
  w.string(1, m.role);
}

export function decodeAuthRoleGetRequest(source: Uint8Array | ProtoReader): AuthRoleGetRequest {
  const r = readerOf(source);
  const m: AuthRoleGetRequest = { role: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.role = r.string();
    else r.skip();
  }
  return m;
}

export function encodeAuthRoleGetResponse(m: AuthRoleGetResponse, w: ProtoWriter): void {
  w.messages(2, m.perm, encodePermission);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAuthRoleGetResponse(source: Uint8Array | ProtoReader): AuthRoleGetResponse {
  const r = readerOf(source);
  const m: AuthRoleGetResponse = { header: null, perm: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.perm.push(r.message(decodePermission));
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthRoleListResponse(m: AuthRoleListResponse, w: ProtoWriter): void {
  w.strings(2, m.roles);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAuthRoleListResponse(source: Uint8Array | ProtoReader): AuthRoleListResponse {
  const r = readerOf(source);
  const m: AuthRoleListResponse = { header: null, roles: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.roles.push(r.string());
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthRoleDeleteRequest(m: AuthRoleDeleteRequest, w: ProtoWriter): void {
  w.string(1, m.role);
}

export function decodeAuthRoleDeleteRequest(
  source: Uint8Array | ProtoReader,
): AuthRoleDeleteRequest {
  const r = readerOf(source);
  const m: AuthRoleDeleteRequest = { role: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.role = r.string();
    else r.skip();
  }
  return m;
}

export function encodeAuthRoleGrantPermissionRequest(
  m: AuthRoleGrantPermissionRequest,
  w: ProtoWriter,
): void {
  w.message(2, m.perm, encodePermission);
  w.string(1, m.name);
}

export function decodeAuthRoleGrantPermissionRequest(
  source: Uint8Array | ProtoReader,
): AuthRoleGrantPermissionRequest {
  const r = readerOf(source);
  const m: AuthRoleGrantPermissionRequest = { name: '', perm: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.string();
        break;
      case 2:
        m.perm = r.message(decodePermission);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthRoleRevokePermissionRequest(
  m: AuthRoleRevokePermissionRequest,
  w: ProtoWriter,
): void {
  w.bytes(3, m.rangeEnd);
  w.bytes(2, m.key);
  w.string(1, m.role);
}

export function decodeAuthRoleRevokePermissionRequest(
  source: Uint8Array | ProtoReader,
): AuthRoleRevokePermissionRequest {
  const r = readerOf(source);
  const m: AuthRoleRevokePermissionRequest = { role: '', key: EMPTY_BYTES, rangeEnd: EMPTY_BYTES };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.role = r.string();
        break;
      case 2:
        m.key = r.bytes();
        break;
      case 3:
        m.rangeEnd = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

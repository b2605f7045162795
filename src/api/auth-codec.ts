// Codecs of the login and user messages of Auth. Encoders name fields in falling order: see
// proto-writer.ts.

import type {
  AuthenticateRequest,
  AuthenticateResponse,
  AuthStatusResponse,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGetResponse,
  AuthUserGrantRoleRequest,
  AuthUserListResponse,
  AuthUserRevokeRoleRequest,
  User,
  UserAddOptions,
} from './auth.ts';
import { decodeResponseHeader, encodeResponseHeader } from './common-codec.ts';
import { EMPTY_BYTES, type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeAuthStatusResponse(m: AuthStatusResponse, w: ProtoWriter): void {
  w.int(3, m.authRevision);
  w.bool(2, m.enabled);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAuthStatusResponse(source: Uint8Array | ProtoReader): AuthStatusResponse {
  const r = readerOf(source);
  const m: AuthStatusResponse = { header: null, enabled: false, authRevision: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.enabled = r.bool();
        break;
      case 3:
        m.authRevision = r.uint();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthenticateRequest(m: AuthenticateRequest, w: ProtoWriter): void {
  w.string(2, m.password);
  w.string(1, m.name);
}

export function decodeAuthenticateRequest(source: Uint8Array | ProtoReader): AuthenticateRequest {
  const r = readerOf(source);
  const m: AuthenticateRequest = { name: '', password: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.string();
        break;
      case 2:
        m.password = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthenticateResponse(m: AuthenticateResponse, w: ProtoWriter): void {
  w.string(2, m.token);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAuthenticateResponse(source: Uint8Array | ProtoReader): AuthenticateResponse {
  const r = readerOf(source);
  const m: AuthenticateResponse = { header: null, token: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.token = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeUserAddOptions(m: UserAddOptions, w: ProtoWriter): void {
  w.bool(1, m.noPassword);
}

export function decodeUserAddOptions(source: Uint8Array | ProtoReader): UserAddOptions {
  const r = readerOf(source);
  const m: UserAddOptions = { noPassword: false };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.noPassword = r.bool();
    else r.skip();
  }
  return m;
}

export function encodeUser(m: User, w: ProtoWriter): void {
  w.message(4, m.options, encodeUserAddOptions);
  w.strings(3, m.roles);
  w.bytes(2, m.password);
  w.bytes(1, m.name);
}

export function decodeUser(source: Uint8Array | ProtoReader): User {
  const r = readerOf(source);
  const m: User = { name: EMPTY_BYTES, password: EMPTY_BYTES, roles: [], options: null };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.bytes();
        break;
      case 2:
        m.password = r.bytes();
        break;
      case 3:
        m.roles.push(r.string());
        break;
      case 4:
        m.options = r.message(decodeUserAddOptions);
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthUserAddRequest(m: AuthUserAddRequest, w: ProtoWriter): void {
  w.string(4, m.hashedPassword);
  w.message(3, m.options, encodeUserAddOptions);
  w.string(2, m.password);
  w.string(1, m.name);
}

export function decodeAuthUserAddRequest(source: Uint8Array | ProtoReader): AuthUserAddRequest {
  const r = readerOf(source);
  const m: AuthUserAddRequest = { name: '', password: '', options: null, hashedPassword: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.string();
        break;
      case 2:
        m.password = r.string();
        break;
      case 3:
        m.options = r.message(decodeUserAddOptions);
        break;
      case 4:
        m.hashedPassword = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthUserGetRequest(m: AuthUserGetRequest, w: ProtoWriter): void {
  w.string(1, m.name);
}

export function decodeAuthUserGetRequest(source: Uint8Array | ProtoReader): AuthUserGetRequest {
  const r = readerOf(source);
  const m: AuthUserGetRequest = { name: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.name = r.string();
    else r.skip();
  }
  return m;
}

export function encodeAuthUserGetResponse(m: AuthUserGetResponse, w: ProtoWriter): void {
  w.strings(2, m.roles);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAuthUserGetResponse(source: Uint8Array | ProtoReader): AuthUserGetResponse {
  const r = readerOf(source);
  const m: AuthUserGetResponse = { header: null, roles: [] };
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

export function encodeAuthUserListResponse(m: AuthUserListResponse, w: ProtoWriter): void {
  w.strings(2, m.users);
  w.message(1, m.header, encodeResponseHeader);
}

export function decodeAuthUserListResponse(source: Uint8Array | ProtoReader): AuthUserListResponse {
  const r = readerOf(source);
  const m: AuthUserListResponse = { header: null, users: [] };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.header = r.message(decodeResponseHeader);
        break;
      case 2:
        m.users.push(r.string());
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthUserDeleteRequest(m: AuthUserDeleteRequest, w: ProtoWriter): void {
  w.string(1, m.name);
}

export function decodeAuthUserDeleteRequest(
  source: Uint8Array | ProtoReader,
): AuthUserDeleteRequest {
  const r = readerOf(source);
  const m: AuthUserDeleteRequest = { name: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.name = r.string();
    else r.skip();
  }
  return m;
}

export function encodeAuthUserChangePasswordRequest(
  m: AuthUserChangePasswordRequest,
  w: ProtoWriter,
): void {
  w.string(3, m.hashedPassword);
  w.string(2, m.password);
  w.string(1, m.name);
}

export function decodeAuthUserChangePasswordRequest(
  source: Uint8Array | ProtoReader,
): AuthUserChangePasswordRequest {
  const r = readerOf(source);
  const m: AuthUserChangePasswordRequest = { name: '', password: '', hashedPassword: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.string();
        break;
      case 2:
        m.password = r.string();
        break;
      case 3:
        m.hashedPassword = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthUserGrantRoleRequest(m: AuthUserGrantRoleRequest, w: ProtoWriter): void {
  w.string(2, m.role);
  w.string(1, m.user);
}

export function decodeAuthUserGrantRoleRequest(
  source: Uint8Array | ProtoReader,
): AuthUserGrantRoleRequest {
  const r = readerOf(source);
  const m: AuthUserGrantRoleRequest = { user: '', role: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.user = r.string();
        break;
      case 2:
        m.role = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

export function encodeAuthUserRevokeRoleRequest(
  m: AuthUserRevokeRoleRequest,
  w: ProtoWriter,
): void {
  w.string(2, m.role);
  w.string(1, m.name);
}

export function decodeAuthUserRevokeRoleRequest(
  source: Uint8Array | ProtoReader,
): AuthUserRevokeRoleRequest {
  const r = readerOf(source);
  const m: AuthUserRevokeRoleRequest = { name: '', role: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    switch (field) {
      case 1:
        m.name = r.string();
        break;
      case 2:
        m.role = r.string();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

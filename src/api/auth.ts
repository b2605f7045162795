// The messages of etcdserverpb.Auth and the stored users and roles of authpb.

import type { EmptyRequest, HeaderOnlyResponse, ResponseHeader } from './common.ts';

export const PermissionType = { READ: 0, WRITE: 1, READWRITE: 2 } as const;
export type PermissionType = (typeof PermissionType)[keyof typeof PermissionType];

export interface UserAddOptions {
  /** The user can log in by certificate only. */
  noPassword: boolean;
}

export interface Permission {
  /** A PermissionType. */
  permType: number;
  key: Uint8Array;
  rangeEnd: Uint8Array;
}

/** As stored; the password is a hash. */
export interface User {
  name: Uint8Array;
  password: Uint8Array;
  roles: string[];
  options: UserAddOptions | null;
}

export interface Role {
  name: Uint8Array;
  keyPermission: Permission[];
}

export type AuthEnableRequest = EmptyRequest;
export type AuthEnableResponse = HeaderOnlyResponse;
export type AuthDisableRequest = EmptyRequest;
export type AuthDisableResponse = HeaderOnlyResponse;
export type AuthStatusRequest = EmptyRequest;

export interface AuthStatusResponse {
  header: ResponseHeader | null;
  enabled: boolean;
  authRevision: number;
}

export interface AuthenticateRequest {
  name: string;
  password: string;
}

export interface AuthenticateResponse {
  header: ResponseHeader | null;
  token: string;
}

export interface AuthUserAddRequest {
  name: string;
  password: string;
  options: UserAddOptions | null;
  hashedPassword: string;
}

export interface AuthUserGetRequest {
  name: string;
}

export interface AuthUserGetResponse {
  header: ResponseHeader | null;
  roles: string[];
}

export type AuthUserListRequest = EmptyRequest;

export interface AuthUserListResponse {
  header: ResponseHeader | null;
  users: string[];
}

export interface AuthUserDeleteRequest {
  name: string;
}

export interface AuthUserChangePasswordRequest {
  name: string;
  password: string;
  hashedPassword: string;
}

export interface AuthUserGrantRoleRequest {
  user: string;
  role: string;
}

export interface AuthUserRevokeRoleRequest {
  name: string;
  role: string;
}

export interface AuthRoleAddRequest {
  name: string;
}

export interface AuthRoleGetRequest {
  role: string;
}

export interface AuthRoleGetResponse {
  header: ResponseHeader | null;
  perm: Permission[];
}

export type AuthRoleListRequest = EmptyRequest;

export interface AuthRoleListResponse {
  header: ResponseHeader | null;
  roles: string[];
}

export interface AuthRoleDeleteRequest {
  role: string;
}

export interface AuthRoleGrantPermissionRequest {
  name: string;
  perm: Permission | null;
}

export interface AuthRoleRevokePermissionRequest {
  role: string;
  key: Uint8Array;
  rangeEnd: Uint8Array;
}

export type AuthUserAddResponse = HeaderOnlyResponse;
export type AuthUserDeleteResponse = HeaderOnlyResponse;
export type AuthUserChangePasswordResponse = HeaderOnlyResponse;
export type AuthUserGrantRoleResponse = HeaderOnlyResponse;
export type AuthUserRevokeRoleResponse = HeaderOnlyResponse;
export type AuthRoleAddResponse = HeaderOnlyResponse;
export type AuthRoleDeleteResponse = HeaderOnlyResponse;
export type AuthRoleGrantPermissionResponse = HeaderOnlyResponse;
export type AuthRoleRevokePermissionResponse = HeaderOnlyResponse;

// The messages of etcdserverpb.Cluster.

import type { ResponseHeader } from './common.ts';

export interface Member {
  id: bigint;
  /** Empty until the member has started once. */
  name: string;
  peerUrls: string[];
  clientUrls: string[];
  isLearner: boolean;
}

/** The answer of every membership call but MemberAdd. */
export interface MembersResponse {
  header: ResponseHeader | null;
  members: Member[];
}

export interface MemberAddRequest {
  peerUrls: string[];
  isLearner: boolean;
}

export interface MemberAddResponse {
  header: ResponseHeader | null;
  member: Member | null;
  members: Member[];
}

export interface MemberRemoveRequest {
  id: bigint;
}

export type MemberRemoveResponse = MembersResponse;

export interface MemberUpdateRequest {
  id: bigint;
  peerUrls: string[];
}

export type MemberUpdateResponse = MembersResponse;

export interface MemberListRequest {
  linearizable: boolean;
}

export type MemberListResponse = MembersResponse;

export interface MemberPromoteRequest {
  id: bigint;
}

export type MemberPromoteResponse = MembersResponse;

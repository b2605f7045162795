// The messages of v3electionpb.Election and v3lockpb.Lock, which etcd builds on KV and leases.

import type { HeaderOnlyResponse, KeyValue, ResponseHeader } from './common.ts';

/** Proof of having won an election: the key written, and the revision that created it. */
export interface LeaderKey {
  name: Uint8Array;
  key: Uint8Array;
  rev: number;
  lease: bigint;
}

export interface CampaignRequest {
  name: Uint8Array;
  lease: bigint;
  value: Uint8Array;
}

export interface CampaignResponse {
  header: ResponseHeader | null;
  leader: LeaderKey | null;
}

/** Also the request of Observe. */
export interface LeaderRequest {
  name: Uint8Array;
}

export interface LeaderResponse {
  header: ResponseHeader | null;
  kv: KeyValue | null;
}

export interface ResignRequest {
  leader: LeaderKey | null;
}

export type ResignResponse = HeaderOnlyResponse;

export interface ProclaimRequest {
  leader: LeaderKey | null;
  value: Uint8Array;
}

export type ProclaimResponse = HeaderOnlyResponse;

export interface LockRequest {
  name: Uint8Array;
  lease: bigint;
}

export interface LockResponse {
  header: ResponseHeader | null;
  key: Uint8Array;
}

export interface UnlockRequest {
  key: Uint8Array;
}

export type UnlockResponse = HeaderOnlyResponse;

// The messages of etcdserverpb.Lease. Times are whole seconds.

import type { EmptyRequest, HeaderOnlyResponse, ResponseHeader } from './common.ts';

export interface LeaseGrantRequest {
  ttl: number;
  /** 0n: the server chooses. */
  id: bigint;
}

export interface LeaseGrantResponse {
  header: ResponseHeader | null;
  id: bigint;
  ttl: number;
  error: string;
}

export interface LeaseRevokeRequest {
  id: bigint;
}

export type LeaseRevokeResponse = HeaderOnlyResponse;

export interface LeaseCheckpoint {
  id: bigint;
  remainingTtl: number;
}

export interface LeaseCheckpointRequest {
  checkpoints: LeaseCheckpoint[];
}

export type LeaseCheckpointResponse = HeaderOnlyResponse;

export interface LeaseKeepAliveRequest {
  id: bigint;
}

export interface LeaseKeepAliveResponse {
  header: ResponseHeader | null;
  id: bigint;
  /** 0: the lease does not exist. */
  ttl: number;
}

export interface LeaseTimeToLiveRequest {
  id: bigint;
  keys: boolean;
}

export interface LeaseTimeToLiveResponse {
  header: ResponseHeader | null;
  id: bigint;
  /** Seconds left; -1: the lease does not exist. */
  ttl: number;
  grantedTtl: number;
  keys: Uint8Array[];
}

export type LeaseLeasesRequest = EmptyRequest;

export interface LeaseStatus {
  id: bigint;
}

export interface LeaseLeasesResponse {
  header: ResponseHeader | null;
  leases: LeaseStatus[];
}

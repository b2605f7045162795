// The messages of etcdserverpb.Maintenance. Sizes are bytes.

import type { EmptyRequest, HeaderOnlyResponse, ResponseHeader } from './common.ts';

export const AlarmAction = { GET: 0, ACTIVATE: 1, DEACTIVATE: 2 } as const;
export type AlarmAction = (typeof AlarmAction)[keyof typeof AlarmAction];

export const AlarmType = { NONE: 0, NOSPACE: 1, CORRUPT: 2 } as const;
export type AlarmType = (typeof AlarmType)[keyof typeof AlarmType];

export interface AlarmRequest {
  /** An AlarmAction. */
  action: number;
  memberId: bigint;
  /** An AlarmType. */
  alarm: number;
}

export interface AlarmMember {
  memberId: bigint;
  /** An AlarmType. */
  alarm: number;
}

export interface AlarmResponse {
  header: ResponseHeader | null;
  alarms: AlarmMember[];
}

export type StatusRequest = EmptyRequest;

export interface DowngradeInfo {
  enabled: boolean;
  targetVersion: string;
}

export interface StatusResponse {
  header: ResponseHeader | null;
  version: string;
  dbSize: number;
  /** Member id of the leader; 0n: none. */
  leader: bigint;
  raftIndex: number;
  raftTerm: number;
  raftAppliedIndex: number;
  errors: string[];
  dbSizeInUse: number;
  isLearner: boolean;
  storageVersion: string;
  dbSizeQuota: number;
  downgradeInfo: DowngradeInfo | null;
}

export type DefragmentRequest = EmptyRequest;
export type DefragmentResponse = HeaderOnlyResponse;

export type HashRequest = EmptyRequest;

export interface HashResponse {
  header: ResponseHeader | null;
  hash: number;
}

export interface HashKVRequest {
  /** 0: the current revision. */
  revision: number;
}

export interface HashKVResponse {
  header: ResponseHeader | null;
  hash: number;
  /** -1: never compacted. */
  compactRevision: number;
  hashRevision: number;
}

export type SnapshotRequest = EmptyRequest;

export interface SnapshotResponse {
  header: ResponseHeader | null;
  remainingBytes: number;
  blob: Uint8Array;
  version: string;
}

export interface MoveLeaderRequest {
  targetId: bigint;
}

export type MoveLeaderResponse = HeaderOnlyResponse;

export const DowngradeAction = { VALIDATE: 0, ENABLE: 1, CANCEL: 2 } as const;
export type DowngradeAction = (typeof DowngradeAction)[keyof typeof DowngradeAction];

export interface DowngradeRequest {
  /** A DowngradeAction. */
  action: number;
  version: string;
}

export interface DowngradeResponse {
  header: ResponseHeader | null;
  version: string;
}

// The messages of etcdserverpb.KV: reads, writes, transactions, compaction.

import type { HeaderOnlyResponse, KeyValue, ResponseHeader } from './common.ts';

export const SortOrder = { NONE: 0, ASCEND: 1, DESCEND: 2 } as const;
export type SortOrder = (typeof SortOrder)[keyof typeof SortOrder];

export const SortTarget = { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 } as const;
export type SortTarget = (typeof SortTarget)[keyof typeof SortTarget];

export interface RangeRequest {
  key: Uint8Array;
  /** Empty: the one key. A single zero byte: every key from `key` on. Otherwise exclusive end. */
  rangeEnd: Uint8Array;
  /** 0: no limit. */
  limit: number;
  /** 0 or less: the newest. */
  revision: number;
  /** A SortOrder. */
  sortOrder: number;
  /** A SortTarget. */
  sortTarget: number;
  serializable: boolean;
  keysOnly: boolean;
  countOnly: boolean;
  /** The four filters are inclusive bounds; 0 turns one off. */
  minModRevision: number;
  maxModRevision: number;
  minCreateRevision: number;
  maxCreateRevision: number;
}

export interface RangeResponse {
  header: ResponseHeader | null;
  kvs: KeyValue[];
  /** The limit cut the answer short. */
  more: boolean;
  /** Keys in the range, whatever the limit and the filters. */
  count: number;
}

export interface RangeStreamResponse {
  rangeResponse: RangeResponse | null;
}

export interface PutRequest {
  key: Uint8Array;
  value: Uint8Array;
  lease: bigint;
  prevKv: boolean;
  ignoreValue: boolean;
  ignoreLease: boolean;
}

export interface PutResponse {
  header: ResponseHeader | null;
  prevKv: KeyValue | null;
}

export interface DeleteRangeRequest {
  key: Uint8Array;
  rangeEnd: Uint8Array;
  prevKv: boolean;
}

export interface DeleteRangeResponse {
  header: ResponseHeader | null;
  deleted: number;
  prevKvs: KeyValue[];
}

/** null: the client sent an operation of no known kind. */
export type RequestOp =
  | { kind: 'range'; range: RangeRequest }
  | { kind: 'put'; put: PutRequest }
  | { kind: 'deleteRange'; deleteRange: DeleteRangeRequest }
  | { kind: 'txn'; txn: TxnRequest }
  | null;

export type ResponseOp =
  | { kind: 'range'; range: RangeResponse }
  | { kind: 'put'; put: PutResponse }
  | { kind: 'deleteRange'; deleteRange: DeleteRangeResponse }
  | { kind: 'txn'; txn: TxnResponse }
  | null;

export const CompareResult = { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } as const;
export type CompareResult = (typeof CompareResult)[keyof typeof CompareResult];

export const CompareTarget = { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } as const;
export type CompareTarget = (typeof CompareTarget)[keyof typeof CompareTarget];

/** null stands for 0 or empty bytes. The kind may disagree with `Compare.target`, which decides. */
export type CompareTargetUnion =
  | { kind: 'version'; version: number }
  | { kind: 'createRevision'; createRevision: number }
  | { kind: 'modRevision'; modRevision: number }
  | { kind: 'value'; value: Uint8Array }
  | { kind: 'lease'; lease: bigint }
  | null;

export interface Compare {
  /** A CompareResult. */
  result: number;
  /** A CompareTarget. */
  target: number;
  key: Uint8Array;
  targetUnion: CompareTargetUnion;
  rangeEnd: Uint8Array;
}

export interface TxnRequest {
  compare: Compare[];
  success: RequestOp[];
  failure: RequestOp[];
}

export interface TxnResponse {
  header: ResponseHeader | null;
  succeeded: boolean;
  responses: ResponseOp[];
}

export interface CompactionRequest {
  revision: number;
  /** Answer only when the dropped versions are gone from the disk. */
  physical: boolean;
}

export type CompactionResponse = HeaderOnlyResponse;

// The operations of an etcd-like store as the checkers read them: requests, and responses that
// carry revisions. Independent of the API messages on purpose: whoever records a history
// translates, and a mistake of the message codecs cannot hide itself here.
//
// Keys and values are strings compared by code unit. Bytes are best given as latin1 (one code
// unit a byte), which keeps the byte order of keys.

import type { Operation } from './history.ts';

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  /** 0 or absent: no lease. */
  readonly lease?: number | undefined;
}

export interface Compare {
  readonly key: string;
  /** With an end, every present key of the range must satisfy the comparison. */
  readonly rangeEnd?: string | undefined;
  readonly target: 'version' | 'create' | 'mod' | 'value' | 'lease';
  readonly relation: '=' | '!=' | '<' | '>';
  /** A string for `value`, a number for the other targets. */
  readonly operand: string | number;
}

export interface RangeRequest {
  readonly kind: 'range';
  readonly key: string;
  /** Absent: one key. '\0': every key from `key` on. Otherwise exclusive. */
  readonly rangeEnd?: string | undefined;
  /** Reads the store as it was at this revision; 0 or absent: now. */
  readonly revision?: number | undefined;
  /** 0 or absent: no limit. */
  readonly limit?: number | undefined;
  readonly countOnly?: boolean | undefined;
  readonly keysOnly?: boolean | undefined;
  /** Answered from one member's state: may be old, must still be a true state. */
  readonly serializable?: boolean | undefined;
}

export interface PutRequest {
  readonly kind: 'put';
  readonly key: string;
  readonly value: string;
  readonly lease?: number | undefined;
}

export interface DeleteRequest {
  readonly kind: 'delete';
  readonly key: string;
  readonly rangeEnd?: string | undefined;
}

/**
 * Ends a lease and deletes its keys. A lease that may expire by itself is recorded as one of
 * these with an unknown outcome, called at the earliest moment it may expire.
 */
export interface RevokeRequest {
  readonly kind: 'revoke';
  readonly lease: number;
}

export interface TxnRequest {
  readonly kind: 'txn';
  readonly compare: readonly Compare[];
  readonly success: readonly KvRequest[];
  readonly failure: readonly KvRequest[];
}

export type KvRequest = RangeRequest | PutRequest | DeleteRequest | RevokeRequest | TxnRequest;

export type KvResponse =
  | {
      readonly kind: 'range';
      readonly kvs: readonly KeyValue[];
      readonly count: number;
      readonly more?: boolean | undefined;
    }
  /** `prevKv`: absent if it was not asked for, null if there was none. */
  | { readonly kind: 'put'; readonly prevKv?: KeyValue | null | undefined }
  | {
      readonly kind: 'delete';
      readonly deleted: number;
      readonly prevKvs?: readonly KeyValue[] | undefined;
    }
  | { readonly kind: 'revoke' }
  | {
      readonly kind: 'txn';
      readonly succeeded: boolean;
      readonly responses: readonly KvResponse[];
    };

export interface KvOutput {
  /** The header's revision: the write's own, or the store's at the time of a read. */
  readonly revision: number;
  readonly response: KvResponse;
}

export type KvOperation = Operation<KvRequest, KvOutput>;

/** One change of one key, as a watcher is told. */
export interface KvEvent {
  readonly kind: 'put' | 'delete';
  readonly key: string;
  /** Empty for a delete. */
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** 0 for a delete. */
  readonly version: number;
  /** The key before the change: absent if not asked for, null if there was none. */
  readonly prevKv?: KeyValue | null | undefined;
}

/** All that one revision changed, in the order of the requests of its transaction. */
export interface RevisionEvents {
  readonly revision: number;
  readonly events: readonly KvEvent[];
}

/** Whether `key` lies in what `from` and `rangeEnd` name. */
export function inRange(key: string, from: string, rangeEnd: string | undefined): boolean {
  if (rangeEnd === undefined || rangeEnd === '') return key === from;
  if (rangeEnd === '\0') return key >= from;
  return key >= from && key < rangeEnd;
}

export function describeRequest(request: KvRequest, depth = 0): string {
  switch (request.kind) {
    case 'put':
      return `put(${request.key}, ${request.value}${request.lease ? `, lease ${request.lease}` : ''})`;
    case 'delete':
      return `delete(${describeRange(request.key, request.rangeEnd)})`;
    case 'revoke':
      return `revoke(lease ${request.lease})`;
    case 'range':
      return describeRead(request);
    case 'txn':
      return depth >= 4 ? 'txn(...)' : describeTxn(request, depth + 1);
  }
}

function describeRead(request: RangeRequest): string {
  const parts = [describeRange(request.key, request.rangeEnd)];
  if (request.revision) parts.push(`at revision ${request.revision}`);
  if (request.limit) parts.push(`limit ${request.limit}`);
  if (request.serializable) parts.push('serializable');
  return `${request.countOnly ? 'count' : 'range'}(${parts.join(', ')})`;
}

function describeTxn(request: TxnRequest, depth: number): string {
  const compare = request.compare
    .map(c => `${c.target}(${describeRange(c.key, c.rangeEnd)}) ${c.relation} ${c.operand}`)
    .join(' and ');
  const list = (requests: readonly KvRequest[]) =>
    requests.map(r => describeRequest(r, depth)).join('; ') || 'nothing';
  return `txn(if ${compare || 'true'} then ${list(request.success)} else ${list(request.failure)})`;
}

export function describeOutput(output: KvOutput): string {
  return `${describeResponse(output.response, 0)} at revision ${output.revision}`;
}

function describeResponse(response: KvResponse, depth: number): string {
  switch (response.kind) {
    case 'put':
      return response.prevKv === undefined
        ? 'ok'
        : `ok, before ${describeKeyValue(response.prevKv)}`;
    case 'revoke':
      return 'ok';
    case 'delete':
      return `deleted ${response.deleted}`;
    case 'range': {
      const shown = response.kvs.slice(0, 8).map(describeKeyValue);
      if (response.kvs.length > shown.length) shown.push('...');
      return response.kvs.length === 0 ? `${response.count} keys` : shown.join(', ');
    }
    case 'txn': {
      const inner = depth >= 4 ? [] : response.responses.map(r => describeResponse(r, depth + 1));
      return `${response.succeeded ? 'succeeded' : 'not succeeded'} [${inner.join('; ')}]`;
    }
  }
}

export function describeKeyValue(kv: KeyValue | null): string {
  if (kv === null) return 'nothing';
  return `${kv.key}=${kv.value} (mod ${kv.modRevision}, create ${kv.createRevision}, version ${kv.version})`;
}

function describeRange(key: string, rangeEnd: string | undefined): string {
  if (rangeEnd === undefined || rangeEnd === '') return key;
  return rangeEnd === '\0' ? `${key}..` : `${key}..${rangeEnd}`;
}

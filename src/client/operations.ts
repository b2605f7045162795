// Requests in few words: keys as text or bytes, ranges of keys, and the parts of a transaction.

import {
  type Compare,
  CompareResult,
  CompareTarget,
  type CompareTargetUnion,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
} from '../api/kv.ts';
import { emptyDeleteRangeRequest, emptyPutRequest, emptyRangeRequest } from '../api/kv-codec.ts';

/** Text stands for its UTF-8 bytes. */
export type Bytes = string | Uint8Array;

export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array(0);
/** As a range's end: no end. */
const OPEN_END = Uint8Array.of(0);

export function bytesOf(value: Bytes): Uint8Array {
  return typeof value === 'string' ? utf8.encode(value) : value;
}

/** All keys that start with `prefix`; with an empty one, all keys. */
export function prefixRange(prefix: Bytes): KeyRange {
  const key = bytesOf(prefix);
  // The first key behind the prefix: its last byte that can be raised is raised, the rest dropped.
  let length = key.length;
  while (length > 0 && key[length - 1] === 0xff) length--;
  // The smallest key there is is a single zero byte; an empty key is not allowed.
  if (length === 0) return { key: key.length === 0 ? Uint8Array.of(0) : key, rangeEnd: OPEN_END };
  const rangeEnd = key.slice(0, length);
  rangeEnd[length - 1]! += 1;
  return { key, rangeEnd };
}

/** Keys from `start` on, before `end`; without `end`, all of them. */
export function keyRange(start: Bytes, end?: Bytes): KeyRange {
  return { key: bytesOf(start), rangeEnd: end === undefined ? OPEN_END : bytesOf(end) };
}

export type RangeOptions = Partial<Omit<RangeRequest, 'key' | 'rangeEnd'>>;
export type PutOptions = Partial<Omit<PutRequest, 'key' | 'value'>>;
export type DeleteOptions = Partial<Omit<DeleteRangeRequest, 'key' | 'rangeEnd'>>;
/** One key, or a range of them. */
export type Keys = Bytes | KeyRange;

function rangeOf(keys: Keys): KeyRange {
  if (typeof keys === 'string') return { key: utf8.encode(keys), rangeEnd: NO_BYTES };
  return keys instanceof Uint8Array ? { key: keys, rangeEnd: NO_BYTES } : keys;
}

export function rangeRequest(keys: Keys, options: RangeOptions = {}): RangeRequest {
  return { ...emptyRangeRequest(), ...options, ...rangeOf(keys) };
}

export function putRequest(key: Bytes, value: Bytes, options: PutOptions = {}): PutRequest {
  return { ...emptyPutRequest(), ...options, key: bytesOf(key), value: bytesOf(value) };
}

export function deleteRequest(keys: Keys, options: DeleteOptions = {}): DeleteRangeRequest {
  return { ...emptyDeleteRangeRequest(), ...options, ...rangeOf(keys) };
}

/** Operations of a transaction. */
export const op = {
  get: (keys: Keys, options?: RangeOptions): RequestOp => ({
    kind: 'range',
    range: rangeRequest(keys, options),
  }),
  put: (key: Bytes, value: Bytes, options?: PutOptions): RequestOp => ({
    kind: 'put',
    put: putRequest(key, value, options),
  }),
  delete: (keys: Keys, options?: DeleteOptions): RequestOp => ({
    kind: 'deleteRange',
    deleteRange: deleteRequest(keys, options),
  }),
};

export type Relation = '=' | '!=' | '>' | '<';

const RESULTS = {
  '=': CompareResult.EQUAL,
  '!=': CompareResult.NOT_EQUAL,
  '>': CompareResult.GREATER,
  '<': CompareResult.LESS,
} as const;

/** Conditions of a transaction; for a range, all of its keys must meet one. */
export const when = {
  version: (keys: Keys, relation: Relation, version: number): Compare =>
    comparison(keys, relation, CompareTarget.VERSION, { kind: 'version', version }),
  /** 0 is what a missing key has. */
  createRevision: (keys: Keys, relation: Relation, createRevision: number): Compare =>
    comparison(keys, relation, CompareTarget.CREATE, { kind: 'createRevision', createRevision }),
  modRevision: (keys: Keys, relation: Relation, modRevision: number): Compare =>
    comparison(keys, relation, CompareTarget.MOD, { kind: 'modRevision', modRevision }),
  /** Never true of a missing key, not even '!='. */
  value: (keys: Keys, relation: Relation, value: Bytes): Compare =>
    comparison(keys, relation, CompareTarget.VALUE, { kind: 'value', value: bytesOf(value) }),
  lease: (keys: Keys, relation: Relation, lease: bigint): Compare =>
    comparison(keys, relation, CompareTarget.LEASE, { kind: 'lease', lease }),
};

function comparison(
  keys: Keys,
  relation: Relation,
  target: CompareTarget,
  targetUnion: CompareTargetUnion,
): Compare {
  return { ...rangeOf(keys), result: RESULTS[relation], target, targetUnion };
}

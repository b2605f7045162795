// Keys and values as the commands print them: a table for people, lines as etcdctl's for scripts,
// JSON with a versioned schema for programs.

import type { KeyValue } from '../api/common.ts';
import type { RangeResponse } from '../api/kv.ts';
import { formatTable, printableBytes, shortened } from './table.ts';
import { utf8OrNull } from './values.ts';

export const KV_SCHEMA = 'kontiki.kv/1';
const VALUE_CHARS_MAX = 80;

export interface JsonKeyValue {
  readonly key: string;
  /** Left out where only keys were asked for. */
  readonly value?: string;
  /** Of both key and value. */
  readonly encoding: 'utf8' | 'base64';
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  /** Hexadecimal, as leases are written; left out if there is none. */
  readonly lease?: string;
}

export function jsonKeyValue(kv: KeyValue, keysOnly = false): JsonKeyValue {
  const key = utf8OrNull(kv.key);
  const value = utf8OrNull(kv.value);
  const isText = key !== null && value !== null;
  const shown = isText ? value : base64(kv.value);
  return {
    key: isText ? key : base64(kv.key),
    ...(keysOnly ? {} : { value: shown }),
    encoding: isText ? 'utf8' : 'base64',
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
    version: kv.version,
    ...(kv.lease === 0n ? {} : { lease: kv.lease.toString(16) }),
  };
}

export function jsonRange(response: RangeResponse, keysOnly = false) {
  return {
    schema: KV_SCHEMA,
    revision: response.header?.revision ?? 0,
    count: response.count,
    more: response.more,
    kvs: response.kvs.map(kv => jsonKeyValue(kv, keysOnly)),
  };
}

/** Key and value each on a line of its own, unchanged, whatever bytes they are. */
export function plainKeyValues(kvs: readonly KeyValue[], show: 'both' | 'keys' | 'values') {
  const parts: Uint8Array[] = [];
  for (const { key, value } of kvs) {
    if (show !== 'values') parts.push(key, NEWLINE);
    if (show !== 'keys') parts.push(value, NEWLINE);
  }
  return Buffer.concat(parts);
}

const NEWLINE = Uint8Array.of(10);

export function kvTable(kvs: readonly KeyValue[], keysOnly = false): string {
  const titles = ['KEY', 'VERSION', 'REVISION', ...(keysOnly ? [] : ['VALUE'])];
  const rows = kvs.map(kv => [
    shortened(printableBytes(kv.key), VALUE_CHARS_MAX),
    String(kv.version),
    String(kv.modRevision),
    ...(keysOnly ? [] : [shortened(printableBytes(kv.value), VALUE_CHARS_MAX)]),
  ]);
  return formatTable(titles, rows);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

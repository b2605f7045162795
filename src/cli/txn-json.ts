// The JSON form of a transaction, for programs and for values that don't fit on a line.
//
//     {"compare": [{"key": "lock", "target": "version", "result": "=", "value": 0}],
//      "success": [{"put": {"key": "lock", "value": "me"}}],
//      "failure": [{"get": {"key": "lock"}}]}

import type { Compare, RequestOp, TxnRequest } from '../api/kv.ts';
import { op, prefixRange, type Relation } from '../client/operations.ts';
import { comparison, targetOf } from './txn-text.ts';

const RELATIONS: readonly string[] = ['=', '!=', '<', '>'] satisfies Relation[];

type Json = Readonly<Record<string, unknown>>;

/** Throws an Error that names the place, as in `success[0].put`. */
export function parseTxnJson(text: string): TxnRequest {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw new Error(`not JSON: ${(error as Error).message}`);
  }
  const { compare, success, failure, ...rest } = objectAt('the transaction', root);
  noMore('the transaction', rest);
  return {
    compare: listAt('compare', compare).map((one, i) => compareAt(`compare[${i}]`, one)),
    success: listAt('success', success).map((one, i) => opAt(`success[${i}]`, one)),
    failure: listAt('failure', failure).map((one, i) => opAt(`failure[${i}]`, one)),
  };
}

function compareAt(place: string, json: unknown): Compare {
  const { key, target, result, value, ...rest } = objectAt(place, json);
  noMore(place, rest);
  const known = typeof target === 'string' ? targetOf(target) : null;
  if (known === null) {
    throw new Error(`${place}.target: expected version, create, mod, value or lease`);
  }
  if (typeof result !== 'string' || !RELATIONS.includes(result)) {
    throw new Error(`${place}.result: expected =, !=, < or >`);
  }
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new Error(`${place}.value: expected a string or a number`);
  }
  try {
    return comparison(known, textAt(`${place}.key`, key), result as Relation, String(value));
  } catch (error) {
    throw new Error(`${place}: ${(error as Error).message}`);
  }
}

function opAt(place: string, json: unknown): RequestOp {
  const entries = Object.entries(objectAt(place, json));
  const [kind, body] = entries[0] ?? [];
  if (entries.length !== 1) throw new Error(`${place}: expected one of put, get, del`);
  const inner = `${place}.${kind}`;
  const { key: rawKey, ...fields } = objectAt(inner, body);
  const key = textAt(`${inner}.key`, rawKey);
  if (kind === 'put') {
    const { value, ...rest } = fields;
    noMore(inner, rest);
    return op.put(key, textAt(`${inner}.value`, value));
  }
  if (kind !== 'get' && kind !== 'del') throw new Error(`${place}: expected one of put, get, del`);
  const { prefix = false, ...rest } = fields;
  noMore(inner, rest);
  if (typeof prefix !== 'boolean') throw new Error(`${inner}.prefix: expected true or false`);
  const keys = prefix ? prefixRange(key) : key;
  return kind === 'get' ? op.get(keys) : op.delete(keys);
}

function objectAt(place: string, value: unknown): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Error(`${place}: expected an object`);
}

function listAt(place: string, value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new Error(`${place}: expected a list`);
}

function textAt(place: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new Error(`${place}: expected a string`);
}

/** A misspelt field must not be passed over: it may be the condition. */
function noMore(place: string, rest: Json): void {
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new Error(`${place}: unknown field ${JSON.stringify(unknown)}`);
}

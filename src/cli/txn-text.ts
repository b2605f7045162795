// The text form of a transaction: conditions, then what is done if all hold, then what is done if not,
// with an empty line between. The words are those of etcdctl's transactions.
//
//     version("greeting") = 1
//     value("lock") = "free"
//
//     put greeting "good morning"
//     del lock
//
//     get lock

import type { Compare, RequestOp, TxnRequest } from '../api/kv.ts';
import { op, prefixRange, type Relation, when } from '../client/operations.ts';
import { parseCount } from './values.ts';

/** Says in which line what was expected. */
export class TxnTextError extends Error {
  constructor(line: number, text: string) {
    super(`line ${line}: ${text}`);
    this.name = 'TxnTextError';
  }
}

export type Target = 'version' | 'create' | 'mod' | 'value' | 'lease';

const TARGETS: Readonly<Record<string, Target>> = {
  version: 'version',
  ver: 'version',
  create: 'create',
  c: 'create',
  mod: 'mod',
  m: 'mod',
  value: 'value',
  val: 'value',
  lease: 'lease',
};

export function targetOf(name: string): Target | null {
  return Object.hasOwn(TARGETS, name) ? TARGETS[name]! : null;
}

/** `value` as text; numbers are whole and of 0 or more, leases hexadecimal. Throws an Error. */
export function comparison(
  target: Target,
  key: string,
  relation: Relation,
  value: string,
): Compare {
  switch (target) {
    case 'version':
      return when.version(key, relation, parseCount(value));
    case 'create':
      return when.createRevision(key, relation, parseCount(value));
    case 'mod':
      return when.modRevision(key, relation, parseCount(value));
    case 'value':
      return when.value(key, relation, value);
    case 'lease':
      if (!/^[0-9a-f]{1,16}$/i.test(value)) throw new Error('a lease is a hexadecimal number');
      return when.lease(key, relation, BigInt.asIntN(64, BigInt(`0x${value}`)));
  }
}

/** Throws a TxnTextError. */
export function parseTxnText(text: string): TxnRequest {
  const sections: { line: number; text: string }[][] = [[], [], []];
  let section = 0;
  text.split(/\r?\n/).forEach((raw, i) => {
    const line = { line: i + 1, text: raw.trim() };
    if (line.text.startsWith('#')) return;
    // The first empty line ends the conditions, the second what is done if they hold. More of them
    // at the end mean nothing.
    if (line.text === '') section += 1;
    else if (section > 2) throw new TxnTextError(line.line, 'there are three sections at the most');
    else sections[section]!.push(line);
  });
  const [compares, success, failure] = sections;
  return {
    compare: compares!.map(line => parseCompare(line.line, line.text)),
    success: success!.map(line => parseOp(line.line, line.text)),
    failure: failure!.map(line => parseOp(line.line, line.text)),
  };
}

const COMPARE = /^(\w+)\s*\(\s*("(?:[^"\\]|\\.)*"|[^"\s)]+)\s*\)\s*(=|!=|<|>)\s*(.+)$/;

function parseCompare(line: number, text: string): Compare {
  const [, name, key, relation, value] = COMPARE.exec(text) ?? [];
  if (name === undefined) {
    throw new TxnTextError(line, 'a condition looks like version("key") = 1');
  }
  const target = targetOf(name);
  if (target === null) {
    throw new TxnTextError(line, `${name} is not one of version, create, mod, value, lease`);
  }
  const values = words(line, value!);
  if (values.length !== 1) throw new TxnTextError(line, 'one value is expected');
  try {
    return comparison(target, words(line, key!)[0]!, relation as Relation, values[0]!);
  } catch (error) {
    throw new TxnTextError(line, (error as Error).message);
  }
}

function parseOp(line: number, text: string): RequestOp {
  const [name, ...args] = words(line, text);
  const prefix = args.includes('--prefix');
  const operands = args.filter(arg => arg !== '--prefix');
  const [key, value] = operands;
  const expect = (count: number, form: string) => {
    if (operands.length !== count) throw new TxnTextError(line, `expected ${form}`);
  };
  switch (name) {
    case 'put':
      expect(2, 'put KEY VALUE');
      if (prefix) throw new TxnTextError(line, 'put takes no --prefix');
      return op.put(key!, value!);
    case 'get':
      expect(1, 'get KEY [--prefix]');
      return op.get(prefix ? prefixRange(key!) : key!);
    case 'del':
      expect(1, 'del KEY [--prefix]');
      return op.delete(prefix ? prefixRange(key!) : key!);
    default:
      throw new TxnTextError(line, `${name} is not one of put, get, del`);
  }
}

const WORD = /\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"']+))(?=\s|$)/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** As a shell splits them: bare, or in quotes; in double quotes \n, \t, \r, \" and \\ are known. */
function words(line: number, text: string): string[] {
  const found: string[] = [];
  const trimmed = text.trim();
  WORD.lastIndex = 0;
  while (WORD.lastIndex < trimmed.length) {
    const match = WORD.exec(trimmed);
    if (match === null) throw new TxnTextError(line, 'a quote is not closed, or text follows it');
    const [, double, single, bare] = match;
    found.push(
      double?.replace(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char) ?? single ?? bare!,
    );
  }
  return found;
}

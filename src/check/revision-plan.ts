// The preparation of the revision checker: which operations wrote and which read, in the order of
// the revisions they claim; which revisions no answered write claims (holes); and what the answers
// and the watch tell about who made those.

import { HistoryError } from './history.ts';
import type { KeyValue, KvOperation, KvRequest, KvResponse, RevisionEvents } from './kv-history.ts';
import { isKvRead } from './kv-model.ts';
import type { RevisionOptions, RevisionViolation } from './revision-types.ts';

/**
 * How an operation takes part in the order at one revision, in which the first three stand in this
 * order. A revoke tells nobody whether it deleted a key: the replay has to.
 */
export const Role = {
  write: 0,
  revoke: 1,
  read: 2,
  oldRead: 3,
  timeOnly: 4,
  staleRead: 5,
} as const;

/** What is known of one key at a hole; an undefined value was not seen, null is a delete. */
export interface Evidence {
  readonly key: string;
  readonly value: string | null | undefined;
  /** The operation whose answer shows it, -1 for the watch. */
  readonly witness: number;
}

export interface Plan {
  readonly keys: string[];
  /** Sorted by revision, writes before reads. */
  readonly itemOps: Int32Array;
  readonly itemRoles: Uint8Array;
  readonly itemRevisions: Float64Array;
  /** At i: the earliest return of the items from i on. */
  readonly earliestReturn: Float64Array;
  /** Writes of unknown outcome by call time. */
  readonly unknown: Int32Array;
  readonly evidence: Map<number, Evidence[]>;
  /** For holes with evidence: the only writes, by place in `unknown`, that can have made them. */
  readonly makers: Map<number, number[]>;
  /** A place in `unknown` to the hole that only this write can have made. */
  readonly reserved: Map<number, number>;
  readonly violation?: RevisionViolation | undefined;
}

interface Items {
  count: number;
  readonly ops: Int32Array;
  readonly roles: Uint8Array;
  readonly revisions: Float64Array;
}

export function makePlan(history: readonly KvOperation[], options: RevisionOptions): Plan {
  const first = options.initial?.revision ?? 1;
  // A read of an old revision makes two items, every other operation one at most.
  const itemsMax = history.length * 2;
  const items: Items = {
    count: 0,
    ops: new Int32Array(itemsMax),
    roles: new Uint8Array(itemsMax),
    revisions: new Float64Array(itemsMax),
  };
  const unknown: number[] = [];
  for (let i = 0; i < history.length; i++) {
    const op = history[i]!;
    if (op.outcome === 'ok') addItems(items, i, op, first);
    else if (op.outcome === 'unknown' && !isKvRead(op.input, undefined)) unknown.push(i);
  }
  unknown.sort((a, b) => history[a]!.callTime - history[b]!.callTime || a - b);
  const order = sortedOrder(items);
  const plan = {
    keys: collectKeys(history, options),
    itemOps: new Int32Array(order.length),
    itemRoles: new Uint8Array(order.length),
    itemRevisions: new Float64Array(order.length),
    earliestReturn: new Float64Array(order.length + 1).fill(Infinity),
    unknown: Int32Array.from(unknown),
    evidence: new Map<number, Evidence[]>(),
    makers: new Map<number, number[]>(),
    reserved: new Map<number, number>(),
  };
  for (let i = order.length - 1; i >= 0; i--) {
    const item = order[i]!;
    plan.itemOps[i] = items.ops[item]!;
    plan.itemRoles[i] = items.roles[item]!;
    plan.itemRevisions[i] = items.revisions[item]!;
    const returned = history[plan.itemOps[i]!]!.returnTime;
    // What was read of an old revision happened at the time of another item.
    const bound = plan.itemRoles[i] === Role.oldRead ? Infinity : returned;
    plan.earliestReturn[i] = Math.min(bound, plan.earliestReturn[i + 1]!);
  }
  const violation = findHoles(plan, first) ?? explainHoles(plan, history, options);
  return violation === undefined ? plan : { ...plan, violation };
}

function addItems(items: Items, index: number, op: KvOperation, first: number): void {
  const { input, output } = op;
  if (output === undefined) throw new HistoryError(`operation ${index} succeeded without output`);
  if (!Number.isSafeInteger(output.revision) || output.revision < 0) {
    throw new HistoryError(`operation ${index} has no valid revision`);
  }
  if (input.kind === 'txn') refuseOldReads(input, index);
  if (input.kind === 'range' && input.revision) {
    if (input.revision < first) {
      throw new HistoryError(
        `operation ${index} reads revision ${input.revision}, before the start`,
      );
    }
    addItem(items, index, Role.oldRead, input.revision);
    if (!input.serializable) addItem(items, index, Role.timeOnly, output.revision);
    return;
  }
  addItem(items, index, roleOf(input, output.response), output.revision);
}

function roleOf(input: KvRequest, response: KvResponse): number {
  if (input.kind === 'range') return input.serializable ? Role.staleRead : Role.read;
  if (input.kind === 'revoke') return Role.revoke;
  return claimsChange(input, response) ? Role.write : Role.read;
}

function addItem(items: Items, index: number, role: number, revision: number): void {
  items.ops[items.count] = index;
  items.roles[items.count] = role;
  items.revisions[items.count] = revision;
  items.count += 1;
}

// A transaction's inner read of an old revision would need every state to be kept.
function refuseOldReads(request: KvRequest & { kind: 'txn' }, index: number): void {
  for (const inner of [...request.success, ...request.failure]) {
    if (inner.kind === 'range' && inner.revision) {
      throw new HistoryError(`operation ${index} reads an old revision inside a transaction`);
    }
    if (inner.kind === 'txn') refuseOldReads(inner, index);
  }
}

/** Whether a request with this response says of itself that it made its revision. */
function claimsChange(request: KvRequest, response: KvResponse): boolean {
  switch (request.kind) {
    case 'range':
      return false;
    case 'put':
      return true;
    case 'delete':
      return response.kind === 'delete' && response.deleted > 0;
    case 'revoke':
      return false;
    case 'txn': {
      if (response.kind !== 'txn') return false;
      const requests = response.succeeded ? request.success : request.failure;
      return requests.some((r, i) => {
        const inner = response.responses[i];
        return inner !== undefined && claimsChange(r, inner);
      });
    }
  }
}

// Revisions are dense, so counting is linear where comparing would cost a second a million.
function sortedOrder(items: Items): Int32Array {
  const { count } = items;
  const ranks = new Float64Array(count);
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < count; i++) {
    const rank = items.revisions[i]! * 3 + Math.min(items.roles[i]!, Role.read);
    ranks[i] = rank;
    if (rank < low) low = rank;
    if (rank > high) high = rank;
  }
  const order = new Int32Array(count);
  if (count > 0 && high - low > 12 * count + 1024) {
    for (let i = 0; i < count; i++) order[i] = i;
    return order.sort((a, b) => ranks[a]! - ranks[b]! || a - b);
  }
  const starts = new Int32Array(count === 0 ? 1 : high - low + 2);
  for (let i = 0; i < count; i++) starts[ranks[i]! - low + 1]! += 1;
  for (let r = 1; r < starts.length; r++) starts[r]! += starts[r - 1]!;
  for (let i = 0; i < count; i++) order[starts[ranks[i]! - low]!++] = i;
  return order;
}

function collectKeys(history: readonly KvOperation[], options: RevisionOptions): string[] {
  const keys = new Set<string>();
  const addRequest = (request: KvRequest, depth: number): void => {
    if (request.kind === 'txn') {
      if (depth > 8) throw new HistoryError('transactions nest too deeply');
      for (const c of request.compare) keys.add(c.key);
      for (const inner of request.success) addRequest(inner, depth + 1);
      for (const inner of request.failure) addRequest(inner, depth + 1);
    } else if (request.kind !== 'revoke') {
      keys.add(request.key);
    }
  };
  const addKeyValue = (kv: KeyValue) => keys.add(kv.key);
  for (const op of history) {
    if (op.outcome === 'failed') continue;
    addRequest(op.input, 0);
    if (op.outcome === 'ok' && op.output !== undefined) {
      eachKeyValue(op.output.response, addKeyValue);
    }
  }
  for (const kv of options.initial?.kvs ?? []) keys.add(kv.key);
  for (const revision of options.events ?? []) {
    for (const event of revision.events) keys.add(event.key);
  }
  return [...keys].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

export function eachKeyValue(response: KvResponse, visit: (kv: KeyValue) => unknown): void {
  if (response.kind === 'range') for (const kv of response.kvs) visit(kv);
  else if (response.kind === 'put') response.prevKv && visit(response.prevKv);
  else if (response.kind === 'delete') for (const kv of response.prevKvs ?? []) visit(kv);
  else if (response.kind === 'txn') for (const r of response.responses) eachKeyValue(r, visit);
}

// Names each revision no answered write claims. Bounded: there cannot be more than unknown writes.
function findHoles(plan: Plan, first: number): RevisionViolation | undefined {
  let written = first;
  let holes = 0;
  for (let i = 0; i < plan.itemOps.length; i++) {
    const revision = plan.itemRevisions[i]!;
    const expected = plan.itemRoles[i]! <= Role.revoke ? written + 1 : written;
    if (revision > expected) {
      holes += revision - expected;
      if (holes > plan.unknown.length) return tooManyHoles(plan, i, expected);
      for (let r = written + 1; r < revision; r++) plan.evidence.set(r, []);
      if (plan.itemRoles[i]! > Role.revoke) plan.evidence.set(revision, []);
    }
    written = Math.max(written, revision);
  }
  return undefined;
}

function tooManyHoles(plan: Plan, item: number, expected: number): RevisionViolation {
  const revision = plan.itemRevisions[item]!;
  const operations = [plan.itemOps[item]!];
  if (item > 0) operations.unshift(plan.itemOps[item - 1]!);
  const message =
    `revision ${revision} was seen, but up to there more revisions have no recorded write than ` +
    `there are writes of unknown outcome (${plan.unknown.length}); one is missing at ${expected}`;
  return { kind: 'revisionFromNowhere', revision, message, operations };
}

function explainHoles(
  plan: Plan,
  history: readonly KvOperation[],
  options: RevisionOptions,
): RevisionViolation | undefined {
  if (plan.evidence.size === 0) return undefined;
  gatherEvidence(plan, history, options.events ?? []);
  const putters = indexPuts(plan, history);
  for (const [revision, evidence] of plan.evidence) {
    const makers = makersOf(evidence, putters);
    if (makers === undefined) continue;
    plan.makers.set(revision, makers);
    const shown = evidence.find(e => typeof e.value === 'string')!;
    const witness = shown.witness < 0 ? [] : [shown.witness];
    const what = `${shown.key}=${shown.value} appears at revision ${revision}`;
    if (makers.length === 0) {
      const failed = failedPut(history, shown.key, shown.value!);
      const message =
        failed < 0
          ? `${what}, but no recorded write can have put it there`
          : `${what}, but its write was reported as failed`;
      const operations = failed < 0 ? witness : [failed, ...witness];
      return { kind: 'revisionFromNowhere', revision, message, operations };
    }
    if (makers.length > 1) continue;
    const earlier = plan.reserved.get(makers[0]!);
    if (earlier !== undefined) {
      const message = `${what}, but its only write already made revision ${earlier}`;
      const operations = [plan.unknown[makers[0]!]!, ...witness];
      return { kind: 'appliedTwice', revision, message, operations };
    }
    plan.reserved.set(makers[0]!, revision);
  }
  return undefined;
}

function gatherEvidence(
  plan: Plan,
  history: readonly KvOperation[],
  events: readonly RevisionEvents[],
): void {
  const note = (revision: number, key: string, value: Evidence['value'], witness: number) => {
    const known = plan.evidence.get(revision);
    if (known === undefined) return;
    if (known.some(e => e.key === key && (e.value === value || value === undefined))) return;
    known.push({ key, value, witness });
  };
  for (const { revision, events: changes } of events) {
    if (!plan.evidence.has(revision)) continue;
    for (const e of changes) note(revision, e.key, e.kind === 'put' ? e.value : null, -1);
  }
  // Nearly every key seen was made by an answered write: a glance at a small table rules it out.
  const maybe = new Uint8Array(1 << 16);
  for (const revision of plan.evidence.keys()) maybe[revision & 0xffff] = 1;
  let i = 0;
  let hidden = false;
  const noteKeyValue = (kv: KeyValue): void => {
    if (maybe[kv.modRevision & 0xffff] === 0 && maybe[kv.createRevision & 0xffff] === 0) return;
    const value = hidden && kv.value === '' ? undefined : kv.value;
    note(kv.modRevision, kv.key, value, i);
    if (kv.createRevision !== kv.modRevision) note(kv.createRevision, kv.key, undefined, i);
  };
  for (; i < history.length; i++) {
    const { input, output, outcome } = history[i]!;
    if (outcome !== 'ok' || output === undefined) continue;
    // Within a transaction, keysOnly hides values too; an empty one is then no evidence.
    hidden = input.kind === 'txn' || (input.kind === 'range' && input.keysOnly === true);
    eachKeyValue(output.response, noteKeyValue);
  }
}

type Putters = Map<string, Map<string, number[]>>;

function indexPuts(plan: Plan, history: readonly KvOperation[]): Putters {
  const putters: Putters = new Map();
  for (let u = 0; u < plan.unknown.length; u++) {
    eachPut(history[plan.unknown[u]!]!.input, (key, value) => {
      let byValue = putters.get(key);
      if (byValue === undefined) putters.set(key, (byValue = new Map()));
      const list = byValue.get(value);
      if (list === undefined) byValue.set(value, [u]);
      else if (list[list.length - 1] !== u) list.push(u);
    });
  }
  return putters;
}

export function eachPut(request: KvRequest, visit: (key: string, value: string) => void): void {
  if (request.kind === 'put') visit(request.key, request.value);
  if (request.kind !== 'txn') return;
  for (const inner of request.success) eachPut(inner, visit);
  for (const inner of request.failure) eachPut(inner, visit);
}

// The writes that put every value seen; undefined if no value was seen.
function makersOf(evidence: readonly Evidence[], putters: Putters): number[] | undefined {
  let makers: number[] | undefined;
  for (const { key, value } of evidence) {
    if (typeof value !== 'string') continue;
    const list = putters.get(key)?.get(value) ?? [];
    makers = makers === undefined ? list : makers.filter(u => list.includes(u));
  }
  return makers;
}

function failedPut(history: readonly KvOperation[], key: string, value: string): number {
  return history.findIndex(op => {
    let found = false;
    if (op.outcome !== 'failed') return false;
    eachPut(op.input, (k, v) => {
      found ||= k === key && v === value;
    });
    return found;
  });
}

// An etcd-like store as a sequential specification: written for being obviously right, with
// immutable states and no index of any kind. It is the reference the revision checker is compared
// with, a model for the searching checker, and what history generators run.

import {
  type Compare,
  describeKeyValue,
  describeOutput,
  describeRequest,
  inRange,
  type KeyValue,
  type KvEvent,
  type KvOutput,
  type KvRequest,
  type KvResponse,
  type RangeRequest,
} from './kv-history.ts';
import type { Model } from './models.ts';

export interface KvState {
  readonly revision: number;
  /** Sorted by key. */
  readonly kvs: readonly KeyValue[];
  /** Earlier states, newest first, for reads at old revisions; null if not kept. */
  readonly previous: KvState | null;
}

export interface KvModelOptions {
  /** False: hide revisions and versions from the checker, so that only values count. */
  readonly revisions?: boolean | undefined;
  readonly initial?: KvState | undefined;
}

export const EMPTY_KV: KvState = { revision: 1, kvs: [], previous: null };

const TXN_DEPTH_MAX = 8;

export interface KvStep {
  readonly state: KvState;
  readonly output: KvOutput;
  readonly events: readonly KvEvent[];
}

/** The next state and the answer with every optional part filled in. */
export function applyKv(state: KvState, request: KvRequest, keepHistory = true): KvStep {
  const draft = new Draft(state);
  const response = draft.run(request, 0);
  const changed = draft.events.length > 0;
  const revision = changed ? state.revision + 1 : state.revision;
  const next = changed ? { revision, kvs: draft.kvs, previous: keepHistory ? state : null } : state;
  return { state: next, output: { revision, response }, events: draft.events };
}

export function kvModel(options: KvModelOptions = {}): Model<KvState, KvRequest, KvOutput> {
  const revisions = options.revisions ?? true;
  return {
    name: 'key/value store',
    init: () => options.initial ?? EMPTY_KV,
    step: (state, input, output) => {
      // A stale read may be any earlier state, which a sequential model cannot judge.
      if (!revisions && input.kind === 'range' && input.serializable) return state;
      const next = tryApply(state, input);
      // A read of a revision that is not there was refused and did nothing.
      if (next === undefined) return output === undefined ? state : undefined;
      if (output === undefined) return next.state;
      if (revisions && output.revision !== next.output.revision) return undefined;
      const same = sameResponse(input, output.response, next.output.response, revisions);
      return same ? next.state : undefined;
    },
    stateKey: state =>
      (revisions ? `${state.revision}` : '') +
      JSON.stringify(state.kvs.map(kv => (revisions ? kv : [kv.key, kv.value, kv.lease]))),
    isRead: (input, output) => isKvRead(input, output?.response),
    describe: (input, output) =>
      `${describeRequest(input)} -> ${output === undefined ? '?' : describeOutput(output)}`,
    describeState: state =>
      `${revisions ? `revision ${state.revision}: ` : ''}${state.kvs.map(describeKeyValue).join(', ')}`,
  };
}

function tryApply(state: KvState, request: KvRequest): KvStep | undefined {
  try {
    return applyKv(state, request);
  } catch (error) {
    if (error instanceof NoSuchRevision) return undefined;
    throw error;
  }
}

class NoSuchRevision extends RangeError {}

/** Whether a request with this response certainly changed nothing. */
export function isKvRead(request: KvRequest, response: KvResponse | undefined): boolean {
  if (request.kind === 'range') return true;
  if (request.kind === 'delete') return response?.kind === 'delete' && response.deleted === 0;
  if (request.kind !== 'txn') return false;
  if (response?.kind !== 'txn') {
    return [...request.success, ...request.failure].every(r => isKvRead(r, undefined));
  }
  const requests = response.succeeded ? request.success : request.failure;
  return requests.every((r, i) => isKvRead(r, response.responses[i]));
}

// The store while one request runs: its writes see each other and share one revision.
class Draft {
  kvs: readonly KeyValue[];
  readonly events: KvEvent[] = [];
  readonly #before: KvState;

  constructor(state: KvState) {
    this.kvs = state.kvs;
    this.#before = state;
  }

  run(request: KvRequest, depth: number): KvResponse {
    switch (request.kind) {
      case 'put':
        return this.#put(request.key, request.value, request.lease);
      case 'delete':
        return this.#delete(kv => inRange(kv.key, request.key, request.rangeEnd));
      case 'revoke':
        this.#delete(kv => (kv.lease ?? 0) === request.lease && request.lease !== 0);
        return { kind: 'revoke' };
      case 'range':
        return rangeOf(this.#at(request.revision ?? 0), request);
      case 'txn': {
        if (depth >= TXN_DEPTH_MAX) throw new RangeError('transactions nest too deeply');
        const succeeded = request.compare.every(c => compareHolds(this.kvs, c));
        const requests = succeeded ? request.success : request.failure;
        return { kind: 'txn', succeeded, responses: requests.map(r => this.run(r, depth + 1)) };
      }
    }
  }

  #put(key: string, value: string, lease: number | undefined): KvResponse {
    const modRevision = this.#before.revision + 1;
    const prevKv = this.kvs.find(kv => kv.key === key) ?? null;
    const createRevision = prevKv?.createRevision ?? modRevision;
    const version = (prevKv?.version ?? 0) + 1;
    const kv: KeyValue = { key, value, createRevision, modRevision, version, lease: lease ?? 0 };
    const rest = this.kvs.filter(other => other.key !== key);
    const at = rest.findIndex(other => other.key > key);
    this.kvs = at < 0 ? [...rest, kv] : [...rest.slice(0, at), kv, ...rest.slice(at)];
    this.events.push({ kind: 'put', key, value, createRevision, modRevision, version, prevKv });
    return { kind: 'put', prevKv };
  }

  #delete(goes: (kv: KeyValue) => boolean): KvResponse {
    const modRevision = this.#before.revision + 1;
    const prevKvs = this.kvs.filter(goes);
    if (prevKvs.length > 0) this.kvs = this.kvs.filter(kv => !goes(kv));
    for (const prevKv of prevKvs) {
      const { key } = prevKv;
      const none = { value: '', createRevision: 0, version: 0 };
      this.events.push({ kind: 'delete', key, ...none, modRevision, prevKv });
    }
    return { kind: 'delete', deleted: prevKvs.length, prevKvs };
  }

  #at(revision: number): readonly KeyValue[] {
    if (revision === 0) return this.kvs;
    const now = this.#before.revision + (this.events.length > 0 ? 1 : 0);
    if (revision > now) throw new NoSuchRevision(`revision ${revision} is in the future of ${now}`);
    if (revision > this.#before.revision) return this.kvs;
    let state: KvState | null = this.#before;
    while (state !== null && state.revision > revision) state = state.previous;
    if (state === null) throw new NoSuchRevision(`no state is kept of revision ${revision}`);
    return state.kvs;
  }
}

function rangeOf(kvs: readonly KeyValue[], request: RangeRequest): KvResponse {
  const all = kvs.filter(kv => inRange(kv.key, request.key, request.rangeEnd));
  if (request.countOnly) return { kind: 'range', kvs: [], count: all.length, more: false };
  const limit = request.limit || all.length;
  const shown = all.slice(0, limit).map(kv => (request.keysOnly ? { ...kv, value: '' } : kv));
  return { kind: 'range', kvs: shown, count: all.length, more: all.length > limit };
}

function compareHolds(kvs: readonly KeyValue[], compare: Compare): boolean {
  const present = kvs.filter(kv => inRange(kv.key, compare.key, compare.rangeEnd));
  if (present.length > 0) return present.every(kv => compareOne(kv, compare));
  // An absent key compares as zeros, and its value as nothing at all.
  if (compare.target === 'value') return false;
  const { key } = compare;
  const absent = { key, value: '', createRevision: 0, modRevision: 0, version: 0, lease: 0 };
  return compareOne(absent, compare);
}

function compareOne(kv: KeyValue, compare: Compare): boolean {
  const { operand } = compare;
  switch (compare.target) {
    case 'value':
      return relate(kv.value, compare.relation, String(operand));
    case 'version':
      return relate(kv.version, compare.relation, Number(operand));
    case 'create':
      return relate(kv.createRevision, compare.relation, Number(operand));
    case 'mod':
      return relate(kv.modRevision, compare.relation, Number(operand));
    case 'lease':
      return relate(kv.lease ?? 0, compare.relation, Number(operand));
  }
}

/** Shared with the revision checker: both ask the same four questions. */
export function relate<T extends string | number>(
  a: T,
  relation: Compare['relation'],
  b: T,
): boolean {
  switch (relation) {
    case '=':
      return a === b;
    case '!=':
      return a !== b;
    case '<':
      return a < b;
    case '>':
      return a > b;
  }
}

// What the history leaves out was not asked for and is not compared.
function sameResponse(
  request: KvRequest,
  seen: KvResponse,
  expected: KvResponse,
  revisions: boolean,
): boolean {
  const sameKv = (a: KeyValue | null, b: KeyValue | null) => sameKeyValue(a, b, revisions);
  if (seen.kind === 'range' && expected.kind === 'range') {
    const count = seen.count === expected.count && (seen.more ?? expected.more) === expected.more;
    return count && sameList(seen.kvs, expected.kvs, sameKv);
  }
  if (seen.kind === 'put' && expected.kind === 'put') {
    return seen.prevKv === undefined || sameKv(seen.prevKv, expected.prevKv ?? null);
  }
  if (seen.kind === 'delete' && expected.kind === 'delete') {
    if (seen.deleted !== expected.deleted) return false;
    return seen.prevKvs === undefined || sameList(seen.prevKvs, expected.prevKvs ?? [], sameKv);
  }
  if (seen.kind === 'txn' && expected.kind === 'txn' && request.kind === 'txn') {
    if (seen.succeeded !== expected.succeeded) return false;
    const requests = seen.succeeded ? request.success : request.failure;
    const sizes = seen.responses.length === requests.length;
    return (
      sizes &&
      requests.every((inner, i) =>
        sameResponse(inner, seen.responses[i]!, expected.responses[i]!, revisions),
      )
    );
  }
  return seen.kind === 'revoke' && expected.kind === 'revoke';
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  return a.length === b.length && a.every((x, i) => same(x, b[i]!));
}

function sameKeyValue(a: KeyValue | null, b: KeyValue | null, revisions: boolean): boolean {
  if (a === null || b === null) return a === b;
  if (a.key !== b.key || a.value !== b.value) return false;
  if (!revisions) return true;
  if (a.createRevision !== b.createRevision || a.modRevision !== b.modRevision) return false;
  return a.version === b.version && (a.lease === undefined || a.lease === (b.lease ?? 0));
}

// The store as the revision checker replays it: one mutable copy, keys numbered in their order, so
// that a point read costs a few array reads and a range a few logarithms. Each request is executed
// and its response compared in one pass. Changes can be undone while a journal is kept.

import {
  type Compare,
  describeKeyValue,
  type KeyValue,
  type KvEvent,
  type KvRequest,
  type KvResponse,
  type RangeRequest,
} from './kv-history.ts';
import { relate } from './kv-model.ts';

/** Keys `from` (inclusive) to `to` (exclusive), by number. */
export interface KeySpan {
  readonly from: number;
  readonly to: number;
}

/** The first difference between a response and the state. */
export interface Mismatch {
  readonly message: string;
  /** The keys whose state decides; one span unless a comparison failed. */
  readonly spans: readonly KeySpan[];
  /** True if a write whose client got an answer fixes what was expected of the one key. */
  readonly onlySinceWrite: boolean;
  /** The operation that wrote what was expected instead, -1 if none did. */
  readonly writer: number;
}

interface Change {
  readonly key: number;
  readonly kv: KeyValue | null;
  readonly writer: number;
  readonly knownAt: number;
  readonly anchor: number;
}

const TXN_DEPTH_MAX = 8;

export class RevisionStore {
  readonly keys: readonly string[];
  readonly #ids = new Map<string, number>();
  // What each key holds, null if it is absent.
  readonly #kvs: (KeyValue | null)[];
  // The operation that last wrote or deleted the key, -1 if none has.
  readonly #writers: Int32Array;
  // The revision of the key's last write by an operation that was answered.
  readonly #knownAt: Float64Array;
  // The revision at which an answer last showed all there is to know of the key.
  readonly #anchors: Float64Array;
  // Counts of present keys, as a Fenwick tree over key numbers.
  readonly #counts: Int32Array;

  readonly #journal: Change[] = [];
  #forgotten = 0;
  /** While false, changes cannot be undone. */
  journaling = false;
  /** Anchors older than this are renewed; nothing is uncertain before it. */
  uncertainSince = Number.POSITIVE_INFINITY;

  mismatch: Mismatch | undefined;
  /** The changes of the request executed last, if `collect` is set. */
  events: KvEvent[] = [];
  readonly #collect: boolean;
  #changed = false;
  #revision = 0;
  #operation = -1;
  #known = false;

  constructor(keys: readonly string[], initial: readonly KeyValue[], collect: boolean) {
    this.keys = keys;
    this.#collect = collect;
    for (let id = 0; id < keys.length; id++) this.#ids.set(keys[id]!, id);
    this.#kvs = new Array<KeyValue | null>(keys.length).fill(null);
    this.#writers = new Int32Array(keys.length).fill(-1);
    this.#knownAt = new Float64Array(keys.length);
    this.#anchors = new Float64Array(keys.length);
    this.#counts = new Int32Array(keys.length + 1);
    for (const kv of initial) this.#set(this.#ids.get(kv.key)!, kv);
  }

  /**
   * Executes a request as the maker of `revision`, or as a read of it, and compares the response
   * if there is one. Returns whether anything changed; a difference is left in `mismatch`.
   */
  execute(
    request: KvRequest,
    response: KvResponse | undefined,
    revision: number,
    operation: number,
  ): boolean {
    this.mismatch = undefined;
    this.#changed = false;
    this.#revision = revision;
    this.#operation = operation;
    // What a revoke deletes is not in its answer but follows from the state, right or wrong.
    this.#known = response !== undefined && request.kind !== 'revoke';
    if (this.#collect) this.events = [];
    this.#run(request, response, 0);
    return this.#changed;
  }

  /** A point to come back to by `undo`. */
  get mark(): number {
    return this.#forgotten + this.#journal.length;
  }

  get journalLength(): number {
    return this.#journal.length;
  }

  /** Takes back every change since `mark`. */
  undo(mark: number): void {
    while (this.mark > mark && this.#journal.length > 0) {
      const change = this.#journal.pop()!;
      this.#set(change.key, change.kv);
      this.#writers[change.key] = change.writer;
      this.#knownAt[change.key] = change.knownAt;
      this.#anchors[change.key] = change.anchor;
    }
  }

  /** Nothing before `mark` will be undone any more. */
  forgetBefore(mark: number): void {
    this.#journal.splice(0, mark - this.#forgotten);
    this.#forgotten = mark;
  }

  hasLease(lease: number): boolean {
    return lease !== 0 && this.#kvs.some(kv => (kv?.lease ?? 0) === lease);
  }

  keyId(key: string): number {
    return this.#ids.get(key) ?? -1;
  }

  get(id: number): KeyValue | null {
    return this.#kvs[id]!;
  }

  /** Before this revision, nothing about the key can be in doubt any more. */
  certainUntil(id: number, onlySinceWrite: boolean): number {
    const anchor = this.#anchors[id]!;
    return onlySinceWrite ? Math.max(anchor, this.#knownAt[id]!) : anchor;
  }

  span(key: string, rangeEnd: string | undefined): KeySpan {
    if (rangeEnd === undefined || rangeEnd === '') {
      const id = this.#ids.get(key);
      if (id !== undefined) return { from: id, to: id + 1 };
      const at = this.#lowerBound(key);
      return { from: at, to: at };
    }
    const to = rangeEnd === '\0' ? this.keys.length : this.#lowerBound(rangeEnd);
    const from = this.#lowerBound(key);
    return { from, to: Math.max(from, to) };
  }

  #run(request: KvRequest, response: KvResponse | undefined, depth: number): void {
    if (response !== undefined && response.kind !== request.kind) {
      this.#differs(`a ${request.kind} was answered as a ${response.kind}`, [], -1);
      return;
    }
    switch (request.kind) {
      case 'put':
        return this.#put(request.key, request.value, request.lease ?? 0, response);
      case 'delete':
        return this.#delete(this.span(request.key, request.rangeEnd), response);
      case 'revoke':
        return this.#revoke(request.lease);
      case 'range':
        if (response?.kind === 'range') this.#compareRange(request, response);
        return;
      case 'txn': {
        if (depth >= TXN_DEPTH_MAX) throw new RangeError('transactions nest too deeply');
        return this.#txn(request, response, depth);
      }
    }
  }

  #txn(
    request: KvRequest & { kind: 'txn' },
    response: KvResponse | undefined,
    depth: number,
  ): void {
    const succeeded = request.compare.every(c => this.#holds(c));
    const requests = succeeded ? request.success : request.failure;
    if (response?.kind !== 'txn') {
      for (const inner of requests) this.#run(inner, undefined, depth + 1);
      return;
    }
    if (response.succeeded !== succeeded) {
      const spans = request.compare.map(c => this.span(c.key, c.rangeEnd));
      const held = spans.length === 1 ? this.#describeSpan(spans[0]!) : 'the state';
      const word = succeeded ? 'hold' : 'fail';
      const verdict = response.succeeded ? 'succeeded' : 'did not succeed';
      const message = `the transaction ${verdict}, but its comparisons ${word}: the store held ${held}`;
      const writer = spans.length > 0 && spans[0]!.from < spans[0]!.to ? spans[0]!.from : -1;
      this.#differs(message, spans, writer);
      return;
    }
    if (response.responses.length !== requests.length) {
      this.#differs('the transaction has not as many responses as requests', [], -1);
      return;
    }
    for (let i = 0; i < requests.length && this.mismatch === undefined; i++) {
      this.#run(requests[i]!, response.responses[i]!, depth + 1);
    }
  }

  #put(key: string, value: string, lease: number, response: KvResponse | undefined): void {
    const id = this.#ids.get(key)!;
    const before = this.#kvs[id]!;
    if (response?.kind === 'put' && response.prevKv !== undefined) {
      if (!this.#compareKey(id, response.prevKv, false, 'the previous value')) return;
    }
    const modRevision = this.#revision;
    const createRevision = before === null ? modRevision : before.createRevision;
    const version = before === null ? 1 : before.version + 1;
    this.#write(id, { key, value, createRevision, modRevision, version, lease });
    if (!this.#collect) return;
    const numbers = { createRevision, modRevision, version };
    this.events.push({ kind: 'put', key, value, ...numbers, prevKv: before });
  }

  #delete(span: KeySpan, response: KvResponse | undefined): void {
    const present = this.#present(span, Number.POSITIVE_INFINITY);
    if (response?.kind === 'delete') {
      if (response.deleted !== present.length) {
        const held = this.#describeSpan(span);
        const message = `deleted ${response.deleted} keys, but the store held ${held}`;
        this.#differs(message, [span], present[0] ?? span.from, span.to - span.from === 1);
        return;
      }
      const shown = response.prevKvs ?? [];
      if (response.prevKvs !== undefined && shown.length !== present.length) {
        const message = `${shown.length} deleted values are shown of ${present.length}`;
        return this.#differs(message, [span], span.from);
      }
      for (let i = 0; i < shown.length; i++) {
        const id = present[i] ?? this.keyId(shown[i]!.key);
        if (!this.#compareKey(id, shown[i]!, false, 'the deleted value')) return;
      }
    }
    for (const id of present) this.#remove(id);
  }

  #revoke(lease: number): void {
    if (lease === 0) return;
    for (let id = 0; id < this.#kvs.length; id++) {
      if ((this.#kvs[id]?.lease ?? 0) === lease) this.#remove(id);
    }
  }

  #remove(id: number): void {
    const prevKv = this.#kvs[id]!;
    this.#write(id, null);
    if (!this.#collect) return;
    const none = { value: '', createRevision: 0, version: 0 };
    const { key } = prevKv!;
    this.events.push({ kind: 'delete', key, ...none, modRevision: this.#revision, prevKv });
  }

  #compareRange(request: RangeRequest, response: KvResponse & { kind: 'range' }): void {
    const span = this.span(request.key, request.rangeEnd);
    const single = span.to - span.from === 1;
    const keysOnly = request.keysOnly === true;
    if (single && !request.countOnly && response.kvs.length <= 1) {
      if (!this.#compareKey(span.from, response.kvs[0] ?? null, keysOnly, 'the answer')) return;
    }
    const count = this.#countBelow(span.to) - this.#countBelow(span.from);
    const { kvs } = response;
    const expected = request.countOnly ? 0 : Math.min(count, request.limit || count);
    const more = !request.countOnly && expected < count;
    if (response.count !== count || (response.more ?? more) !== more || kvs.length > expected) {
      const answer = `${kvs.length} of ${response.count} keys${response.more ? ' and more' : ''}`;
      const message = `the answer is ${answer}, but the store held ${this.#describeSpan(span)}`;
      this.#differs(message, [span], span.from, single);
      return;
    }
    if (!single) this.#compareList(span, kvs, expected, keysOnly);
  }

  #compareList(span: KeySpan, kvs: readonly KeyValue[], expected: number, keysOnly: boolean): void {
    let rank = this.#countBelow(span.from);
    for (let i = 0; i < expected; i++) {
      const held = this.#select(++rank);
      const seen = kvs[i] ?? null;
      if (seen === null || seen.key === this.keys[held]) {
        if (!this.#compareKey(held, seen, keysOnly, 'the answer')) return;
        continue;
      }
      // The smaller of the two keys is the one that only one side has.
      const id = this.keyId(seen.key);
      if (id > held) this.#compareKey(held, null, keysOnly, 'the answer');
      else if (id >= span.from) this.#compareKey(id, seen, keysOnly, 'the answer');
      if (this.mismatch !== undefined) return;
      this.#differs(`the answer shows ${seen.key} out of order or out of range`, [], -1);
      return;
    }
  }

  /** Compares what was seen of a key with what it holds. */
  #compareKey(id: number, seen: KeyValue | null, keysOnly: boolean, what: string): boolean {
    const held = id < 0 ? null : this.#kvs[id]!;
    const blind = seen === null || held === null;
    const shallow = blind
      ? seen === held
      : seen.key === held.key &&
        seen.modRevision === held.modRevision &&
        (keysOnly || seen.value === held.value) &&
        (seen.lease === undefined || seen.lease === (held.lease ?? 0));
    const deep =
      shallow &&
      (blind || (seen.createRevision === held.createRevision && seen.version === held.version));
    if (deep) {
      // No need to note it while nothing has become uncertain since it was noted last.
      if (id >= 0 && this.#anchors[id]! < this.uncertainSince && this.journaling && !keysOnly) {
        this.#note(id);
        this.#anchors[id] = this.#revision;
      }
      return true;
    }
    const key = id < 0 ? (seen?.key ?? '?') : this.keys[id];
    const message = `${what} for key ${key} is ${describeKeyValue(seen)}, but the store held ${describeKeyValue(held)}`;
    this.#differs(message, id < 0 ? [] : [{ from: id, to: id + 1 }], id, !shallow);
    return false;
  }

  #holds(compare: Compare): boolean {
    const span = this.span(compare.key, compare.rangeEnd);
    if (span.to - span.from === 1) return this.#holdsFor(this.#kvs[span.from]!, compare);
    const present = this.#present(span, Number.POSITIVE_INFINITY);
    if (present.length === 0) return this.#holdsFor(null, compare);
    return present.every(id => this.#holdsFor(this.#kvs[id]!, compare));
  }

  #holdsFor(kv: KeyValue | null, compare: Compare): boolean {
    const { relation, operand } = compare;
    switch (compare.target) {
      case 'value':
        // An absent key has no value that any comparison could hold for.
        return kv !== null && relate(kv.value, relation, String(operand));
      case 'version':
        return relate(kv?.version ?? 0, relation, Number(operand));
      case 'create':
        return relate(kv?.createRevision ?? 0, relation, Number(operand));
      case 'mod':
        return relate(kv?.modRevision ?? 0, relation, Number(operand));
      case 'lease':
        return relate(kv?.lease ?? 0, relation, Number(operand));
    }
  }

  #differs(message: string, spans: KeySpan[], writerOf: number, onlySinceWrite = false): void {
    if (this.mismatch !== undefined) return;
    const writer = writerOf >= 0 && writerOf < this.keys.length ? this.#writers[writerOf]! : -1;
    this.mismatch = { message, spans, onlySinceWrite, writer };
  }

  #write(id: number, kv: KeyValue | null): void {
    if (this.journaling) this.#note(id);
    this.#set(id, kv);
    this.#writers[id] = this.#operation;
    if (this.#known) this.#knownAt[id] = this.#revision;
    this.#changed = true;
  }

  #note(id: number): void {
    this.#journal.push({
      key: id,
      kv: this.#kvs[id]!,
      writer: this.#writers[id]!,
      knownAt: this.#knownAt[id]!,
      anchor: this.#anchors[id]!,
    });
  }

  #set(id: number, kv: KeyValue | null): void {
    const by = Number(kv !== null) - Number(this.#kvs[id] !== null);
    this.#kvs[id] = kv;
    if (by === 0) return;
    for (let i = id + 1; i < this.#counts.length; i += i & -i) this.#counts[i]! += by;
  }

  #countBelow(id: number): number {
    let count = 0;
    for (let i = id; i > 0; i -= i & -i) count += this.#counts[i]!;
    return count;
  }

  /** The number of the `rank`-th present key, counting from 1. */
  #select(rank: number): number {
    let at = 0;
    for (let step = 1 << (31 - Math.clz32(this.#counts.length)); step > 0; step >>= 1) {
      const next = at + step;
      if (next < this.#counts.length && this.#counts[next]! < rank) {
        at = next;
        rank -= this.#counts[next]!;
      }
    }
    return at;
  }

  #present(span: KeySpan, max: number): number[] {
    if (span.to - span.from === 1) return this.#kvs[span.from] === null ? [] : [span.from];
    const below = this.#countBelow(span.from);
    const count = Math.min(max, this.#countBelow(span.to) - below);
    const present: number[] = [];
    for (let i = 1; i <= count; i++) present.push(this.#select(below + i));
    return present;
  }

  #describeSpan(span: KeySpan): string {
    const count = this.#countBelow(span.to) - this.#countBelow(span.from);
    const shown = this.#present(span, 4).map(id => describeKeyValue(this.#kvs[id]!));
    if (count > shown.length) shown.push(`... (${count} keys)`);
    return shown.join(', ') || 'nothing';
  }

  #lowerBound(key: string): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

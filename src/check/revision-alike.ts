// What keeps the choice among writes of unknown outcome from exploding: writes that nothing tells
// apart count as one, and a situation that led nowhere is not entered a second time.

import type { KvOperation, KvRequest } from './kv-history.ts';
import type { Plan } from './revision-plan.ts';
import type { RevisionStore } from './revision-store.ts';
import { touchedSpans } from './revision-unknown.ts';

/** Beyond this, dead ends are not remembered: slower, never wrong. */
const DEAD_ENDS_MAX = 200_000;
const KEYS_MAX = 1000;

/** What the future depends on besides the store and the writes used. */
export interface Situation {
  readonly item: number;
  /** The revision that wants a maker. */
  readonly revision: number;
  readonly time: number;
  readonly writeTime: number;
  /** By place in the plan: -1 if the write is not used. */
  readonly usedBy: Int32Array;
}

export class DeadEnds {
  readonly #plan: Plan;
  readonly #store: RevisionStore;
  readonly #kinds: Int32Array;
  readonly #showsValues: boolean;
  /** The keys that an unknown write may have changed: all others are what the answers say. */
  readonly #keys: readonly number[];
  readonly #known = new Set<string>();

  constructor(
    history: readonly KvOperation[],
    plan: Plan,
    store: RevisionStore,
    kinds: Int32Array,
  ) {
    this.#plan = plan;
    this.#store = store;
    this.#kinds = kinds;
    this.#showsValues = anyValueCompared(history);
    const inputs = Array.from(plan.unknown, op => history[op]!.input);
    const ids = new Set<number>();
    for (const { from, to } of touchedSpans(inputs, store)) {
      for (let id = from; id < to; id++) ids.add(id);
    }
    this.#keys = [...ids].sort((a, b) => a - b);
  }

  /** Null when it would cost too much to name the situation. */
  nameOf(situation: Situation): string | null {
    if (this.#keys.length > KEYS_MAX) return null;
    const { item, revision, time, writeTime, usedBy } = situation;
    const counts = new Map<number, number>();
    for (let u = 0; u < usedBy.length; u++) {
      if (usedBy[u] !== -1) counts.set(this.#kinds[u]!, (counts.get(this.#kinds[u]!) ?? 0) + 1);
    }
    const used = [...counts].sort((a, b) => a[0] - b[0]).join(';');
    const held = this.#keys.map(id => this.#describe(id)).join(';');
    return `${item},${revision},${time},${writeTime}|${used}|${held}`;
  }

  has(name: string | null): boolean {
    return name !== null && this.#known.has(name);
  }

  add(name: string | null): void {
    if (name !== null && this.#known.size < DEAD_ENDS_MAX) this.#known.add(name);
  }

  // Where the maker of a revision answered, the revision tells the value; where nobody saw the value,
  // it makes no difference.
  #describe(id: number): string {
    const kv = this.#store.get(id);
    if (kv === null) return '';
    const { modRevision, createRevision, version, lease, value } = kv;
    const shown = this.#showsValues || this.#plan.makers.has(modRevision);
    return `${modRevision},${createRevision},${version},${lease ?? 0}${shown ? JSON.stringify(value) : ''}`;
  }
}

/**
 * A number for each write of unknown outcome, equal for those that no answer tells apart: they do the
 * same but for values, and nobody saw those. Any order that has one of them where another could be
 * has a twin with the two exchanged, so trying one of each is enough.
 */
export function indistinguishable(history: readonly KvOperation[], plan: Plan): Int32Array {
  const numbers = new Map<string, number>();
  const kinds = new Int32Array(plan.unknown.length);
  if (kinds.length === 0) return kinds;
  const seen = new Set([...plan.makers.values()].flat());
  const compared = anyValueCompared(history);
  for (let u = 0; u < kinds.length; u++) {
    const hidden = !compared && !seen.has(u);
    const text = JSON.stringify(history[plan.unknown[u]!]!.input, (name, value) =>
      hidden && name === 'value' ? 0 : value,
    );
    if (!numbers.has(text)) numbers.set(text, numbers.size);
    kinds[u] = numbers.get(text)!;
  }
  return kinds;
}

function anyValueCompared(history: readonly KvOperation[]): boolean {
  return history.some(op => op.outcome !== 'failed' && comparesValues(op.input));
}

function comparesValues(request: KvRequest): boolean {
  if (request.kind !== 'txn') return false;
  if (request.compare.some(c => c.target === 'value')) return true;
  return request.success.some(comparesValues) || request.failure.some(comparesValues);
}

// What later answers tell of revisions that nobody answered for. An answer that shows a key as last
// changed at revision 107, for the eighth time since it was made at 29, says that nothing changed it
// from there to the answer's own revision, and that it lived all the time since 29. A writer that
// breaks this at one of those revisions is refused at once, instead of after every choice that follows.

import type { KeyValue, KvOperation, KvRequest, RevisionEvents } from './kv-history.ts';
import { eachKeyValue, type Plan } from './revision-plan.ts';

/** What a key must be at one revision. */
export interface Fact {
  readonly key: string;
  readonly createRevision: number;
  /** The key's later change that an answer showed; before it the key has fewer versions. */
  readonly modRevision: number;
  readonly version: number;
}

/** How far back from a change the life of its key is looked at. */
const REVISIONS_BACK_MAX = 256;

export class Facts {
  readonly #holes: readonly number[];
  readonly #byHole = new Map<number, Fact[]>();

  constructor(history: readonly KvOperation[], plan: Plan, events: readonly RevisionEvents[]) {
    this.#holes = [...plan.evidence.keys()].sort((a, b) => a - b);
    const isNear = (kv: KeyValue, until: number) => {
      const holes = this.#holes;
      const first = firstAtLeast(holes, beginning(kv));
      return first < holes.length && holes[first]! <= until;
    };
    for (const { fact, until } of latestSightings(history, events, isNear)) {
      this.#tell(fact, beginning(fact), until);
    }
  }

  at(revision: number): readonly Fact[] {
    return this.#byHole.get(revision) ?? [];
  }

  /** Whether a write that certainly changes its key can't have made this revision. */
  forbids(request: KvRequest, revision: number): boolean {
    if (request.kind !== 'put') return false;
    return this.at(revision).some(f => f.key === request.key && f.modRevision < revision);
  }

  #tell(fact: Fact, from: number, until: number): void {
    const holes = this.#holes;
    for (let i = firstAtLeast(holes, from); i < holes.length && holes[i]! <= until; i++) {
      const facts = this.#byHole.get(holes[i]!);
      if (facts === undefined) this.#byHole.set(holes[i]!, [fact]);
      else facts.push(fact);
    }
  }
}

/** Whether a key that is `held` after this revision can still become what the fact says. */
export function allows(fact: Fact, held: KeyValue | null, revision: number): boolean {
  if (held === null || held.createRevision !== fact.createRevision) return false;
  const toCome = fact.modRevision - revision;
  if (toCome <= 0) {
    return held.modRevision === fact.modRevision && held.version === fact.version;
  }
  // Each revision changes a key once at most, and the last one to come does.
  return held.version < fact.version && fact.version - held.version <= toCome;
}

function beginning({ createRevision, modRevision }: Omit<Fact, 'key'>): number {
  return Math.max(createRevision, modRevision - REVISIONS_BACK_MAX);
}

interface Sighting {
  readonly fact: Fact;
  /** The last revision at which the key was seen so. */
  until: number;
}

function latestSightings(
  history: readonly KvOperation[],
  events: readonly RevisionEvents[],
  isTelling: (kv: KeyValue, until: number) => boolean,
): Iterable<Sighting> {
  const sightings = new Map<string, Sighting>();
  const see = (kv: KeyValue, until: number): void => {
    if (!isTelling(kv, until)) return;
    const { key, createRevision, modRevision, version } = kv;
    const name = `${modRevision},${version},${createRevision},${key}`;
    const known = sightings.get(name);
    if (known !== undefined) known.until = Math.max(known.until, until);
    else sightings.set(name, { fact: { key, createRevision, modRevision, version }, until });
  };
  for (const { input, output, outcome } of history) {
    if (outcome !== 'ok' || output === undefined) continue;
    // What a write shows is from just before it, or what it made itself.
    const at = input.kind === 'range' ? input.revision || output.revision : output.revision - 1;
    eachKeyValue(output.response, kv => see(kv, Math.max(at, kv.modRevision)));
  }
  for (const { revision, events: changes } of events) {
    for (const event of changes) if (event.kind === 'put') see(event, revision);
  }
  return sightings.values();
}

function firstAtLeast(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

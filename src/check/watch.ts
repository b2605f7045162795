// Whether a watcher was told the truth: in order, once, whole revisions, nothing left out, nothing
// too early, with the right previous values, and progress that promises no more than was sent.
// The truth is the list of events of each revision, from the revision checker or a replayed log.

import { HistoryError } from './history.ts';
import { inRange, type KeyValue, type KvEvent } from './kv-history.ts';
import type {
  WatchEvent,
  WatchHistory,
  WatchProperty,
  WatchRequest,
  WatchResponse,
  WatchStream,
  WatchViolation,
} from './watch-types.ts';

const VIOLATIONS_MAX = 20;

/** At most 20 violations, the first first; empty if the stream kept every promise. */
export function checkWatch(history: WatchHistory, stream: WatchStream): WatchViolation[] {
  assertRevisions(history);
  return new WatchCheck(history, stream).run();
}

class WatchCheck {
  readonly #stream: WatchStream;
  readonly #request: WatchRequest;
  readonly #history: WatchHistory;
  readonly #violations: WatchViolation[] = [];
  /** Place in the history of the first revision whose events have not all been told. */
  #next = 0;
  /** How many matching events of that revision were told in fragments already. */
  #told = 0;
  #inFragments = false;
  /** Every matching event up to this revision was told or promised to be none. */
  #reached: number;
  #started = false;
  #createdAt = 0;
  #ended = false;
  #header = 0;
  #at = 0;

  constructor(history: WatchHistory, stream: WatchStream) {
    this.#history = history;
    this.#stream = stream;
    this.#request = stream.request;
    this.#reached = (this.#request.startRevision || 1) - 1;
    this.#seek(this.#reached + 1);
  }

  run(): WatchViolation[] {
    this.#resumed();
    for (const response of this.#stream.responses) {
      this.#response(response);
      this.#at += 1;
      if (this.#violations.length >= VIOLATIONS_MAX) return this.#violations;
    }
    const { mustReach } = this.#stream;
    if (mustReach !== undefined && !this.#ended) this.#missingUpTo(mustReach, 'complete');
    return this.#violations.slice(0, VIOLATIONS_MAX);
  }

  // A stream that continues another must start right after it, or events fall between the two.
  #resumed(): void {
    const { resumedAfter } = this.#stream;
    if (resumedAfter === undefined) return;
    const start = this.#request.startRevision ?? 0;
    if (start === resumedAfter + 1) return;
    const message = `resumed at revision ${start} after having seen ${resumedAfter}`;
    this.#violate('resumable', start, message);
  }

  #response(response: WatchResponse): void {
    if (this.#ended) {
      return this.#violate('protocol', response.revision, 'a response came after the cancellation');
    }
    if (response.kind !== 'created' && !this.#started) {
      this.#violate('protocol', response.revision, `${response.kind} came before the creation`);
    }
    if (response.revision < this.#header && response.kind !== 'canceled') {
      const message = `the header fell from revision ${this.#header} to ${response.revision}`;
      this.#violate(
        response.kind === 'progress' ? 'progress' : 'ordered',
        response.revision,
        message,
      );
    }
    this.#header = Math.max(this.#header, response.revision);
    switch (response.kind) {
      case 'created':
        return this.#created(response.revision);
      case 'events':
        return this.#events(response);
      case 'progress':
        return this.#progress(response.revision);
      case 'canceled':
        return this.#canceled(response);
    }
  }

  #created(revision: number): void {
    if (this.#started) return this.#violate('protocol', revision, 'created twice');
    this.#started = true;
    if (this.#request.startRevision) return;
    this.#createdAt = revision;
    this.#reached = revision;
    this.#seek(revision + 1);
  }

  #progress(revision: number): void {
    if (this.#inFragments) {
      this.#violate('atomic', revision, 'progress was announced inside a split revision');
    }
    // To say "up to here you know all" is to promise that nothing up to here is still to come.
    this.#missingUpTo(revision, 'progress');
  }

  #canceled(response: WatchResponse & { kind: 'canceled' }): void {
    this.#ended = true;
    const { compactRevision, revision } = response;
    if (compactRevision === 0) return;
    const compacted = this.#history.compactRevision ?? 0;
    if (compactRevision > compacted) {
      const message = `canceled for a compaction at ${compactRevision}, but the highest was ${compacted}`;
      return this.#violate('compacted', revision, message);
    }
    if (this.#reached + 1 >= compactRevision) {
      const message =
        `canceled for a compaction at ${compactRevision}, ` +
        `though the watcher needs only revisions from ${this.#reached + 1} on`;
      this.#violate('compacted', revision, message);
    }
  }

  #events(response: WatchResponse & { kind: 'events' }): void {
    const { events, revision } = response;
    let from = 0;
    while (from < events.length && this.#violations.length < VIOLATIONS_MAX) {
      const at = events[from]!.modRevision;
      let to = from + 1;
      while (to < events.length && events[to]!.modRevision === at) to += 1;
      const isSplit = to === events.length && response.fragment === true;
      if (at > revision) {
        this.#violate('notEarly', at, `an event of revision ${at} under a header of ${revision}`);
      }
      this.#revision(at, events.slice(from, to), isSplit);
      from = to;
    }
  }

  /** The events of one revision in one response: all of them, unless the client allows splits. */
  #revision(revision: number, events: readonly WatchEvent[], isSplit: boolean): void {
    if (this.#started && revision <= this.#reached) return this.#again(revision);
    if (!this.#missingUpTo(revision - 1, 'complete')) return;
    const truth = this.#history.revisions[this.#next];
    if (truth?.revision !== revision) {
      return this.#violate(
        'content',
        revision,
        `revision ${revision} changed nothing or never was`,
      );
    }
    const expected = truth.events.filter(e => matches(this.#request, e)).slice(this.#told);
    for (let i = 0; i < events.length; i++) this.#event(events[i]!, expected[i], truth.events);
    this.#inFragments = isSplit;
    if (isSplit) {
      this.#told += events.length;
      return;
    }
    if (events.length < expected.length) {
      const message = `revision ${revision} was told in part: ${events.length} of ${expected.length} events`;
      this.#violate('atomic', revision, message);
    }
    this.#told = 0;
    this.#reached = revision;
    this.#next += 1;
  }

  #again(revision: number): void {
    const start = this.#request.startRevision;
    if (start && revision < start) {
      return this.#violate('notEarly', revision, `the watch starts at revision ${start}`);
    }
    const last = this.#reached;
    if (revision <= this.#createdAt) {
      return this.#violate('notEarly', revision, `the watch was created at ${this.#createdAt}`);
    }
    const property = revision === last ? 'unique' : 'ordered';
    this.#violate(property, revision, `revision ${revision} came after ${last} had been told`);
  }

  #event(event: WatchEvent, expected: KvEvent | undefined, all: readonly KvEvent[]): void {
    const revision = event.modRevision;
    const name = `${event.kind} of ${event.key} at revision ${revision}`;
    if (!matches(this.#request, event)) {
      return this.#violate('filter', revision, `${name} was not asked for`);
    }
    if (expected === undefined || expected.key !== event.key) {
      const known = all.some(e => e.key === event.key && e.kind === event.kind);
      const message = known ? `${name} came twice or out of its order` : `${name} never happened`;
      return this.#violate(known ? 'unique' : 'content', revision, message);
    }
    if (!sameEvent(event, expected)) {
      return this.#violate('content', revision, `${name} differs from what happened`);
    }
    const isCreate = expected.kind === 'put' && expected.version === 1;
    if (event.isCreate !== undefined && event.isCreate !== isCreate) {
      this.#violate('isCreate', revision, `${name} is ${isCreate ? 'a' : 'no'} creation`);
    }
    this.#prevKv(event, expected, name);
  }

  #prevKv(event: WatchEvent, expected: KvEvent, name: string): void {
    const revision = event.modRevision;
    if (!this.#request.prevKv) {
      if (event.prevKv) this.#violate('prevKv', revision, `${name} has an unasked previous value`);
      return;
    }
    // Truth without previous values cannot judge them.
    if (expected.prevKv === undefined) return;
    // What a compaction took away may be missing, but not wrong.
    const old = expected.prevKv?.modRevision ?? 0;
    const isLost = !event.prevKv && old > 0 && old <= (this.#history.compactRevision ?? 0);
    if (isLost || sameKeyValue(event.prevKv ?? null, expected.prevKv)) return;
    this.#violate('prevKv', revision, `${name} has a wrong previous value`);
  }

  /** Steps over revisions that do not concern the watcher; false if one that does was left out. */
  #missingUpTo(revision: number, property: WatchProperty): boolean {
    const { revisions } = this.#history;
    const before = this.#violations.length;
    while (this.#next < revisions.length && revisions[this.#next]!.revision <= revision) {
      const truth = revisions[this.#next]!;
      const count = truth.events.filter(e => matches(this.#request, e)).length - this.#told;
      if (count > 0) {
        const message = `${count} events of revision ${truth.revision} were never told`;
        this.#violate(property, truth.revision, message);
        if (this.#violations.length >= VIOLATIONS_MAX) return false;
      }
      this.#told = 0;
      this.#inFragments = false;
      this.#next += 1;
    }
    this.#reached = Math.max(this.#reached, revision);
    // A gap is reported once and then stepped over, so that what follows is still judged.
    return this.#violations.length < VIOLATIONS_MAX || this.#violations.length === before;
  }

  #seek(revision: number): void {
    const { revisions } = this.#history;
    let low = 0;
    let high = revisions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (revisions[middle]!.revision < revision) low = middle + 1;
      else high = middle;
    }
    this.#next = low;
  }

  #violate(property: WatchProperty, revision: number, message: string): void {
    this.#violations.push({ property, message, response: this.#at, revision });
  }
}

function assertRevisions(history: WatchHistory): void {
  const { revisions } = history;
  for (let i = 1; i < revisions.length; i++) {
    if (revisions[i]!.revision !== revisions[i - 1]!.revision + 1) {
      throw new HistoryError(`the true history has a gap after ${revisions[i - 1]!.revision}`);
    }
  }
}

function matches(request: WatchRequest, event: KvEvent): boolean {
  if (request.noPut && event.kind === 'put') return false;
  if (request.noDelete && event.kind === 'delete') return false;
  return inRange(event.key, request.key, request.rangeEnd);
}

function sameEvent(seen: KvEvent, expected: KvEvent): boolean {
  if (seen.kind !== expected.kind || seen.modRevision !== expected.modRevision) return false;
  if (seen.kind === 'delete') return true;
  const sameAge =
    seen.createRevision === expected.createRevision && seen.version === expected.version;
  return sameAge && seen.value === expected.value;
}

function sameKeyValue(a: KeyValue | null, b: KeyValue | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.key !== b.key || a.value !== b.value || a.version !== b.version) return false;
  return a.createRevision === b.createRevision && a.modRevision === b.modRevision;
}

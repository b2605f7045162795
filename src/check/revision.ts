// Linearizability of a whole store whose answers carry revisions, in O(n log n).
//
// A revision is taken as a claim: "this is my place in the order". Writes stand in the order of
// their revisions, reads between them. Three things then make the history linearizable, and each
// is checked: real time allows that order; every revision was made by exactly one write; every
// answer is what the replayed store gives. So a legal verdict is sound whatever the server
// claims, and a violation names the one to three operations that contradict each other.
//
// A write of unknown outcome may have made a revision that no answered write claims. Where its
// values were seen, they say which. Where they were not, every possibility counts: the checker
// tries them, going back on a contradiction to the latest choice that bears on it. It says
// illegal only when none is left, and undecided when the budget ends first.

import { assertHistory } from './history.ts';
import {
  describeOutput,
  type KvOperation,
  type KvRequest,
  type RevisionEvents,
} from './kv-history.ts';
import { DeadEnds, indistinguishable } from './revision-alike.ts';
import { allows, Facts } from './revision-facts.ts';
import { makePlan, type Plan, Role } from './revision-plan.ts';
import { type KeySpan, type Mismatch, RevisionStore } from './revision-store.ts';
import type {
  RevisionOptions,
  RevisionResult,
  RevisionViolation,
  ViolationKind,
} from './revision-types.ts';
import { orderedCandidates, touchedSpans } from './revision-unknown.ts';

/** Where the replay stands; restored when a choice is taken back. */
interface Cursor {
  item: number;
  /** The revision made last. */
  revision: number;
  /** The earliest time the last write can have taken effect, and the operation that forces it. */
  writeTime: number;
  writeTimeBy: number;
  /** The same for the next write: the reads of this revision stand before it. */
  time: number;
  timeBy: number;
  lastWriter: number;
}

/** One revision whose maker is a choice among writes of unknown outcome. */
interface Level {
  readonly revision: number;
  readonly candidates: readonly number[];
  next: number;
  chosen: number;
  readonly cursor: Cursor;
  readonly mark: number;
  readonly touches: readonly KeySpan[];
  /** Earlier levels that bear on the failures of this one. */
  readonly conflict: Set<number>;
  /** The situation in which it was opened, once dead ends are remembered. */
  readonly situation: string | null;
}

interface Failure {
  readonly violation: RevisionViolation;
  readonly conflict: Set<number>;
}

const JOURNAL_MAX = 100_000;
const LEVELS_KEPT_MIN = 16;
/** Up to here, going back is cheaper than remembering and looking ahead; and for each operation. */
const FAILURES_FREE = 100;
const FAILURES_FREE_EACH = 0.002;
/** Stands for the answered revoke at which a level was opened. */
const REVOKE = -1;

/** Throws HistoryError if the history is malformed or asks for what cannot be replayed. */
export function checkRevisions(
  history: readonly KvOperation[],
  options: RevisionOptions = {},
): RevisionResult {
  assertHistory(history);
  return new RevisionReplay(history, options).run();
}

class RevisionReplay {
  readonly #history: readonly KvOperation[];
  readonly #plan: Plan;
  readonly #store: RevisionStore;
  readonly #stepsMax: number;
  readonly #failuresFree: number;
  readonly #collect: boolean;
  #steps = 0;
  #cursor: Cursor;
  readonly #levels: Level[] = [];
  /** The level that used a write of unknown outcome, -1 if none does. */
  readonly #usedBy: Int32Array;
  /** Equal for writes of unknown outcome that nothing in the history can tell apart. */
  readonly #kinds: Int32Array;
  #deadEnds: DeadEnds | null = null;
  #facts: Facts | null = null;
  readonly #watched: readonly RevisionEvents[];
  #failures = 0;
  /** The place in the plan's list of unknown writes, by operation. */
  readonly #unknownOf = new Map<number, number>();
  /** Levels below this cannot be gone back to: a failure they bear on proves nothing. */
  #forgotten = 0;
  #gaveUp = false;
  #deepest: RevisionViolation | undefined;
  #deepestItem = -1;
  #events: RevisionEvents[] = [];

  constructor(history: readonly KvOperation[], options: RevisionOptions) {
    this.#history = history;
    this.#watched = options.events ?? [];
    this.#plan = makePlan(history, options);
    this.#collect = options.collectEvents ?? false;
    const initial = options.initial ?? { revision: 1, kvs: [] };
    this.#store = new RevisionStore(this.#plan.keys, initial.kvs, this.#collect);
    this.#stepsMax = options.stepsMax ?? 20_000_000 + 4 * history.length;
    this.#failuresFree =
      options.failuresFree ?? FAILURES_FREE + FAILURES_FREE_EACH * history.length;
    this.#usedBy = new Int32Array(this.#plan.unknown.length).fill(-1);
    this.#kinds = indistinguishable(history, this.#plan);
    for (let u = 0; u < this.#plan.unknown.length; u++) {
      this.#unknownOf.set(this.#plan.unknown[u]!, u);
    }
    this.#cursor = {
      item: 0,
      revision: initial.revision,
      writeTime: -Infinity,
      writeTimeBy: -1,
      time: -Infinity,
      timeBy: -1,
      lastWriter: -1,
    };
  }

  run(): RevisionResult {
    if (this.#plan.violation !== undefined) return this.#result('illegal', this.#plan.violation);
    const items = this.#plan.itemOps.length;
    while (this.#cursor.item < items) {
      if (this.#steps > this.#stepsMax) return this.#result('undecided', undefined);
      const failure = this.#advance();
      if (failure === undefined) continue;
      if (this.#cursor.item > this.#deepestItem) {
        this.#deepestItem = this.#cursor.item;
        this.#deepest = failure.violation;
      }
      // Nothing that could have been chosen differently bears on it.
      if (failure.conflict.size === 0) return this.#result('illegal', failure.violation);
      if (!this.#goBack(failure.conflict)) {
        return this.#result(this.#gaveUp ? 'undecided' : 'illegal', this.#deepest);
      }
    }
    return this.#result('legal', undefined);
  }

  #advance(): Failure | undefined {
    this.#steps += 1;
    const { item, revision } = this.#cursor;
    const role = this.#plan.itemRoles[item]!;
    const at = this.#plan.itemRevisions[item]!;
    const op = this.#plan.itemOps[item]!;
    const isWrite = role === Role.revoke ? this.#revokes(op) : role === Role.write;
    if (at > (isWrite ? revision + 1 : revision)) return this.#fillHole(revision + 1);
    // That a revoke deleted keys here does not prove that it made this revision: an unknown write
    // may have made it, and taken the keys from the lease.
    if (isWrite && role === Role.revoke && at > revision && this.#plan.unknown.length > 0) {
      return this.#fillHole(at, op);
    }
    const failure = isWrite ? this.#write(op, at) : this.#read(op, at, role);
    if (failure === undefined) this.#cursor.item += 1;
    return failure;
  }

  #revokes(op: number): boolean {
    const { input } = this.#history[op]!;
    return input.kind === 'revoke' && this.#store.hasLease(input.lease);
  }

  #write(op: number, revision: number): Failure | undefined {
    const cursor = this.#cursor;
    if (revision <= cursor.revision) return this.#reused(op, revision);
    const { callTime, returnTime, input, output } = this.#history[op]!;
    if (callTime > cursor.time) {
      cursor.time = callTime;
      cursor.timeBy = op;
    }
    if (cursor.time > returnTime) return this.#tooEarly(op, revision, cursor.timeBy);
    this.#store.execute(input, output!.response, revision, op);
    if (this.#store.mismatch !== undefined) return this.#wrong(op, revision, this.#store.mismatch);
    this.#made(revision, op);
    return undefined;
  }

  #made(revision: number, op: number): void {
    const cursor = this.#cursor;
    cursor.revision = revision;
    cursor.writeTime = cursor.time;
    cursor.writeTimeBy = cursor.timeBy;
    cursor.lastWriter = op;
    if (this.#collect) this.#events.push({ revision, events: this.#store.events });
  }

  #read(op: number, revision: number, role: number): Failure | undefined {
    const cursor = this.#cursor;
    const { callTime, returnTime, input, output } = this.#history[op]!;
    if (cursor.writeTime > returnTime) return this.#tooEarly(op, revision, cursor.writeTimeBy);
    const ordered = role !== Role.oldRead && role !== Role.staleRead;
    if (ordered && callTime > cursor.time) {
      cursor.time = callTime;
      cursor.timeBy = op;
    }
    if (role === Role.timeOnly) return undefined;
    this.#store.execute(input, output!.response, revision, op);
    if (this.#store.mismatch === undefined) return undefined;
    return this.#wrong(op, revision, this.#store.mismatch);
  }

  #fillHole(revision: number, revoke = -1): Failure | undefined {
    this.#forget();
    const { unknown, reserved, makers } = this.#plan;
    const conflict = new Set<number>();
    const situation = this.#situation(revision);
    if (this.#deadEnds?.has(situation) === true) {
      this.#bearOnAll(conflict);
      return this.#nobody(revision, { candidates: [], conflict });
    }
    const bound = this.#plan.earliestReturn[this.#cursor.item]!;
    const possible = new Map<number, number>();
    const used: number[] = [];
    const inputs: KvRequest[] = [];
    const eligible = makers.get(revision) ?? unknown.keys();
    for (const u of eligible) {
      this.#steps += 1;
      const call = this.#history[unknown[u]!]!.callTime;
      if (call > bound) continue;
      if ((reserved.get(u) ?? revision) !== revision) continue;
      if (this.#facts?.forbids(this.#history[unknown[u]!]!.input, revision) === true) continue;
      inputs.push(this.#history[unknown[u]!]!.input);
      if (this.#usedBy[u] !== -1) used.push(u);
      // Of those alike, the one called first fits wherever a later one does.
      else if (!possible.has(this.#kinds[u]!)) possible.set(this.#kinds[u]!, u);
    }
    // Those used by earlier choices count: a change of mind there would make them possible here.
    for (const u of used) if (!this.#hasAlike(u, possible)) conflict.add(this.#usedBy[u]!);
    if (revoke >= 0) inputs.push(this.#history[revoke]!.input);
    const touches = touchedSpans(inputs, this.#store);
    const candidates = orderedCandidates(
      [...possible.values()],
      u => this.#history[unknown[u]!]!.input,
    );
    if (revoke >= 0) candidates.unshift(REVOKE);
    // Whether a revoke waiting here could be the maker depends on which keys had its lease.
    else if (this.#plan.itemRoles[this.#cursor.item] === Role.revoke) this.#bearOnAll(conflict);
    this.#levels.push({
      revision,
      candidates,
      next: 0,
      chosen: -1,
      cursor: { ...this.#cursor },
      mark: this.#store.mark,
      touches,
      conflict,
      situation,
    });
    this.#store.journaling = true;
    if (this.#tryNext()) return undefined;
    const level = this.#levels.pop()!;
    this.#settle();
    this.#deadEnds?.add(situation);
    return this.#nobody(revision, level);
  }

  #situation(revision: number): string | null {
    if (this.#deadEnds === null) return null;
    const { item, time, writeTime } = this.#cursor;
    const usedBy = this.#usedBy;
    return this.#deadEnds.nameOf({ item, revision, time, writeTime, usedBy });
  }

  /** Whether another write that does the same, and no later, is still possible. */
  #hasAlike(u: number, possible: ReadonlyMap<number, number>): boolean {
    const other = possible.get(this.#kinds[u]!);
    if (other === undefined) return false;
    return this.#history[this.#plan.unknown[other]!]!.callTime <= this.#cursor.time;
  }

  /** Makes the top level's revision with its next possible candidate. */
  #tryNext(): boolean {
    const index = this.#levels.length - 1;
    const level = this.#levels[index]!;
    while (level.next < level.candidates.length) {
      this.#steps += 1;
      const u = level.candidates[level.next++]!;
      if (u === REVOKE) {
        if (this.#tryRevoke(level)) return true;
        continue;
      }
      const op = this.#plan.unknown[u]!;
      const { input, callTime } = this.#history[op]!;
      // Nothing is uncertain about this revision itself while it is being made.
      const changed = this.#store.execute(input, undefined, level.revision, op);
      if (!changed || !this.#agrees(level.revision)) {
        const spans = touchedSpans([input], this.#store);
        const broken = changed ? this.#brokenFact(level.revision) : undefined;
        if (broken !== undefined) spans.push(this.#store.span(broken, undefined));
        this.#store.undo(level.mark);
        for (const earlier of this.#bearing(spans, false)) {
          if (earlier !== index) level.conflict.add(earlier);
        }
        continue;
      }
      level.chosen = u;
      this.#usedBy[u] = index;
      if (callTime > this.#cursor.time) {
        this.#cursor.time = callTime;
        this.#cursor.timeBy = op;
      }
      this.#made(level.revision, op);
      this.#store.uncertainSince = level.revision;
      return true;
    }
    return false;
  }

  #tryRevoke(level: Level): boolean {
    const failure = this.#write(this.#plan.itemOps[this.#cursor.item]!, level.revision);
    if (failure === undefined) {
      this.#cursor.item += 1;
      this.#store.uncertainSince = level.revision;
      return true;
    }
    this.#store.undo(level.mark);
    this.#cursor = { ...level.cursor };
    for (const earlier of failure.conflict) level.conflict.add(earlier);
    level.conflict.delete(this.#levels.length - 1);
    return false;
  }

  #bearOnAll(conflict: Set<number>): void {
    for (let index = 0; index < this.#levels.length; index++) conflict.add(index);
  }

  /** Whether the revision just made shows what was seen of it. */
  #agrees(revision: number): boolean {
    for (const { key, value } of this.#plan.evidence.get(revision) ?? []) {
      const kv = this.#store.get(this.#store.keyId(key));
      if (value === null ? kv !== null : kv?.modRevision !== revision) return false;
      if (typeof value === 'string' && kv!.value !== value) return false;
    }
    return this.#brokenFact(revision) === undefined;
  }

  /** A key that is now what a later answer says it was not. */
  #brokenFact(revision: number): string | undefined {
    const facts = this.#facts?.at(revision) ?? [];
    const kv = (key: string) => this.#store.get(this.#store.keyId(key));
    return facts.find(fact => !allows(fact, kv(fact.key), revision))?.key;
  }

  /** Goes back to the latest level that bears on the failure and has another candidate. */
  #goBack(conflict: Set<number>): boolean {
    this.#failures += 1;
    if (this.#deadEnds === null && this.#failures > this.#failuresFree) {
      this.#deadEnds = new DeadEnds(this.#history, this.#plan, this.#store, this.#kinds);
      this.#facts = new Facts(this.#history, this.#plan, this.#watched);
    }
    while (conflict.size > 0) {
      const target = Math.max(...conflict);
      if (target < this.#forgotten) {
        this.#gaveUp = true;
        return false;
      }
      while (this.#levels.length - 1 > target) this.#release(this.#levels.pop()!);
      const level = this.#levels[target]!;
      this.#release(level);
      conflict.delete(target);
      for (const earlier of conflict) level.conflict.add(earlier);
      this.#restore(level);
      if (this.#tryNext()) return true;
      conflict = level.conflict;
      this.#levels.pop();
      this.#settle();
      this.#deadEnds?.add(level.situation);
    }
    return false;
  }

  #release(level: Level): void {
    if (level.chosen >= 0) this.#usedBy[level.chosen] = -1;
    level.chosen = -1;
  }

  #restore(level: Level): void {
    this.#store.undo(level.mark);
    this.#cursor = { ...level.cursor };
    while ((this.#events.at(-1)?.revision ?? -1) > this.#cursor.revision) this.#events.pop();
  }

  /** After a level is gone. */
  #settle(): void {
    const last = this.#levels.at(-1);
    this.#store.uncertainSince = last?.revision ?? Number.POSITIVE_INFINITY;
    this.#store.journaling = last !== undefined;
  }

  // Bounds the memory of long replays: choices long ago hardly ever bear on what comes now.
  #forget(): void {
    const kept = this.#levels.length - this.#forgotten;
    if (this.#store.journalLength <= JOURNAL_MAX || kept <= LEVELS_KEPT_MIN) return;
    this.#forgotten += kept >> 1;
    this.#store.forgetBefore(this.#levels[this.#forgotten]!.mark);
  }

  /** The levels whose choice can have made these keys what they are. */
  #bearing(spans: readonly KeySpan[], onlySinceWrite: boolean): Set<number> {
    const bearing = new Set<number>();
    const single = spans.length === 1 && spans[0]!.to - spans[0]!.from === 1;
    const since = single ? this.#store.certainUntil(spans[0]!.from, onlySinceWrite) : -1;
    for (let index = this.#levels.length - 1; index >= 0; index--) {
      const level = this.#levels[index]!;
      if (level.revision <= since) break;
      const meets = level.touches.some(t => spans.some(s => t.from < s.to && s.from < t.to));
      if (meets) bearing.add(index);
    }
    return bearing;
  }

  #reused(op: number, revision: number): Failure {
    const other = revision === this.#cursor.revision ? this.#cursor.lastWriter : -1;
    const operations = other < 0 ? [op] : [other, op];
    const message =
      other < 0
        ? `a write claims revision ${revision}, which existed before it`
        : `two writes claim revision ${revision}`;
    const failure = definite('revisionReused', revision, message, operations);
    // Whether a revoke wrote at all depends on which keys had its lease.
    if (this.#history[op]!.input.kind !== 'revoke') return failure;
    this.#bearOnAll(failure.conflict);
    return failure;
  }

  #tooEarly(op: number, revision: number, by: number): Failure {
    const message =
      `by its revision, the later operation took effect at or before revision ${revision}, ` +
      'but it was called after the other had returned';
    const failure = definite('realTime', revision, message, [op, by]);
    const level = this.#usedBy[this.#unknownOf.get(by) ?? -1] ?? -1;
    if (level >= 0) failure.conflict.add(level);
    // A revoke stands where it does by choice, too.
    const isChoice = [op, by].some(i => this.#history[i]!.input.kind === 'revoke');
    if (isChoice) this.#bearOnAll(failure.conflict);
    return failure;
  }

  #wrong(op: number, revision: number, mismatch: Mismatch): Failure {
    const { writer } = mismatch;
    const operations = writer < 0 || writer === op ? [op] : [writer, op];
    const said = describeOutput(this.#history[op]!.output!);
    const message = `at revision ${revision}, ${mismatch.message} (the whole answer: ${said})`;
    return {
      violation: { kind: 'wrongAnswer', revision, message, operations },
      conflict: this.#bearing(mismatch.spans, mismatch.onlySinceWrite),
    };
  }

  #nobody(revision: number, level: Pick<Level, 'candidates' | 'conflict'>): Failure {
    const item = this.#cursor.item;
    const seenBy = this.#plan.itemOps[item]!;
    const operations = this.#cursor.lastWriter < 0 ? [seenBy] : [this.#cursor.lastWriter, seenBy];
    const tried = level.candidates.length;
    const message =
      `revision ${revision} was made, but by no recorded write: none answered with it, and ` +
      (tried === 0
        ? 'no write of unknown outcome was called in time'
        : `none of ${tried} writes of unknown outcome could have made it`);
    return {
      violation: { kind: 'revisionFromNowhere', revision, message, operations },
      conflict: level.conflict,
    };
  }

  #result(
    verdict: RevisionResult['verdict'],
    violation: RevisionViolation | undefined,
  ): RevisionResult {
    const legal = verdict === 'legal';
    const chosen = legal ? this.#levels.filter(level => level.chosen >= 0) : [];
    const unknownWrites = chosen.map(level => ({
      revision: level.revision,
      operation: this.#plan.unknown[level.chosen]!,
    }));
    return {
      verdict,
      steps: this.#steps,
      unknownWrites,
      ...(verdict === 'illegal' && violation !== undefined ? { violation } : {}),
      ...(legal && this.#collect ? { events: this.#events } : {}),
    };
  }
}

function definite(
  kind: ViolationKind,
  revision: number,
  message: string,
  operations: number[],
): Failure {
  return { violation: { kind, revision, message, operations }, conflict: new Set() };
}

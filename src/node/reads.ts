// Linearizable reads (dissertation §6.4). One question to the leader serves every read that waits
// when it is asked. A read that comes while a question is under way joins the next one: the answer
// may be older than the read.
//
//   waiting --ask, fresh number--> asked --index known--> until applied --> ready
//      ^------ no answer in time, or the leader can't tell ------'

import type { ReadState } from '../raft/io.ts';
import type { LogIndex } from '../raft/types.ts';
import type { ReadSink } from './driver-types.ts';
import { KontikiError } from './errors.ts';

/** Reads that were asked for within one tick or so; they expire together. */
interface Group {
  readonly createdAt: number;
  readonly sinks: ReadSink[];
  /** -1 until known. */
  index: LogIndex;
}

export interface ReadLimits {
  readonly requestTimeoutMs: number;
  readonly pendingMax: number;
  /** Without an answer for this long, ask again. */
  readonly retryMs: number;
  /** Reads this close in time share one expiry. */
  readonly groupMs: number;
  /** Questions are numbered from here: random, so that no answer to an earlier run fits. */
  readonly firstNumber: number;
}

export class ReadRounds {
  readonly #limits: ReadLimits;
  #waiting: Group[] = [];
  #asked: Group[] = [];
  /** 0 while no question is under way. An answer to any other number is old. */
  #number = 0;
  #nextNumber: number;
  #askedAt = 0;
  /** The leader could not tell: not asked again before this time. */
  #notBefore = 0;
  #untilApplied: Group[] = [];
  #count = 0;

  constructor(limits: ReadLimits) {
    this.#limits = limits;
    this.#nextNumber = limits.firstNumber;
  }

  get count(): number {
    return this.#count;
  }

  /** False: too many wait already; nothing was added. */
  add(sink: ReadSink, now: number): boolean {
    if (this.#count >= this.#limits.pendingMax) return false;
    this.#count += 1;
    const last = this.#waiting[this.#waiting.length - 1];
    if (last !== undefined && now - last.createdAt < this.#limits.groupMs) last.sinks.push(sink);
    else this.#waiting.push({ createdAt: now, sinks: [sink], index: -1 });
    return true;
  }

  /** The number of a question to step into the core now; 0 when there is nothing to ask. */
  ask(now: number): number {
    const overdue = this.#number !== 0 && now - this.#askedAt >= this.#limits.retryMs;
    if (this.#number !== 0 && !overdue) return 0;
    if (this.#waiting.length === 0 && this.#asked.length === 0) return 0;
    if (now < this.#notBefore) return 0;
    this.#asked.push(...this.#waiting);
    this.#waiting = [];
    this.#number = this.#nextNumber++;
    this.#askedAt = now;
    return this.#number;
  }

  /** Returns true when the question was answered, so that the next one may be asked. */
  answer(state: ReadState, now: number): boolean {
    if (state.read !== this.#number) return false;
    this.#number = 0;
    if (state.index === null) {
      this.#notBefore = now + this.#limits.groupMs;
      return false;
    }
    for (const group of this.#asked) group.index = state.index;
    this.#untilApplied.push(...this.#asked);
    this.#asked = [];
    return true;
  }

  /** Serves what the state machine now includes. */
  appliedTo(index: LogIndex): void {
    if (this.#untilApplied.length === 0) return;
    const due = this.#untilApplied.filter(group => group.index <= index);
    if (due.length === 0) return;
    this.#untilApplied = this.#untilApplied.filter(group => group.index > index);
    for (const group of due) {
      this.#count -= group.sinks.length;
      for (const sink of group.sinks) sink.ready();
    }
  }

  expire(now: number, leaderKnown: boolean): void {
    const before = now - this.#limits.requestTimeoutMs;
    this.#waiting = this.#expireIn(this.#waiting, before, leaderKnown);
    this.#asked = this.#expireIn(this.#asked, before, leaderKnown);
    this.#untilApplied = this.#expireIn(this.#untilApplied, before, leaderKnown);
    if (this.#asked.length === 0) this.#number = 0;
  }

  failAll(error: KontikiError): void {
    const groups = [...this.#waiting, ...this.#asked, ...this.#untilApplied];
    this.#waiting = [];
    this.#asked = [];
    this.#untilApplied = [];
    this.#number = 0;
    for (const group of groups) this.#fail(group, error);
  }

  #expireIn(groups: Group[], before: number, leaderKnown: boolean): Group[] {
    if (!groups.some(group => group.createdAt <= before)) return groups;
    for (const group of groups) {
      if (group.createdAt <= before) this.#fail(group, readTimeout(group, leaderKnown));
    }
    return groups.filter(group => group.createdAt > before);
  }

  #fail(group: Group, error: KontikiError): void {
    this.#count -= group.sinks.length;
    for (const sink of group.sinks) sink.failed(error);
  }
}

function readTimeout(group: Group, leaderKnown: boolean): KontikiError {
  if (group.index >= 0) {
    const text = `this node has not applied index ${group.index} in time. Ask another node.`;
    return new KontikiError('TIMEOUT', 'not-applied', text);
  }
  if (leaderKnown) {
    const text = 'the leader did not confirm that it still leads. Try again, or ask another node.';
    return new KontikiError('TIMEOUT', 'not-applied', text);
  }
  const text = 'no leader is known, so no read can be current. Check that a quorum runs.';
  return new KontikiError('NO_LEADER', 'not-applied', text);
}

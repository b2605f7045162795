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
  /** The first question that was asked after these reads came; 0 while they wait for one. */
  number: number;
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
  /** The newest question; 0 while none is under way. */
  #number = 0;
  /** Questions without an answer. A slow answer still serves the reads that came before it was asked. */
  readonly #open = new Set<number>();
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
    else this.#waiting.push({ createdAt: now, sinks: [sink], number: 0, index: -1 });
    return true;
  }

  /** The number of a question to step into the core now; 0 when there is nothing to ask. */
  ask(now: number): number {
    const overdue = this.#number !== 0 && now - this.#askedAt >= this.#limits.retryMs;
    if (this.#number !== 0 && !overdue) return 0;
    if (this.#waiting.length === 0 && this.#asked.length === 0) return 0;
    if (now < this.#notBefore) return 0;
    this.#number = this.#nextNumber++;
    this.#open.add(this.#number);
    for (const group of this.#waiting) group.number = this.#number;
    this.#asked.push(...this.#waiting);
    this.#waiting = [];
    this.#askedAt = now;
    return this.#number;
  }

  /** Returns true when the next question may be asked. */
  answer(state: ReadState, now: number): boolean {
    if (!this.#open.delete(state.read)) return false;
    const isNewest = state.read === this.#number;
    if (isNewest) this.#number = 0;
    if (state.index === null) {
      if (isNewest) this.#notBefore = now + this.#limits.groupMs;
      return false;
    }
    const served = this.#asked.filter(group => group.number <= state.read);
    this.#asked = this.#asked.filter(group => group.number > state.read);
    for (const group of served) group.index = state.index;
    this.#untilApplied.push(...served);
    this.#forgetOpen();
    return this.#number === 0;
  }

  /** Serves what the state machine now includes. */
  appliedTo(index: LogIndex): void {
    if (this.#untilApplied.length > 0) this.#serve(index);
  }

  #serve(index: LogIndex): void {
    const due = this.#untilApplied.filter(group => group.index <= index);
    if (due.length === 0) return;
    this.#untilApplied = this.#untilApplied.filter(group => group.index > index);
    for (const group of due) {
      this.#count -= group.sinks.length;
      for (const sink of group.sinks) sink.ready();
    }
  }

  expire(now: number, leaderKnown: boolean): void {
    if (this.#count === 0) return;
    const before = now - this.#limits.requestTimeoutMs;
    this.#waiting = this.#expireIn(this.#waiting, before, leaderKnown);
    this.#asked = this.#expireIn(this.#asked, before, leaderKnown);
    this.#untilApplied = this.#expireIn(this.#untilApplied, before, leaderKnown);
    this.#forgetOpen();
  }

  failAll(error: KontikiError): void {
    const groups = [...this.#waiting, ...this.#asked, ...this.#untilApplied];
    this.#waiting = [];
    this.#asked = [];
    this.#untilApplied = [];
    this.#forgetOpen();
    for (const group of groups) this.#fail(group, error);
  }

  /** Without reads that wait for them the answers are of no use. */
  #forgetOpen(): void {
    if (this.#asked.length > 0) return;
    this.#number = 0;
    this.#open.clear();
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

// Where each proposal of this node stands, from propose() to its answer. Proposals live and die in
// batches (one batch a turn), so the cost of one is an array slot:
//
//   waiting for a receipt    in the core, or handed on to the leader
//   placed                   its (index, term) is known; answered when that index is applied
//   parked                   refused because nobody led; proposed again at a tick, until it expires
//
// What a failure says is exact: `not-applied` only where the log can no longer hold the command.

import type { Receipt } from '../raft/io.ts';
import type { RefusalReason } from '../raft/messages.ts';
import type { ConfigChange, LogIndex, NodeId, Proposal, Term } from '../raft/types.ts';
import type { ProposalSink } from './driver-types.ts';
import { KontikiError, type Outcome, refusalError } from './errors.ts';

export type Payload =
  | { readonly kind: 'propose'; readonly proposals: readonly Proposal[] }
  | {
      readonly kind: 'changeMembership';
      readonly changes: readonly ConfigChange[];
      readonly data: Uint8Array;
      readonly expectedConfigIndex: LogIndex;
    };

export interface Batch {
  number: number;
  readonly createdAt: number;
  /** Null once answered. */
  readonly sinks: (ProposalSink | null)[];
  /** What the core gets, at the first attempt and at those after a refusal. */
  readonly payload: Payload;
  readonly bytes: number;
  /** Who led when the batch was handed in. */
  leader: NodeId;
  first: LogIndex;
  term: Term;
  unanswered: number;
}

export interface TrackerLimits {
  readonly requestTimeoutMs: number;
  readonly pendingMax: number;
  readonly pendingBytesMax: number;
}

/** Gone as soon as somebody leads and has settled in. */
const PASSING: ReadonlySet<RefusalReason> = new Set<RefusalReason>([
  'noLeader',
  'notLeader',
  'notReady',
  'transferring',
]);

export class ProposalTracker {
  readonly #limits: TrackerLimits;
  readonly #unplaced = new Map<number, Batch>();
  /** In the order of their receipts; `#head` is the first one that is not done. */
  #placed: Batch[] = [];
  #head = 0;
  /** False once a new leader gave an index a second time: then one index may have two batches. */
  #ascending = true;
  #parked: Batch[] = [];
  #appliedIndex: LogIndex;
  #count = 0;
  #bytes = 0;

  constructor(limits: TrackerLimits, appliedIndex: LogIndex) {
    this.#limits = limits;
    this.#appliedIndex = appliedIndex;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Reserves room for one more proposal; false: refuse it. */
  reserve(bytes: number): boolean {
    const { pendingMax, pendingBytesMax } = this.#limits;
    if (this.#count >= pendingMax) return false;
    if (this.#bytes + bytes > pendingBytesMax && this.#count > 0) return false;
    this.#count += 1;
    this.#bytes += bytes;
    return true;
  }

  /** Takes over a batch, reserved before, that is handed to the core right now. */
  add(batch: Batch, leader: NodeId): void {
    batch.leader = leader;
    this.#unplaced.set(batch.number, batch);
  }

  receipt(receipt: Receipt): void {
    const batch = this.#unplaced.get(receipt.batch);
    if (batch === undefined) return; // expired, or given up when its leader went
    this.#unplaced.delete(receipt.batch);
    if (receipt.first === null) this.#refused(batch, receipt);
    else this.#place(batch, receipt.first.index, receipt.first.term);
  }

  /** The entry (index, term) was applied here with this result. Called in log order. */
  applied(index: LogIndex, term: Term, result: unknown): void {
    const sink = this.#take(index, term);
    if (sink !== null) sink.applied(result, index, term);
  }

  /** The entry (index, term) is committed but had no effect, for a reason of its own. */
  rejected(index: LogIndex, term: Term, error: KontikiError): void {
    const sink = this.#take(index, term);
    if (sink !== null) sink.failed(error);
  }

  /** All entries up to here are applied; what was said about them is final. */
  appliedTo(index: LogIndex): void {
    this.#appliedIndex = index;
    this.#dropDone();
  }

  /** A snapshot took the place of the entries up to here: their results are not known here. */
  skippedTo(index: LogIndex): void {
    for (const batch of this.#placed.slice(this.#head)) {
      this.#loseResults(batch, Math.min(index, lastOf(batch)));
    }
    this.appliedTo(index);
  }

  /** Keeps a batch, reserved before, that can't be handed in now. */
  park(batch: Batch): void {
    this.#parked.push(batch);
  }

  /** Batches to hand in again, under new numbers. */
  takeParked(): Batch[] {
    const parked = this.#parked;
    if (parked.length > 0) this.#parked = [];
    return parked;
  }

  get hasParked(): boolean {
    return this.#parked.length > 0;
  }

  /** Another node leads: the receipts of the one before will not be waited for. */
  leaderChanged(leader: NodeId): void {
    for (const batch of this.#unplaced.values()) {
      if (batch.leader !== leader) this.#giveUp(batch, leaderChanged);
    }
  }

  /** Messages to or from this peer were lost: a proposal or its receipt may be among them. */
  linkLost(peer: NodeId): void {
    for (const batch of this.#unplaced.values()) {
      if (batch.leader === peer) this.#giveUp(batch, linkLost);
    }
  }

  expire(now: number): void {
    if (this.count === 0) return;
    const before = now - this.#limits.requestTimeoutMs;
    for (const batch of this.#unplaced.values()) {
      if (batch.createdAt <= before) this.#giveUp(batch, timedOut);
    }
    for (let i = this.#head; i < this.#placed.length; i++) {
      const batch = this.#placed[i]!;
      if (batch.createdAt <= before && batch.unanswered > 0) this.#failRest(batch, timedOut());
    }
    this.#dropDone();
    if (this.#parked.some(batch => batch.createdAt <= before)) {
      const parked = this.#parked;
      this.#parked = parked.filter(batch => batch.createdAt > before);
      for (const batch of parked) {
        if (batch.createdAt <= before) this.#failRest(batch, refusalError('noLeader'));
      }
    }
  }

  /** The node ends: what was refused so far stays refused, all else is unknown. */
  failAll(make: (outcome: Outcome) => KontikiError): void {
    const [parked, placed] = [this.#parked, this.#placed.slice(this.#head)];
    const unplaced = [...this.#unplaced.values()];
    this.#parked = [];
    this.#placed = [];
    this.#head = 0;
    this.#unplaced.clear();
    for (const batch of parked) this.#failRest(batch, make('not-applied'));
    for (const batch of [...placed, ...unplaced]) this.#failRest(batch, make('unknown'));
  }

  /** For proposals that were reserved but never handed in. */
  failUnsent(batch: Batch, error: KontikiError): void {
    this.#failRest(batch, error);
  }

  #refused(batch: Batch, receipt: Receipt): void {
    const reason = receipt.refusal ?? 'notLeader';
    if (PASSING.has(reason)) this.#parked.push(batch);
    else this.#failRest(batch, refusalError(reason));
  }

  #place(batch: Batch, first: LogIndex, term: Term): void {
    batch.first = first;
    batch.term = term;
    const before = this.#placed[this.#placed.length - 1];
    if (this.#head < this.#placed.length && before !== undefined && first <= lastOf(before)) {
      this.#ascending = false;
    }
    // A receipt that comes after its entries were applied: their results went by unseen.
    if (first <= this.#appliedIndex) {
      this.#loseResults(batch, Math.min(this.#appliedIndex, lastOf(batch)));
    }
    if (batch.unanswered > 0) this.#placed.push(batch);
  }

  /** The sink that waits for (index, term); those that wait for another term there have failed. */
  #take(index: LogIndex, term: Term): ProposalSink | null {
    if (this.#head === this.#placed.length) return null;
    if (!this.#ascending) return this.#takeAmongMany(index, term);
    let batch = this.#placed[this.#head];
    while (batch !== undefined && lastOf(batch) < index) batch = this.#placed[++this.#head];
    if (batch === undefined || index < batch.first) return null;
    return this.#takeFrom(batch, index, term);
  }

  #takeAmongMany(index: LogIndex, term: Term): ProposalSink | null {
    let found: ProposalSink | null = null;
    for (const batch of this.#placed.slice(this.#head)) {
      if (index < batch.first || lastOf(batch) < index) continue;
      found = this.#takeFrom(batch, index, term) ?? found;
    }
    return found;
  }

  #takeFrom(batch: Batch, index: LogIndex, term: Term): ProposalSink | null {
    const offset = index - batch.first;
    const sink = batch.sinks[offset];
    if (sink === null || sink === undefined) return null;
    this.#answered(batch, offset);
    if (batch.term === term) return sink;
    // Another entry is committed in its place, and no index is committed twice (State Machine
    // Safety, Figure 3): this one is in no log that will ever win.
    sink.failed(overwritten());
    return null;
  }

  #answered(batch: Batch, offset: number): void {
    batch.sinks[offset] = null;
    batch.unanswered -= 1;
    this.#count -= 1;
    if (batch.unanswered === 0) this.#bytes -= batch.bytes;
  }

  #loseResults(batch: Batch, to: LogIndex): void {
    for (let index = batch.first; index <= to; index++) {
      const sink = batch.sinks[index - batch.first];
      if (sink === null || sink === undefined) continue;
      this.#answered(batch, index - batch.first);
      sink.failed(resultLost());
    }
  }

  #giveUp(batch: Batch, make: () => KontikiError): void {
    this.#unplaced.delete(batch.number);
    this.#failRest(batch, make());
  }

  #failRest(batch: Batch, error: KontikiError): void {
    for (let i = 0; i < batch.sinks.length; i++) {
      const sink = batch.sinks[i];
      if (sink === null || sink === undefined) continue;
      this.#answered(batch, i);
      sink.failed(error);
    }
  }

  #dropDone(): void {
    if (this.#placed.length === 0) return;
    while (this.#head < this.#placed.length) {
      const batch = this.#placed[this.#head]!;
      if (batch.unanswered > 0) break;
      this.#head += 1;
    }
    if (this.#head === this.#placed.length) {
      this.#placed = [];
      this.#head = 0;
      this.#ascending = true;
    } else if (this.#head > 1024) {
      this.#placed = this.#placed.slice(this.#head);
      this.#head = 0;
    }
  }
}

export function createBatch(
  number: number,
  createdAt: number,
  payload: Payload,
  sinks: (ProposalSink | null)[],
  bytes: number,
): Batch {
  const unanswered = sinks.length;
  const place = { leader: 0, first: 0, term: 0 };
  return { number, createdAt, payload, sinks, bytes, unanswered, ...place };
}

function lastOf(batch: Batch): LogIndex {
  return batch.first + batch.sinks.length - 1;
}

const RETRY_UNKNOWN = 'Read the state before trying again, or use a session, which repeats safely.';

function timedOut(): KontikiError {
  const text = 'the command was not committed in time; it may still be.';
  return new KontikiError('TIMEOUT', 'unknown', `${text} ${RETRY_UNKNOWN}`);
}

function leaderChanged(): KontikiError {
  const text = 'the leader that had the command is gone, and with it the answer.';
  return new KontikiError('LEADER_CHANGED', 'unknown', `${text} ${RETRY_UNKNOWN}`);
}

function linkLost(): KontikiError {
  const text = 'the link to the leader that had the command broke before the answer came.';
  return new KontikiError('LEADER_CHANGED', 'unknown', `${text} ${RETRY_UNKNOWN}`);
}

function overwritten(): KontikiError {
  const text = 'a new leader put another command in its place before it was committed.';
  return new KontikiError('LEADER_CHANGED', 'not-applied', `${text} Try again.`);
}

function resultLost(): KontikiError {
  const text = 'its place in the log was passed without seeing its result (a snapshot came).';
  return new KontikiError('RESULT_LOST', 'unknown', `${text} ${RETRY_UNKNOWN}`);
}

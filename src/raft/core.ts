// The state of one replica and the few moves that every rule uses: changing role and term, sending,
// citing. The rules themselves live in the modules beside this one; raft.ts puts them together.

import { assert } from './assert.ts';
import type { RaftConfig } from './config.ts';
import type { Halt, ReadState, Ready, Receipt, SnapshotRead, SnapshotWrite } from './io.ts';
import { Log } from './log.ts';
import type { Message, RefusalReason } from './messages.ts';
import type { Progress } from './progress.ts';
import { isMember, isVoter } from './quorum.ts';
import type { RoleName } from './report.ts';
import type { Citation, Rule, TraceListener, TraceState } from './trace.ts';
import type {
  Configuration,
  HardState,
  LogId,
  LogIndex,
  NodeId,
  PersistentState,
  SnapshotMeta,
  Term,
} from './types.ts';
import { NO_NODE } from './types.ts';

const NONE: readonly never[] = [];

/** A read that waits for a quorum to confirm the leadership (§6.4). */
export interface PendingRead {
  readonly read: number;
  /** The node that asked; the own id for a read of this node. */
  readonly from: NodeId;
  readonly index: LogIndex;
  /** Echoed by a quorum, the read is good. */
  readonly round: number;
}

/** A read that came before the leader's first commit in its term. */
export interface EarlyRead {
  readonly read: number;
  readonly from: NodeId;
}

export interface LeaderRole {
  readonly kind: 'leader';
  readonly progress: Map<NodeId, Progress>;
  /** The first index of this term. Once committed, the leader knows what is committed (§6.4). */
  readonly termStart: LogIndex;
  /** Numbers the confirmations of leadership; each append carries the newest. */
  round: number;
  /** When each recent round began, for the lease; oldest first. */
  roundTicks: { round: number; tick: number }[];
  pendingReads: PendingRead[];
  earlyReads: EarlyRead[];
  heartbeatElapsed: number;
  uncommittedBytes: number;
  /** NO_NODE unless leadership is being handed over. */
  transferTarget: NodeId;
  transferElapsed: number;
  /** The target of the current transfer was asked to campaign. */
  handedOver: boolean;
  /** A TimeoutNow was sent in this term: the target may campaign at any time (no more leases). */
  timeoutNowSent: boolean;
}

export type Role =
  | { readonly kind: 'follower'; leader: NodeId }
  | { readonly kind: 'preCandidate'; readonly votes: Map<NodeId, boolean> }
  | {
      readonly kind: 'candidate';
      readonly votes: Map<NodeId, boolean>;
      /** Asked for by the old leader (§3.10): voters answer although they hear a leader. */
      readonly transfer: boolean;
    }
  | LeaderRole;

/** The snapshot that a leader is sending us. */
export interface Receiving {
  readonly from: NodeId;
  readonly meta: SnapshotMeta;
  /** The offset of the next byte wanted. */
  next: number;
}

/** What one Ready handed to storage, until it is durable. */
export interface InflightReady {
  readonly number: number;
  /** The last entry written by it that is still wanted; see forgetWrites(). */
  last: LogId | null;
  readonly hardState: HardState | null;
  /** Ticks that nobody stepped do not count: the disk stood still with the process. */
  issuedTick: number;
}

/** What the current steps have produced and the next Ready takes along. */
export class Outbox {
  messages: Message[] = [];
  afterPersist: Message[] = [];
  receipts: Receipt[] = [];
  reads: ReadState[] = [];
  snapshotReads: SnapshotRead[] = [];
  snapshotWrites: SnapshotWrite[] = [];
  snapshot: SnapshotMeta | null = null;

  get isEmpty(): boolean {
    return (
      this.messages.length === 0 &&
      this.afterPersist.length === 0 &&
      this.receipts.length === 0 &&
      this.reads.length === 0 &&
      this.snapshotReads.length === 0 &&
      this.snapshotWrites.length === 0 &&
      this.snapshot === null
    );
  }

  /** All of it; the outbox begins anew. Most lists are empty and need no new array. */
  take(): OutboxContent {
    const { snapshot } = this;
    const messages = this.messages.length === 0 ? NONE : this.messages;
    const afterPersist = this.afterPersist.length === 0 ? NONE : this.afterPersist;
    const receipts = this.receipts.length === 0 ? NONE : this.receipts;
    const reads = this.reads.length === 0 ? NONE : this.reads;
    const snapshotReads = this.snapshotReads.length === 0 ? NONE : this.snapshotReads;
    const snapshotWrites = this.snapshotWrites.length === 0 ? NONE : this.snapshotWrites;
    if (messages !== NONE) this.messages = [];
    if (afterPersist !== NONE) this.afterPersist = [];
    if (receipts !== NONE) this.receipts = [];
    if (reads !== NONE) this.reads = [];
    if (snapshotReads !== NONE) this.snapshotReads = [];
    if (snapshotWrites !== NONE) this.snapshotWrites = [];
    this.snapshot = null;
    return { messages, afterPersist, receipts, reads, snapshotReads, snapshotWrites, snapshot };
  }
}

type OutboxContent = Pick<
  Ready,
  | 'messages'
  | 'afterPersist'
  | 'receipts'
  | 'reads'
  | 'snapshotReads'
  | 'snapshotWrites'
  | 'snapshot'
>;

export class Core {
  readonly config: RaftConfig;
  readonly id: NodeId;
  readonly log: Log;
  currentTerm: Term;
  votedFor: NodeId;
  role: Role = { kind: 'follower', leader: NO_NODE };
  /** Ticks since this replica started. */
  tick = 0;
  /** Ticks since a valid leader was heard, a vote was granted, or a campaign began. */
  ticksSinceContact = 0;
  /** Drawn anew for each wait, from electionTicks up to twice as many (§5.2). */
  electionTimeoutTicks = 0;
  receiving: Receiving | null = null;
  /** The newest leader that this replica knows, itself perhaps, and the term that it leads. */
  knownLeader = { term: 0, id: NO_NODE };
  /** Once set, this replica does nothing any more. */
  halt: Halt | null = null;
  readonly outbox = new Outbox();
  inflight: InflightReady[] = [];
  /** What storage has confirmed. */
  durable: HardState;
  /** What was handed to storage last. */
  handed: HardState;
  citations: Citation[] | null = null;
  listener: TraceListener | null = null;

  constructor(config: RaftConfig, state: PersistentState, appliedIndex: LogIndex) {
    checkConfig(config);
    this.config = config;
    this.id = config.id;
    this.log = new Log(state, appliedIndex);
    this.currentTerm = state.hardState.currentTerm;
    this.votedFor = state.hardState.votedFor;
    this.durable = this.hardState;
    this.handed = this.hardState;
    assert(
      this.currentTerm >= this.log.lastTerm,
      'currentTerm is at least the last term in the log',
    );
    this.resetElectionTimer();
  }

  get hardState(): HardState {
    return {
      currentTerm: this.currentTerm,
      votedFor: this.votedFor,
      // Never beyond what is durable: written before the entries it speaks of, the hint could call
      // other entries committed, which a torn write has left in their place.
      commitIndex: Math.min(this.log.commitIndex, this.log.stableIndex),
    };
  }

  get membership(): Configuration {
    return this.log.config;
  }

  get roleName(): RoleName {
    return this.role.kind;
  }

  /** NO_NODE while none is known. */
  get leader(): NodeId {
    if (this.role.kind === 'leader') return this.id;
    return this.role.kind === 'follower' ? this.role.leader : NO_NODE;
  }

  get isVoter(): boolean {
    return isVoter(this.membership, this.id);
  }

  get isMember(): boolean {
    return isMember(this.membership, this.id);
  }

  /** currentTerm and votedFor are on disk: a reply reveals nothing that a crash would forget. */
  get isVoteDurable(): boolean {
    return this.durable.currentTerm === this.currentTerm && this.durable.votedFor === this.votedFor;
  }

  resetElectionTimer(): void {
    const { electionTicks, random } = this.config;
    this.ticksSinceContact = 0;
    this.electionTimeoutTicks = electionTicks + Math.floor(random() * electionTicks);
  }

  /** All2 and Cand3: the term and role of a follower; `leader` NO_NODE while unknown. */
  becomeFollower(term: Term, leader: NodeId): void {
    assert(term >= this.currentTerm, 'currentTerm never decreases');
    if (this.role.kind === 'leader') this.#failReads(this.role);
    if (term > this.currentTerm) {
      this.currentTerm = term;
      this.votedFor = NO_NODE;
    }
    this.role = { kind: 'follower', leader };
    this.resetElectionTimer();
  }

  /**
   * Rounds count within a term. Echoed under a newer term, the round of an old append would confirm
   * reads of a leader that never sent it.
   */
  roundToEcho(m: { readonly term: Term; readonly round: number }): number {
    return m.term === this.currentTerm ? m.round : 0;
  }

  /** Leaves with the next Ready, without waiting for its persistence. */
  send(message: Message): void {
    const { outbox } = this;
    // Mostly it is the only one: a list for one takes a tenth of the memory of one that may grow.
    if (outbox.messages.length === 0) outbox.messages = [message];
    else outbox.messages.push(message);
  }

  /** Leaves once everything this node has decided so far is durable (§3.8). */
  sendAfterPersist(message: Message): void {
    this.outbox.afterPersist.push(message);
  }

  /**
   * Entries from `index` on were truncated or replaced: what is under way to the disk confirms only
   * what lies before. (Index, term) alone would not tell, for the same entry may be written again.
   */
  forgetWrites(index: LogIndex): void {
    for (const ready of this.inflight) {
      if (ready.last === null || ready.last.index < index) continue;
      const term = index === 0 ? undefined : this.log.term(index - 1);
      ready.last = term === undefined ? null : { term, index: index - 1 };
    }
  }

  refuse(batch: number, refusal: RefusalReason): void {
    this.outbox.receipts.push({ batch, first: null, refusal });
  }

  /** Names the rule that acts, while somebody listens. */
  cite(rule: Rule, note = ''): void {
    this.citations?.push({ rule, note });
  }

  /** `before` itself when it still holds: most steps change nothing of it. */
  traceState(before: TraceState | null): TraceState {
    if (before !== null && this.#isStill(before)) return before;
    return {
      role: this.roleName,
      term: this.currentTerm,
      votedFor: this.votedFor,
      leader: this.leader,
      commitIndex: this.log.commitIndex,
      stableIndex: this.log.stableIndex,
      appliedIndex: this.log.appliedIndex,
      last: this.log.last,
    };
  }

  #isStill(state: TraceState): boolean {
    const { log } = this;
    return (
      state.commitIndex === log.commitIndex &&
      state.stableIndex === log.stableIndex &&
      state.appliedIndex === log.appliedIndex &&
      state.last.index === log.lastIndex &&
      state.last.term === log.lastTerm &&
      state.term === this.currentTerm &&
      state.role === this.role.kind &&
      state.votedFor === this.votedFor &&
      state.leader === this.leader
    );
  }

  /** A deposed leader can't answer its waiting reads; the askers try again with fresh numbers. */
  #failReads(role: LeaderRole): void {
    for (const { from, read } of [...role.earlyReads, ...role.pendingReads]) {
      if (from === this.id) this.outbox.reads.push({ read, index: null });
    }
  }
}

function checkConfig(config: RaftConfig): void {
  assert(Number.isSafeInteger(config.id), 'the node id is a safe integer');
  assert(config.id > NO_NODE, 'the node id is positive');
  assert(config.heartbeatTicks >= 1, 'a heartbeat takes at least one tick');
  assert(config.electionTicks > config.heartbeatTicks, 'elections take longer than heartbeats');
  assert(!config.leaseReads || config.checkQuorum, 'lease reads need checkQuorum');
  assert(config.inflightMessagesMax >= 1, 'at least one append may be under way');
  assert(config.appendEntriesMax >= 1, 'an append may carry at least one entry');
}

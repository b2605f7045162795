// One replica. Inputs go in through step(), effects come out of ready(); io.ts is the contract. This
// file holds the rules for all servers (Figure 2) and dispatches; the rest is in the modules.

import { assert, unreachable } from './assert.ts';
import type { RaftConfig } from './config.ts';
import { Core, type InflightReady, type LeaderRole, Outbox } from './core.ts';
import {
  campaign,
  campaignForTransfer,
  handleVoteReply,
  handleVoteRequest,
  hearsLeader,
  recordOwnVote,
} from './election.ts';
import { halts } from './evidence.ts';
import type { Halt, Input, Ready } from './io.ts';
import { isRemoved, maybeLeaveJoint } from './membership.ts';
import type { AppendRequest, Message, SnapshotRequest } from './messages.ts';
import {
  handleForward,
  handleForwardChange,
  handleForwardReceipt,
  propose,
  proposeChange,
} from './proposals.ts';
import { isMember, quorumHolds } from './quorum.ts';
import {
  admitEarlyReads,
  handleReadIndex,
  handleReadIndexReply,
  readIndex,
  releaseReads,
} from './read-index.ts';
import {
  beginRound,
  contact,
  flushAppends,
  handleAppend,
  handleAppendAccepted,
  handleAppendRejected,
  maybeCommit,
  wantsFlush,
} from './replication.ts';
import type { RaftReport } from './report.ts';
import {
  handleSnapshot,
  handleSnapshotChunk,
  handleSnapshotReply,
  handleSnapshotWritten,
  tickTransfer,
} from './snapshot.ts';
import { TRACE_VERSION, type TraceListener, type TraceState } from './trace.ts';
import {
  handOverToBest,
  maybeHandOver,
  tickTransferOfLeadership,
  transferLeadership,
} from './transfer.ts';
import {
  type Configuration,
  type Entry,
  type HardState,
  type LogIndex,
  NO_NODE,
  type NodeId,
  type PersistentState,
  type SnapshotMeta,
  type Term,
} from './types.ts';

/** Entries kept for followers that are being brought up, in multiples of trailingEntries. */
const HELD_FOR_FOLLOWERS_FACTOR = 10;

/** What a message is called in the trace; put together at each step it would cost as much as the step. */
const RECEIVE: Readonly<Record<Message['kind'], string>> = {
  voteRequest: 'receive voteRequest',
  voteReply: 'receive voteReply',
  append: 'receive append',
  appendAccepted: 'receive appendAccepted',
  appendRejected: 'receive appendRejected',
  snapshot: 'receive snapshot',
  snapshotReply: 'receive snapshotReply',
  timeoutNow: 'receive timeoutNow',
  forward: 'receive forward',
  forwardReceipt: 'receive forwardReceipt',
  forwardChange: 'receive forwardChange',
  readIndex: 'receive readIndex',
  readIndexReply: 'receive readIndexReply',
};

export class Raft {
  readonly #core: Core;
  #readyNumber = 0;
  /** Nothing has come in since ready() had nothing to give. */
  #isIdle = false;
  #stepNumber = 0;
  #traced: TraceState | null = null;

  /**
   * @param state what storage recovered; for a new node an empty log with the initial
   *   configuration in `state.snapshot.config`
   * @param appliedIndex what the state machine's own durable state includes; at least the
   *   snapshot's last index once the snapshot is restored
   */
  constructor(config: RaftConfig, state: PersistentState, appliedIndex: LogIndex) {
    this.#core = new Core(config, state, appliedIndex);
  }

  /** Called with one event per step; null, the default, costs nothing. */
  set listener(listener: TraceListener | null) {
    this.#core.listener = listener;
  }

  /** Takes one input. Effects gather for the next ready(). */
  step(input: Input): void {
    const core = this.#core;
    if (core.halt !== null) return;
    this.#stepNumber += 1;
    this.#isIdle = false;
    if (core.listener === null) {
      this.#dispatch(input);
      this.#settle();
      return;
    }
    core.citations = [];
    const was = core.traceState(this.#traced);
    this.#dispatch(input);
    this.#settle();
    const now = core.traceState(was);
    this.#traced = now;
    const received = input.kind === 'receive' ? input.message : null;
    core.listener({
      version: TRACE_VERSION,
      node: core.id,
      step: this.#stepNumber,
      input: received === null ? input.kind : RECEIVE[received.kind],
      from: received?.from ?? NO_NODE,
      rules: core.citations,
      halt: core.halt,
      was,
      now,
    });
    core.citations = null;
  }

  /** All effects since the last Ready, or null when there are none. */
  ready(): Ready | null {
    if (this.#isIdle) return null;
    const core = this.#core;
    if (core.halt !== null) return this.#lastReady(core.halt);
    if (core.role.kind === 'leader') flushAppends(core, core.role);
    const entries = core.log.takeUnstable();
    const hardState = this.#takeHardState(entries);
    // All1: if commitIndex > lastApplied, apply the entries in between (§5.3).
    const committed = core.log.takeCommitted();
    const isUnchanged = hardState === null && committed.length === 0 && entries.length === 0;
    this.#isIdle = isUnchanged && core.outbox.isEmpty;
    if (this.#isIdle) return null;
    const out = core.outbox.take();
    this.#readyNumber += 1;
    const mustPersist = hardState !== null || entries.length > 0 || out.snapshot !== null;
    if (mustPersist) core.inflight.push(this.#inflightOf(entries, hardState, out.snapshot));
    return {
      number: this.#readyNumber,
      hardState,
      entries,
      committed,
      mustPersist,
      messages: out.messages,
      afterPersist: out.afterPersist,
      receipts: out.receipts,
      reads: out.reads,
      snapshotReads: out.snapshotReads,
      snapshotWrites: out.snapshotWrites,
      snapshot: out.snapshot,
      halt: null,
    };
  }

  /** Says why it halts, once, and nothing of what it has decided before. */
  #lastReady(halt: Halt): Ready {
    this.#isIdle = true;
    this.#readyNumber += 1;
    return {
      ...new Outbox().take(),
      number: this.#readyNumber,
      hardState: null,
      entries: [],
      committed: [],
      mustPersist: false,
      halt,
    };
  }

  /** Cheaper than ready(), for whoever asks after each tick: is there anything to take? */
  get hasReady(): boolean {
    const core = this.#core;
    if (this.#isIdle) return false;
    if (core.halt !== null || !core.outbox.isEmpty) return true;
    if (core.log.hasUnstable() || core.log.hasCommitted()) return true;
    return this.#voteChanged() || (core.role.kind === 'leader' && wantsFlush(core, core.role));
  }

  report(): RaftReport {
    const core = this.#core;
    const { role, log } = core;
    const leading = role.kind === 'leader' ? role : null;
    return Object.freeze({
      id: core.id,
      role: role.kind,
      currentTerm: core.currentTerm,
      votedFor: core.votedFor,
      leader: core.leader,
      commitIndex: log.commitIndex,
      appliedIndex: log.appliedIndex,
      stableIndex: log.stableIndex,
      last: log.last,
      compacted: log.base,
      snapshotIndex: log.snapshot.last.index,
      config: log.config,
      configIndex: log.configIndex,
      uncommittedBytes: leading?.uncommittedBytes ?? 0,
      pendingReads: leading === null ? 0 : leading.pendingReads.length + leading.earlyReads.length,
      transferTarget: leading?.transferTarget ?? NO_NODE,
      progress: leading === null ? [] : this.#progressReports(leading),
    });
  }

  /** Cheaper than report() for what a driver asks every turn. */
  get leader(): NodeId {
    return this.#core.leader;
  }

  get currentTerm(): Term {
    return this.#core.currentTerm;
  }

  /** The configuration in force. */
  get membership(): Configuration {
    return this.#core.membership;
  }

  get isLeader(): boolean {
    return this.#core.role.kind === 'leader';
  }

  /** The entry at an index still held in the log, for the driver's snapshot metadata. */
  termAt(index: LogIndex): number | undefined {
    return this.#core.log.term(index);
  }

  /** An entry that is still held in the log: for watchers, what a step has appended. */
  entryAt(index: LogIndex): Entry | undefined {
    return this.#core.log.entry(index);
  }

  #dispatch(input: Input): void {
    const core = this.#core;
    switch (input.kind) {
      case 'tick':
        this.#skipTicks(input.missed ?? 0);
        return this.#tick();
      case 'receive':
        return this.#receive(input.message);
      case 'propose':
        return propose(core, input);
      case 'changeMembership':
        return proposeChange(core, input);
      case 'transfer':
        if (core.role.kind === 'leader') transferLeadership(core, core.role, input.to);
        return;
      case 'readIndex':
        return readIndex(core, input.read);
      case 'campaign':
        // A lease counts on the silence of whoever hears the leader, and that includes this node.
        return core.config.leaseReads && hearsLeader(core) ? undefined : campaign(core);
      case 'persisted':
        return this.#persisted(input.ready);
      case 'applied':
        return core.log.appliedTo(input.index);
      case 'snapshotTaken':
        return this.#compact(input.meta);
      case 'snapshotChunk':
        return handleSnapshotChunk(core, input);
      case 'snapshotWritten':
        return handleSnapshotWritten(core, input);
      case 'unreachable':
        return this.#unreachable(input.peer);
      default:
        return unreachable(input);
    }
  }

  /** What follows from the new state, whatever input brought it about. */
  #settle(): void {
    const core = this.#core;
    if (core.role.kind !== 'leader') return;
    const { role } = core;
    if (maybeCommit(core, role)) {
      admitEarlyReads(core, role);
      if (isRemoved(core)) return this.#leaveOffice(role);
      maybeLeaveJoint(core, role);
    }
    releaseReads(core, role);
    const target = role.progress.get(role.transferTarget);
    if (target !== undefined) maybeHandOver(core, role, target);
  }

  #leaveOffice(role: LeaderRole): void {
    const core = this.#core;
    core.cite('§4.2.2', 'not in the committed configuration');
    releaseReads(core, role);
    handOverToBest(core, role);
    // The others must learn of the commit, or they would wait for this node's next term.
    flushAppends(core, role);
    core.becomeFollower(core.currentTerm, NO_NODE);
  }

  // -------------------------------------------------------------------------- time

  #tick(): void {
    const core = this.#core;
    core.tick += 1;
    if (core.role.kind === 'leader') return this.#tickLeader(core.role);
    core.ticksSinceContact += 1;
    if (core.ticksSinceContact < core.electionTimeoutTicks) return;
    // Fol2: election timeout elapses without AppendEntries from the current leader or a granted
    // vote: convert to candidate. Cand4: if it elapses in an election, start a new one (§5.2).
    core.cite(core.role.kind === 'follower' ? 'Fol2' : 'Cand4');
    campaign(core);
  }

  /** The process stood still: real time has passed, and nothing else. */
  #skipTicks(missed: number): void {
    this.#core.tick += missed;
    for (const ready of this.#core.inflight) ready.issuedTick += missed;
  }

  #tickLeader(role: LeaderRole): void {
    const core = this.#core;
    for (const progress of role.progress.values()) {
      progress.ticksSinceContact += 1;
      tickTransfer(core, progress);
    }
    if (this.#isDiskStalled()) return this.#stepDown('the log can not be written');
    if (core.config.checkQuorum && !this.#hearsQuorum(role)) {
      return this.#stepDown('no quorum answers');
    }
    tickTransferOfLeadership(core, role);
    role.heartbeatElapsed += 1;
    if (role.heartbeatElapsed < core.config.heartbeatTicks) return;
    role.heartbeatElapsed = 0;
    core.cite('Lead1', 'heartbeat');
    for (const progress of role.progress.values()) progress.probing = false;
    beginRound(core, role);
  }

  /** §6.2: a leader that is cut off makes way, also for its own clients. */
  #stepDown(why: string): void {
    this.#core.cite('§6.2', why);
    this.#core.becomeFollower(this.#core.currentTerm, NO_NODE);
  }

  #hearsQuorum(role: LeaderRole): boolean {
    const { membership, config, id } = this.#core;
    return quorumHolds(membership, peer => {
      if (peer === id) return true;
      const progress = role.progress.get(peer);
      return progress !== undefined && progress.ticksSinceContact <= config.electionTicks;
    });
  }

  /** Heartbeats count only while the log can be written: a leader that can't store is none. */
  #isDiskStalled(): boolean {
    const oldest = this.#core.inflight[0];
    return (
      oldest !== undefined && this.#core.tick - oldest.issuedTick > this.#core.config.electionTicks
    );
  }

  // -------------------------------------------------------------------------- messages

  #receive(m: Message): void {
    const core = this.#core;
    if (m.to !== core.id || m.from === core.id) return;
    if ((m.kind === 'append' || m.kind === 'snapshot') && halts(core, m)) return;
    if (m.term > core.currentTerm && !this.#adoptTerm(m)) return;
    switch (m.kind) {
      case 'voteRequest':
        return handleVoteRequest(core, m);
      case 'append':
        if (m.term === core.currentTerm) this.#heardLeader(m);
        return handleAppend(core, m);
      case 'snapshot':
        if (m.term === core.currentTerm) this.#heardLeader(m);
        return handleSnapshot(core, m);
      case 'forward':
        return handleForward(core, m);
      case 'forwardChange':
        return handleForwardChange(core, m);
      case 'forwardReceipt':
        return handleForwardReceipt(core, m);
      case 'readIndex':
        return handleReadIndex(core, m);
      case 'readIndexReply':
        return handleReadIndexReply(core, m);
      case 'voteReply':
      case 'appendAccepted':
      case 'appendRejected':
      case 'snapshotReply':
      case 'timeoutNow':
        // What belongs to an older term of ours is settled.
        if (m.term >= core.currentTerm) this.#receiveCurrent(m);
        return;
      default:
        return unreachable(m);
    }
  }

  #receiveCurrent(
    m: Extract<
      Message,
      { kind: 'voteReply' | 'appendAccepted' | 'appendRejected' | 'snapshotReply' | 'timeoutNow' }
    >,
  ): void {
    const core = this.#core;
    switch (m.kind) {
      case 'voteReply':
        return handleVoteReply(core, m);
      case 'appendAccepted':
        return handleAppendAccepted(core, m);
      case 'appendRejected':
        return handleAppendRejected(core, m);
      case 'snapshotReply': {
        const progress = contact(core, m.from, m.round);
        if (progress !== null) handleSnapshotReply(core, progress, m);
        return;
      }
      case 'timeoutNow':
        core.cite('§3.10', `${m.from} hands over`);
        return campaignForTransfer(core);
      default:
        return unreachable(m);
    }
  }

  /** False when the message is to be ignored altogether. */
  #adoptTerm(m: Message): boolean {
    const core = this.#core;
    if (m.kind === 'voteRequest') {
      if (!m.transfer && hearsLeader(core)) {
        core.cite('§4.2.3', `${m.from} ignored: leader ${core.leader} is heard`);
        return false;
      }
      // §9.6: a question about a term is not yet that term.
      if (m.preVote) return true;
    }
    if (m.kind === 'voteReply' && m.preVote && m.granted) return true;
    if (this.#isOutsidersReply(m)) return false;
    // All2: if RPC request or response contains term T > currentTerm: set currentTerm = T, convert
    // to follower (§5.1).
    core.cite('All2', `term ${m.term} of ${m.from}`);
    core.becomeFollower(m.term, NO_NODE);
    return true;
  }

  /**
   * A node that this one did not ask, or that was removed since, can't end its term by an answer; it
   * may be the late one to a request from before the removal.
   */
  #isOutsidersReply(m: Message): boolean {
    const { role, membership } = this.#core;
    if (m.kind === 'voteReply') return !isMember(membership, m.from);
    const isReply =
      m.kind === 'appendAccepted' || m.kind === 'appendRejected' || m.kind === 'snapshotReply';
    return isReply && role.kind === 'leader' && !role.progress.has(m.from);
  }

  /** An append or snapshot of this term proves its leader. */
  #heardLeader(m: AppendRequest | SnapshotRequest): void {
    const core = this.#core;
    assert(core.role.kind !== 'leader', 'at most one leader is elected in a term (§5.2)');
    if (core.knownLeader.term !== m.term) core.knownLeader = { term: m.term, id: m.from };
    if (core.role.kind === 'follower') {
      core.role.leader = m.from;
      core.ticksSinceContact = 0;
      return;
    }
    // Cand3: AppendEntries from the new leader: convert to follower (§5.2).
    core.cite('Cand3', `${m.from} leads term ${m.term}`);
    core.becomeFollower(m.term, m.from);
  }

  #unreachable(peer: NodeId): void {
    const { role } = this.#core;
    if (role.kind !== 'leader') return;
    const progress = role.progress.get(peer);
    // What was under way is probably lost: find out where the follower is with the next append.
    if (progress?.state === 'replicate') progress.becomeProbe(progress.matchIndex + 1);
  }

  // -------------------------------------------------------------------------- completions

  #persisted(number: number): void {
    const core = this.#core;
    while (core.inflight.length > 0 && core.inflight[0]!.number <= number) {
      const done = core.inflight.shift()!;
      if (done.hardState !== null) core.durable = done.hardState;
      if (done.last !== null) core.log.stableTo(done.last);
    }
    recordOwnVote(core);
  }

  /** Keeps trailing entries, so that a follower a little behind needs no snapshot. */
  #compact(meta: SnapshotMeta): void {
    const { log, config } = this.#core;
    const wanted = Math.min(meta.last.index - config.trailingEntries, this.#neededByFollowers());
    // A follower that never catches up must not hold the log for ever.
    const atLeast = meta.last.index - HELD_FOR_FOLLOWERS_FACTOR * config.trailingEntries;
    log.compact(meta, Math.max(log.base.index, wanted, atLeast));
  }

  /** Where the followers that answer go on: behind what they have, or are being sent. */
  #neededByFollowers(): LogIndex {
    const { role, log, config } = this.#core;
    if (role.kind !== 'leader') return Number.POSITIVE_INFINITY;
    let needed = Number.POSITIVE_INFINITY;
    for (const { transfer, matchIndex, ticksSinceContact } of role.progress.values()) {
      if (ticksSinceContact > config.electionTicks) continue;
      const from = transfer?.meta?.last.index ?? matchIndex;
      if (from >= log.base.index) needed = Math.min(needed, from);
    }
    return needed;
  }

  #takeHardState(entries: readonly Entry[]): HardState | null {
    const core = this.#core;
    const { handed } = core;
    const voteChanged = this.#voteChanged();
    // The commit index is a hint and rides along; it is never a reason to write.
    if (!voteChanged && entries.length === 0) return null;
    const next = core.hardState;
    if (!voteChanged && handed.commitIndex === next.commitIndex) return null;
    core.handed = next;
    return next;
  }

  #voteChanged(): boolean {
    const { handed, currentTerm, votedFor } = this.#core;
    return handed.currentTerm !== currentTerm || handed.votedFor !== votedFor;
  }

  #inflightOf(
    entries: readonly Entry[],
    hardState: HardState | null,
    snapshot: SnapshotMeta | null,
  ): InflightReady {
    const entry = entries.at(-1);
    const written = entry === undefined ? null : { term: entry.term, index: entry.index };
    const last = written ?? snapshot?.last ?? null;
    return { number: this.#readyNumber, last, hardState, issuedTick: this.#core.tick };
  }

  #progressReports(role: LeaderRole) {
    const { learners } = this.#core.membership;
    return [...role.progress.values()].map(p => p.report(learners.includes(p.id)));
  }
}

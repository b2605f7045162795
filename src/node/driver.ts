// The loop around the core: persist, send, apply, answer. Clock, storage, transport, state machine
// and chance come from outside, so the simulator runs exactly this class.
//
//   what arrives in a turn          the turn's end, once
//   messages      --step-->         proposals, reads --step--> core
//   completions   --step-->         while (ready): store.append, gather messages
//   proposals, reads: gathered      transport.send, once; machine.apply in one batch; answers
//
// Nothing on the path of one proposal allocates more than the proposal itself: no promise, timer
// or closure. A write that fails stops the node for good (rule 5 of the contract).

import type { Input, Ready } from '../raft/io.ts';
import type { Message } from '../raft/messages.ts';
import { Raft } from '../raft/raft.ts';
import type {
  ConfigChange,
  LogIndex,
  NodeId,
  PersistentState,
  Proposal,
  SessionId,
  SnapshotMeta,
} from '../raft/types.ts';
import { NO_DATA, NO_NODE } from '../raft/types.ts';
import type { TransportEvents } from '../transport/transport.ts';
import { Applier } from './applier.ts';
import type { Timer } from './clock.ts';
import {
  type Core,
  type DriverEvents,
  type DriverLimits,
  type DriverOptions,
  type DriverReport,
  type DriverState,
  LIMITS,
  type ProposalSink,
  type ReadSink,
} from './driver-types.ts';
import {
  endedError,
  internalError,
  KontikiError,
  messageOf,
  type Outcome,
  startError,
  stoppedError,
  storageError,
} from './errors.ts';
import { haltError } from './halt-error.ts';
import { Intake, overloaded, randomStart } from './intake.ts';
import { Persister } from './persister.ts';
import { ProposalTracker } from './proposals.ts';
import { ReadRounds } from './reads.ts';
import { recover } from './recovery.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { Snapshots } from './snapshots.ts';
import { Transfer } from './transfer.ts';

/** After a pause of the event loop, more ticks at once would start elections on stale news. */
const TICKS_AT_ONCE_MAX = 3;
/** More work than this in one turn goes on in the next. */
const ROUNDS_A_TURN_MAX = 64;
const SWEEP_MS = 50;
const TICK: Input = { kind: 'tick' };

export class Driver {
  readonly id: NodeId;
  /** Resolves once everything is let go of: null after stop(), else why the node failed. */
  readonly closed: Promise<KontikiError | null>;
  readonly #options: DriverOptions;
  readonly #limits: DriverLimits;
  readonly #events: DriverEvents;
  #state: DriverState = 'new';
  #error: KontikiError | null = null;
  #resolveClosed: (error: KontikiError | null) => void = () => {};

  // Set by start().
  #core!: Core;
  #persister!: Persister;
  #tracker!: ProposalTracker;
  #intake!: Intake;
  #reads!: ReadRounds;
  #applier!: Applier;
  #snapshots!: Snapshots;
  #receiver!: SnapshotReceiver;
  #transfer!: Transfer;

  #outgoing: Message[] = [];
  #appliedIndex: LogIndex = 0;
  #scheduled = false;
  #inTurn = false;
  /** Something came up during the turn that is for the next one. */
  #again = false;
  #seenLeader: NodeId = NO_NODE;
  #seenLeading = false;
  #tickTimer: Timer | null = null;
  #tickedAt = 0;
  #sweptAt = 0;
  #ticksSkipped = 0;
  readonly #runTurn = () => this.#turn();
  readonly #runTick = () => this.#tick();

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#events = options.events ?? {};
    this.id = options.raft.id;
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve;
    });
  }

  /**
   * Recovers and begins to take part. Rejects with a KontikiError when the data or the transport
   * can't be used; what was passed in is closed then.
   */
  async start(): Promise<void> {
    const { store, machine, transport, clock, initialConfig } = this.#options;
    if (this.#state !== 'new') throw new KontikiError('STOPPED', 'not-applied', 'already started.');
    try {
      const state = await recover(store, machine, initialConfig, clock);
      this.#build(state);
      await transport.start(this.#transportEvents());
    } catch (error) {
      const failure = startError(error);
      await this.#end('failed', failure);
      throw failure;
    }
    if (this.#hasEnded()) {
      await transport.close();
      throw stoppedError('not-applied');
    }
    this.#state = 'running';
    this.#tickedAt = clock.now();
    this.#tickTimer = clock.after(this.#options.tickMs, this.#runTick);
    if (this.#isAlone()) this.#step({ kind: 'campaign' });
    this.#schedule();
  }

  /** NO_NODE while none is known. */
  get leader(): NodeId {
    return this.#state === 'running' ? this.#core.leader : NO_NODE;
  }

  get isLeader(): boolean {
    return this.#state === 'running' && this.#core.isLeader;
  }

  /** The current term; 0 before start(). */
  get term(): number {
    return this.#core === undefined ? 0 : this.#core.currentTerm;
  }

  /** The state machine includes everything up to here. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /** The bytes must not change afterwards. A refusal may be told before this returns. */
  propose(data: Uint8Array, sink: ProposalSink): void {
    this.#propose('command', data, 0, 0, sink);
  }

  /** `sequence` counts from 1 in each session; at most SESSION_WINDOW may be under way. */
  proposeInSession(
    session: SessionId,
    sequence: number,
    data: Uint8Array,
    sink: ProposalSink,
  ): void {
    this.#propose('command', data, session, sequence, sink);
  }

  /** The result is the session's id. */
  openSession(sink: ProposalSink): void {
    this.#propose('openSession', NO_DATA, 0, 0, sink);
  }

  closeSession(session: SessionId, sink: ProposalSink): void {
    this.#propose('closeSession', NO_DATA, session, 0, sink);
  }

  /** Linearizable: once ready, the state machine holds all that was committed before this call. */
  read(sink: ReadSink): void {
    if (this.#state !== 'running') return sink.failed(stoppedError('not-applied'));
    if (!this.#reads.add(sink, this.#options.clock.now())) return sink.failed(overloaded('reads'));
    this.#schedule();
  }

  /**
   * Applied once the first entry of the change is; the result is its configuration, which is still
   * joint when more than one voter changes. `expectedConfigIndex` -1 takes any.
   */
  changeMembership(
    changes: readonly ConfigChange[],
    data: Uint8Array,
    expectedConfigIndex: LogIndex,
    sink: ProposalSink,
  ): void {
    if (this.#state !== 'running') return sink.failed(stoppedError('not-applied'));
    this.#intake.changeMembership(changes, data, expectedConfigIndex, sink);
    this.#schedule();
  }

  /** Ready once `to` leads. Only the leader can hand over. */
  transferLeadership(to: NodeId, sink: ReadSink): void {
    if (this.#state !== 'running') return sink.failed(stoppedError('not-applied'));
    try {
      this.#transfer.begin(to, sink, this.#options.clock.now());
    } catch (error) {
      this.#broke(error);
    }
    this.#schedule();
  }

  /** Asks for an election now, as if the election timeout had passed. */
  campaign(): void {
    if (this.#state === 'running') this.#step({ kind: 'campaign' });
  }

  report(): DriverReport {
    const { clock, store, transport } = this.#options;
    if (this.#core === undefined) {
      throw new KontikiError('STOPPED', 'not-applied', 'the node has not started.');
    }
    const persistOldestMs = this.#persister.oldestMs(clock.now());
    return Object.freeze({
      state: this.#state,
      error: this.#error,
      raft: this.#core.report(),
      pendingProposals: this.#tracker.count,
      pendingBytes: this.#tracker.bytes,
      pendingReads: this.#reads.count,
      persistsInFlight: this.#persister.inFlight,
      persistOldestMs,
      stalled: persistOldestMs > this.#electionMs,
      applyBacklog: this.#applier.backlog,
      sessions: this.#applier.sessions,
      newestSnapshot: store.newestSnapshot,
      logBytes: store.logBytes,
      ticksSkipped: this.#ticksSkipped,
      links: transport.links(),
    });
  }

  /** Ends in order: waiting calls fail, the state machine is flushed, everything is closed. */
  async stop(): Promise<void> {
    if (!this.#hasEnded()) await this.#end('stopped', null);
    await this.closed;
  }

  /** Ends like a power cut: nothing more is written, sent or closed. For tests and simulation. */
  kill(): void {
    if (this.#hasEnded()) return;
    this.#state = 'stopped';
    this.#halt();
    this.#resolveClosed(null);
  }

  // -------------------------------------------------------------------------- building

  #build(state: PersistentState): void {
    const { store, machine, clock, raft, tickMs, replies } = this.#options;
    const createCore = this.#options.createCore ?? ((c, s, a) => new Raft(c, s, a));
    this.#appliedIndex = machine.applied.index;
    this.#core = createCore(raft, state, this.#appliedIndex);
    const limits = this.#limits;
    const events = this.#events;
    this.#tracker = new ProposalTracker(limits, this.#appliedIndex);
    this.#intake = new Intake(
      { core: this.#core, tracker: this.#tracker, clock, entryBytesMax: raft.entryBytesMax },
      randomStart(raft.random),
    );
    this.#reads = new ReadRounds({
      requestTimeoutMs: limits.requestTimeoutMs,
      pendingMax: limits.pendingMax,
      retryMs: Math.max(this.#electionMs / 2, 2 * tickMs),
      groupMs: tickMs,
      firstNumber: randomStart(raft.random),
    });
    const step = (input: Input) => this.#step(input);
    const fail = (error: KontikiError) => this.#fail(error);
    this.#persister = new Persister(store, {
      persisted: (ready, messages, wrote) => this.#persisted(ready, messages, wrote),
      persistFailed: error => this.#fail(storageError(error)),
    });
    const tracker = this.#tracker;
    this.#applier = new Applier(
      { machine, store, clock, limits, events, replies: replies ?? null, tracker, state },
      {
        applied: index => this.#applied(index),
        restored: meta => this.#restored(meta),
        wake: () => this.#schedule(),
        fail,
      },
    );
    const lastIndex = state.snapshot.last.index;
    const isReceiving = () => this.#receiver.isReceiving;
    const compactedIndex = () => this.#core.report().compacted.index;
    this.#snapshots = new Snapshots(
      { machine, store, clock, limits, events, applier: this.#applier, lastIndex },
      { step, fail, isReceiving, compactedIndex },
    );
    this.#receiver = new SnapshotReceiver(store, clock, { step, fail });
    this.#transfer = new Transfer(this.#core, 2 * this.#electionMs);
  }

  /** The only voter has nobody to wait for. */
  #isAlone(): boolean {
    const { voters, outgoing } = this.#core.report().config;
    return outgoing.length === 0 && voters.length === 1 && voters[0] === this.id;
  }

  get #electionMs(): number {
    return this.#options.raft.electionTicks * this.#options.tickMs;
  }

  #transportEvents(): TransportEvents {
    return {
      receive: messages => this.#receive(messages),
      unreachable: peer => {
        if (this.#state !== 'running') return;
        this.#intake.linkDown(peer);
        this.#step({ kind: 'unreachable', peer });
      },
      connected: peer => this.#intake.heard(peer),
    };
  }

  #receive(messages: readonly Message[]): void {
    if (this.#state !== 'running') return;
    this.#catchUpForLease();
    try {
      for (let i = 0; i < messages.length; i++) {
        const message = messages[i]!;
        this.#intake.heard(message.from);
        this.#core.step({ kind: 'receive', message });
      }
    } catch (error) {
      this.#broke(error);
    }
    if (this.#hasWork()) this.#schedule();
  }

  #propose(
    kind: Proposal['kind'],
    data: Uint8Array,
    session: SessionId,
    sequence: number,
    sink: ProposalSink,
  ): void {
    if (this.#state !== 'running') return sink.failed(stoppedError('not-applied'));
    this.#intake.propose({ kind, data, session, sequence }, sink);
    this.#schedule();
  }

  // -------------------------------------------------------------------------- the turn

  #schedule(): void {
    if (this.#inTurn) this.#again = true;
    if (this.#scheduled || this.#inTurn || this.#state !== 'running') return;
    this.#scheduled = true;
    this.#options.clock.endOfTurn(this.#runTurn);
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#state !== 'running') return;
    this.#inTurn = true;
    this.#again = false;
    let goesOn = false;
    try {
      goesOn = this.#runRounds();
      this.#options.store.flush();
    } catch (error) {
      this.#broke(error);
    }
    this.#inTurn = false;
    if (goesOn || this.#again) this.#schedule();
  }

  /** True when work is left for the next turn. */
  #runRounds(): boolean {
    const now = this.#options.clock.now();
    this.#observe();
    this.#intake.handIn();
    this.#askRead(now);
    for (let round = 0; round < ROUNDS_A_TURN_MAX; round++) {
      const worked = this.#drain(now);
      this.#sendAll();
      const more = this.#applier.run(this.#persister.persistedReady);
      this.#reads.appliedTo(this.#appliedIndex);
      if (more) return true;
      if (!worked) return false;
      if (this.#state !== 'running') return false;
    }
    return true;
  }

  #askRead(now: number): void {
    const read = this.#reads.ask(now);
    if (read === 0) return;
    this.#catchUpForLease();
    this.#core.step({ kind: 'readIndex', read });
  }

  /** Takes what the core has decided; false when that was nothing. */
  #drain(now: number): boolean {
    let ready = this.#core.ready();
    if (ready === null) return false;
    for (let i = 0; ready !== null && i < ROUNDS_A_TURN_MAX; i++) {
      this.#take(ready, now);
      ready = this.#state === 'running' ? this.#core.ready() : null;
    }
    if (ready !== null) this.#take(ready, now);
    return true;
  }

  #take(ready: Ready, now: number): void {
    if (ready.halt !== null) return this.#fail(haltError(ready.halt));
    const { receipts, reads, messages, snapshotReads, snapshotWrites } = ready;
    for (let i = 0; i < receipts.length; i++) this.#tracker.receipt(receipts[i]!);
    this.#send(messages);
    this.#announceConfigs(ready);
    this.#persister.submit(ready, now);
    if (ready.snapshot !== null) this.#applier.enqueueSnapshot(ready.snapshot, ready.number);
    this.#applier.enqueue(ready.committed);
    for (let i = 0; i < snapshotReads.length; i++) this.#snapshots.read(snapshotReads[i]!);
    for (let i = 0; i < snapshotWrites.length; i++) this.#receiver.write(snapshotWrites[i]!);
    for (let i = 0; i < reads.length; i++) {
      if (this.#reads.answer(reads[i]!, now)) this.#askRead(now);
    }
  }

  #announceConfigs({ entries }: Ready): void {
    if (this.#events.configAppended === undefined) return;
    for (let i = 0; i < entries.length; i++) {
      if (entries[i]!.kind === 'config') this.#events.configAppended(entries[i]!);
    }
  }

  /** With all others of this turn. */
  #send(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    if (this.#outgoing.length === 0) this.#outgoing = messages.slice();
    else for (let i = 0; i < messages.length; i++) this.#outgoing.push(messages[i]!);
  }

  #sendAll(): void {
    if (this.#outgoing.length === 0 || this.#state !== 'running') return;
    const messages = this.#outgoing;
    this.#outgoing = [];
    this.#options.transport.send(messages);
  }

  // -------------------------------------------------------------------------- completions

  #step(input: Input): void {
    if (this.#state !== 'running') return;
    try {
      this.#core.step(input);
    } catch (error) {
      this.#broke(error);
    }
    this.#schedule();
  }

  #persisted(ready: number, afterPersist: readonly Message[], wrote: boolean): void {
    if (this.#hasEnded()) return;
    this.#send(afterPersist);
    if (wrote) this.#step({ kind: 'persisted', ready });
  }

  #applied(index: LogIndex): void {
    this.#appliedIndex = index;
    this.#core.step({ kind: 'applied', index });
    this.#snapshots.appliedTo(index);
  }

  #restored(meta: SnapshotMeta): void {
    this.#appliedIndex = meta.last.index;
    this.#snapshots.restored(meta);
    this.#events.restored?.(meta);
    this.#step({ kind: 'applied', index: meta.last.index });
  }

  // -------------------------------------------------------------------------- time

  #tick(): void {
    if (this.#state !== 'running') return;
    const { clock, tickMs } = this.#options;
    const now = clock.now();
    this.#catchUp(now);
    this.#tickTimer = clock.after(Math.max(this.#tickedAt + tickMs - now, 0), this.#runTick);
    try {
      this.#intake.tick();
      if (now - this.#sweptAt >= SWEEP_MS) this.#sweep(now);
      if (this.#hasWork()) this.#schedule();
    } catch (error) {
      this.#broke(error);
    }
  }

  /** Most ticks and many answers change nothing: an idle node must not cost a turn for each. */
  #hasWork(): boolean {
    const { hasReady, leader, isLeader } = this.#core;
    const hasChanged = leader !== this.#seenLeader || isLeader !== this.#seenLeading;
    return hasReady || hasChanged || this.#reads.count > 0 || this.#intake.hasWork;
  }

  /** Steps the ticks that are due, a few at the most; the rest is told as missed. */
  #catchUp(now: number): void {
    const { tickMs } = this.#options;
    const due = Math.floor((now - this.#tickedAt) / tickMs);
    const ticks = Math.min(due, TICKS_AT_ONCE_MAX);
    const missed = due - ticks;
    this.#ticksSkipped += missed;
    this.#tickedAt = missed > 0 ? now : this.#tickedAt + due * tickMs;
    try {
      for (let i = 0; i < ticks; i++) {
        this.#core.step(i === 0 && missed > 0 ? { kind: 'tick', missed } : TICK);
      }
    } catch (error) {
      this.#broke(error);
    }
  }

  /** A lease must not outlive a pause of the process: reads may come in before the tick's timer. */
  #catchUpForLease(): void {
    if (this.#options.raft.leaseReads) this.#catchUp(this.#options.clock.now());
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    this.#tracker.expire(now);
    this.#reads.expire(now, this.#core.leader !== NO_NODE);
    this.#transfer.check(now);
    this.#snapshots.sweep(now);
    this.#receiver.sweep(now);
  }

  /** Tells of a change of leadership. */
  #observe(): void {
    const { leader, isLeader } = this.#core;
    if (leader === this.#seenLeader && isLeader === this.#seenLeading) return;
    this.#seenLeader = leader;
    this.#seenLeading = isLeader;
    if (leader !== NO_NODE) this.#tracker.leaderChanged(leader);
    this.#transfer.check(this.#options.clock.now());
    if (this.#events.leaderChanged === undefined) return;
    const { currentTerm, role } = this.#core.report();
    this.#events.leaderChanged(leader, currentTerm, role);
  }

  // -------------------------------------------------------------------------- the end

  /** An exception is a broken assumption or a broken machine: the node stops. */
  #broke(error: unknown): void {
    this.#fail(internalError(error));
  }

  #fail(error: KontikiError): void {
    if (this.#hasEnded()) return;
    this.#events.log?.('error', error.message);
    void this.#end('failed', error);
  }

  #hasEnded(): boolean {
    return this.#state === 'stopped' || this.#state === 'failed';
  }

  async #end(state: 'stopped' | 'failed', error: KontikiError | null): Promise<void> {
    this.#state = state;
    this.#error = error;
    this.#halt();
    this.#events.stopped?.(error);
    await this.#release(state === 'stopped');
    this.#resolveClosed(error);
  }

  /** From here on nothing is sent or written, and nobody is left waiting. */
  #halt(): void {
    this.#tickTimer?.cancel();
    this.#outgoing = [];
    if (this.#core === undefined) return;
    this.#persister.stop();
    this.#applier.stop();
    this.#receiver.stop();
    const error = this.#error;
    const reason = (outcome: Outcome) =>
      error === null ? stoppedError(outcome) : endedError(error, outcome);
    this.#intake.failAll(reason('not-applied'));
    this.#tracker.failAll(reason);
    this.#reads.failAll(reason('not-applied'));
    this.#transfer.fail(reason('unknown'));
  }

  async #release(flush: boolean): Promise<void> {
    const { transport, machine, store } = this.#options;
    await this.#quietly('transport', transport.close());
    if (this.#snapshots !== undefined) await this.#snapshots.stop();
    // A batch under way is given up: nobody would finish it any more.
    const isWhole = this.#applier?.isMidway !== true;
    if (flush && isWhole) await this.#quietly('state machine', machine.flush());
    await this.#quietly('state machine', machine.close());
    const error = this.#error;
    // Started again it would vote with what it has forgotten.
    const isHalted = error?.code === 'STORAGE_LOST' && this.#core !== undefined;
    if (isHalted) await this.#quietly('storage', store.condemn(error.text));
    await this.#quietly('storage', store.close());
  }

  async #quietly(what: string, work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#events.log?.('warn', `closing the ${what}: ${messageOf(error)}`);
    }
  }
}

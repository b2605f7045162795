// Production code with an ear to it: the core and the store of a node, passing everything on
// unchanged and telling the shadow of it. They also count asynchronous calls, so that the world
// knows when promises may be ready (process.ts).

import type { Core } from '../node/driver-types.ts';
import type { RaftConfig } from '../raft/config.ts';
import type { Input, Ready } from '../raft/io.ts';
import { Raft } from '../raft/raft.ts';
import type { RaftReport } from '../raft/report.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type {
  Configuration,
  Entry,
  LogId,
  LogIndex,
  NodeId,
  PersistentState,
  SnapshotMeta,
  Term,
} from '../raft/types.ts';
import type { Done } from '../storage/disk.ts';
import type {
  Identity,
  LogBatch,
  LogStore,
  SnapshotReader,
  SnapshotWriter,
} from '../storage/log-store.ts';
import type { NodeShadow } from './node-shadow.ts';
import type { Process } from './process.ts';

/** What hears of the steps of a core. */
export interface CoreWatch {
  begins(config: RaftConfig, state: PersistentState, cursors: Cursors): void;
  step(event: TraceEvent, input: Input, core: WatchableCore): void;
  ready(ready: Ready, commit: LeaderCommit | null, commitIndex: LogIndex): void;
  /** Called now and then with the whole state before and after a step. */
  sample(before: RaftReport, after: RaftReport): void;
}

/** Where a core begins. */
export interface Cursors {
  readonly commitIndex: LogIndex;
  /** Of the state machine. */
  readonly appliedIndex: LogIndex;
}

/** What a watch may ask of a core during a step; it costs more than what the event says. */
export interface WatchableCore {
  report(): RaftReport;
  entryAt(index: LogIndex): Entry | undefined;
}

/** A leader moved its commit index in a step. */
export interface LeaderCommit {
  readonly term: Term;
  readonly index: LogIndex;
  /** In force after the step. */
  readonly config: Configuration;
}

/** The whole state is looked at every so many steps; it costs as much as fifty of them. */
const SAMPLE_STEPS = 101;

export class WatchedCore implements Core {
  readonly #raft: Raft;
  readonly #watch: CoreWatch;
  readonly #process: Process;
  #input!: Input;
  #leaderCommit: LeaderCommit | null = null;
  #commitIndex: LogIndex;
  #notedCommit: LogIndex;
  #untilSample = 1;

  constructor(
    process: Process,
    watch: CoreWatch,
    config: RaftConfig,
    state: PersistentState,
    appliedIndex: LogIndex,
  ) {
    this.#process = process;
    this.#watch = watch;
    this.#raft = new Raft(config, state, appliedIndex);
    watch.begins(config, state, { commitIndex: this.#raft.report().commitIndex, appliedIndex });
    const stepped = (event: TraceEvent) => this.#stepped(event);
    this.#raft.listener = stepped;
    this.#commitIndex = this.#raft.report().commitIndex;
    this.#notedCommit = 0;
  }

  get leader(): NodeId {
    return this.#raft.leader;
  }

  get currentTerm(): number {
    return this.#raft.currentTerm;
  }

  get isLeader(): boolean {
    return this.#raft.isLeader;
  }

  step(input: Input): void {
    this.#input = input;
    this.#untilSample -= 1;
    if (this.#untilSample > 0) return this.#raft.step(input);
    this.#untilSample = SAMPLE_STEPS;
    const before = this.#raft.report();
    this.#raft.step(input);
    this.#watch.sample(before, this.#raft.report());
  }

  ready(): Ready | null {
    const { hasReady } = this.#raft;
    const ready = this.#raft.ready();
    if (ready !== null && !hasReady) throw new Error('the core has a Ready and did not say so');
    if (ready === null && this.#commitIndex === this.#notedCommit) return null;
    if (ready !== null) {
      const { snapshotReads, snapshotWrites, snapshot } = ready;
      const asynchronous = snapshotReads.length + snapshotWrites.length > 0 || snapshot !== null;
      if (asynchronous) this.#process.stirred = true;
      this.#watch.ready(ready, this.#leaderCommit, this.#commitIndex);
      this.#leaderCommit = null;
      this.#notedCommit = this.#commitIndex;
    }
    return ready;
  }

  get hasReady(): boolean {
    return this.#raft.hasReady;
  }

  report(): RaftReport {
    return this.#raft.report();
  }

  #stepped(event: TraceEvent): void {
    const { was, now } = event;
    if (now.commitIndex > was.commitIndex) {
      this.#commitIndex = now.commitIndex;
      if (was.role === 'leader' && was.term === now.term) {
        const { membership: config } = this.#raft;
        this.#leaderCommit = { term: now.term, index: now.commitIndex, config };
      }
    }
    this.#watch.step(event, this.#input, this.#raft);
  }
}

export class WatchedStore implements LogStore {
  readonly #store: LogStore;
  readonly #process: Process;
  readonly #shadow: NodeShadow;

  constructor(store: LogStore, process: Process, shadow: NodeShadow) {
    this.#store = store;
    this.#process = process;
    this.#shadow = shadow;
    const newestFile = () => store.newestSnapshot;
    shadow.newestFile = newestFile;
  }

  get identity(): Identity {
    return this.#store.identity;
  }

  get onFailure(): ((error: Error) => void) | null {
    return this.#store.onFailure;
  }

  set onFailure(tell: ((error: Error) => void) | null) {
    this.#store.onFailure = tell;
  }

  get recovered(): PersistentState | null {
    return this.#store.recovered;
  }

  get newestSnapshot(): SnapshotMeta | null {
    return this.#store.newestSnapshot;
  }

  get logBytes(): number {
    return this.#store.logBytes;
  }

  /** A part of starting, which is tracked itself. */
  bootstrap(state: PersistentState): Promise<void> {
    return this.#store.bootstrap(state).then(() => this.#shadow.didBootstrap());
  }

  append(batch: LogBatch, done: Done): void {
    const process = this.#process;
    const durable = this.#shadow.handOver(batch);
    process.appends += 1;
    process.touch();
    this.#store.append(batch, error => {
      process.appends -= 1;
      if (error === null && !process.isDead) durable();
      done(error);
    });
  }

  flush(): void {
    this.#store.flush();
  }

  compact(meta: SnapshotMeta): Promise<void> {
    return this.#tracked(this.#store.compact(meta));
  }

  createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    return this.#tracked(this.#store.createSnapshot(meta));
  }

  receiveSnapshot(from: NodeId, meta: SnapshotMeta): Promise<SnapshotWriter> {
    return this.#tracked(this.#store.receiveSnapshot(from, meta));
  }

  openSnapshot(meta: SnapshotMeta): Promise<SnapshotReader | null> {
    return this.#tracked(this.#store.openSnapshot(meta));
  }

  removeSnapshotsExcept(keep: LogId | null): Promise<void> {
    return this.#tracked(this.#store.removeSnapshotsExcept(keep));
  }

  condemn(reason: string): Promise<void> {
    const done = this.#store.condemn(reason).then(() => this.#shadow.didCondemn());
    return this.#tracked(done);
  }

  close(): Promise<void> {
    return this.#tracked(this.#store.close());
  }

  #tracked<T>(promise: Promise<T>): Promise<T> {
    return tracked(this.#process, promise);
  }
}

/** Counts an asynchronous call of this process until it is settled. */
export function tracked<T>(process: Process, promise: Promise<T>): Promise<T> {
  process.calls += 1;
  process.stirred = true;
  process.touch();
  const settled = () => {
    process.calls -= 1;
  };
  promise.then(settled, settled);
  return promise;
}

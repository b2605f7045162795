// One node's promises: the log as it was handed to storage, the part of it that storage has called
// durable, and what is between the two. A restart must bring back the durable part, or that and
// some of the batches in between; nothing else is a legal outcome of a crash.

import type { RaftConfig } from '../raft/config.ts';
import type { Ready } from '../raft/io.ts';
import type { PlacedConfig } from '../raft/log.ts';
import type { RaftReport } from '../raft/report.ts';
import type {
  Configuration,
  Entry,
  HardState,
  LogIndex,
  NodeId,
  PersistentState,
  SnapshotMeta,
  Term,
} from '../raft/types.ts';
import { NO_NODE } from '../raft/types.ts';
import type { LogBatch } from '../storage/log-store.ts';
import { describe, quorumsMeet } from './quorums.ts';
import { recoveryFault } from './recovery-check.ts';
import { look, Matches, outgrown } from './samples.ts';
import type { Shadow } from './shadow.ts';
import { chain, ShadowLog } from './shadow-log.ts';
import { checkStep } from './state-check.ts';
import type { CoreWatch, Cursors } from './watched.ts';

interface Vote {
  readonly term: Term;
  readonly votedFor: NodeId;
}

/** What one batch does to the log, in hashes. */
interface Change {
  readonly vote: Vote | null;
  readonly snapshot: SnapshotMeta | null;
  readonly snapshotHash: number;
  readonly first: LogIndex;
  readonly terms: readonly Term[];
  readonly chains: readonly number[];
}

/** What of a node was durable at some moment. */
export interface DurablePast {
  readonly log: ShadowLog;
  readonly vote: Vote;
}

/** Messages of older terms have long left. */
const REACHED_TERMS_MAX = 8;

export class NodeShadow {
  readonly id: NodeId;
  handed = new ShadowLog();
  durable = new ShadowLog();
  /** As last seen in a step of its core; never decreases while the disk lives. */
  term: Term = 0;
  commitIndex: LogIndex = 0;
  vote: Vote = { term: 0, votedFor: NO_NODE };
  isLeader = false;
  bootstrapped = false;
  /** A sync of this incarnation failed. */
  syncFailed = false;
  /** Bits were changed on its disk: it may refuse to start, but not forget. */
  damaged = false;
  /** Its disk went back in time: it had everything up to here, and more than now. 0: it has all. */
  lostUpTo: LogIndex = 0;
  /** It found out, and must do nothing any more. */
  halted = false;
  #condemned = false;
  /** The hash of the log up to `lostUpTo`. */
  #lost = 0;
  /** The next index that the state machine will be given. */
  nextApplied: LogIndex = 1;
  /** The first entry that a write under way replaces; Infinity when none does. */
  firstUnderWay = Infinity;
  #notedCommit: LogIndex = 0;
  /** The newest complete snapshot file of the store that runs. */
  newestFile: () => SnapshotMeta | null = () => null;
  /** Ticks since it heard a leader; below `electionTicks` it sticks to that one. */
  ticksSilent = 0;
  electionTicks = 0;
  #config: RaftConfig | null = null;
  readonly #matches = new Matches();
  /** The configurations in the log that was handed over, and the one before it. */
  #configs: PlacedConfig[] = [];
  readonly #shadow: Shadow;
  /** How far the durable log reached by a write of each term, of late. */
  readonly #reached = new Map<Term, LogIndex>();
  /** Handed over, not called durable; in order. */
  #pending: Change[] = [];

  constructor(id: NodeId, shadow: Shadow) {
    this.id = id;
    this.#shadow = shadow;
  }

  /** Its disk has all that it ever confirmed. */
  get isWhole(): boolean {
    return !this.damaged && !this.lacksSome;
  }

  /** It has not got back, durably, all that its disk has lost; or other entries that were committed there. */
  get lacksSome(): boolean {
    const { lostUpTo: last, durable } = this;
    if (last === 0) return false;
    const hash = durable.chainAt(last);
    const back =
      hash !== undefined && [this.#lost, this.#shadow.committed.chainAt(last)].includes(hash);
    if (!back && durable.base <= last) return true;
    this.lostUpTo = 0;
    return false;
  }

  /** The newest configuration in the log that was handed over; null before there is any. */
  get configuration(): Configuration | null {
    return this.#configs[this.#configs.length - 1]?.config ?? null;
  }

  past(): DurablePast {
    return { log: this.durable.clone(), vote: this.vote };
  }

  /** Term and vote are still the same. */
  votesAsIn({ vote: { term, votedFor } }: DurablePast): boolean {
    return term === this.vote.term && votedFor === this.vote.votedFor;
  }

  /** Compared with then there are only entries more, and no configuration among them. */
  hasOnlyEntriesMore({ log }: DurablePast): boolean {
    const { durable } = this;
    const last = log.lastIndex;
    if (durable.lastIndex <= last || this.#configIndex > last) return false;
    const hash = durable.chainAt(last) ?? this.#shadow.committed.chainAt(last);
    return hash === log.chainAt(last);
  }

  /** The disk is as it was then: what became durable since is gone. */
  goBack({ log, vote }: DurablePast): void {
    this.lostUpTo = this.durable.lastIndex;
    this.#lost = this.durable.chainAt(this.lostUpTo)!;
    this.#condemned = false;
    this.durable = log.clone();
    this.vote = vote;
    this.#dropUnderWay();
    this.#shadow.spec.lost(this.id, log.lastIndex);
  }

  /** Effects left the core: its log now contains what they say. */
  ready(ready: Ready, commitIndex: LogIndex): void {
    const { entries, snapshot, committed } = ready;
    if (snapshot !== null) this.#installHanded(snapshot);
    if (entries.length > 0) this.#append(entries);
    if (commitIndex > this.#notedCommit) {
      this.#shadow.noteCommit(this, commitIndex);
      this.#notedCommit = commitIndex;
    }
    if (committed.length > 0) this.#checkCommitted(committed);
    this.#shadow.spec.applies(this.id, committed);
  }

  /** What the node's core calls with each Ready. */
  watchReady(shadow: Shadow): CoreWatch['ready'] {
    return (ready, commit, commitIndex) => {
      this.ready(ready, commitIndex);
      if (commit !== null) shadow.leaderCommitted(this, commit);
    };
  }

  /** A new core begins with what storage recovered and the state machine holds. */
  begins(config: RaftConfig, state: PersistentState, cursors: Cursors): void {
    const { judge, committed, spec } = this.#shadow;
    this.electionTicks = config.checkQuorum ? config.electionTicks : 0;
    this.#config = config;
    this.#configs = configsOf(state);
    this.nextApplied = cursors.appliedIndex + 1;
    this.#notedCommit = 0;
    this.isLeader = false;
    const recovery = { state, file: this.newestFile(), applied: cursors.appliedIndex };
    look(judge, 'A-31', this.id, recoveryFault(recovery, committed));
    if (state.entries.length > 0) judge.mark('recoveredLog');
    if (state.snapshot.last.index > 0) judge.mark('recoveredSnapshot');
    spec.begins(config, state, cursors.commitIndex);
  }

  /** Now and then: the whole state before and after a step. */
  sample(before: RaftReport, after: RaftReport): void {
    const { judge, spec } = this.#shadow;
    checkStep(judge, before, after);
    this.#checkConfig(after);
    if (this.#config !== null) look(judge, 'A-49', this.id, outgrown(after, this.#config));
    spec.look(after);
    if (after.role !== 'leader') return;
    const fault = this.#matches.fault(after, this, id => this.#shadow.node(id));
    look(judge, 'A-17', this.id, fault);
  }

  /** Storage takes a batch; the result is to be called when it says that the batch is durable. */
  handOver(batch: LogBatch): () => void {
    const { entries, hardState, snapshot } = batch;
    const change: Change = {
      vote: hardState === null ? null : voteOf(hardState),
      snapshot,
      snapshotHash: snapshot === null ? 0 : (this.#snapshotHash(snapshot) ?? 0),
      first: entries[0]?.index ?? 0,
      terms: entries.map(({ term }) => term),
      chains: entries.map(({ index }) => this.handed.chainAt(index) ?? 0),
    };
    const { term } = this;
    this.#pending.push(change);
    this.#noteUnderWay();
    this.#shadow.spec.handedOver(this.id, batch);
    return () => {
      if (this.#pending[0] !== change) {
        this.#shadow.judge.fail('A-27', this.id, 'storage completes its batches out of order');
        return;
      }
      this.#pending.shift();
      this.#noteUnderWay();
      this.#settle(change);
      this.#noteReached(term);
      this.#shadow.spec.durable(this.id);
    };
  }

  /**
   * Was the log durable up to here by a write of this term or a later one? One sync may take two
   * writes, the second of which drops entries for a newer leader; what the older one is told of them
   * is no less true, but late: until then every vote of this node was given with them in its log.
   */
  wasDurable(index: LogIndex, since: Term): boolean {
    for (const [term, reached] of this.#reached) if (term >= since && reached >= index) return true;
    return false;
  }

  /** What storage recovered after a restart, null: nothing. */
  recovered(state: PersistentState | null): void {
    const { judge } = this.#shadow;
    this.syncFailed = false;
    this.#reached.clear();
    judge.check('loss', this.id, !this.#condemned, () => {
      return `node ${this.id} opens its data again, which it has condemned`;
    });
    if (state === null) {
      judge.check('A-28', this.id, !this.bootstrapped, () => {
        return `node ${this.id} had a log and recovered none`;
      });
      this.#dropUnderWay();
      return;
    }
    const candidates = this.#candidates();
    const match = candidates.find(candidate => candidate.matches(state));
    judge.check(this.damaged ? 'A-30' : 'A-28', this.id, match !== undefined, () => {
      return `node ${this.id} recovered ${mismatch(state, candidates)}`;
    });
    this.#dropUnderWay();
    if (match === undefined) return;
    this.durable = match.log;
    this.vote = match.vote;
    this.handed = this.durable.clone();
    this.term = Math.max(this.vote.term, 0);
    this.commitIndex = 0;
    this.#shadow.voteDurable(this.id, this.vote.term, this.vote.votedFor);
  }

  /** The first state of a new node is durable. */
  didBootstrap(): void {
    this.bootstrapped = true;
  }

  /** It is durable that its data must not be used again. */
  didCondemn(): void {
    this.#condemned = true;
  }

  /** For an image of the disk as it is now: what a recovery of it must find; null when it does. */
  comparer(): (state: PersistentState | null) => string | null {
    const candidates = this.#candidates();
    const { bootstrapped } = this;
    return state => {
      if (state === null) return bootstrapped ? 'there is no log' : null;
      if (candidates.some(candidate => candidate.matches(state))) return null;
      return mismatch(state, candidates);
    };
  }

  /** The configuration in force must be the newest one in the log, when the log is all told. */
  #checkConfig({ last, configIndex }: RaftReport): void {
    const { handed } = this;
    if (last.index !== handed.lastIndex || last.term !== handed.lastTerm) return;
    this.#shadow.judge.check('config', this.id, configIndex === this.#configIndex, () => {
      const text = `node ${this.id} goes by the configuration of entry ${configIndex}`;
      return `${text}; the newest one in its log is that of ${this.#configIndex}`;
    });
  }

  get #configIndex(): LogIndex {
    return this.#configs[this.#configs.length - 1]?.index ?? 0;
  }

  #noteUnderWay(): void {
    let first = Infinity;
    for (const change of this.#pending) {
      if (change.terms.length > 0) first = Math.min(first, change.first);
    }
    this.firstUnderWay = first;
  }

  #dropUnderWay(): void {
    this.#pending = [];
    this.firstUnderWay = Infinity;
  }

  #append(entries: readonly Entry[]): void {
    const { handed } = this;
    const first = entries[0]!;
    const { judge } = this.#shadow;
    // As of the Ready before: what this one commits it may as well have replaced.
    judge.check('A-15', this.id, first.index > this.#notedCommit, () => {
      return `node ${this.id} overwrites entry ${first.index}, committed up to ${this.#notedCommit}`;
    });
    handed.truncate(first.index);
    while (this.#configIndex >= first.index) this.#configs.pop();
    if (first.index !== handed.lastIndex + 1) {
      judge.fail('A-09', this.id, `node ${this.id} leaves a hole before entry ${first.index}`);
      return;
    }
    let hash = handed.chainAt(handed.lastIndex)!;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      hash = chain(hash, entry);
      handed.push(entry.term, hash);
      this.#shadow.noteChain(this.id, entry.term, entry.index, hash);
      if (entry.kind === 'config') this.#appendConfig(entry);
    }
  }

  #appendConfig(entry: Entry): void {
    const before = this.#configIndex;
    const { judge } = this.#shadow;
    const old = this.#configs[this.#configs.length - 1]?.config;
    this.#configs.push({ index: entry.index, config: entry.config! });
    this.#shadow.noteConfig(entry);
    if (!this.isLeader || entry.term !== this.term) return;
    judge.check('A-19', this.id, this.handed.termAt(this.commitIndex) === this.term, () => {
      const text = `leader ${this.id} begins a membership change at entry ${entry.index}`;
      return `${text} before an entry of its term ${this.term} is committed`;
    });
    judge.check('A-18', this.id, before <= this.commitIndex, () => {
      const text = `leader ${this.id} begins a membership change at entry ${entry.index}`;
      return `${text}, while the one at ${before} is not committed`;
    });
    if (old === undefined) return;
    judge.check('A-18', this.id, quorumsMeet(old, entry.config!), () => {
      const text = `leader ${this.id} goes from ${describe(old)} to ${describe(entry.config!)}`;
      return `${text} at entry ${entry.index}: two quorums may decide without each other`;
    });
  }

  #installHanded(snapshot: SnapshotMeta): void {
    const { term, index } = snapshot.last;
    const hash = this.#snapshotHash(snapshot);
    this.#shadow.judge.check('A-11', this.id, hash !== null, () => {
      return `node ${this.id} installs a snapshot at ${index}/${term}, which was never committed`;
    });
    if (hash === null) return;
    // IS6: a log that has the snapshot's last entry keeps what follows it.
    if (this.handed.chainAt(index) !== hash) {
      this.handed.reset(index, term, hash);
      this.#configs = [{ index: snapshot.configIndex, config: snapshot.config }];
    }
    this.nextApplied = index + 1;
  }

  #snapshotHash({ last }: SnapshotMeta): number | null {
    const { committed } = this.#shadow;
    if (committed.termAt(last.index) !== last.term) return null;
    return committed.chainAt(last.index) ?? null;
  }

  #checkCommitted(entries: readonly Entry[]): void {
    const { judge } = this.#shadow;
    for (let i = 0; i < entries.length; i++) {
      const { index, term } = entries[i]!;
      judge.count('A-12');
      if (index !== this.nextApplied) {
        const text = `node ${this.id} is to apply entry ${index} after ${this.nextApplied - 1}`;
        judge.fail('A-12', this.id, text);
      }
      this.nextApplied = index + 1;
      if (this.#shadow.committed.termAt(index) !== term) {
        const text = `node ${this.id} is to apply entry ${index} of term ${term}`;
        judge.fail('A-12', this.id, `${text}, which is not committed`);
      }
    }
  }

  #noteReached(term: Term): void {
    const before = this.#reached.get(term) ?? 0;
    this.#reached.set(term, Math.max(before, this.durable.lastIndex));
    if (this.#reached.size > REACHED_TERMS_MAX)
      this.#reached.delete(Math.min(...this.#reached.keys()));
  }

  #settle(change: Change): void {
    applyChange(this.durable, change);
    if (change.vote === null) return;
    this.vote = change.vote;
    this.#shadow.voteDurable(this.id, change.vote.term, change.vote.votedFor);
  }

  /** The states that a crash may leave: after each number of the batches under way. */
  #candidates(): Candidate[] {
    let current = new Candidate(this.durable.clone(), this.vote);
    const candidates = [current];
    for (const change of this.#pending) {
      const log = current.log.clone();
      // A large batch can be cut in two, its hard state and snapshot first.
      applyChange(log, { ...change, terms: [], chains: [] });
      const vote = change.vote ?? current.vote;
      candidates.push(new Candidate(log.clone(), vote));
      applyChange(log, change);
      current = new Candidate(log, vote);
      candidates.push(current);
    }
    return candidates;
  }
}

function mismatch(state: PersistentState, candidates: readonly Candidate[]): string {
  const last = state.entries.at(-1) ?? state.snapshot.last;
  const { currentTerm, votedFor } = state.hardState;
  const found = `a log up to ${last.index}/${last.term}, term ${currentTerm}, vote ${votedFor}`;
  const wanted = candidates.map(candidate => candidate.text).join(', or ');
  return `${found}, instead of ${wanted} (index/term)`;
}

class Candidate {
  readonly log: ShadowLog;
  readonly vote: Vote;

  constructor(log: ShadowLog, vote: Vote) {
    this.log = log;
    this.vote = vote;
  }

  get text(): string {
    const { log, vote } = this;
    return `${log.lastIndex}/${log.lastTerm}, term ${vote.term}, vote ${vote.votedFor}`;
  }

  matches({ hardState, snapshot, entries }: PersistentState): boolean {
    const { log, vote } = this;
    if (hardState.currentTerm !== vote.term || hardState.votedFor !== vote.votedFor) return false;
    const last = entries.at(-1) ?? snapshot.last;
    if (last.index !== log.lastIndex || last.term !== log.lastTerm) return false;
    const first = entries[0];
    if (first === undefined) return true;
    let hash = log.chainAt(first.index - 1);
    if (hash === undefined) {
      // What lies before is compacted; the terms are all that can be compared.
      return entries.every(({ index, term }) => (log.termAt(index) ?? term) === term);
    }
    for (const entry of entries) hash = chain(hash, entry);
    return hash === log.chainAt(last.index);
  }
}

function applyChange(log: ShadowLog, change: Change): void {
  const { snapshot, snapshotHash, first, terms, chains } = change;
  if (snapshot !== null && log.chainAt(snapshot.last.index) !== snapshotHash) {
    log.reset(snapshot.last.index, snapshot.last.term, snapshotHash);
  }
  if (terms.length === 0) return;
  log.truncate(first);
  for (let i = 0; i < terms.length; i++) log.push(terms[i]!, chains[i]!);
}

function configsOf({ snapshot, entries }: PersistentState): PlacedConfig[] {
  const configs = [{ index: snapshot.configIndex, config: snapshot.config }];
  for (const { index, config } of entries) {
    if (config !== null && index > snapshot.last.index) configs.push({ index, config });
  }
  return configs;
}

function voteOf({ currentTerm, votedFor }: HardState): Vote {
  return { term: currentTerm, votedFor };
}

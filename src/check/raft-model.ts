// Raft as an executable specification: the actions of the TLA+ of Ongaro's dissertation (appendix B)
// as a judge of steps. It does not run a cluster. It is told what happened to a server and what the
// server became, takes the action itself on the state that it keeps for that server, and names the
// action that forbids the step if the two differ.
//
// It shares nothing with the implementation, so that one mistake cannot be made in both. Where an
// implementation takes several actions at once (count a vote, become leader, append a no-op, commit),
// the judge takes them one by one: UpdateTerm, the handler, BecomeLeader, ClientRequest,
// AdvanceCommitIndex. A step costs what it changes, so that every step of a simulation can be judged.
//
// Beyond the TLA+, each marked where it is dealt with:
//   [disk]      the log, term and vote become durable later; promises wait for that, crashes do not
//   [config]    every server decides by the newest configuration in its own log (chapter 4)
//   [ask]       a server asks before it raises its term: PreVote (9.6), except for TimeoutNow (3.10)
//   [down]      a leader or candidate may give up within its term (6.2, 4.2.2): state is only lost
//   [ignore]    a message may be ignored whole, as if it were lost (4.2.3)
//   [snapshot]  a committed prefix may arrive at once (Figure 13)
//   [loss]      a disk may go back in time (3.8): whoever is told of it stops, and nobody else does

import { appendFault, lossIn } from './raft-spec-append.ts';
import {
  isMember,
  isQuorum,
  isVoter,
  quorumsMeet,
  type ServerId,
  type SpecConfig,
  type SpecEntry,
  type SpecRecovered,
  type SpecSnapshot,
  sameConfig,
  sameEntry,
} from './raft-spec-log.ts';
import {
  describe,
  differences,
  isUpToDate,
  type Matches,
  mayChange,
  place,
  type Server,
  Servers,
} from './raft-spec-server.ts';
import {
  type Append,
  INSTALLED,
  isQuestion,
  keyOf,
  type Mail,
  type SpecMessage,
  type SpecState,
  type SpecViolation,
  type SpecWrite,
  type VoteReply,
  type VoteRequest,
} from './raft-spec-types.ts';

const NOTHING: readonly SpecEntry[] = [];

export class RaftModel {
  readonly #tell: (violation: SpecViolation) => void;
  readonly #servers = new Servers();
  /** Every message ever sent: the network may lose, delay and repeat, but not invent. */
  readonly #sent = new Set<number>();
  readonly #leaders = new Map<number, ServerId>();
  /** What is committed anywhere, and in which leader's term it came to be. */
  readonly #committed: SpecEntry[] = [];
  readonly #committedIn: number[] = [];

  /** `tell` hears of every step that is forbidden. */
  constructor(tell: (violation: SpecViolation) => void) {
    this.#tell = tell;
  }

  #forbid(s: Server, rule: string, message: string): void {
    this.#tell({ server: s.id, rule, message: `${rule} forbids that server ${s.id} ${message}` });
  }

  /** Restart(i), and Init for a server that has never written. */
  restart(id: ServerId, found: SpecRecovered, commitIndex: number, asks = true): void {
    const s = this.#servers.get(id);
    const known = Math.max(s.commitIndex, s.offered);
    s.asks = asks;
    // [disk]
    if (!s.disk.recover(found)) {
      return this.#forbid(s, 'Restart', `comes back with ${describe(found)}: not what it wrote`);
    }
    s.restart(found);
    if (commitIndex > known) this.#forbid(s, 'Restart', `learns that ${commitIndex} is committed`);
    this.#commit(s, commitIndex);
    const { last, config } = found.snapshot;
    if (!sameConfig(config, s.log.configAt(last.index))) {
      this.#forbid(s, 'Restart', `comes back with another configuration at ${place(last)}`);
    }
  }

  /** All that the server has decided goes to its disk [disk]. */
  write(id: ServerId, { hardState, entries, snapshot }: SpecWrite): void {
    const s = this.#servers.get(id);
    const term = hardState?.currentTerm ?? s.disk.newest.term;
    const votedFor = hardState?.votedFor ?? s.disk.newest.votedFor;
    if (term !== s.term || votedFor !== s.votedFor) {
      this.#forbid(s, 'Write', `stores term ${term} and vote ${votedFor}, in term ${s.term}`);
    }
    const prevIndex = s.log.lastIndex - entries.length;
    for (let i = 0; i < entries.length; i++) {
      const own = s.log.entries[prevIndex + i];
      if (own !== undefined && sameEntry(entries[i]!, own)) continue;
      return this.#forbid(s, 'Write', `stores another entry ${prevIndex + 1 + i} than it has`);
    }
    const prefix = snapshot === null ? null : this.#committed.slice(0, snapshot.last.index);
    const reaches = entries.length > 0 ? s.log.lastIndex : (prefix?.length ?? 0);
    s.disk.write({ term, votedFor, snapshot: prefix, prevIndex, entries, reaches });
  }

  /** Restart follows; what was durable after `last` is not any more [loss]. */
  lose(id: ServerId, last: number): void {
    this.#servers.get(id).disk.lose(last);
  }

  /** The oldest write of this server is durable. */
  written(id: ServerId): void {
    this.#servers.get(id).disk.complete();
  }

  // -------------------------------------------------------------------- steps

  /** Any step but the receipt of a message: a tick, a request of a client, a finished write. */
  step(id: ServerId, now: SpecState, appended: readonly SpecEntry[]): void {
    this.#internal(this.#servers.get(id), now, appended, false, 'a step of its own');
  }

  receive(id: ServerId, m: SpecMessage, now: SpecState, appended: readonly SpecEntry[]): void {
    const s = this.#servers.get(id);
    if (m.to !== id || !this.#sent.has(keyOf(m))) {
      this.#forbid(s, 'Receive', `receives ${m.kind} of ${m.from}, which was never sent to it`);
    }
    const loss = lossIn(s, m);
    if (loss !== null) this.#forbid(s, 'Halt', `${loss}, and does not stop`);
    this.#updateTerm(s, m, now);
    if (m.term === s.term || isQuestion(m)) this.#handle(s, m, now);
    this.#internal(s, now, appended, m.kind === 'timeoutNow' && m.term === s.term, m.kind);
  }

  /** At this message the server stops for good [loss]. */
  halt(id: ServerId, m: SpecMessage): void {
    const s = this.#servers.get(id);
    if (lossIn(s, m) === null) this.#forbid(s, 'Halt', 'stops, which has lost nothing');
  }

  /** UpdateTerm(i, j, m). A question about a term is not yet that term [ask]; [ignore]. */
  #updateTerm(s: Server, m: SpecMessage, now: SpecState): void {
    if (m.term <= s.term || now.term < m.term || isQuestion(m)) return;
    [s.role, s.term, s.votedFor] = ['follower', m.term, 0];
  }

  #handle(s: Server, m: SpecMessage, now: SpecState): void {
    switch (m.kind) {
      case 'voteRequest':
        return m.preVote ? this.#handleQuestion(s, m) : this.#handleRequestVoteRequest(s, m, now);
      case 'voteReply':
        return this.#handleRequestVoteResponse(s, m);
      case 'append':
        return this.#handleAppendEntriesRequest(s, m, now);
      case 'appendAccepted':
        return this.#handleAppendEntriesResponse(s, s.match, m.from, m.match);
      case 'snapshotReply':
        if (m.next !== INSTALLED) return;
        return this.#handleAppendEntriesResponse(s, s.installed, m.from, m.lastIndex);
      case 'snapshot':
        this.#followLeader(s, m);
        s.offered = Math.max(s.offered, m.meta.last.index);
    }
  }

  #handleRequestVoteRequest(s: Server, m: VoteRequest, now: SpecState): void {
    if (s.votedFor === m.from) return;
    const rule = 'HandleRequestVoteRequest';
    const free = s.votedFor === 0;
    const grant = free && isUpToDate(m.last, s.log);
    const granted = now.votedFor === m.from;
    if (granted && !free) this.#forbid(s, rule, `votes twice in term ${s.term}`);
    else if (granted && !grant) this.#forbid(s, rule, `votes for the log ${place(m.last)}`);
    else if (grant && !granted) this.#forbid(s, rule, `refuses ${m.from} its vote`);
    if (!granted) return;
    s.votedFor = m.from;
    s.votes.set(s.term, m.from);
  }

  /** Whether it would vote [ask], by its log as it is now. Nothing changes. */
  #handleQuestion(s: Server, m: VoteRequest): void {
    const free = m.term > s.term || s.votedFor === 0 || s.votedFor === m.from;
    if (m.term < s.term || !free || !isUpToDate(m.last, s.log)) return;
    s.promised.set(m.from, Math.max(m.term, s.promised.get(m.from) ?? 0));
  }

  /** A vote counts in its own term; the answer to a question [ask] speaks of the term to come. */
  #handleRequestVoteResponse(s: Server, m: VoteReply): void {
    const role = m.preVote ? 'preCandidate' : 'candidate';
    const isOfNow = m.term === (m.preVote ? s.term + 1 : s.term);
    if (m.granted && s.role === role && isOfNow) s.granted.add(m.from);
  }

  #followLeader(s: Server, m: Mail): void {
    if (s.role === 'leader') this.#forbid(s, 'ElectionSafety', `leads beside ${m.from}`);
    s.role = 'follower';
  }

  #handleAppendEntriesRequest(s: Server, m: Append, now: SpecState): void {
    this.#followLeader(s, m);
    const { log } = s;
    const { prev, entries } = m;
    if (log.termAt(prev.index) !== prev.term) return;
    let fresh = 0;
    while (fresh < entries.length && log.termAt(prev.index + 1 + fresh) === entries[fresh]!.term) {
      fresh += 1;
    }
    if (fresh < entries.length) {
      // [ignore] Entries may be left out, e.g. where prev is compacted; half of them may not.
      if (now.last.index !== prev.index + entries.length) return;
      if (now.last.term !== entries[entries.length - 1]!.term) return;
      for (let i = fresh; i < entries.length; i++) s.put(prev.index + 1 + i, entries[i]!);
    }
    const end = prev.index + entries.length;
    if (s.agreedTerm !== s.term) [s.agreedTerm, s.agreedIndex] = [s.term, 0];
    s.agreedIndex = Math.max(s.agreedIndex, end);
    // [ignore] The news of a commit may be left out, too.
    if (now.commitIndex > s.commitIndex && now.commitIndex === Math.min(m.leaderCommit, end)) {
      this.#commit(s, now.commitIndex);
    }
  }

  /** A server that is no member any more is not counted, also if it comes back [config]. */
  #handleAppendEntriesResponse(s: Server, known: Matches, from: ServerId, match: number): void {
    if (s.role !== 'leader' || match <= (known.get(from) ?? 0)) return;
    if (isMember(s.log.config, from)) known.set(from, match);
  }

  /** A snapshot up to `last` is complete and takes effect [snapshot]: the commits up to there arrive. */
  installSnapshot(id: ServerId, { last, config }: SpecSnapshot, now: SpecState): void {
    const s = this.#servers.get(id);
    if (now.commitIndex > s.commitIndex) {
      if (this.#committed[last.index - 1]?.term !== last.term) {
        this.#forbid(s, 'InstallSnapshot', `installs ${place(last)}, which is not committed`);
      }
      s.log.founding = config;
      for (let index = s.commitIndex + 1; index <= last.index; index++) {
        const entry = this.#committed[index - 1];
        // What follows an equal entry stays.
        if (entry !== undefined && s.log.termAt(index) !== entry.term) s.put(index, entry);
      }
      this.#commit(s, last.index);
      const known = sameConfig(config, s.log.configAt(last.index));
      if (!known) this.#forbid(s, 'InstallSnapshot', 'takes another configuration with it');
    }
    this.#internal(s, now, NOTHING, false, 'InstallSnapshot');
  }

  // -------------------------------------------------------------------- what a server does by itself

  /** From the handled state to the one reported. */
  #internal(
    s: Server,
    now: SpecState,
    appended: readonly SpecEntry[],
    handedOver: boolean,
    name: string,
  ): void {
    // [down]; before it asks anew, a candidate gives up.
    if (now.role === 'preCandidate' && s.role !== now.role && s.role !== 'leader') this.#ask(s);
    if (now.term > s.term) this.#timeout(s, handedOver);
    if (now.role === 'leader' && s.role === 'candidate') this.#becomeLeader(s);
    for (const entry of appended) {
      // A change of the configuration may wait for this very commit.
      if (entry.config !== null && !mayChange(s)) this.#advanceCommitIndex(s, now.commitIndex);
      this.#clientRequest(s, entry);
    }
    if (now.commitIndex > s.commitIndex) this.#advanceCommitIndex(s, now.commitIndex);
    // [down]
    if (now.role === 'follower') s.role = 'follower';
    this.#compare(s, now, name);
  }

  #compare(s: Server, now: SpecState, name: string): void {
    const { disk } = s;
    for (const difference of differences(s, now)) this.#forbid(s, name, difference);
    if (now.stableIndex > disk.durableIndex) {
      const text = `takes entry ${now.stableIndex} for durable`;
      this.#forbid(s, 'Write', `${text}; the disk has ${disk.durableIndex}`);
    }
  }

  /** [ask] */
  #ask(s: Server): void {
    s.role = 'preCandidate';
    s.granted.clear();
    s.granted.add(s.id);
  }

  /** Timeout(i) */
  #timeout(s: Server, handedOver: boolean): void {
    const rule = 'Timeout';
    if (s.role === 'leader') this.#forbid(s, rule, 'campaigns as a leader');
    // [config]: a removal that is not committed may need its vote (4.2.2).
    const knows = isVoter(s.log.config, s.id) || isVoter(s.log.configAt(s.commitIndex), s.id);
    if (!knows) this.#forbid(s, rule, 'campaigns, which has no vote');
    if (s.asks && !handedOver) {
      if (s.role !== 'preCandidate') this.#ask(s);
      const may = isQuorum(s.log.config, server => s.granted.has(server));
      if (!may) this.#forbid(s, rule, `begins term ${s.term + 1}: ${[...s.granted]} would vote`);
    }
    [s.role, s.term, s.votedFor] = ['candidate', s.term + 1, s.id];
    s.granted.clear();
    s.votes.set(s.term, s.id);
    const last = { term: s.log.lastTerm, index: s.log.lastIndex };
    s.campaigns.set(s.term, { last, write: s.disk.handed + 1 });
  }

  #becomeLeader(s: Server): void {
    // [disk]: the own vote counts once it is durable.
    const { disk, term } = s;
    if (disk.term === term && disk.votedFor === s.id) s.granted.add(s.id);
    if (!isQuorum(s.log.config, server => s.granted.has(server))) {
      this.#forbid(s, 'BecomeLeader', `leads term ${term} with the votes of ${[...s.granted]}`);
    }
    const other = this.#leaders.get(term) ?? s.id;
    if (other !== s.id) this.#forbid(s, 'ElectionSafety', `leads term ${term} as ${other} does`);
    this.#leaders.set(term, s.id);
    // A leader that learns of its votes late need not have what later ones committed meanwhile.
    for (let index = 1; index <= this.#committed.length; index++) {
      if (this.#committedIn[index - 1]! >= term) break;
      const own = s.log.entries[index - 1];
      if (own !== undefined && sameEntry(own, this.#committed[index - 1]!)) continue;
      this.#forbid(s, 'LeaderCompleteness', `leads term ${term} without entry ${index}`);
      break;
    }
    s.role = 'leader';
    s.forgetMatches();
  }

  /** What a leader itself takes for the match of another: no more than was acknowledged. */
  matchIndex(id: ServerId, other: ServerId, match: number): void {
    const s = this.#servers.get(id);
    const known = s.matchOf(other);
    if (s.role !== 'leader' || match <= known) return;
    const text = `takes ${match} for the match of ${other}, which acknowledged ${known}`;
    this.#forbid(s, 'HandleAppendEntriesResponse', text);
  }

  /** What a server itself takes for the configuration in force. */
  configuration(id: ServerId, config: SpecConfig): void {
    const s = this.#servers.get(id);
    if (sameConfig(config, s.log.config)) return;
    this.#forbid(s, 'Quorum', 'decides by another configuration than the newest in its log');
  }

  /** ClientRequest(i, v); a configuration [config] only after the one before, in an own commit. */
  #clientRequest(s: Server, entry: SpecEntry): void {
    const rule = 'ClientRequest';
    const { log } = s;
    const index = log.lastIndex + 1;
    if (s.role !== 'leader') this.#forbid(s, rule, `appends entry ${index} as a ${s.role}`);
    if (entry.term !== s.term) this.#forbid(s, rule, `appends entry ${index} of ${entry.term}`);
    if (entry.config !== null) {
      const change = `changes the configuration at ${index}`;
      if (!mayChange(s)) this.#forbid(s, rule, `${change} before the last one has settled`);
      const meet = quorumsMeet(log.config, entry.config);
      if (!meet) this.#forbid(s, rule, `${change} to one whose quorums need not meet the old ones`);
    }
    log.push(entry);
    if (entry.config === null) return;
    s.forgetMatches(other => isMember(log.config, other));
  }

  /** AdvanceCommitIndex(i) */
  #advanceCommitIndex(s: Server, to: number): void {
    const rule = 'AdvanceCommitIndex';
    if (to <= s.commitIndex) return;
    if (s.role !== 'leader') return this.#forbid(s, rule, `commits ${to} as a ${s.role}`);
    const { log } = s;
    // [disk]: the own copy counts as far as it is durable.
    const match = (id: ServerId) => (id === s.id ? s.disk.durableIndex : s.matchOf(id));
    const holds = (id: ServerId) => match(id) >= to;
    if (!isQuorum(log.config, holds)) this.#forbid(s, rule, `commits ${to}, which no quorum holds`);
    if (log.termAt(to) !== s.term) {
      this.#forbid(s, rule, `commits ${to} of term ${log.termAt(to)} by counting`);
    }
    this.#commit(s, to);
  }

  /** StateMachineSafety: what is committed anywhere is committed everywhere, for ever. */
  #commit(s: Server, to: number): void {
    const rule = 'StateMachineSafety';
    for (let index = s.commitIndex + 1; index <= to; index++) {
      const own = s.log.entries[index - 1];
      if (own === undefined) return this.#forbid(s, rule, `commits ${index}, which it lacks`);
      if (index > this.#committed.length) {
        this.#committed.push(own);
        this.#committedIn.push(s.term);
      } else if (!sameEntry(own, this.#committed[index - 1]!)) {
        this.#forbid(s, rule, `commits another entry at ${index}`);
      }
    }
    s.commitIndex = to;
  }

  /** These entries are given to the state machine: committed ones, and durable here [disk]. */
  apply(id: ServerId, first: number, entries: readonly SpecEntry[]): void {
    const s = this.#servers.get(id);
    const last = first + entries.length - 1;
    const done = last <= s.commitIndex && last <= s.disk.durableIndex;
    if (!done) this.#forbid(s, 'Apply', `applies entry ${last}, committed to ${s.commitIndex}`);
    for (let i = 0; i < entries.length; i++) {
      const own = this.#committed[first + i - 1];
      if (own === undefined || !sameEntry(own, entries[i]!)) {
        return this.#forbid(s, 'Apply', `applies another entry at ${first + i}`);
      }
    }
  }

  // -------------------------------------------------------------------- messages

  /** A message leaves. Its server may have gone on since it was made: it is judged by what it was. */
  send(m: SpecMessage): void {
    const s = this.#servers.get(m.from);
    this.#sent.add(keyOf(m));
    switch (m.kind) {
      case 'voteRequest':
        return m.preVote ? undefined : this.#sendRequestVote(s, m);
      case 'voteReply':
        return m.preVote ? this.#sendAnswer(s, m) : this.#sendVote(s, m);
      case 'append':
        return this.#sendAppendEntries(s, m);
      case 'appendRejected':
        return this.#sendTerm(s, m.term);
      case 'appendAccepted':
        return this.#sendAcknowledgement(s, m.term, m.match);
      case 'snapshotReply':
        if (m.next === INSTALLED) this.#sendAcknowledgement(s, m.term, m.lastIndex);
        return;
      case 'snapshot': {
        const { last } = m.meta;
        const done = last.index <= s.commitIndex && s.log.termAt(last.index) === last.term;
        if (!done) this.#forbid(s, 'SendSnapshot', `sends ${place(last)}, which is not committed`);
      }
    }
  }

  /** RequestVote(i, j) [disk]: it speaks of a log and a term that a crash must not take back. */
  #sendRequestVote(s: Server, m: VoteRequest): void {
    const campaign = s.campaigns.get(m.term);
    const rule = 'RequestVote';
    if (campaign === undefined) return this.#forbid(s, rule, `asks for votes in ${m.term}`);
    const { last, write } = campaign;
    const own = last.index === m.last.index && last.term === m.last.term;
    if (!own) this.#forbid(s, rule, `describes its log ${place(last)} as ${place(m.last)}`);
    if (s.disk.done < write) this.#forbid(s, rule, `asks before term ${m.term} is durable`);
  }

  /** [ask] */
  #sendAnswer(s: Server, m: VoteReply): void {
    if (!m.granted || (s.promised.get(m.to) ?? 0) >= m.term) return;
    this.#forbid(s, 'HandleRequestVoteRequest', `says that it would vote for ${m.to}`);
  }

  /** A vote leaves once it is durable [disk]; so does a later term, after which it is given for good. */
  #sendVote(s: Server, m: VoteReply): void {
    const rule = 'HandleRequestVoteRequest';
    const { disk } = s;
    this.#sendTerm(s, m.term);
    if (!m.granted) return;
    if (s.votes.get(m.term) !== m.to) this.#forbid(s, rule, `has no vote for ${m.to} to tell of`);
    const durable = disk.term > m.term || disk.votedFor === m.to;
    if (!durable) this.#forbid(s, rule, `tells ${m.to} of its vote before it is durable`);
  }

  /** AppendEntries(i, j) */
  #sendAppendEntries(s: Server, m: Append): void {
    const fault = appendFault(s, m, this.#leaders.get(m.term) === s.id);
    if (fault !== null) this.#forbid(s, 'AppendEntries', fault);
  }

  /** What is acknowledged was compared in that term, or is committed; and it is durable [disk]. */
  #sendAcknowledgement(s: Server, term: number, match: number): void {
    const rule = 'HandleAppendEntriesRequest';
    this.#sendTerm(s, term);
    // An answer to an older leader was good when it was made.
    if (term < s.agreedTerm) return;
    const agreed = Math.max(s.commitIndex, term === s.agreedTerm ? s.agreedIndex : 0);
    if (match > agreed) this.#forbid(s, rule, `acknowledges ${match}, compared are ${agreed}`);
    const durable = term < s.term || match <= s.disk.durableIndex;
    if (!durable) this.#forbid(s, rule, `acknowledges ${match} before it is durable`);
  }

  /** No answer tells of a term that a crash could take back [disk]. */
  #sendTerm(s: Server, term: number): void {
    if (term > s.disk.term) this.#forbid(s, 'Send', `speaks of term ${term} before it is durable`);
  }
}

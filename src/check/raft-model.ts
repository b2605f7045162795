// Raft as an executable specification: the actions of the TLA+ of Ongaro's dissertation
// (appendix B) as a judge of steps. It does not run a cluster; it is told what each server was,
// what happened to it, what it became and what it sent, and names the action that forbids it.
//
// It shares nothing with the implementation, so that one mistake cannot be made in both. Where an
// implementation takes several actions at once (count a vote, become leader, append a no-op,
// commit), the judge takes them one by one: UpdateTerm, the handler, BecomeLeader,
// ClientRequest, AdvanceCommitIndex.

export type ServerId = number | string;

/** `value` stands for the command; equal values are equal commands. */
export interface SpecEntry {
  readonly term: number;
  readonly value: string;
}

export interface SpecLog {
  /** The last entry that is no longer kept, 0 and 0 if all are. */
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly SpecEntry[];
}

export interface SpecServer {
  readonly state: 'follower' | 'candidate' | 'leader';
  readonly currentTerm: number;
  readonly votedFor: ServerId | null;
  readonly log: SpecLog;
  readonly commitIndex: number;
  /** Candidates: who granted a vote, itself among them. Otherwise ignored. */
  readonly votesGranted: ReadonlySet<ServerId>;
  /** Leaders: the other servers' match, by id. Otherwise ignored. */
  readonly matchIndex: ReadonlyMap<ServerId, number>;
}

interface Mail {
  readonly from: ServerId;
  readonly to: ServerId;
  readonly term: number;
}

export type SpecMessage = Mail &
  (
    | { readonly kind: 'requestVote'; readonly lastTerm: number; readonly lastIndex: number }
    | { readonly kind: 'voteReply'; readonly granted: boolean }
    | {
        readonly kind: 'append';
        readonly prevIndex: number;
        readonly prevTerm: number;
        readonly entries: readonly SpecEntry[];
        readonly commitIndex: number;
      }
    | { readonly kind: 'appendReply'; readonly success: boolean; readonly matchIndex: number }
    | { readonly kind: 'snapshot'; readonly lastIndex: number; readonly lastTerm: number }
  );

export type SpecEvent =
  | { readonly kind: 'restart' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'clientRequest' }
  | { readonly kind: 'receive'; readonly message: SpecMessage }
  /** Anything else: a heartbeat, a compaction, a tick without effect. */
  | { readonly kind: 'idle' };

export interface SpecViolation {
  /** The action of the specification, or the safety property, that forbids the step. */
  readonly rule: string;
  readonly message: string;
}

/** Whether these servers are enough to decide, in the configuration the server then uses. */
export type IsQuorum = (servers: ReadonlySet<ServerId>, by: ServerId) => boolean;

export const NEW_SERVER: SpecServer = {
  state: 'follower',
  currentTerm: 0,
  votedFor: null,
  log: { base: { index: 0, term: 0 }, entries: [] },
  commitIndex: 0,
  votesGranted: new Set(),
  matchIndex: new Map(),
};

/** A majority of a fixed set of voters. */
export function majorityOf(voters: readonly ServerId[]): IsQuorum {
  return servers => voters.filter(v => servers.has(v)).length * 2 > voters.length;
}

export function lastIndexOf(log: SpecLog): number {
  return log.base.index + log.entries.length;
}

/** 0 at index 0, undefined where the log has no entry or keeps none. */
export function termAt(log: SpecLog, index: number): number | undefined {
  if (index === log.base.index) return log.base.term;
  return log.entries[index - log.base.index - 1]?.term;
}

export class RaftModel {
  readonly #isQuorum: IsQuorum;
  readonly #servers = new Map<ServerId, SpecServer>();
  /** Every message ever sent: the network may lose, delay and repeat, but not invent. */
  readonly #sent = new Set<string>();
  readonly #leaders = new Map<number, ServerId>();
  readonly #committed: SpecEntry[] = [];
  /** How much of each server's log it has answered for: this much must survive a restart. */
  readonly #answered = new Map<ServerId, number>();
  #violations: SpecViolation[] = [];

  constructor(isQuorum: IsQuorum) {
    this.#isQuorum = isQuorum;
  }

  server(id: ServerId): SpecServer {
    return this.#servers.get(id) ?? NEW_SERVER;
  }

  /** Judges one step of one server; the step becomes history even if it is forbidden. */
  step(
    id: ServerId,
    event: SpecEvent,
    after: SpecServer,
    sent: readonly SpecMessage[] = [],
  ): SpecViolation[] {
    this.#violations = [];
    const before = this.server(id);
    if (event.kind === 'receive') this.#expectSent(id, event.message);
    const handled = this.#handle(id, before, event, after);
    this.#internal(id, handled, event, after);
    for (const message of sent) this.#send(id, before, event, after, message);
    const forward = event.kind === 'restart' || after.commitIndex >= before.commitIndex;
    this.#require(forward, 'AdvanceCommitIndex', `commitIndex fell to ${after.commitIndex}`);
    this.#servers.set(id, after);
    this.#commit(id, before, after);
    this.#answers(id, before, after, sent);
    return this.#violations;
  }

  #require(condition: boolean, rule: string, message: string): void {
    if (!condition) this.#violations.push({ rule, message });
  }

  #expectSent(id: ServerId, message: SpecMessage): void {
    this.#require(message.to === id, 'Receive', `a message to ${message.to} reached ${id}`);
    const known = this.#sent.has(JSON.stringify(message));
    this.#require(known, 'Receive', `${message.kind} from ${message.from} was never sent`);
  }

  /** The state the event's own action must lead to, before any internal action. */
  #handle(id: ServerId, before: SpecServer, event: SpecEvent, after: SpecServer): SpecServer {
    switch (event.kind) {
      case 'restart':
        return this.#restart(id, before, after);
      case 'timeout':
        return this.#timeout(id, before, after);
      case 'receive':
        return this.#receive(id, before, event.message, after);
      case 'clientRequest':
      case 'idle':
        // A leader that cannot reach a quorum may step down: harmless, as a timeout of its own.
        return before.state !== 'follower' && after.state === 'follower'
          ? { ...before, state: 'follower' }
          : before;
    }
  }

  // Restart(i). Beyond the TLA+, entries nobody was told of may be lost; the term and the vote are
  // to be reported as they are once durable, and are not.
  #restart(id: ServerId, before: SpecServer, after: SpecServer): SpecServer {
    const { base, entries } = before.log;
    const end = Math.min(lastIndexOf(before.log), lastIndexOf(after.log));
    const answered = this.#answered.get(id) ?? 0;
    this.#require(end >= answered, 'Restart', `entries up to ${answered} were acknowledged`);
    const log = { base, entries: entries.slice(0, Math.max(0, end - base.index)) };
    const commitIndex = Math.min(before.commitIndex, after.commitIndex);
    return { ...before, state: 'follower', log, commitIndex };
  }

  // Timeout(i): a new term, a vote for oneself, nobody else's yet.
  #timeout(id: ServerId, before: SpecServer, after: SpecServer): SpecServer {
    if (after.currentTerm === before.currentTerm) return before;
    this.#require(before.state !== 'leader', 'Timeout', 'a leader does not campaign');
    return {
      ...before,
      state: 'candidate',
      currentTerm: before.currentTerm + 1,
      votedFor: id,
      votesGranted: new Set([id]),
      matchIndex: new Map(),
    };
  }

  #receive(id: ServerId, before: SpecServer, message: SpecMessage, after: SpecServer): SpecServer {
    // UpdateTerm(i, j, m); a server may also ignore a vote request (dissertation, 4.2.3).
    const ignored = message.kind === 'requestVote' && after.currentTerm === before.currentTerm;
    const server: SpecServer =
      message.term > before.currentTerm && !ignored
        ? { ...before, state: 'follower', currentTerm: message.term, votedFor: null }
        : before;
    if (message.term !== server.currentTerm) return server;
    switch (message.kind) {
      case 'requestVote':
        return this.#voteRequested(server, message, after);
      case 'voteReply':
        return message.granted && server.state === 'candidate'
          ? { ...server, votesGranted: new Set([...server.votesGranted, message.from]) }
          : server;
      case 'append':
        return this.#appendRequested(server, message, after);
      case 'appendReply':
        return this.#appendAnswered(server, message, after);
      case 'snapshot':
        return this.#snapshotReceived(id, server, message, after);
    }
  }

  // HandleRequestVoteRequest(i, j, m)
  #voteRequested(
    server: SpecServer,
    message: SpecMessage & { kind: 'requestVote' },
    after: SpecServer,
  ): SpecServer {
    if (after.votedFor !== message.from || server.votedFor === message.from) return server;
    const rule = 'HandleRequestVoteRequest';
    this.#require(server.votedFor === null, rule, `a second vote in term ${server.currentTerm}`);
    this.#require(server.state === 'follower', rule, 'only a follower gives its vote away');
    this.#require(upToDate(message, server.log), rule, 'a vote for a log that is behind');
    return { ...server, votedFor: message.from };
  }

  // HandleAppendEntriesRequest(i, j, m)
  #appendRequested(
    server: SpecServer,
    message: SpecMessage & { kind: 'append' },
    after: SpecServer,
  ): SpecServer {
    const rule = 'HandleAppendEntriesRequest';
    this.#require(server.state !== 'leader', rule, `two leaders in term ${server.currentTerm}`);
    const follower: SpecServer = { ...server, state: 'follower' };
    const { prevIndex, prevTerm, entries } = message;
    const compacted = prevIndex < server.log.base.index;
    if (!compacted && termAt(server.log, prevIndex) !== prevTerm) return follower;
    const last = prevIndex + entries.length;
    const commitIndex = Math.max(server.commitIndex, Math.min(message.commitIndex, last));
    const log = appended(server.log, prevIndex, entries);
    // An implementation may refuse what it could take, and may learn of commits later.
    if (sameLog(after.log, server.log)) {
      return { ...follower, commitIndex: Math.min(commitIndex, lastIndexOf(server.log)) };
    }
    return { ...follower, log, commitIndex };
  }

  // HandleAppendEntriesResponse(i, j, m)
  #appendAnswered(
    server: SpecServer,
    message: SpecMessage & { kind: 'appendReply' },
    after: SpecServer,
  ): SpecServer {
    if (server.state !== 'leader' || !message.success) return server;
    const old = server.matchIndex.get(message.from) ?? 0;
    const now = after.matchIndex.get(message.from) ?? 0;
    if (now === old) return server;
    const match = Math.max(old, message.matchIndex);
    return { ...server, matchIndex: new Map([...server.matchIndex, [message.from, match]]) };
  }

  // Figure 13: the committed prefix arrives whole.
  #snapshotReceived(
    _id: ServerId,
    server: SpecServer,
    message: SpecMessage & { kind: 'snapshot' },
    after: SpecServer,
  ): SpecServer {
    const follower: SpecServer = { ...server, state: 'follower' };
    if (after.log.base.index !== message.lastIndex || sameLog(after.log, server.log))
      return follower;
    const base = { index: message.lastIndex, term: message.lastTerm };
    const keeps = termAt(server.log, base.index) === base.term;
    const entries = keeps ? server.log.entries.slice(base.index - server.log.base.index) : [];
    const commitIndex = Math.max(server.commitIndex, base.index);
    return { ...follower, log: { base, entries }, commitIndex };
  }

  /** From the handled state to the one reported, by the actions a server takes on its own. */
  #internal(id: ServerId, handled: SpecServer, event: SpecEvent, after: SpecServer): void {
    let server = handled;
    if (after.state === 'leader' && server.state === 'candidate') {
      server = this.#becomeLeader(id, server);
    }
    const name = event.kind === 'receive' ? `receiving ${event.message.kind}` : event.kind;
    this.#same(server.state, after.state, name, 'state');
    this.#same(server.currentTerm, after.currentTerm, name, 'currentTerm');
    this.#same(server.votedFor, after.votedFor, name, 'votedFor');
    const lost = missingVotes(after.votesGranted, server.votesGranted);
    const counts = after.state === 'candidate' && lost.length > 0;
    this.#require(!counts, name, `votes counted that were not given: ${lost.join(', ')}`);
    if (after.state === 'leader') this.#matches(id, server, after);
    this.#logChange(server, after, name);
    this.#commitChange(id, server, after);
  }

  // BecomeLeader(i)
  #becomeLeader(id: ServerId, server: SpecServer): SpecServer {
    const votes = this.#isQuorum(server.votesGranted, id);
    this.#require(votes, 'BecomeLeader', `${id} has no quorum in term ${server.currentTerm}`);
    const other = this.#leaders.get(server.currentTerm) ?? id;
    this.#require(other === id, 'ElectionSafety', `${other} leads term ${server.currentTerm} too`);
    this.#leaders.set(server.currentTerm, id);
    for (let index = server.log.base.index + 1; index <= this.#committed.length; index++) {
      const entry = server.log.entries[index - server.log.base.index - 1];
      const held = entry !== undefined && sameEntry(entry, this.#committed[index - 1]!);
      if (held || this.#committed[index - 1] === undefined) continue;
      this.#require(false, 'LeaderCompleteness', `leader ${id} lacks committed entry ${index}`);
      break;
    }
    return { ...server, state: 'leader', matchIndex: new Map() };
  }

  #matches(id: ServerId, server: SpecServer, after: SpecServer): void {
    for (const [other, match] of after.matchIndex) {
      if (other === id) continue;
      const allowed = server.matchIndex.get(other) ?? 0;
      const message = `matchIndex of ${other} is ${match}, acknowledged is ${allowed}`;
      this.#require(match <= allowed, 'HandleAppendEntriesResponse', message);
    }
  }

  // ClientRequest(i, v): a leader appends entries of its term; nobody else changes the log.
  #logChange(server: SpecServer, after: SpecServer, name: string): void {
    const from = lastIndexOf(server.log);
    const kept = sameUpTo(server.log, after.log, Math.min(from, lastIndexOf(after.log)));
    this.#require(kept, name, 'the log changed where it must not');
    const shorter = lastIndexOf(after.log) < from;
    this.#require(!shorter, name, `the log lost entries: it ended at ${from}`);
    for (let index = from + 1; index <= lastIndexOf(after.log); index++) {
      const own = after.state === 'leader' && termAt(after.log, index) === after.currentTerm;
      this.#require(own, 'ClientRequest', `entry ${index} was appended by no leader of its term`);
    }
    const compacts = after.log.base.index > after.commitIndex;
    this.#require(!compacts, 'Compact', `entry ${after.log.base.index} is gone but not committed`);
  }

  // AdvanceCommitIndex(i)
  #commitChange(id: ServerId, server: SpecServer, after: SpecServer): void {
    const rule = 'AdvanceCommitIndex';
    if (after.commitIndex <= server.commitIndex) return;
    const index = after.commitIndex;
    if (after.state !== 'leader') {
      this.#require(false, rule, `a ${after.state} commits ${index} on its own`);
      return;
    }
    const agree = new Set<ServerId>([id]);
    for (const [other, match] of after.matchIndex) if (match >= index) agree.add(other);
    this.#require(this.#isQuorum(agree, id), rule, `no quorum holds entry ${index}`);
    const own = termAt(after.log, index) === after.currentTerm;
    this.#require(own, rule, `entry ${index} is of term ${termAt(after.log, index)}`);
  }

  #send(
    id: ServerId,
    before: SpecServer,
    event: SpecEvent,
    after: SpecServer,
    message: SpecMessage,
  ): void {
    this.#sent.add(JSON.stringify(message));
    this.#require(message.from === id, 'Send', `${id} sends in the name of ${message.from}`);
    const { term } = message;
    const isCurrent = term === after.currentTerm || term === before.currentTerm;
    this.#require(isCurrent, 'Send', `${message.kind} of term ${term}`);
    switch (message.kind) {
      case 'requestVote': {
        this.#require(after.state !== 'follower', 'RequestVote', 'a follower asks for votes');
        const { log } = before;
        const own = message.lastIndex === lastIndexOf(log) && message.lastTerm === lastTerm(log);
        this.#require(own, 'RequestVote', 'the request does not describe the log');
        return;
      }
      case 'voteReply': {
        const given =
          !message.granted || (after.votedFor === message.to && term === after.currentTerm);
        this.#require(given, 'HandleRequestVoteRequest', `a vote for ${message.to} not recorded`);
        return;
      }
      case 'append':
        return this.#sendAppend(after, message);
      case 'appendReply': {
        const held = !message.success || message.matchIndex <= lastIndexOf(after.log);
        this.#require(held, 'HandleAppendEntriesRequest', 'an entry acknowledged but not held');
        const asked =
          event.kind !== 'receive' || event.message.kind !== 'append' || !message.success
            ? true
            : message.matchIndex <= event.message.prevIndex + event.message.entries.length;
        this.#require(asked, 'HandleAppendEntriesRequest', 'more acknowledged than was compared');
        return;
      }
      case 'snapshot': {
        const done = message.lastIndex <= after.commitIndex;
        this.#require(done, 'InstallSnapshot', 'a snapshot of what is not committed');
      }
    }
  }

  // AppendEntries(i, j)
  #sendAppend(after: SpecServer, message: SpecMessage & { kind: 'append' }): void {
    const rule = 'AppendEntries';
    this.#require(after.state === 'leader', rule, `sent by a ${after.state}`);
    const { log } = after;
    this.#require(termAt(log, message.prevIndex) === message.prevTerm, rule, 'a wrong prevTerm');
    for (let i = 0; i < message.entries.length; i++) {
      const own = log.entries[message.prevIndex + i - log.base.index];
      const same = own !== undefined && sameEntry(own, message.entries[i]!);
      this.#require(same, rule, `entry ${message.prevIndex + 1 + i} is not in the leader's log`);
    }
    this.#require(message.commitIndex <= after.commitIndex, rule, 'a commit that is not known');
  }

  // StateMachineSafety: what is committed anywhere is committed everywhere, for ever.
  #commit(id: ServerId, before: SpecServer, after: SpecServer): void {
    const from = Math.max(Math.min(before.commitIndex, after.commitIndex), after.log.base.index);
    for (let index = from + 1; index <= after.commitIndex; index++) {
      const entry = after.log.entries[index - after.log.base.index - 1];
      if (entry === undefined) {
        this.#require(false, 'StateMachineSafety', `${id} commits ${index}, which it lacks`);
        return;
      }
      this.#committed[index - 1] ??= entry;
      const same = sameEntry(entry, this.#committed[index - 1]!);
      this.#require(same, 'StateMachineSafety', `${id} commits another entry at ${index}`);
    }
  }

  #answers(
    id: ServerId,
    before: SpecServer,
    after: SpecServer,
    sent: readonly SpecMessage[],
  ): void {
    let answered = this.#answered.get(id) ?? 0;
    // What a newer leader replaced is not owed to anybody any more.
    while (answered > after.log.base.index) {
      if (termAt(before.log, answered) === termAt(after.log, answered)) break;
      answered -= 1;
    }
    for (const message of sent) {
      if (message.kind !== 'appendReply' || !message.success) continue;
      answered = Math.max(answered, message.matchIndex);
    }
    // A leader's own entry counts as acknowledged once it counts for a commit.
    this.#answered.set(id, Math.max(answered, after.commitIndex));
  }

  #same(expected: unknown, actual: unknown, rule: string, name: string): void {
    this.#require(expected === actual, rule, `${name} is ${actual}, allowed is ${expected}`);
  }
}

function lastTerm(log: SpecLog): number {
  return termAt(log, lastIndexOf(log)) ?? 0;
}

function upToDate(message: SpecMessage & { kind: 'requestVote' }, log: SpecLog): boolean {
  if (message.lastTerm !== lastTerm(log)) return message.lastTerm > lastTerm(log);
  return message.lastIndex >= lastIndexOf(log);
}

/** Conflicting entries and all after them go; entries already there stay, with what follows. */
function appended(log: SpecLog, prevIndex: number, entries: readonly SpecEntry[]): SpecLog {
  for (let i = 0; i < entries.length; i++) {
    const index = prevIndex + 1 + i;
    if (index <= log.base.index || termAt(log, index) === entries[i]!.term) continue;
    const kept = log.entries.slice(0, index - log.base.index - 1);
    return { base: log.base, entries: [...kept, ...entries.slice(i)] };
  }
  return log;
}

function sameLog(a: SpecLog, b: SpecLog): boolean {
  return lastIndexOf(a) === lastIndexOf(b) && sameUpTo(a, b, lastIndexOf(a));
}

/** Whether both hold the same entries up to an index, as far as both keep them. */
function sameUpTo(a: SpecLog, b: SpecLog, index: number): boolean {
  for (let i = Math.max(a.base.index, b.base.index) + 1; i <= index; i++) {
    const x = a.entries[i - a.base.index - 1];
    const y = b.entries[i - b.base.index - 1];
    if (x === undefined || y === undefined || !sameEntry(x, y)) return false;
  }
  return true;
}

function sameEntry(a: SpecEntry, b: SpecEntry): boolean {
  return a.term === b.term && a.value === b.value;
}

function missingVotes(counted: ReadonlySet<ServerId>, given: ReadonlySet<ServerId>): ServerId[] {
  return [...counted].filter(server => !given.has(server));
}

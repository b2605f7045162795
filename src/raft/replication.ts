// AppendEntries on both sides, flow control, and the commit rule (§5.3, §5.4.2).

import { assert } from './assert.ts';
import type { Core, LeaderRole } from './core.ts';
import { entryBytes } from './log.ts';
import type { AppendAccepted, AppendRejected, AppendRequest } from './messages.ts';
import { Progress } from './progress.ts';
import { membersOf, quorumIndex } from './quorum.ts';
import { requestSnapshotRead } from './snapshot.ts';
import type {
  Configuration,
  Entry,
  EntryKind,
  LogId,
  LogIndex,
  NodeId,
  Proposal,
} from './types.ts';
import { NO_DATA, NO_NODE } from './types.ts';

// ---------------------------------------------------------------------------- leader: own log

/** Lead2: the command goes to the own log first; flushAppends() sends it with the next Ready. */
export function appendProposals(
  core: Core,
  role: LeaderRole,
  proposals: readonly Proposal[],
): LogId {
  const first = core.log.lastIndex + 1;
  const entries: Entry[] = new Array(proposals.length);
  for (let i = 0; i < proposals.length; i++) {
    const { kind, data, session, sequence } = proposals[i]!;
    const index = first + i;
    entries[i] = { term: core.currentTerm, index, kind, data, session, sequence, config: null };
  }
  appendAsLeader(core, role, entries);
  return { term: core.currentTerm, index: first };
}

export function appendOwn(
  core: Core,
  role: LeaderRole,
  kind: EntryKind,
  config: Configuration | null = null,
  data: Uint8Array = NO_DATA,
): LogId {
  const index = core.log.lastIndex + 1;
  const entry = { term: core.currentTerm, index, kind, data, session: 0, sequence: 0, config };
  appendAsLeader(core, role, [entry]);
  return { term: core.currentTerm, index };
}

function appendAsLeader(core: Core, role: LeaderRole, entries: readonly Entry[]): void {
  core.log.append(entries);
  for (const entry of entries) role.uncommittedBytes += entryBytes(entry);
}

/** The peers that the configuration in the log names, and no others (§4.1). */
export function syncProgress(core: Core, role: LeaderRole): void {
  const members = new Set(membersOf(core.membership));
  for (const id of role.progress.keys()) {
    if (!members.has(id)) role.progress.delete(id);
  }
  for (const id of members) {
    if (id === core.id || role.progress.has(id)) continue;
    role.progress.set(id, new Progress(id, core.log.lastIndex + 1));
  }
}

// ---------------------------------------------------------------------------- leader: sending

/** Sends each follower what it lacks. Called once for all that one turn brought. */
export function flushAppends(core: Core, role: LeaderRole): void {
  for (const progress of role.progress.values()) {
    probeIfLost(core, progress);
    while (maybeSendEntries(core, role, progress));
    const wantsCommit =
      progress.state === 'replicate' && progress.sentCommit < core.log.commitIndex;
    if (wantsCommit || progress.sentRound < role.round) sendHeartbeat(core, role, progress);
  }
}

/** Whether flushAppends() would send anything. */
export function wantsFlush(core: Core, role: LeaderRole): boolean {
  for (const progress of role.progress.values()) {
    if (progress.sentRound < role.round || isCompactedAway(core, progress)) return true;
    if (progress.state === 'replicate' && progress.sentCommit < core.log.commitIndex) return true;
    if (maySendEntries(core, progress)) return true;
  }
  return false;
}

/**
 * A full window was lost and the log compacted past it: a heartbeat can no longer name the entry that
 * is missing, so the follower would never reject one. Its match tells where to go on.
 */
function probeIfLost(core: Core, progress: Progress): void {
  if (isCompactedAway(core, progress)) progress.becomeProbe(progress.matchIndex + 1);
}

function isCompactedAway(core: Core, progress: Progress): boolean {
  return progress.state === 'replicate' && core.log.term(progress.nextIndex - 1) === undefined;
}

/** Lead1: repeated during idle periods, so that followers don't time out (§5.2). */
export function beginRound(core: Core, role: LeaderRole): number {
  role.round += 1;
  if (!core.config.leaseReads) return role.round;
  role.roundTicks.push({ round: role.round, tick: core.tick });
  while (role.roundTicks[0]!.tick < core.tick - core.config.electionTicks) role.roundTicks.shift();
  return role.round;
}

/** Lead3: AppendEntries with the entries from nextIndex on. False when there is nothing to send. */
function maybeSendEntries(core: Core, role: LeaderRole, progress: Progress): boolean {
  const { config, log } = core;
  if (!maySendEntries(core, progress)) return false;
  const prevTerm = log.term(progress.nextIndex - 1);
  if (prevTerm === undefined) {
    beginSnapshot(core, progress);
    return false;
  }
  const entries = log.slice(progress.nextIndex, config.appendEntriesMax, config.appendBytesMax);
  const prev = { term: prevTerm, index: progress.nextIndex - 1 };
  core.cite('Lead3');
  sendAppend(core, role, progress, prev, entries);
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  progress.sentAppend(prev.index + entries.length, bytes);
  return true;
}

function maySendEntries({ config, log }: Core, progress: Progress): boolean {
  if (progress.nextIndex > log.lastIndex) return false;
  if (progress.isPaused(config.inflightMessagesMax, config.inflightBytesMax)) return false;
  // A silent follower gets heartbeats only: its first answer to one starts the entries again.
  return progress.ticksSinceContact <= config.electionTicks;
}

/** An append without entries: proves leadership, carries the commit, finds lost appends. */
function sendHeartbeat(core: Core, role: LeaderRole, progress: Progress): void {
  const { log } = core;
  const index = Math.min(progress.nextIndex - 1, log.lastIndex);
  const term = log.term(index);
  // The entry before nextIndex is compacted: a prev that every follower accepts keeps the
  // heartbeat a heartbeat, while the snapshot is on its way.
  const prev = term === undefined ? { term: 0, index: 0 } : { term, index };
  sendAppend(core, role, progress, prev, []);
}

function sendAppend(
  core: Core,
  role: LeaderRole,
  progress: Progress,
  prev: LogId,
  entries: readonly Entry[],
): void {
  core.send({
    kind: 'append',
    from: core.id,
    to: progress.id,
    term: core.currentTerm,
    prev,
    entries,
    leaderCommit: core.log.commitIndex,
    acknowledged: progress.matchIndex,
    round: role.round,
  });
  progress.sentRound = role.round;
  progress.sentCommit = core.log.commitIndex;
}

function beginSnapshot(core: Core, progress: Progress): void {
  progress.becomeSnapshot();
  requestSnapshotRead(core, progress);
}

// ---------------------------------------------------------------------------- follower

export function handleAppend(core: Core, m: AppendRequest): void {
  // AE1: reply false if term < currentTerm (§5.1). The reply's term makes the sender step down.
  if (m.term < core.currentTerm) {
    core.cite('AE1', `term ${m.term} is older than ${core.currentTerm}`);
    replyRejected(core, m, { term: 0, index: core.log.lastIndex + 1 });
    return;
  }
  const { log } = core;
  // Everything up to the commit agrees with any leader of this term; an old append that starts
  // before it has nothing new to check, and its prev may be compacted.
  if (m.prev.index < log.commitIndex && log.term(m.prev.index) !== m.prev.term) {
    replyAccepted(core, m, log.commitIndex);
    return;
  }
  // AE2: reply false if the log has no entry at prevLogIndex whose term matches (§5.3).
  if (!log.matches(m.prev)) {
    core.cite('AE2', describeMismatch(core, m.prev));
    replyRejected(core, m, conflictHint(core, m.prev));
    return;
  }
  const lastNew = m.prev.index + m.entries.length;
  takeEntries(core, m.entries);
  replyAccepted(core, m, lastNew);
  commitFrom(core, m, lastNew);
}

function takeEntries(core: Core, entries: readonly Entry[]): void {
  const { log } = core;
  // A delayed duplicate must not truncate entries that arrived after it: only a conflict does.
  let fresh = 0;
  while (fresh < entries.length && log.matches(entries[fresh]!)) fresh += 1;
  if (fresh === entries.length) return;
  const first = entries[fresh]!;
  // An entry that is compacted here is committed, and so the same.
  if (first.index <= log.base.index) return takeEntries(core, entries.slice(fresh + 1));
  if (first.index <= log.lastIndex) {
    // AE3: delete the existing entry that conflicts and all that follow it (§5.3).
    core.cite('AE3', `entry ${first.index} has term ${log.term(first.index)}, not ${first.term}`);
    log.truncate(first.index);
    core.forgetWrites(first.index);
  }
  // AE4: append any new entries not already in the log.
  core.cite('AE4');
  log.append(fresh === 0 ? entries : entries.slice(fresh));
}

/** AE5: commitIndex = min(leaderCommit, index of last new entry). */
function commitFrom(core: Core, m: AppendRequest, lastNew: LogIndex): void {
  const commit = Math.min(m.leaderCommit, lastNew);
  if (commit <= core.log.commitIndex) return;
  core.cite('AE5');
  core.log.commitTo(commit);
}

function replyAccepted(core: Core, m: AppendRequest, agreed: LogIndex): void {
  const durableMatch = Math.min(agreed, core.log.stableIndex);
  const isDurable = core.isVoteDurable && (m.entries.length === 0 || durableMatch === agreed);
  const ack: AppendAccepted = {
    kind: 'appendAccepted',
    from: core.id,
    to: m.from,
    term: core.currentTerm,
    match: isDurable ? durableMatch : agreed,
    round: m.round,
  };
  // Nothing in this answer waits for the disk: a read's confirmation must not either.
  if (isDurable) core.send(ack);
  else sendAckAfterPersist(core, ack);
}

/** Acks of one turn to one leader are one ack: the last one covers them all. */
function sendAckAfterPersist(core: Core, ack: AppendAccepted): void {
  const acks = core.outbox.afterPersist;
  const before = acks.at(-1);
  const covers =
    before?.kind === 'appendAccepted' && before.to === ack.to && before.term === ack.term;
  if (covers && before.match <= ack.match) acks.pop();
  core.sendAfterPersist(ack);
}

function replyRejected(core: Core, m: AppendRequest, hint: LogId): void {
  const reply: AppendRejected = {
    kind: 'appendRejected',
    from: core.id,
    to: m.from,
    term: core.currentTerm,
    rejected: m.prev.index,
    hint,
    round: core.roundToEcho(m),
  };
  if (core.isVoteDurable) core.send(reply);
  else core.sendAfterPersist(reply);
}

/** The term of the conflicting entry and its first index, so that a whole term is skipped (§5.3). */
function conflictHint(core: Core, prev: LogId): LogId {
  const { log } = core;
  const term = log.term(prev.index);
  if (term === undefined) return { term: 0, index: log.lastIndex + 1 };
  return { term, index: log.firstIndexOfTerm(term, prev.index) };
}

function describeMismatch(core: Core, prev: LogId): string {
  const term = core.log.term(prev.index);
  if (term === undefined) return `no entry ${prev.index}, the log ends at ${core.log.lastIndex}`;
  return `entry ${prev.index} has term ${term}, not ${prev.term}`;
}

// ---------------------------------------------------------------------------- leader: replies

/** Returns the follower's progress if the reply belongs to this term's leadership. */
export function contact(core: Core, from: NodeId, round: number): Progress | null {
  if (core.role.kind !== 'leader') return null;
  const progress = core.role.progress.get(from);
  if (progress === undefined) return null;
  progress.ticksSinceContact = 0;
  progress.ackedRound = Math.max(progress.ackedRound, round);
  return progress;
}

export function handleAppendAccepted(core: Core, m: AppendAccepted): void {
  const progress = contact(core, m.from, m.round);
  if (progress === null) return;
  assert(m.match <= core.log.lastIndex, 'a follower accepts only what this leader has sent');
  // Lead3: update matchIndex and nextIndex for the follower (§5.3). The match comes from the ack,
  // never from what was sent: acks may be reordered.
  progress.maybeAdvance(m.match);
  if (progress.state === 'probe') progress.becomeReplicate();
  if (progress.state === 'snapshot' && progress.matchIndex >= core.log.base.index) {
    progress.becomeReplicate();
  }
}

export function handleAppendRejected(core: Core, m: AppendRejected): void {
  const progress = contact(core, m.from, m.round);
  if (progress === null || isStaleRejection(progress, m)) return;
  // Lead3: after an inconsistency decrement nextIndex and retry (§5.3), here by whole terms.
  const next = Math.min(nextAfterConflict(core, m), m.rejected);
  core.cite('Lead3', `${m.from} rejects prev ${m.rejected}, next ${next}`);
  progress.becomeProbe(Math.max(1, next));
}

/** A rejection that was overtaken by a later answer must not take progress back. */
function isStaleRejection(progress: Progress, m: AppendRejected): boolean {
  if (progress.state === 'snapshot') return true;
  if (m.rejected <= progress.matchIndex) return true;
  return progress.state === 'probe' && m.rejected !== progress.nextIndex - 1;
}

function nextAfterConflict(core: Core, m: AppendRejected): LogIndex {
  if (m.hint.term === 0) return m.hint.index;
  const last = core.log.lastIndexAtMost(m.hint.term, m.rejected);
  // The leader has the conflicting term: agree at its last entry of it. Otherwise skip the term.
  return core.log.term(last) === m.hint.term ? last + 1 : m.hint.index;
}

// ---------------------------------------------------------------------------- commit

/** Lead4. Returns true when the commit moved. */
export function maybeCommit(core: Core, role: LeaderRole): boolean {
  const { log } = core;
  if (log.commitIndex === log.lastIndex) return false;
  const n = matchedByQuorum(core, role);
  if (n <= log.commitIndex) return false;
  // Lead4: a majority holds N, and log[N] is of this term (§5.4.2).
  if (log.term(n) !== core.currentTerm) {
    core.cite(
      'Lead4',
      `not committed: entry term ${log.term(n)}, current term ${core.currentTerm}`,
    );
    return false;
  }
  core.cite('Lead4');
  for (let index = log.commitIndex + 1; index <= n; index++) {
    role.uncommittedBytes -= entryBytes(log.entry(index)!);
  }
  log.commitTo(n);
  return true;
}

function matchedByQuorum(core: Core, role: LeaderRole): LogIndex {
  // The own match counts once it is durable here (dissertation §10.2.1).
  return quorumIndex(core.membership, id =>
    id === core.id ? core.log.stableIndex : (role.progress.get(id)?.matchIndex ?? 0),
  );
}

/** What was uncommitted before this leadership counts towards its bound as well. */
export function uncommittedBytes(core: Core): number {
  let bytes = 0;
  for (let index = core.log.commitIndex + 1; index <= core.log.lastIndex; index++) {
    bytes += entryBytes(core.log.entry(index)!);
  }
  return bytes;
}

export function isTransferring(role: LeaderRole): boolean {
  return role.transferTarget !== NO_NODE;
}

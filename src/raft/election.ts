// Elections: RequestVote on both sides, the question before it (§9.6), and the hand-over (§3.10).

import { assert } from './assert.ts';
import type { Core, LeaderRole } from './core.ts';
import type { VoteReply, VoteRequest } from './messages.ts';
import { Progress } from './progress.ts';
import { isVoter, membersOf, voteResult } from './quorum.ts';
import { appendOwn, beginRound, uncommittedBytes } from './replication.ts';
import type { LogIndex, NodeId } from './types.ts';
import { NO_NODE } from './types.ts';

type CandidateKind = 'preCandidate' | 'candidate';

// ---------------------------------------------------------------------------- candidate

/** Fol2, Cand4: the election timeout elapsed without a leader or a result. */
export function campaign(core: Core): void {
  if (!mayCampaign(core)) {
    // The silent leader is none: this node answers others' campaigns.
    if (core.role.kind === 'follower') core.role.leader = NO_NODE;
    core.resetElectionTimer();
    return;
  }
  if (core.config.preVote) askFirst(core);
  else runForLeader(core, false);
}

/** §3.10: the leader asked for it, so there is no need to ask first. */
export function campaignForTransfer(core: Core): void {
  if (mayCampaign(core)) runForLeader(core, true);
}

function mayCampaign(core: Core): boolean {
  if (core.role.kind === 'leader') return false;
  // §4.2.2: while its removal is not committed a server still starts elections, although it does
  // not count itself: perhaps only its log can win and bring the removal through.
  if (!core.isVoter && !isVoter(core.log.committedConfig, core.id)) return false;
  // A committed change that is not applied yet may have taken this node's vote away.
  return !core.log.hasUnappliedConfig();
}

/** §9.6: only a node that could win raises the term. */
function askFirst(core: Core): void {
  core.cite('§9.6', `would they vote in term ${core.currentTerm + 1}?`);
  core.role = { kind: 'preCandidate', votes: new Map([[core.id, true]]) };
  core.resetElectionTimer();
  requestVotes(core, { preVote: true, transfer: false });
  maybeWin(core);
}

function runForLeader(core: Core, transfer: boolean): void {
  // Cand1: on conversion to candidate, start an election: increment currentTerm, vote for self,
  // reset the election timer, send RequestVote to all others (§5.2).
  core.cite('Cand1', `term ${core.currentTerm + 1}`);
  core.currentTerm += 1;
  core.votedFor = core.id;
  core.role = { kind: 'candidate', votes: new Map(), transfer };
  core.resetElectionTimer();
  requestVotes(core, { preVote: false, transfer });
}

/**
 * The own vote counts once it is durable: recordOwnVote(). The requests wait as well: they speak of
 * log entries and of a term that a crash must not take back, or an old grant could elect this node
 * with a shorter log than the voters saw.
 */
function requestVotes(core: Core, how: { preVote: boolean; transfer: boolean }): void {
  const { last } = core.log;
  const term = how.preVote ? core.currentTerm + 1 : core.currentTerm;
  for (const to of electorate(core)) {
    const request: VoteRequest = { kind: 'voteRequest', from: core.id, to, term, last, ...how };
    if (how.preVote) core.send(request);
    else core.sendAfterPersist(request);
  }
}

function electorate(core: Core): NodeId[] {
  const { voters, outgoing } = core.membership;
  return [...new Set([...voters, ...outgoing])].filter(id => id !== core.id);
}

/** §3.8: a vote, the own one too, counts after it is stored. */
export function recordOwnVote(core: Core): void {
  if (core.role.kind !== 'candidate' || !core.isVoteDurable) return;
  if (core.votedFor !== core.id || core.role.votes.has(core.id)) return;
  core.role.votes.set(core.id, true);
  maybeWin(core);
}

export function handleVoteReply(core: Core, m: VoteReply): void {
  const { role } = core;
  const kind: CandidateKind = m.preVote ? 'preCandidate' : 'candidate';
  // A refusal may be the late answer to an older question; a grant speaks of this term alone.
  if (role.kind !== kind || role.votes.get(m.from) === true) return;
  // A pre-vote's grant comes without the voter's term, so it may be about a term that is here already.
  if (m.preVote && m.granted && m.term !== core.currentTerm + 1) return;
  role.votes.set(m.from, m.granted);
  if (!m.granted) core.cite('Cand4', `${m.from} does not vote for this node`);
  maybeWin(core);
}

function maybeWin(core: Core): void {
  const { role } = core;
  if (role.kind !== 'candidate' && role.kind !== 'preCandidate') return;
  const result = voteResult(core.membership, role.votes);
  if (result === 'pending') return;
  if (result === 'lost') {
    // A majority refuses: there is nothing left to wait for in this round.
    core.becomeFollower(core.currentTerm, NO_NODE);
  } else if (role.kind === 'preCandidate') {
    runForLeader(core, false);
  } else {
    becomeLeader(core);
  }
}

// ---------------------------------------------------------------------------- leader

/** Cand2: votes from a majority of servers: become leader. */
function becomeLeader(core: Core): void {
  core.cite('Cand2');
  assert(core.isVoteDurable, 'a leader has stored its own vote');
  const next = core.log.lastIndex + 1;
  const progress = new Map<NodeId, Progress>();
  for (const id of membersOf(core.membership)) {
    if (id !== core.id) progress.set(id, new Progress(id, next));
  }
  const role = newLeaderRole(core, progress, next);
  core.role = role;
  core.knownLeader = { term: core.currentTerm, id: core.id };
  core.receiving = null;
  core.ticksSinceContact = 0;
  // Lead1: upon election, send initial empty AppendEntries to each server (§5.2). With the no-op
  // it carries one entry.
  core.cite('Lead1');
  beginRound(core, role);
  if (core.config.noop) appendOwn(core, role, 'noop');
}

function newLeaderRole(
  core: Core,
  progress: Map<NodeId, Progress>,
  termStart: LogIndex,
): LeaderRole {
  return {
    kind: 'leader',
    progress,
    termStart,
    round: 0,
    roundTicks: [],
    pendingReads: [],
    earlyReads: [],
    heartbeatElapsed: 0,
    uncommittedBytes: uncommittedBytes(core),
    transferTarget: NO_NODE,
    transferElapsed: 0,
    handedOver: false,
    timeoutNowSent: false,
  };
}

// ---------------------------------------------------------------------------- voter

export function handleVoteRequest(core: Core, m: VoteRequest): void {
  // RV1: reply false if term < currentTerm (§5.1).
  if (m.term < core.currentTerm) {
    core.cite('RV1', `term ${m.term} is older than ${core.currentTerm}`);
    return replyVote(core, m, false);
  }
  const free = isFree(core, m);
  const upToDate = core.log.isUpToDate(m.last);
  // RV2: if votedFor is null or candidateId, and the candidate's log is at least as up to date as
  // the receiver's, grant the vote (§5.2, §5.4).
  core.cite('RV2', free && upToDate ? 'granted' : whyNot(core, m, upToDate));
  if (free && upToDate && !m.preVote) {
    core.votedFor = m.from;
    // Fol2: granting a vote restarts the election timer.
    core.resetElectionTimer();
  }
  replyVote(core, m, free && upToDate);
}

/** The vote of a term not reached yet is always free; in the current one it is given once. */
function isFree(core: Core, m: VoteRequest): boolean {
  if (m.preVote && m.term > core.currentTerm) return true;
  return core.votedFor === NO_NODE || core.votedFor === m.from;
}

function whyNot(core: Core, m: VoteRequest, upToDate: boolean): string {
  if (upToDate) return `voted for ${core.votedFor} in term ${core.currentTerm}`;
  const { last } = core.log;
  return `its log ends at ${m.last.term}/${m.last.index}, this one at ${last.term}/${last.index}`;
}

/**
 * §4.2.3: a node that hears a leader ignores candidates, so that a removed or returning node can't
 * depose it. With lease reads a restarted node waits as well: it may have promised before.
 */
export function hearsLeader(core: Core): boolean {
  const { checkQuorum, electionTicks, leaseReads } = core.config;
  if (!checkQuorum) return false;
  if (leaseReads && core.tick < electionTicks) return true;
  if (core.role.kind === 'leader') return true;
  return core.leader !== NO_NODE && core.ticksSinceContact < electionTicks;
}

function replyVote(core: Core, m: VoteRequest, granted: boolean): void {
  const reply: VoteReply = {
    kind: 'voteReply',
    from: core.id,
    to: m.from,
    // A grant of a pre-vote speaks of the term that was asked about.
    term: m.preVote && granted ? m.term : core.currentTerm,
    preVote: m.preVote,
    granted,
  };
  // §3.8: the vote is on disk before anybody hears of it.
  if (core.isVoteDurable) core.send(reply);
  else core.sendAfterPersist(reply);
}

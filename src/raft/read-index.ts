// Linearizable reads without a log entry (§6.4): remember the commit index, confirm that no newer
// leader exists, then let the reader wait until that index is applied.

import type { Core, LeaderRole } from './core.ts';
import type { ReadIndexReply, ReadIndexRequest } from './messages.ts';
import { quorumValue } from './quorum.ts';
import { beginRound, isTransferring } from './replication.ts';
import type { LogIndex, NodeId } from './types.ts';
import { NO_NODE } from './types.ts';

/** The leader's answer when it can't tell: ask again, with a fresh number. */
const UNKNOWN = -1;

/** A read of this node. */
export function readIndex(core: Core, read: number): void {
  if (core.role.kind === 'leader') return admitRead(core, core.role, core.id, read);
  if (core.leader === NO_NODE) {
    core.outbox.reads.push({ read, index: null });
    return;
  }
  core.send({ kind: 'readIndex', from: core.id, to: core.leader, term: core.currentTerm, read });
}

export function handleReadIndex(core: Core, m: ReadIndexRequest): void {
  if (core.role.kind === 'leader') admitRead(core, core.role, m.from, m.read);
  else answer(core, m.from, m.read, UNKNOWN);
}

export function handleReadIndexReply(core: Core, m: ReadIndexReply): void {
  core.outbox.reads.push({ read: m.read, index: m.index === UNKNOWN ? null : m.index });
}

function admitRead(core: Core, role: LeaderRole, from: NodeId, read: number): void {
  // §6.4: before its first commit in this term a leader does not know what is committed.
  if (core.log.commitIndex < role.termStart) {
    core.cite('§6.4', 'the read waits for the first commit of the term');
    role.earlyReads.push({ from, read });
    return;
  }
  const index = core.log.commitIndex;
  if (core.config.leaseReads && holdsLease(core, role)) {
    core.cite('§6.4.1');
    answer(core, from, read, index);
    return;
  }
  core.cite('§6.4');
  role.pendingReads.push({ read, from, index, round: beginRound(core, role) });
}

/** Called when the term's first entry commits. */
export function admitEarlyReads(core: Core, role: LeaderRole): void {
  if (role.earlyReads.length === 0 || core.log.commitIndex < role.termStart) return;
  const early = role.earlyReads;
  role.earlyReads = [];
  for (const { from, read } of early) admitRead(core, role, from, read);
}

/** Answers the reads whose round a quorum has echoed. They are in the order of their rounds. */
export function releaseReads(core: Core, role: LeaderRole): void {
  if (role.pendingReads.length === 0) return;
  const confirmed = confirmedRound(core, role);
  let released = 0;
  for (const { from, read, index, round } of role.pendingReads) {
    if (round > confirmed) break;
    answer(core, from, read, index);
    released += 1;
  }
  if (released > 0) role.pendingReads = role.pendingReads.slice(released);
}

/** The newest round that a quorum has echoed. */
function confirmedRound(core: Core, role: LeaderRole): number {
  return quorumValue(core.membership, id =>
    id === core.id ? role.round : (role.progress.get(id)?.ackedRound ?? 0),
  );
}

function answer(core: Core, from: NodeId, read: number, index: LogIndex): void {
  if (from === core.id) {
    core.outbox.reads.push({ read, index: index === UNKNOWN ? null : index });
    return;
  }
  const term = core.currentTerm;
  core.send({ kind: 'readIndexReply', from: core.id, to: from, term, read, index });
}

/**
 * §6.4.1: a quorum answered a round that began less than an election timeout ago, and until that
 * timeout is over none of them votes for another (CheckQuorum). Clocks may differ by the drift
 * bound. A TimeoutNow sent in this term lets its target break the promise, so it ends the lease.
 */
function holdsLease(core: Core, role: LeaderRole): boolean {
  if (isTransferring(role) || role.timeoutNowSent) return false;
  const { electionTicks, leaseDriftPercent } = core.config;
  const confirmedTick = quorumValue(core.membership, id => {
    const acked = id === core.id ? role.round : (role.progress.get(id)?.ackedRound ?? 0);
    return id === core.id ? core.tick : tickOfRound(role, acked);
  });
  const leaseTicks = (electionTicks * (100 - leaseDriftPercent)) / 100;
  return core.tick - confirmedTick < leaseTicks - 1;
}

/** When the round began; long ago for one that is forgotten. */
function tickOfRound(role: LeaderRole, round: number): number {
  for (let i = role.roundTicks.length - 1; i >= 0; i--) {
    if (role.roundTicks[i]!.round === round) return role.roundTicks[i]!.tick;
  }
  return Number.NEGATIVE_INFINITY;
}

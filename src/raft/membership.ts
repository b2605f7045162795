// Membership changes: one at a time, each a whole configuration in the log that is in force as soon
// as it is appended (§4.1). A change of one voter is made directly; larger ones go through a joint
// configuration that the leader leaves by itself once it is committed (§4.3).

import type { Core, LeaderRole } from './core.ts';
import type { RefusalReason } from './messages.ts';
import { isJoint, isMember } from './quorum.ts';
import { appendOwn, isTransferring, syncProgress } from './replication.ts';
import type { ConfigChange, Configuration, LogId, LogIndex, NodeId } from './types.ts';
import { NO_NODE } from './types.ts';

export interface ChangeRequest {
  readonly changes: readonly ConfigChange[];
  readonly data: Uint8Array;
  readonly expectedConfigIndex: LogIndex;
}

export type ChangeOutcome =
  | { readonly ok: true; readonly first: LogId }
  | { readonly ok: false; readonly reason: RefusalReason };

/** Takes any configuration index in a compare-and-set. */
export const ANY_CONFIG = -1;

export function changeMembership(
  core: Core,
  role: LeaderRole,
  request: ChangeRequest,
): ChangeOutcome {
  const reason = refusal(core, role, request);
  if (reason !== null) {
    core.cite('§4.1', `refused: ${reason}`);
    return { ok: false, reason };
  }
  const next = nextConfiguration(core.membership, request.changes);
  if (next === null) return { ok: false, reason: 'invalidChange' };
  if (promotesLaggard(core, role, request.changes)) return { ok: false, reason: 'learnerBehind' };
  core.cite(isJoint(next) ? '§4.3' : '§4.1');
  const first = appendOwn(core, role, 'config', next, request.data);
  syncProgress(core, role);
  return { ok: true, first };
}

function refusal(core: Core, role: LeaderRole, request: ChangeRequest): RefusalReason | null {
  if (isTransferring(role)) return 'transferring';
  // The bug of 2015: a change may only begin once an entry of the own term is committed.
  if (core.log.commitIndex < role.termStart) return 'notReady';
  if (core.log.configIndex > core.log.commitIndex) return 'changeInProgress';
  if (isJoint(core.membership)) return 'changeInProgress';
  const { expectedConfigIndex } = request;
  if (expectedConfigIndex !== ANY_CONFIG && expectedConfigIndex !== core.log.configIndex) {
    return 'configMismatch';
  }
  return null;
}

/** §4.2.1: a new voter that lacks much of the log could stop commits until it has caught up. */
function promotesLaggard(core: Core, role: LeaderRole, changes: readonly ConfigChange[]): boolean {
  return changes.some(change => {
    if (change.kind !== 'addVoter' || !core.membership.learners.includes(change.node)) return false;
    const match = role.progress.get(change.node)?.matchIndex ?? 0;
    const silent =
      (role.progress.get(change.node)?.ticksSinceContact ?? Number.POSITIVE_INFINITY) >
      core.config.electionTicks;
    return silent || match + core.config.promoteLagMax < core.log.lastIndex;
  });
}

/** The configuration after the changes, joint where needed; null if they make no sense. */
export function nextConfiguration(
  now: Configuration,
  changes: readonly ConfigChange[],
): Configuration | null {
  const voters = new Set(now.voters);
  const learners = new Set(now.learners);
  const touched = new Set<NodeId>();
  for (const change of changes) {
    if (touched.has(change.node) || !isChangePossible(now, change)) return null;
    touched.add(change.node);
    voters.delete(change.node);
    learners.delete(change.node);
    if (change.kind === 'addVoter') voters.add(change.node);
    if (change.kind === 'addLearner') learners.add(change.node);
  }
  if (touched.size === 0 || voters.size === 0) return null;
  return build(now, sorted(voters), sorted(learners));
}

function isChangePossible(now: Configuration, change: ConfigChange): boolean {
  if (!Number.isSafeInteger(change.node) || change.node <= NO_NODE) return false;
  switch (change.kind) {
    case 'addVoter':
      return !now.voters.includes(change.node);
    case 'addLearner':
      return !now.learners.includes(change.node);
    case 'remove':
      return isMember(now, change.node);
  }
}

function build(now: Configuration, voters: NodeId[], learners: NodeId[]): Configuration {
  const changed =
    voters.filter(v => !now.voters.includes(v)).length +
    now.voters.filter(v => !voters.includes(v)).length;
  // Majorities of configurations that differ in one voter always overlap.
  if (changed <= 1) return { voters, outgoing: [], learners, learnersNext: [] };
  const outgoing = now.voters;
  // A voter of the outgoing half stays one until the joint configuration is left.
  const learnersNext = learners.filter(l => outgoing.includes(l));
  return { voters, outgoing, learners: learners.filter(l => !outgoing.includes(l)), learnersNext };
}

/** Leaves a committed joint configuration; a new leader goes on where the old one stopped. */
export function maybeLeaveJoint(core: Core, role: LeaderRole): boolean {
  const { membership, log } = core;
  const committed = log.configIndex <= log.commitIndex && log.commitIndex >= role.termStart;
  if (!isJoint(membership) || !committed) return false;
  core.cite('§4.3', 'the joint configuration is committed: leave it');
  const learners = sorted(new Set([...membership.learners, ...membership.learnersNext]));
  const next = { voters: membership.voters, outgoing: [], learners, learnersNext: [] };
  appendOwn(core, role, 'config', next);
  syncProgress(core, role);
  return true;
}

/** §4.2.2: a leader that is not in the committed configuration has done its work. */
export function isRemoved(core: Core): boolean {
  const { log, membership } = core;
  return log.configIndex <= log.commitIndex && !isJoint(membership) && !core.isVoter;
}

function sorted(ids: Iterable<NodeId>): NodeId[] {
  return [...ids].sort((a, b) => a - b);
}

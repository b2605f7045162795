// Leadership transfer (§3.10): the leader stops taking proposals, brings the target up to date, and
// asks it to campaign at once. If that does not happen within an election timeout it goes on.

import type { Core, LeaderRole } from './core.ts';
import type { Progress } from './progress.ts';
import type { NodeId } from './types.ts';
import { NO_NODE } from './types.ts';

export function transferLeadership(core: Core, role: LeaderRole, to: NodeId): void {
  const { voters } = core.membership;
  if (to === core.id || !voters.includes(to) || role.transferTarget === to) return;
  core.cite('§3.10', `to ${to}`);
  role.transferTarget = to;
  role.transferElapsed = 0;
  role.handedOver = false;
  const progress = role.progress.get(to);
  if (progress !== undefined) maybeHandOver(core, role, progress);
}

/** Once the target has the whole log, nothing that is committed can be missing there. */
export function maybeHandOver(core: Core, role: LeaderRole, progress: Progress): void {
  if (role.transferTarget !== progress.id || role.handedOver) return;
  if (progress.matchIndex === core.log.lastIndex) sendTimeoutNow(core, role, progress.id);
}

export function tickTransferOfLeadership(core: Core, role: LeaderRole): void {
  if (role.transferTarget === NO_NODE) return;
  role.transferElapsed += 1;
  if (role.transferElapsed < core.config.electionTicks) return;
  core.cite('§3.10', `${role.transferTarget} did not take over: proposals go on`);
  role.transferTarget = NO_NODE;
}

/** A leader that leaves names the voter that can follow it soonest. */
export function handOverToBest(core: Core, role: LeaderRole): void {
  let best: Progress | null = null;
  for (const id of core.membership.voters) {
    const progress = role.progress.get(id);
    if (progress === undefined) continue;
    if (best === null || progress.matchIndex > best.matchIndex) best = progress;
  }
  if (best !== null) sendTimeoutNow(core, role, best.id);
}

function sendTimeoutNow(core: Core, role: LeaderRole, to: NodeId): void {
  core.cite('§3.10', `${to} has the whole log: it may campaign`);
  role.handedOver = true;
  role.timeoutNowSent = true;
  core.send({ kind: 'timeoutNow', from: core.id, to, term: core.currentTerm });
}

// The core's own invariants (raft/invariants.ts), looked at now and then on the whole state.

import { checkState, checkTransition } from '../raft/invariants.ts';
import type { RaftReport } from '../raft/report.ts';
import type { Judge } from './judge.ts';

export function checkStep(judge: Judge, before: RaftReport, after: RaftReport): void {
  const { id, config } = after;
  // A new node knows of nobody until it has the entry that added it: the founding configuration is
  // not in the log.
  if (config.voters.length === 0 && after.configIndex === 0) return;
  const broken = checkState(after);
  judge.check('state', id, broken.length === 0, () => `node ${id}: not so: ${broken.join('; ')}`);
  const changes = checkTransition(before, after);
  judge.check('transition', id, changes.length === 0, () => {
    return `node ${id}: not so: ${changes.join('; ')}`;
  });
}

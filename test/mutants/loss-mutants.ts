// Bugs in what notices disks that go back in time: see mutants.ts.

import type { Mutant } from './mutant.ts';

const loss = (name: string, trap: string, file: string, find: string, replace: string): Mutant => {
  return { name, trap, edits: [{ file: `src/${file}`, find, replace }], stack: 'core' };
};

export const LOSS_MUTANTS: readonly Mutant[] = [
  loss(
    'loss-unnoticed',
    '§3.8, PAR (FAST 18): a node that lost what it acknowledged goes on voting',
    'raft/evidence.ts',
    "return m.kind === 'append' && m.acknowledged > 0 && hasLost(core, m);",
    'return false;',
  ),
  loss(
    'match-not-sent',
    'nobody is told what was counted',
    'raft/replication.ts',
    'acknowledged: progress.matchIndex,',
    'acknowledged: 0,',
  ),
  loss(
    'next-sent-as-match',
    'what was sent is taken for acknowledged: healthy nodes stop',
    'raft/replication.ts',
    'acknowledged: progress.matchIndex,',
    'acknowledged: progress.nextIndex - 1,',
  ),
  loss(
    'loss-by-older-leader',
    'a leader of an older term is believed, whose entries a newer one took back',
    'raft/evidence.ts',
    '  if (m.term < core.currentTerm) return false;\n',
    '',
  ),
  loss(
    'halt-not-obeyed',
    'the core stops and the node around it stays up, mute',
    'node/driver.ts',
    '    if (ready.halt !== null) return this.#fail(haltError(ready.halt));\n',
    '',
  ),
  loss(
    'condemned-opened',
    'a supervisor starts the node again, and it votes',
    'storage/open.ts',
    '    await checkNotCondemned(disk);\n',
    '',
  ),
  loss(
    'state-ahead-of-log',
    'a state machine that holds more than the log is not noticed',
    'node/recovery.ts',
    '  if (applied.index > lastIndex) {',
    '  if (applied.index < 0) {',
  ),
];

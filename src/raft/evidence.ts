// Evidence that a promise was broken on which all of Raft rests: that a disk keeps what it has confirmed,
// and that a vote is given once. A leader says in each append how far it has counted the receiver's
// acknowledgements; who holds less has lost data and must not vote again (§3.8), for its vote could
// elect a leader without what is committed. Who finds such evidence halts.

import type { Core } from './core.ts';
import type { Halt } from './io.ts';
import type { AppendRequest, SnapshotRequest } from './messages.ts';
import type { Rule } from './trace.ts';

/** True when this message of a leader proves that the replica must stop; then it has halted. */
export function halts(core: Core, m: AppendRequest | SnapshotRequest): boolean {
  if (m.term < core.currentTerm) return false;
  if (isSecondLeader(core, m)) {
    const { term, from: leader } = m;
    const { id: other } = core.knownLeader;
    const halt: Halt = { kind: 'twoLeaders', leader, other, term };
    return stop(core, halt, '§3.4', `${other} and ${leader} both lead term ${term}`);
  }
  return m.kind === 'append' && m.acknowledged > 0 && hasLost(core, m);
}

/** At most one leader is elected in a term. A third node would take entries of both. */
function isSecondLeader({ knownLeader }: Core, m: AppendRequest | SnapshotRequest): boolean {
  return knownLeader.term === m.term && knownLeader.id !== m.from;
}

/**
 * What was acknowledged in a term was durable together with that term, and within it no leader takes it
 * back. However late or often an append arrives, a replica whose disk keeps its word holds more.
 */
function hasLost(core: Core, m: AppendRequest): boolean {
  const { term, from: leader, acknowledged } = m;
  if (term > core.currentTerm) {
    const { currentTerm: ownTerm } = core;
    const halt: Halt = { kind: 'lostTerm', leader, term, acknowledged, ownTerm };
    return stop(core, halt, '§3.8', `${counted(m)}, this node is in term ${ownTerm}`);
  }
  if (core.log.lastIndex >= acknowledged && !isOtherAt(core, m)) return false;
  const { last } = core.log;
  const halt: Halt = { kind: 'lostEntries', leader, term, acknowledged, last };
  return stop(core, halt, '§3.8', `${counted(m)}, the log ends at ${last.index}/${last.term}`);
}

function counted({ from, acknowledged, term }: AppendRequest): string {
  return `${from} has counted acknowledgements up to ${acknowledged} in term ${term}`;
}

/** The log is long enough, and holds other entries than those that were acknowledged. */
function isOtherAt({ log }: Core, { prev, acknowledged }: AppendRequest): boolean {
  // Before the commit prev may be compacted, and is the same in every log.
  if (prev.index > acknowledged || prev.index < log.commitIndex) return false;
  return !log.matches(prev);
}

function stop(core: Core, halt: Halt, rule: Rule, note: string): true {
  core.cite(rule, note);
  core.halt = halt;
  core.outbox.take();
  return true;
}

// What holds in every state of a replica, and between two states that follow each other. Tests and
// the simulator check both after each step; each returns the facts that are broken, in words.

import { isMember } from './quorum.ts';
import type { RaftReport } from './report.ts';
import { NO_NODE } from './types.ts';

type Fact = readonly [holds: boolean, fact: string];

/** What holds in one state. Empty when all is well. */
export function checkState(r: RaftReport): string[] {
  const facts: Fact[] = [
    [r.compacted.index <= r.snapshotIndex, 'the log starts at or before its snapshot'],
    [r.snapshotIndex <= r.commitIndex, 'a snapshot holds committed entries only'],
    [r.appliedIndex <= r.commitIndex, 'only committed entries are applied'],
    [r.commitIndex <= r.last.index, 'a committed entry is in the log'],
    [r.stableIndex <= r.last.index, 'a durable entry is in the log'],
    [r.last.term <= r.currentTerm, 'no entry is newer than the term'],
    // A node that is to join knows nobody until the log tells it.
    [r.config.voters.length > 0 || r.last.index === 0, 'somebody can vote'],
    [r.configIndex <= r.last.index, 'the configuration in force is in the log'],
    [isDisjoint(r.config.voters, r.config.learners), 'nobody is voter and learner at once'],
    [r.role !== 'leader' || r.leader === r.id, 'a leader knows itself as the leader'],
    [r.role !== 'candidate' || r.votedFor === r.id, 'a candidate votes for itself'],
    [r.uncommittedBytes >= 0, 'uncommitted bytes are counted once'],
    ...progressFacts(r),
  ];
  return broken(facts);
}

/** What holds between a state and the next one of the same incarnation. */
export function checkTransition(was: RaftReport, now: RaftReport): string[] {
  const sameTerm = was.currentTerm === now.currentTerm;
  const facts: Fact[] = [
    [now.currentTerm >= was.currentTerm, 'currentTerm never decreases'],
    [now.commitIndex >= was.commitIndex, 'commitIndex never decreases'],
    [now.appliedIndex >= was.appliedIndex, 'appliedIndex never decreases'],
    [now.compacted.index >= was.compacted.index, 'what is compacted stays so'],
    [
      !sameTerm || was.votedFor === NO_NODE || now.votedFor === was.votedFor,
      'a vote is given once a term (§5.2)',
    ],
    [
      !sameTerm || was.role !== 'leader' || now.last.index >= was.last.index,
      'a leader never deletes entries of its log (Figure 3)',
    ],
    [
      !sameTerm || was.role !== 'leader' || now.role === 'leader' || now.role === 'follower',
      'a leader of a term never becomes its candidate',
    ],
    ...matchFacts(was, now),
  ];
  return broken(facts);
}

function progressFacts(r: RaftReport): Fact[] {
  return r.progress.flatMap((p): Fact[] => [
    [p.matchIndex < p.nextIndex, `nextIndex of ${p.id} is above its matchIndex`],
    [p.matchIndex <= r.last.index, `${p.id} has matched no more than the leader has`],
    [isMember(r.config, p.id), `${p.id}, which is sent the log, is a member`],
    [p.inflightBytes >= 0, `inflight bytes of ${p.id} are counted once`],
  ]);
}

function matchFacts(was: RaftReport, now: RaftReport): Fact[] {
  if (was.role !== 'leader' || now.role !== 'leader') return [];
  if (was.currentTerm !== now.currentTerm) return [];
  const before = new Map(was.progress.map(p => [p.id, p.matchIndex]));
  return now.progress.map(p => [
    p.matchIndex >= (before.get(p.id) ?? 0),
    `matchIndex of ${p.id} never decreases within a term`,
  ]);
}

function isDisjoint(a: readonly number[], b: readonly number[]): boolean {
  return !a.some(x => b.includes(x));
}

function broken(facts: readonly Fact[]): string[] {
  return facts.filter(([holds]) => !holds).map(([, fact]) => fact);
}

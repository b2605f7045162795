// What is looked at in the whole state of a replica, every so many steps: what leaders believe of their
// followers, and what must stay within its bounds.

import type { RaftConfig } from '../raft/config.ts';
import type { ProgressReport, RaftReport } from '../raft/report.ts';
import type { LogIndex, NodeId, Term } from '../raft/types.ts';
import type { Judge } from './judge.ts';
import type { NodeShadow } from './node-shadow.ts';

/** The log is kept for followers that are being brought up, up to so many times what trails. */
const HELD_FACTOR = 10;

/** A-17 over time: a leader's matches of one term, as they were last seen. */
export class Matches {
  #term: Term = 0;
  #configIndex: LogIndex = 0;
  readonly #match = new Map<NodeId, LogIndex>();

  /** What is wrong with a leader's view of its followers; null when nothing is. */
  fault(report: RaftReport, leader: NodeShadow, node: (id: NodeId) => NodeShadow): string | null {
    const { currentTerm, configIndex } = report;
    // Who was removed and came back begins anew, and both may have happened since the last look.
    const isSame = currentTerm === this.#term && configIndex === this.#configIndex;
    if (!isSame) this.#match.clear();
    this.#term = currentTerm;
    this.#configIndex = configIndex;
    for (const progress of report.progress) {
      const fault = this.#faultOf(progress, leader, node(progress.id));
      if (fault !== null) return fault;
      this.#match.set(progress.id, progress.matchIndex);
    }
    return null;
  }

  #faultOf(p: ProgressReport, leader: NodeShadow, follower: NodeShadow): string | null {
    const { id, matchIndex, nextIndex } = p;
    const name = `matchIndex ${matchIndex} of node ${id}`;
    if (nextIndex <= matchIndex) return `${name} is not below its nextIndex ${nextIndex}`;
    const before = this.#match.get(id) ?? 0;
    if (matchIndex < before) return `${name} was ${before} in this term`;
    // In a newer term the follower may have been told to drop what it acknowledged.
    if (follower.term > leader.term) return null;
    const { durable, lostUpTo } = follower;
    // What was lost was acknowledged before; more than that was not.
    const heldOnce = Math.max(durable.lastIndex, lostUpTo);
    if (matchIndex > heldOnce) return `${name} is beyond its disk's ${durable.lastIndex}`;
    const [theirs, ours] = [durable.chainAt(matchIndex), leader.handed.chainAt(matchIndex)];
    const differs = theirs !== undefined && ours !== undefined && theirs !== ours;
    return differs ? `${name} is where their logs differ` : null;
  }
}

/** what has grown beyond what the settings allow; null when nothing has. */
export function outgrown(report: RaftReport, config: RaftConfig): string | null {
  const { uncommittedBytes, progress, snapshotIndex, compacted } = report;
  // One batch is let through when nothing is under way.
  const uncommittedMax = config.uncommittedBytesMax + config.entryBytesMax;
  if (uncommittedBytes > uncommittedMax) return `${uncommittedBytes} bytes are not committed`;
  const held = snapshotIndex - compacted.index;
  const heldMax = HELD_FACTOR * config.trailingEntries;
  if (held > heldMax) return `${held} entries are kept behind the snapshot, at most ${heldMax} may`;
  for (const p of progress) {
    if (p.inflightMessages > config.inflightMessagesMax) {
      return `${p.inflightMessages} appends are under way to node ${p.id}`;
    }
    if (p.inflightBytes > config.inflightBytesMax + config.appendBytesMax) {
      return `${p.inflightBytes} bytes are under way to node ${p.id}`;
    }
  }
  return null;
}

/** Counts the looks, and fails with what they found. */
export function look(judge: Judge, property: string, node: NodeId, fault: string | null): void {
  judge.check(property, node, fault === null, () => `node ${node}: ${fault}`);
}

// Majorities, simple and joint. Pure arithmetic over a configuration; a joint configuration decides
// only when both of its halves do (§4.3).

import type { Configuration, LogIndex, NodeId } from './types.ts';

export type VoteResult = 'won' | 'lost' | 'pending';

export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

export function isVoter(config: Configuration, node: NodeId): boolean {
  return config.voters.includes(node) || config.outgoing.includes(node);
}

export function isLearner(config: Configuration, node: NodeId): boolean {
  return config.learners.includes(node);
}

export function isMember(config: Configuration, node: NodeId): boolean {
  return isVoter(config, node) || isLearner(config, node) || config.learnersNext.includes(node);
}

export function isJoint(config: Configuration): boolean {
  return config.outgoing.length > 0;
}

/** Every node that receives the log, each once. */
export function membersOf(config: Configuration): NodeId[] {
  const all = new Set([...config.voters, ...config.outgoing, ...config.learners]);
  return [...all].sort((a, b) => a - b);
}

/** The highest value that a majority of each half has reached; 0 for no voters at all. */
export function quorumValue(config: Configuration, valueAt: (node: NodeId) => number): number {
  const incoming = majorityValue(config.voters, valueAt);
  if (config.outgoing.length === 0) return incoming;
  return Math.min(incoming, majorityValue(config.outgoing, valueAt));
}

/** The highest index that a majority of each half has matched: the candidate for Lead4's N. */
export function quorumIndex(config: Configuration, matchOf: (node: NodeId) => LogIndex): LogIndex {
  return quorumValue(config, matchOf);
}

/** True when a majority of each half fulfils the condition. */
export function quorumHolds(config: Configuration, holds: (node: NodeId) => boolean): boolean {
  return quorumValue(config, node => (holds(node) ? 1 : 0)) === 1;
}

export function voteResult(config: Configuration, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const incoming = halfResult(config.voters, votes);
  if (config.outgoing.length === 0) return incoming;
  const outgoing = halfResult(config.outgoing, votes);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majorityValue(voters: readonly NodeId[], valueAt: (node: NodeId) => number): number {
  if (voters.length === 0) return 0;
  const values = voters.map(valueAt);
  let best = Number.NEGATIVE_INFINITY;
  // Voters are few and this runs in every step of a leader: counting is cheaper than sorting.
  for (let i = 0; i < values.length; i++) {
    if (values[i]! > best && isReachedByMajority(values, values[i]!)) best = values[i]!;
  }
  return best;
}

function isReachedByMajority(values: readonly number[], value: number): boolean {
  let reached = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! >= value) reached += 1;
  return reached >= majority(values.length);
}

function halfResult(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted += 1;
    if (vote === false) refused += 1;
  }
  if (voters.length > 0 && granted >= majority(voters.length)) return 'won';
  return voters.length - refused < majority(voters.length) ? 'lost' : 'pending';
}

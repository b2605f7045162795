// Quorums as the checks count them: by definition, and not as the core computes them.

import type { Configuration, NodeId } from '../raft/types.ts';

/** A majority of each half. */
export function isQuorum(config: Configuration, nodes: readonly NodeId[]): boolean {
  return isMajority(config.voters, nodes) && isMajority(config.outgoing, nodes);
}

function isMajority(of: readonly NodeId[], nodes: readonly NodeId[]): boolean {
  return of.length === 0 || of.filter(id => nodes.includes(id)).length * 2 > of.length;
}

/** Would these be enough if everybody counted who is there, voter or not? */
export function isEnough(config: Configuration, nodes: readonly NodeId[]): boolean {
  const { voters, outgoing } = config;
  return nodes.length * 2 > voters.length && nodes.length * 2 > outgoing.length;
}

export function hasVote({ voters, outgoing }: Configuration, node: NodeId): boolean {
  return voters.includes(node) || outgoing.includes(node);
}

/** No quorum of one leaves a quorum of the other to the rest: tried with every set of nodes. */
export function quorumsMeet(a: Configuration, b: Configuration): boolean {
  const all = [...new Set([...a.voters, ...a.outgoing, ...b.voters, ...b.outgoing])];
  for (let set = 0; set < 2 ** all.length; set++) {
    const inside = all.filter((_, i) => (set >> i) % 2 === 1);
    const outside = all.filter((_, i) => (set >> i) % 2 === 0);
    if (isQuorum(a, inside) && isQuorum(b, outside)) return false;
  }
  return true;
}

export function describe({ voters, outgoing }: Configuration): string {
  return outgoing.length === 0 ? `{${voters}}` : `{${voters} and ${outgoing}}`;
}

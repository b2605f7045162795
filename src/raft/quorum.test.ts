import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { quorumValue, voteResult } from './quorum.ts';
import type { Configuration, NodeId } from './types.ts';

const NODES = [1, 2, 3, 4, 5];

function subsets(ids: readonly NodeId[]): NodeId[][] {
  const all: NodeId[][] = [[]];
  for (const id of ids) all.push(...all.map(subset => [...subset, id]));
  return all;
}

function configs(): Configuration[] {
  const halves = subsets(NODES).filter(s => s.length > 0);
  return halves.flatMap(voters =>
    subsets(NODES).map(outgoing => ({ voters, outgoing, learners: [], learnersNext: [] })),
  );
}

/** As dumb as can be: try every value, count who reached it, ask for more than half of each half. */
function slowQuorumValue(config: Configuration, values: ReadonlyMap<NodeId, number>): number {
  let best = 0;
  for (const value of values.values()) {
    const halves = [config.voters, config.outgoing].filter(h => h.length > 0);
    const agreed = halves.every(
      half => half.filter(id => values.get(id)! >= value).length * 2 > half.length,
    );
    if (agreed && value > best) best = value;
  }
  return best;
}

function slowVote(config: Configuration, votes: ReadonlyMap<NodeId, boolean>): string {
  const halves = [config.voters, config.outgoing].filter(h => h.length > 0);
  const can = (half: readonly NodeId[], counts: (vote: boolean | undefined) => boolean) =>
    half.filter(id => counts(votes.get(id))).length * 2 > half.length;
  if (halves.every(half => can(half, vote => vote === true))) return 'won';
  return halves.every(half => can(half, vote => vote !== false)) ? 'pending' : 'lost';
}

describe('Quorums', () => {
  test('of every configuration up to five nodes agree with a count by hand', () => {
    const patterns = [
      [1, 2, 3, 4, 5],
      [5, 4, 3, 2, 1],
      [7, 7, 0, 7, 0],
      [3, 3, 3, 3, 3],
      [0, 9, 0, 9, 1],
    ];
    for (const config of configs()) {
      for (const pattern of patterns) {
        const values = new Map(NODES.map((id, i) => [id, pattern[i]!]));
        const fast = quorumValue(config, id => values.get(id)!);
        assert.equal(fast, slowQuorumValue(config, values), JSON.stringify({ config, pattern }));
      }
    }
  });

  test('of every vote in every configuration up to five nodes agree with a count by hand', () => {
    const all = configs();
    for (let code = 0; code < 3 ** NODES.length; code++) {
      const votes = new Map<NodeId, boolean>();
      NODES.forEach((id, i) => {
        const digit = Math.floor(code / 3 ** i) % 3;
        if (digit > 0) votes.set(id, digit === 2);
      });
      // A sample of the configurations for each vote keeps this under a second; all are met.
      for (let at = code % 7; at < all.length; at += 7) {
        const config = all[at]!;
        assert.equal(voteResult(config, votes), slowVote(config, votes));
      }
    }
  });

  test('of two configurations that differ in one voter always overlap', () => {
    const isQuorum = (half: NodeId[], set: NodeId[]) =>
      half.filter(id => set.includes(id)).length * 2 > half.length;
    const all = subsets(NODES).filter(s => s.length > 0);
    for (const a of all) {
      const neighbours = all.filter(b => {
        const common = a.filter(id => b.includes(id)).length;
        return a.length + b.length - 2 * common === 1;
      });
      for (const b of neighbours) {
        const qa = subsets(a).filter(s => isQuorum(a, s));
        const qb = subsets(b).filter(s => isQuorum(b, s));
        assert.ok(qa.every(x => qb.every(y => x.some(id => y.includes(id)))));
      }
    }
  });
});

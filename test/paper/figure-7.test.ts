// Figure 7: the log of a new leader (term 8) over six possible follower logs. Which of them could
// be elected, and that each is brought in line, cell by cell.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { CoreCluster, logOf, voters } from '../support/core-cluster.ts';

const LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS = {
  a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
  b: [1, 1, 1, 4],
  c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  e: [1, 1, 1, 4, 4, 4, 4],
  f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
};
/** As printed: no pre-vote, no no-op. The leader of the figure has term 8. */
const printed = { preVote: false, checkQuorum: false, noop: false };

function cluster(extra: Partial<typeof printed> = {}): CoreCluster {
  const c = new CoreCluster([], { ...printed, ...extra });
  const ids = [1, 2, 3, 4, 5, 6, 7];
  [LEADER, ...Object.values(FOLLOWERS)].forEach((terms, i) => {
    const hardState = { currentTerm: 7, votedFor: 0, commitIndex: 0 };
    c.add(i + 1, voters(...ids), { hardState, entries: logOf(...terms) });
  });
  return c;
}

describe('Figure 7', () => {
  test('the leader at the top wins term 8 with the votes of a, b, e and f', () => {
    const c = cluster();
    c.campaign(1);
    c.deliverAll(m => m.kind === 'voteRequest');
    const grants = c.messages.filter(m => m.kind === 'voteReply' && m.granted).map(m => m.from);
    assert.deepEqual(grants, [2, 3, 6, 7]);
    c.deliverAll(m => m.kind === 'voteReply');
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.report(1).currentTerm, 8);
  });

  test.each([
    { who: 'a', id: 2, wins: true },
    { who: 'b', id: 3, wins: false },
    { who: 'c', id: 4, wins: true },
    { who: 'd', id: 5, wins: true },
    { who: 'e', id: 6, wins: false },
    { who: 'f', id: 7, wins: false },
  ])('could ($who) be elected: $wins', ({ id, wins }) => {
    const c = cluster();
    c.campaign(id);
    c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
    assert.equal(c.report(id).role === 'leader', wins);
  });

  test('the leader leaves longer logs alone until it has an entry of its own', () => {
    const c = cluster();
    c.elect(1);
    c.run(3);
    assert.deepEqual(c.terms(2), LEADER);
    assert.deepEqual(c.terms(3), LEADER);
    assert.deepEqual(c.terms(4), FOLLOWERS.c);
    assert.deepEqual(c.terms(5), FOLLOWERS.d);
    assert.deepEqual(c.terms(6), LEADER);
    assert.deepEqual(c.terms(7), LEADER);
    assert.equal(c.report(1).commitIndex, 0);
  });

  test('one entry of term 8 brings all six in line and commits everything', () => {
    const c = cluster();
    c.elect(1);
    c.propose(1, 'x');
    c.run(3);
    for (const id of [1, 2, 3, 4, 5, 6, 7]) {
      assert.deepEqual(c.terms(id), [...LEADER, 8]);
      assert.equal(c.report(id).commitIndex, 11);
    }
  });

  test('with the no-op the new leader does the same by itself', () => {
    const c = cluster({ noop: true });
    c.elect(1);
    c.run(3);
    for (const id of [1, 2, 3, 4, 5, 6, 7]) assert.deepEqual(c.terms(id), [...LEADER, 8]);
  });
});

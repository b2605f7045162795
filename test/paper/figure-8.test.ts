// Figure 8: why a leader does not commit entries of older terms by counting replicas (§5.4.2), from
// (a) to (e) as printed.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { CoreCluster } from '../support/core-cluster.ts';

const ALL = [1, 2, 3, 4, 5];
const printed = { preVote: false, checkQuorum: false, noop: false };

/** Elects in this term with the votes of exactly these nodes; nothing else is delivered. */
function electWith(c: CoreCluster, id: number, term: number, voters: number[]): void {
  while (c.report(id).currentTerm < term) {
    c.take();
    c.campaign(id);
  }
  c.deliverAll(m => m.kind === 'voteRequest' && voters.includes(m.to));
  c.deliverAll(m => m.kind === 'voteReply' && m.to === id);
  c.take();
  assert.equal(c.report(id).role, 'leader');
}

/** The leader's log reaches this follower, one round trip after another. */
function replicate(c: CoreCluster, leader: number, follower: number): void {
  const between = (a: number, b: number) =>
    (a === leader && b === follower) || (a === follower && b === leader);
  c.tick(leader);
  c.deliverAll(m => between(m.from, m.to));
  c.take();
}

function logs(c: CoreCluster): number[][] {
  return ALL.map(id => c.terms(id));
}

/** (a) to (c): S1 has brought its entry of term 2 to a majority, in term 4. */
function upToC(): CoreCluster {
  const c = new CoreCluster(ALL, printed);
  electWith(c, 1, 1, [2, 3]);
  c.propose(1, '1');
  for (const id of [2, 3, 4, 5]) replicate(c, 1, id);
  // (a) S1 is leader of term 2 and replicates the entry at index 2 to S2 only.
  c.crash(1);
  c.restart(1);
  electWith(c, 1, 2, [2, 3]);
  c.propose(1, '2');
  replicate(c, 1, 2);
  assert.deepEqual(logs(c), [[1, 2], [1, 2], [1], [1], [1]]);
  // (b) S1 crashes; S5 wins term 3 with S3, S4 and itself, and takes another entry at index 2.
  c.crash(1);
  electWith(c, 5, 3, [3, 4]);
  c.propose(5, '3');
  c.take();
  assert.deepEqual(logs(c).slice(1), [[1, 2], [1], [1], [1, 3]]);
  // (c) S5 crashes; S1 restarts, wins term 4 and goes on: entry 2 reaches S3, a majority.
  c.crash(5);
  c.restart(1);
  electWith(c, 1, 4, [2, 3, 4]);
  replicate(c, 1, 2);
  replicate(c, 1, 3);
  return c;
}

describe('Figure 8', () => {
  test('(c) the entry of term 2 is on a majority and yet not committed', () => {
    const c = upToC();
    assert.deepEqual(
      [1, 2, 3].map(id => c.terms(id)),
      [
        [1, 2],
        [1, 2],
        [1, 2],
      ],
    );
    assert.ok(c.report(1).commitIndex < 2);
    const notes = c
      .node(1)
      .trace.flatMap(e => e.rules)
      .filter(r => r.rule === 'Lead4');
    assert.equal(notes.at(-1)?.note, 'not committed: entry term 2, current term 4');
  });

  test('(d) S5 may therefore still be elected and overwrite it everywhere', () => {
    const c = upToC();
    c.crash(1);
    c.restart(5);
    electWith(c, 5, 5, [2, 3, 4]);
    c.restart(1);
    c.propose(5, '5');
    for (const id of [1, 2, 3, 4]) replicate(c, 5, id);
    for (const id of ALL) assert.deepEqual(c.terms(id).slice(0, 2), [1, 3]);
  });

  test('(e) had S1 brought an entry of term 4 to a majority, S5 could not win', () => {
    const c = upToC();
    c.propose(1, '4');
    replicate(c, 1, 2);
    replicate(c, 1, 3);
    assert.equal(c.report(1).commitIndex, 3);
    c.crash(1);
    c.restart(5);
    c.campaign(5);
    c.take();
    c.campaign(5);
    c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
    assert.equal(c.report(5).role === 'leader', false);
    for (const id of [2, 3]) assert.deepEqual(c.terms(id), [1, 2, 4]);
  });
});

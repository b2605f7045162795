// Scenarios E01 to E08: elections, over production servers in virtual time where time matters, over
// bare cores where a single message does.

import assert from 'node:assert/strict';
import { describe, expect, test } from 'vitest';
import { ELECTION_TICKS, TICK_MS } from '../lab/cluster.ts';
import { Lab, RAFT_ELECTION_TIMEOUT_MS } from '../lab/harness.ts';
import { CoreCluster, logOf, voters } from '../support/core-cluster.ts';

const ELECTION_MS = ELECTION_TICKS * TICK_MS;
const plain = { preVote: false, checkQuorum: false };

describe('Elections', () => {
  test('E01 initial_leader_within_two_timeouts', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const lab = await Lab.make({ servers: 5, seed });
      const hasLeader = () => lab.cluster.servers.some(({ driver }) => driver?.isLeader);
      // The longest timeout is twice the shortest.
      await lab.cluster.until(2 * 2 * ELECTION_MS, hasLeader);
      lab.finish();
    }
  });

  test('E02 leader_cut_and_return: the term of the new leader is not disturbed', async () => {
    const lab = await Lab.make({ servers: 3 });
    const old = await lab.checkOneLeader();
    lab.disconnect(old);
    const leader = await lab.checkOneLeader();
    const { term } = lab.getState(leader);
    lab.connect(old);
    await lab.sleep(5000);
    expect(await lab.checkOneLeader()).toBe(leader);
    expect(lab.checkTerms()).toBe(term);
    lab.finish();
  });

  test('E03 no_quorum_no_leader: and no term is used up meanwhile', async () => {
    const lab = await Lab.make({ servers: 5 });
    const leader = await lab.checkOneLeader();
    const { term } = lab.getState(leader);
    lab.disconnect(leader, (leader + 1) % 5, (leader + 2) % 5);
    await lab.sleep(2 * RAFT_ELECTION_TIMEOUT_MS);
    for (let i = 0; i < 10; i++) {
      lab.checkNoLeader();
      expect(lab.checkTerms()).toBe(term);
      await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
    }
    lab.connect(0, 1, 2, 3, 4);
    await lab.checkOneLeader();
    lab.finish();
  });

  test('E04 seven_nodes_three_cut_x100', async () => {
    const lab = await Lab.make({ servers: 7, patience: 2 });
    await lab.checkOneLeader();
    for (let round = 0; round < 100; round++) {
      const cut = [0, 1, 2].map(() => lab.cluster.below(7));
      lab.disconnect(...cut);
      await lab.checkOneLeader();
      lab.connect(...cut);
    }
    await lab.checkOneLeader();
    lab.finish();
  });

  test('E05 split_vote_resolves', () => {
    const c = new CoreCluster([1, 2, 3, 4], plain);
    c.campaign(1);
    c.campaign(2);
    const splits = (m: { from: number; to: number }) => {
      const pairs = [
        [1, 3],
        [2, 4],
      ];
      return pairs.some(pair => pair.includes(m.from) && pair.includes(m.to));
    };
    c.deliverAll(splits);
    c.deliverAll();
    for (const id of [1, 2, 3, 4]) assert.notEqual(c.report(id).role, 'leader');
    const { currentTerm } = c.report(1);
    c.run(40);
    const leaders = [1, 2, 3, 4].filter(id => c.report(id).role === 'leader');
    assert.equal(leaders.length, 1);
    assert.ok(c.report(leaders[0]!).currentTerm > currentTerm);
  });

  test('E06 longer_but_older_log_loses', () => {
    const c = new CoreCluster([], plain);
    const logs = { 1: logOf(1, 1, 1, 1, 1), 2: logOf(1, 2), 3: logOf(1, 2) };
    for (const [id, entries] of Object.entries(logs)) {
      const hardState = { currentTerm: 2, votedFor: 0, commitIndex: 1 };
      c.add(Number(id), voters(1, 2, 3), { entries, hardState });
    }
    c.campaign(1);
    c.deliverAll();
    assert.notEqual(c.report(1).role, 'leader');
    c.elect(2);
    c.run(3);
    assert.equal(c.terms(1)[1], 2, 'the older entries are gone');
  });

  test('E07 transfer_to_uptodate_lagging_removed_self', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.run(2);
    c.step(1, { kind: 'transfer', to: 1 });
    c.step(1, { kind: 'transfer', to: 9 });
    c.deliverAll();
    assert.equal(c.report(1).transferTarget, 0, 'itself and strangers are no targets');
    // 2 lacks an entry: it is brought up to date first.
    c.cut(1, 2);
    c.propose(1, 'a');
    c.deliverAll();
    c.step(1, { kind: 'transfer', to: 2 });
    c.deliverAll();
    assert.equal(c.report(1).role, 'leader');
    assert.ok(c.report(2).last.index < c.report(1).last.index);
    c.heal();
    c.run(3);
    assert.equal(c.report(2).role, 'leader');
    // Now to one that has everything.
    c.step(2, { kind: 'transfer', to: 3 });
    c.deliverAll();
    assert.equal(c.report(3).role, 'leader');
  });

  test('E07 a target that is removed meanwhile gets no leadership', () => {
    const c = new CoreCluster([1, 2, 3, 4]);
    c.elect(1);
    c.run(2);
    c.change(1, [{ kind: 'remove', node: 4 }]);
    c.run(2);
    c.step(1, { kind: 'transfer', to: 4 });
    c.run(2);
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.report(1).transferTarget, 0);
  });

  test('E08 transfer_timeout_restores_proposals', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.run(2);
    c.isolate(2);
    c.propose(1, 'a');
    c.deliverAll();
    c.step(1, { kind: 'transfer', to: 2 });
    const during = c.propose(1, 'b');
    assert.equal(c.receipt(1, during)?.refusal, 'transferring');
    c.run(11);
    const after = c.propose(1, 'c');
    assert.equal(c.receipt(1, after)?.refusal, null);
    c.run(2);
    assert.equal(c.report(1).commitIndex, c.report(1).last.index);
  });
});

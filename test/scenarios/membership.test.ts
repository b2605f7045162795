// Scenarios M05, M08, M09 and M13: membership changes that meet other trouble. M01 to M03 have a file
// of their own; the others stand in test/paper: docs/SCENARIOS.md.

import assert from 'node:assert/strict';
import { describe, expect, test } from 'vitest';
import type { ConfigChange } from '../../src/raft/types.ts';
import { Lab } from '../lab/harness.ts';
import type { LabServer } from '../lab/server.ts';
import { CoreCluster, entry, voters } from '../support/core-cluster.ts';

const plain = { preVote: false, checkQuorum: false };

/** Hands the change to this server, again and again until it is applied. */
async function change(lab: Lab, at: LabServer, changes: readonly ConfigChange[]): Promise<void> {
  let done = false;
  for (let attempt = 0; attempt < 50 && !done; attempt++) {
    let failed = false;
    const sink = { applied: () => (done = true), failed: () => (failed = true) };
    const run = () => at.driver!.changeMembership(changes, new Uint8Array(0), -1, sink);
    at.process.enter(run);
    await lab.cluster.within(10_000, () => done || failed);
    if (!done) await lab.sleep(100);
  }
  expect(done, 'the change is made').toBe(true);
}

function configsOf(lab: Lab): string[] {
  const running = lab.cluster.servers.filter(({ driver }) => driver !== null);
  return [...new Set(running.map(({ raft }) => JSON.stringify(raft.config.voters)))];
}

describe('Membership', () => {
  test('M05 replace_dead_member_wiped_disk: a new identity takes the place', async () => {
    const lab = await Lab.make({ servers: 3, snapshotEvery: 10, noop: true });
    for (let i = 0; i < 25; i++) await lab.one(lab.value(), 3, true);
    const leader = await lab.checkOneLeader();
    const dead = (leader + 1) % 3;
    lab.crash1(dead);
    const at = lab.server(leader);
    await change(lab, at, [{ kind: 'remove', node: dead + 1 }]);
    const joined = await lab.cluster.join();
    await change(lab, at, [{ kind: 'addLearner', node: joined.id }]);
    await lab.sleep(2000);
    await change(lab, at, [{ kind: 'addVoter', node: joined.id }]);
    await lab.one(lab.value(), 3, true);
    expect(joined.snapshotsInstalled).toBe(1);
    // The quorum now depends on the new one.
    const other = 3 - leader - dead;
    lab.disconnect(other);
    await lab.one(lab.value(), 2, true);
    lab.connect(other);
    await lab.one(lab.value(), 3, true);
    lab.finish();
  });

  test('M08 no_campaign_with_unapplied_conf', () => {
    const c = new CoreCluster([1, 2, 3, 4], { ...plain, autoPersist: false });
    const config = voters(1, 2, 3);
    const change = { ...entry(1, 1, '', 'config'), config };
    const rest = { prev: { term: 0, index: 0 }, acknowledged: 0, round: 1, term: 1, from: 1 };
    const append = { kind: 'append' as const, ...rest, to: 4, entries: [change], leaderCommit: 1 };
    c.step(4, { kind: 'receive', message: append });
    // The removal of 4 is committed, and its own disk has not said so yet: it is not applied.
    assert.equal(c.report(4).appliedIndex, 0);
    c.campaign(4);
    assert.equal(c.report(4).role, 'follower');
    const promoted = { ...change, config: voters(1, 2, 3, 4) };
    const again = { ...append, to: 3, entries: [promoted] };
    c.step(3, { kind: 'receive', message: again });
    c.campaign(3);
    assert.equal(c.report(3).role, 'follower', 'a voter before and after waits as well');
    c.persist(3);
    c.campaign(3);
    assert.equal(c.report(3).role, 'candidate');
  });

  test('M09 old_config_minority_cannot_elect_12359', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    for (const id of [4, 5]) c.add(id, voters(1, 2, 3));
    c.elect(1);
    c.run(2);
    c.isolate(3);
    c.change(1, [{ kind: 'addVoter', node: 4 }]);
    c.run(3);
    c.change(1, [{ kind: 'addVoter', node: 5 }]);
    c.run(3);
    assert.deepEqual(c.report(1).config.voters, [1, 2, 3, 4, 5]);
    // 3 still counts by the old three, of which 2 would be enough with it.
    for (let attempt = 0; attempt < 5; attempt++) {
      c.heal();
      c.campaign(3);
      c.deliverAll(m => m.from === 3 || (m.to === 3 && m.kind === 'voteReply'));
      assert.notEqual(c.report(3).role, 'leader');
    }
    c.run(30);
    assert.deepEqual(c.report(3).config.voters, [1, 2, 3, 4, 5]);
  });

  test('M13 member_change_during_partition_and_kill', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const lab = await Lab.make({ servers: 3, seed, noop: true, patience: 2 });
      await lab.one(lab.value(), 3, true);
      const old = await lab.checkOneLeader();
      const joined = await lab.cluster.join();
      const silent = { applied() {}, failed() {} };
      // The leader takes the change and is cut off before anybody hears of it.
      lab.disconnect(old);
      const changes: ConfigChange[] = [{ kind: 'addVoter', node: joined.id }];
      const data = new Uint8Array(0);
      const { driver, process } = lab.server(old);
      process.enter(() => driver!.changeMembership(changes, data, -1, silent));
      await lab.one(lab.value(), 2, true);
      const leader = await lab.checkOneLeader();
      const victim = (old + 1) % 3 === leader ? (old + 2) % 3 : (old + 1) % 3;
      await change(lab, lab.server(leader), [{ kind: 'remove', node: old + 1 }]);
      lab.crash1(leader);
      await lab.start1(leader);
      lab.connect(leader, old);
      await lab.one(lab.value(), 2, true);
      await lab.sleep(3000);
      const known = configsOf(lab).filter(config => config !== '[]');
      // Only the removed one may be behind; it never hears of its removal.
      expect(known).toContain(JSON.stringify([leader + 1, victim + 1].sort()));
      expect(known.length).toBeLessThanOrEqual(2);
      lab.finish();
    }
  });
});

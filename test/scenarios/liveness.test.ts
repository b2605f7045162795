// Scenarios X01 to X07 and X09: a quorum that can talk must get on with it, whatever the rest does.
// X08 stands in test/paper: docs/SCENARIOS.md.

import { describe, expect, test } from 'vitest';
import { Lab, RAFT_ELECTION_TIMEOUT_MS } from '../lab/harness.ts';
import { UNRELIABLE } from '../lab/network.ts';

/** Closes the link between two servers, both ways. */
function closeLink(lab: Lab, a: number, b: number): void {
  lab.cluster.network.close(a + 1, b + 1);
  lab.cluster.network.close(b + 1, a + 1);
}

function openAll(lab: Lab): void {
  for (let a = 1; a <= lab.n; a++) for (let b = 1; b <= lab.n; b++) lab.cluster.network.open(a, b);
}

function newestTerm(lab: Lab): number {
  return Math.max(...Array.from({ length: lab.n }, (_, i) => lab.getState(i).term));
}

describe('Liveness', () => {
  test('X01 core_quorum_converges_with_rest_dead', async () => {
    const lab = await Lab.make({ servers: 5, rules: UNRELIABLE, snapshotEvery: 10 });
    const leader = await lab.checkOneLeader();
    lab.crash1(leader);
    lab.crash1((leader + 1) % 5);
    for (let i = 0; i < 30; i++) await lab.one(lab.value(), 3, true);
    lab.finish();
  });

  test('X02 asymmetric_link_leader_cannot_hear: it makes way', async () => {
    const lab = await Lab.make({ servers: 3 });
    await lab.one(lab.value(), 3, true);
    const deaf = await lab.checkOneLeader();
    for (let i = 0; i < 3; i++) if (i !== deaf) lab.cluster.network.close(i + 1, deaf + 1);
    await lab.cluster.until(RAFT_ELECTION_TIMEOUT_MS, () => !lab.getState(deaf).isLeader);
    await lab.one(lab.value(), 2, true);
    openAll(lab);
    await lab.one(lab.value(), 3, true);
    lab.finish();
  });

  test('X03 partial_mesh_cloudflare: one cut link does not cost the leader', async () => {
    const lab = await Lab.make({ servers: 3 });
    await lab.one(lab.value(), 3, true);
    const leader = await lab.checkOneLeader();
    closeLink(lab, leader, (leader + 1) % 3);
    await lab.sleep(2 * RAFT_ELECTION_TIMEOUT_MS);
    const term = newestTerm(lab);
    for (let i = 0; i < 30; i++) {
      await lab.one(lab.value(), 2, true);
      await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
    }
    expect(newestTerm(lab)).toBe(term);
    lab.finish();
  });

  test('X04 bridge_node_majorities_ring: who reaches a majority leads', async () => {
    const lab = await Lab.make({ servers: 5, patience: 2 });
    await lab.one(lab.value(), 5, true);
    // 0 and 1, 3 and 4: only 2 hears both sides.
    for (const a of [0, 1]) for (const b of [3, 4]) closeLink(lab, a, b);
    for (let i = 0; i < 10; i++) await lab.one(lab.value(), 3, true);
    let term = newestTerm(lab);
    await lab.sleep(20_000);
    expect(newestTerm(lab), 'the bridge brings no unrest').toBeLessThanOrEqual(term + 1);
    openAll(lab);
    // A ring: each hears two neighbours, and each is a majority with them.
    for (const a of [0, 1, 2, 3, 4]) closeLink(lab, a, (a + 2) % 5);
    for (let i = 0; i < 10; i++) await lab.one(lab.value(), 3, true);
    term = newestTerm(lab);
    await lab.sleep(20_000);
    expect(newestTerm(lab), 'nor does the ring').toBeLessThanOrEqual(term + 1);
    openAll(lab);
    await lab.one(lab.value(), 5, true);
    lab.finish();
  });

  test('X05 prevote_mixed_enabled', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const raftOf = (id: number) => ({ preVote: id % 2 === seed % 2 });
      const lab = await Lab.make({ servers: 5, seed, raftOf, rules: UNRELIABLE });
      for (let round = 0; round < 5; round++) {
        const leader = await lab.checkOneLeader();
        lab.disconnect(leader, (leader + 1) % 5);
        await lab.one(lab.value(), 3, true);
        lab.connect(leader, (leader + 1) % 5);
        await lab.one(lab.value(), 5, true);
      }
      lab.finish();
    }
  });

  test('X06 swizzle_clog: links stop one by one and come back in another order', async () => {
    const lab = await Lab.make({ servers: 5, patience: 3 });
    for (let round = 0; round < 10; round++) {
      const some = lab.cluster.chance.shuffle([0, 1, 2, 3, 4]).slice(0, 1 + lab.cluster.below(5));
      for (const i of some) {
        lab.disconnect(i);
        await lab.sleep(lab.cluster.below(500));
      }
      for (const i of lab.cluster.chance.shuffle(some)) {
        lab.connect(i);
        await lab.sleep(lab.cluster.below(500));
      }
      await lab.one(lab.value(), 5, true);
    }
    lab.finish();
  });

  test('X07 pause_every_node_random', async () => {
    const lab = await Lab.make({ servers: 3, patience: 3 });
    for (let round = 0; round < 20; round++) {
      const i = lab.cluster.below(3);
      const pauseMs = 50 + lab.cluster.below(2500);
      lab.server(i).pause(pauseMs);
      await lab.one(lab.value(), 2, true);
    }
    await lab.one(lab.value(), 3, true);
    lab.finish();
  });

  test('X09 chubby_quiet_period_no_stress: idle servers stay idle', async () => {
    const lab = await Lab.make({ servers: 5 });
    await lab.one(lab.value(), 5, true);
    const leader = await lab.checkOneLeader();
    const [term, calls, { last }] = [lab.checkTerms(), lab.rpcTotal(), lab.server(leader).raft];
    const writes = lab.server(leader).disk.operations;
    await lab.sleep(60_000);
    expect(lab.checkTerms()).toBe(term);
    expect(lab.server(leader).raft.last).toEqual(last);
    expect(lab.server(leader).disk.operations, 'nothing is written').toBe(writes);
    // Ten heartbeats a second to each of four followers.
    expect(lab.rpcTotal() - calls).toBeLessThanOrEqual(60 * 10 * 4 + 4);
    lab.finish();
  });
});

// Linearizable reads (§6.4) and leases (§6.4.1).

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { CoreCluster } from '../support/core-cluster.ts';

describe('ReadIndex', () => {
  test('§6.4: a read is good once a quorum has confirmed the leadership', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    const read = c.read(1);
    assert.equal(c.readState(1, read), undefined);
    c.deliverAll();
    assert.equal(c.readState(1, read)?.index, c.report(1).commitIndex);
  });

  test('§6.4: answers to older rounds do not confirm a newer read (L02)', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.tick(1);
    c.deliverAll(m => m.kind === 'append');
    const old = c.take();
    const read = c.read(1);
    for (const m of old) c.deliver(m);
    assert.equal(c.readState(1, read), undefined);
    c.deliverAll();
    assert.ok(c.readState(1, read));
  });

  test('§6.4: an early read of a new leader waits for the first commit of the term (L01)', () => {
    const c = new CoreCluster([1, 2, 3], { checkQuorum: false, preVote: false });
    c.elect(1);
    c.propose(1, 'a');
    c.deliverAll();
    c.campaign(2);
    c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
    assert.equal(c.report(2).role, 'leader');
    const read = c.read(2);
    assert.equal(c.report(2).pendingReads, 1);
    c.deliverAll();
    assert.equal(c.readState(2, read)?.index, 3);
  });

  test('§6.4: a deposed leader answers none of its reads (L03)', () => {
    const c = new CoreCluster([1, 2, 3], { checkQuorum: false, preVote: false });
    c.elect(1);
    c.isolate(1);
    c.campaign(2);
    c.deliverAll();
    const read = c.read(1);
    c.run(5);
    assert.equal(c.readState(1, read), undefined);
    c.heal();
    c.run(5);
    assert.equal(c.readState(1, read)?.index, null);
  });

  test('§6.4: a follower reads at the leader’s index', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.propose(1, 'a');
    c.deliverAll();
    const read = c.read(3);
    c.deliverAll();
    assert.equal(c.readState(3, read)?.index, 2);
  });

  test('§6.4: a read without a leader is sent back at once', () => {
    const c = new CoreCluster([1, 2, 3]);
    assert.equal(c.readState(1, c.read(1))?.index, null);
  });

  test('§6.4: a single node confirms itself', () => {
    const c = new CoreCluster([1]);
    c.elect(1);
    assert.equal(c.readState(1, c.read(1))?.index, 1);
  });
});

describe('Leases', () => {
  const leased = { leaseReads: true, electionTicks: 20, heartbeatTicks: 1 };

  function leasedLeader(): CoreCluster {
    const c = new CoreCluster([1, 2, 3], leased);
    c.tickAll(20);
    c.take();
    c.elect(1);
    c.run(2);
    return c;
  }

  test('§6.4.1: with a fresh lease a read needs no round', () => {
    const c = leasedLeader();
    assert.ok(c.readState(1, c.read(1)));
  });

  test('§6.4.1: the lease ends before a quorum could elect another leader (L05)', () => {
    const c = leasedLeader();
    c.isolate(1);
    c.tick(1, 18);
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.readState(1, c.read(1)), undefined);
  });

  test('§6.4.1: a hand-over ends the lease for the rest of the term', () => {
    const c = leasedLeader();
    c.step(1, { kind: 'transfer', to: 2 });
    c.take(m => m.kind === 'timeoutNow');
    c.run(21);
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.readState(1, c.read(1)), undefined);
  });

  test('§6.4.1: a restarted node votes for nobody within the lease it may have confirmed', () => {
    const c = leasedLeader();
    c.crash(2);
    c.restart(2);
    const last = { term: 9, index: 9 };
    const ask = { kind: 'voteRequest' as const, from: 3, to: 2, term: 9, preVote: false };
    c.deliver({ ...ask, last, transfer: false });
    assert.deepEqual(
      c.take(m => m.kind === 'voteReply'),
      [],
    );
  });
});

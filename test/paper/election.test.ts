// Figure 2, RequestVote RPC and the rules for followers and candidates, one test a rule.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { Message, VoteReply } from '../../src/raft/messages.ts';
import { CoreCluster, logOf, voters } from '../support/core-cluster.ts';

/** The paper's own protocol: no pre-vote, no check of the quorum. */
const plain = { preVote: false, checkQuorum: false };

function replies(c: CoreCluster): VoteReply[] {
  return c.take(m => m.kind === 'voteReply') as VoteReply[];
}

function voteRequest(
  from: number,
  to: number,
  term: number,
  last = { term: 0, index: 0 },
): Message {
  return { kind: 'voteRequest', from, to, term, last, preVote: false, transfer: false };
}

describe('RequestVote receiver', () => {
  test('RV1: a vote is refused to a candidate of an older term', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.deliver(voteRequest(2, 1, 5));
    replies(c);
    c.deliver(voteRequest(3, 1, 4));
    const [reply] = replies(c);
    assert.equal(reply?.granted, false);
    assert.equal(reply?.term, 5);
  });

  test('RV2: a vote is given once a term, again to the same candidate, and never to another', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    for (const from of [2, 2, 3]) c.deliver(voteRequest(from, 1, 5));
    assert.deepEqual(
      replies(c).map(r => [r.to, r.granted]),
      [
        [2, true],
        [2, true],
        [3, false],
      ],
    );
  });

  test.each([
    { last: { term: 2, index: 9 }, granted: false, what: 'an older last term, though longer' },
    { last: { term: 3, index: 2 }, granted: false, what: 'the same last term, but shorter' },
    { last: { term: 3, index: 3 }, granted: true, what: 'the same log' },
    { last: { term: 3, index: 4 }, granted: true, what: 'the same last term and longer' },
    { last: { term: 4, index: 1 }, granted: true, what: 'a newer last term, though shorter' },
  ])('RV2: a candidate with $what: granted is $granted', ({ last, granted }) => {
    const c = new CoreCluster([2, 3], plain);
    const hardState = { currentTerm: 3, votedFor: 0, commitIndex: 0 };
    c.add(1, voters(1, 2, 3), { hardState, entries: logOf(1, 2, 3) });
    c.deliver(voteRequest(2, 1, 7, last));
    assert.equal(replies(c)[0]?.granted, granted);
  });

  test('§3.8: a vote is sent only after it is durable, and survives a crash', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, autoPersist: false });
    c.deliver(voteRequest(2, 1, 1));
    assert.deepEqual(replies(c), []);
    c.persist(1);
    assert.equal(replies(c)[0]?.granted, true);
    c.crash(1);
    c.restart(1);
    c.deliver(voteRequest(3, 1, 1));
    assert.equal(replies(c)[0]?.granted, false);
  });
});

describe('All servers and followers', () => {
  test('All2: a higher term in any message makes a leader a follower of that term', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    const envelope = { from: 2, to: 1, term: 9 };
    c.deliver({
      kind: 'appendRejected',
      ...envelope,
      rejected: 1,
      hint: { term: 0, index: 1 },
      round: 0,
    });
    assert.equal(c.report(1).role, 'follower');
    assert.equal(c.report(1).currentTerm, 9);
  });

  test('All1: what is committed is applied, once and in order', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    c.propose(1, 'a');
    c.propose(1, 'b');
    c.deliverAll();
    for (const id of [1, 2, 3]) {
      assert.deepEqual(
        c.node(id).applied.map(e => e.index),
        [1, 2, 3],
      );
      assert.equal(c.report(id).appliedIndex, 3);
    }
  });

  test('Fol1: a follower answers candidates and leaders and campaigns for nothing meanwhile', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    for (let i = 0; i < 50; i++) {
      c.tickAll();
      c.deliverAll();
    }
    assert.deepEqual(
      [1, 2, 3].map(id => c.report(id).role),
      ['leader', 'follower', 'follower'],
    );
    assert.equal(c.report(1).currentTerm, 1);
  });

  test('Fol2: a follower that hears nothing for its election timeout becomes a candidate', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.tick(1, 9);
    assert.equal(c.report(1).role, 'follower');
    c.tick(1, 1);
    assert.equal(c.report(1).role, 'candidate');
  });

  test('Fol2: a granted vote restarts the timeout, a refused one does not', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.tick(1, 9);
    c.deliver(voteRequest(2, 1, 1));
    c.tick(1, 9);
    assert.equal(c.report(1).role, 'follower');
    c.deliver(voteRequest(3, 1, 1));
    c.tick(1, 1);
    assert.equal(c.report(1).role, 'candidate');
  });
});

describe('Candidates', () => {
  test('Cand1: an election raises the term, votes for itself, resets the timer, asks all others', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.campaign(1);
    const { currentTerm, votedFor, role } = c.report(1);
    assert.deepEqual(
      { currentTerm, votedFor, role },
      { currentTerm: 1, votedFor: 1, role: 'candidate' },
    );
    const asked = c.take(m => m.kind === 'voteRequest').map(m => m.to);
    assert.deepEqual(asked, [2, 3]);
    c.tick(1, 9);
    assert.equal(c.report(1).currentTerm, 1);
  });

  test('Cand2: a candidate with votes of a majority becomes leader', () => {
    const c = new CoreCluster([1, 2, 3, 4, 5], plain);
    c.campaign(1);
    c.deliverAll(m => m.to === 2 || m.from === 2);
    assert.equal(c.report(1).role, 'candidate');
    c.deliverAll(m => m.to === 3 || m.from === 3);
    assert.equal(c.report(1).role, 'leader');
  });

  test('Cand2: the own vote counts only once it is durable', () => {
    const c = new CoreCluster([1], { ...plain, autoPersist: false });
    c.campaign(1);
    assert.equal(c.report(1).role, 'candidate');
    c.persist(1);
    assert.equal(c.report(1).role, 'leader');
  });

  test('Cand3: a candidate that hears the leader of its term becomes its follower', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.campaign(2);
    c.campaign(1);
    c.deliverAll(m => m.from === 1 && m.to === 3);
    c.deliverAll(m => m.from === 3 && m.to === 1);
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.report(2).role, 'candidate');
    c.deliverAll(m => m.kind === 'append');
    assert.equal(c.report(2).role, 'follower');
    assert.equal(c.report(2).leader, 1);
  });

  test('Cand4: a split vote ends in a new election with a higher term', () => {
    const c = new CoreCluster([1, 2], plain);
    c.campaign(1);
    c.campaign(2);
    c.deliverAll();
    assert.ok(c.report(1).role !== 'leader' && c.report(2).role !== 'leader');
    c.tick(1, 10);
    c.deliverAll();
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.report(1).currentTerm, 2);
  });

  test('Lead1: a new leader sends heartbeats at once and again in idle periods', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, noop: false });
    c.campaign(1);
    c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
    assert.deepEqual(
      c.take(m => m.kind === 'append').map(m => m.to),
      [2, 3],
    );
    c.tick(1);
    assert.deepEqual(
      c.take(m => m.kind === 'append').map(m => m.to),
      [2, 3],
    );
  });
});

describe('Beyond the paper', () => {
  test('§9.6: a node that can not win asks first and leaves the term alone', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.isolate(3);
    c.tick(3, 100);
    assert.equal(c.report(3).currentTerm, 1);
    assert.equal(c.report(3).role, 'preCandidate');
    c.heal();
    c.tick(1);
    c.deliverAll();
    assert.equal(c.report(3).role, 'follower');
    assert.equal(c.report(1).role, 'leader');
  });

  test('§4.2.3: a node that hears a leader ignores candidates of higher terms', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.deliver(voteRequest(3, 2, 9, { term: 9, index: 9 }));
    assert.equal(c.report(2).currentTerm, 1);
    assert.deepEqual(replies(c), []);
  });

  test('§6.2: a leader that hears no quorum for an election timeout steps down', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.isolate(1);
    c.tick(1, 11);
    assert.equal(c.report(1).role, 'follower');
    assert.equal(c.report(1).leader, 0);
  });

  test('§3.10: leadership goes to the named voter without a wait', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.propose(1, 'a');
    c.step(1, { kind: 'transfer', to: 3 });
    c.deliverAll();
    assert.equal(c.report(3).role, 'leader');
    assert.equal(c.report(1).leader, 3);
  });

  test('§3.10: proposals are refused during a transfer and resume when it times out', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.cut(1, 3);
    c.step(1, { kind: 'transfer', to: 3 });
    const refused = c.propose(1, 'x');
    assert.equal(c.receipt(1, refused)?.refusal, 'transferring');
    for (let i = 0; i < 10; i++) {
      c.tick(1);
      c.deliverAll();
    }
    const taken = c.propose(1, 'y');
    assert.equal(c.receipt(1, taken)?.refusal, null);
  });

  test('§3.10: a learner, a stranger and the leader itself are no targets', () => {
    const configuration = { ...voters(1, 2), learners: [3] };
    const c = new CoreCluster([1, 2, 3], { configuration });
    c.elect(1);
    for (const to of [1, 3, 77]) c.step(1, { kind: 'transfer', to });
    assert.equal(c.report(1).transferTarget, 0);
  });

  test('§6.2: a leader whose disk stalls for an election timeout steps down', () => {
    const c = new CoreCluster([1, 2, 3], { autoPersist: false });
    c.campaign(1);
    for (let i = 0; i < 5; i++) {
      for (const id of [1, 2, 3]) c.persist(id);
      c.deliverAll();
    }
    assert.equal(c.report(1).role, 'leader');
    c.propose(1, 'never stored');
    for (let i = 0; i < 12; i++) {
      c.tickAll();
      c.deliverAll();
      for (const id of [2, 3]) c.persist(id);
    }
    assert.equal(c.report(1).role, 'follower');
  });
});

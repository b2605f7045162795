// Membership changes (§4.1-§4.3) and the traps that others fell into.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { CoreCluster, voters } from '../support/core-cluster.ts';

const plain = { preVote: false, checkQuorum: false };

function withFresh(ids: number[], fresh: number[], options = {}): CoreCluster {
  const c = new CoreCluster(ids, { ...plain, ...options });
  // A joining node knows nobody; it learns the configuration from the log.
  for (const id of fresh) c.add(id, { voters: ids, outgoing: [], learners: [], learnersNext: [] });
  return c;
}

describe('Single changes', () => {
  test('§4.1: an added voter counts as soon as the entry is in the log', () => {
    const c = withFresh([1, 2], [3]);
    c.elect(1);
    c.change(1, [{ kind: 'addVoter', node: 3 }]);
    assert.deepEqual(c.report(1).config.voters, [1, 2, 3]);
    c.run(3);
    assert.deepEqual(c.report(3).config.voters, [1, 2, 3]);
    assert.equal(c.report(3).commitIndex, c.report(1).commitIndex);
  });

  test('§4.1: a truncated configuration entry is no longer in force', () => {
    const c = withFresh([1, 2, 3], [4]);
    c.elect(1);
    c.isolate(1);
    c.change(1, [{ kind: 'addVoter', node: 4 }]);
    c.campaign(2);
    c.deliverAll();
    c.heal();
    c.run(3);
    assert.deepEqual(c.report(1).config.voters, [1, 2, 3]);
  });

  test('§4.1: one change at a time, and none before the first commit of the term (M01-M03)', () => {
    const c = withFresh([1, 2, 3, 4], [5]);
    c.campaign(1);
    c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
    const early = c.change(1, [{ kind: 'addVoter', node: 5 }]);
    assert.equal(c.receipt(1, early)?.refusal, 'notReady');
    c.deliverAll();
    c.change(1, [{ kind: 'addVoter', node: 5 }]);
    const second = c.change(1, [{ kind: 'remove', node: 4 }]);
    assert.equal(c.receipt(1, second)?.refusal, 'changeInProgress');
  });

  test('§4.1: a change made for another configuration is refused', () => {
    const c = withFresh([1, 2, 3], [4, 5]);
    c.elect(1);
    c.change(1, [{ kind: 'addLearner', node: 4 }], 0);
    c.run(2);
    const late = c.change(1, [{ kind: 'addLearner', node: 5 }], 0);
    assert.equal(c.receipt(1, late)?.refusal, 'configMismatch');
  });

  test.each([
    { what: 'adding a voter that is one', change: { kind: 'addVoter' as const, node: 2 } },
    { what: 'removing a stranger', change: { kind: 'remove' as const, node: 9 } },
    { what: 'the id 0', change: { kind: 'addVoter' as const, node: 0 } },
  ])('§4.1: $what is refused', ({ change }) => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    assert.equal(c.receipt(1, c.change(1, [change]))?.refusal, 'invalidChange');
  });

  test('§4.1: the last voter can not be removed', () => {
    const c = new CoreCluster([1], plain);
    c.elect(1);
    const batch = c.change(1, [{ kind: 'remove', node: 1 }]);
    assert.equal(c.receipt(1, batch)?.refusal, 'invalidChange');
  });

  test('§4.2.1: a learner that lacks much of the log is not promoted (M11)', () => {
    const c = withFresh([1, 2, 3], [4], { promoteLagMax: 5 });
    c.elect(1);
    c.change(1, [{ kind: 'addLearner', node: 4 }]);
    c.isolate(4);
    for (let i = 0; i < 9; i++) c.propose(1, 'x');
    c.run(2);
    const early = c.change(1, [{ kind: 'addVoter', node: 4 }]);
    assert.equal(c.receipt(1, early)?.refusal, 'learnerBehind');
    c.heal();
    c.run(3);
    const late = c.change(1, [{ kind: 'addVoter', node: 4 }]);
    assert.equal(c.receipt(1, late)?.refusal, null);
  });

  test('§4.2.1: learners get the log and are never counted', () => {
    const configuration = { ...voters(1, 2, 3), learners: [4] };
    const c = new CoreCluster([1, 2, 3, 4], { ...plain, configuration });
    c.elect(1);
    c.cut(1, 2);
    c.cut(1, 3);
    c.propose(1, 'a');
    c.run(2);
    assert.equal(c.report(4).last.index, 2);
    assert.equal(c.report(1).commitIndex, 1);
  });

  test('a learner does not campaign, and does vote when it is asked (M10)', () => {
    const configuration = { ...voters(1, 2), learners: [3] };
    const c = new CoreCluster([1, 2, 3], { ...plain, configuration });
    c.tick(3, 100);
    assert.equal(c.report(3).role, 'follower');
    const ask = { kind: 'voteRequest' as const, from: 1, to: 3, term: 7, preVote: false };
    c.deliver({ ...ask, last: { term: 1, index: 1 }, transfer: false });
    assert.ok(c.messages.some(m => m.kind === 'voteReply' && m.granted));
  });
});

describe('Joint consensus', () => {
  test('§4.3: while joint, both majorities must agree', () => {
    const c = withFresh([1, 2, 3], [4, 5]);
    c.elect(1);
    c.isolate(4);
    c.isolate(5);
    const changes = [
      { kind: 'remove' as const, node: 2 },
      { kind: 'remove' as const, node: 3 },
      { kind: 'addVoter' as const, node: 4 },
      { kind: 'addVoter' as const, node: 5 },
    ];
    c.change(1, changes);
    c.run(3);
    assert.deepEqual(c.report(1).config.outgoing, [1, 2, 3]);
    assert.equal(c.report(1).commitIndex, 1);
    c.heal();
    c.run(3);
    assert.deepEqual(c.report(1).config, voters(1, 4, 5));
  });

  test('§4.3: a new leader leaves the joint configuration that the old one began (M06)', () => {
    const c = withFresh([1, 2, 3], [4, 5]);
    c.elect(1);
    c.change(1, [
      { kind: 'addVoter', node: 4 },
      { kind: 'addVoter', node: 5 },
    ]);
    // The joint entry reaches everybody, its commit and what follows reach nobody.
    c.deliverAll(m => m.kind === 'append');
    c.take();
    c.crash(1);
    c.elect(2);
    c.run(3);
    assert.deepEqual(c.report(2).config, voters(1, 2, 3, 4, 5));
    assert.equal(c.report(4).configIndex, c.report(2).configIndex);
  });

  test('§4.3: a voter that becomes a learner stays a voter until the end (learnersNext)', () => {
    const c = new CoreCluster([1, 2, 3, 4], plain);
    c.elect(1);
    c.change(1, [
      { kind: 'addLearner', node: 3 },
      { kind: 'addLearner', node: 4 },
    ]);
    const joint = c.report(1).config;
    assert.deepEqual(
      [joint.voters, joint.outgoing],
      [
        [1, 2],
        [1, 2, 3, 4],
      ],
    );
    assert.deepEqual([joint.learners, joint.learnersNext], [[], [3, 4]]);
    c.run(3);
    assert.deepEqual(c.report(1).config, { ...voters(1, 2), learners: [3, 4] });
  });

  test('a candidate that leaves counts its own vote in the outgoing half (M07)', () => {
    const c = new CoreCluster([], plain);
    const joint = { voters: [2, 3], outgoing: [1, 2, 3], learners: [], learnersNext: [] };
    for (const id of [1, 2, 3]) c.add(id, joint);
    c.cut(1, 3);
    c.campaign(1);
    c.deliverAll();
    assert.equal(c.report(1).role, 'candidate');
    c.heal();
    c.campaign(1);
    c.deliverAll();
    assert.notEqual(c.report(1).role, 'candidate');
  });
});

describe('Removal', () => {
  test('§4.2.2: a leader that is removed steps down once that is committed (M04)', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.change(1, [{ kind: 'remove', node: 1 }]);
    assert.equal(c.report(1).role, 'leader');
    c.deliverAll();
    assert.equal(c.report(1).role, 'follower');
    const next = [2, 3].find(id => c.report(id).role === 'leader');
    assert.ok(next !== undefined, 'the leader handed over');
    c.propose(next, 'goes on');
    c.deliverAll();
    assert.equal(c.report(next).commitIndex, c.report(next).last.index);
  });

  test('§4.2.3: a removed node can not end the term of the others (M12)', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.isolate(3);
    c.change(1, [{ kind: 'remove', node: 3 }]);
    c.run(2);
    c.heal();
    for (let i = 0; i < 40; i++) {
      c.tick(3);
      c.tick(1);
      c.deliverAll();
    }
    assert.equal(c.report(1).role, 'leader');
    assert.equal(c.report(1).currentTerm, 1);
  });

  test('an answer of a node that was never asked ends no term', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    const stranger = { kind: 'appendRejected' as const, from: 66, to: 1, term: 99, round: 0 };
    c.deliver({ ...stranger, rejected: 1, hint: { term: 0, index: 1 } });
    assert.equal(c.report(1).currentTerm, 1);
    assert.equal(c.report(1).role, 'leader');
  });

  test('§4.2.2: a leader that lost its office before its removal was committed brings it through', () => {
    const c = new CoreCluster([1, 2]);
    c.elect(1);
    c.cut(1, 2);
    c.change(1, [{ kind: 'remove', node: 1 }]);
    c.run(30);
    assert.notEqual(c.report(1).role, 'leader');
    c.heal();
    c.run(60);
    assert.equal(c.report(2).role, 'leader');
    assert.deepEqual(c.report(2).config, voters(2));
  });

  test('§4.2.2: so does one whose final configuration nobody else has', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.add(4, voters());
    c.elect(1);
    c.change(1, [{ kind: 'addLearner', node: 4 }]);
    c.run(3);
    c.change(1, [
      { kind: 'remove', node: 1 },
      { kind: 'remove', node: 3 },
      { kind: 'addVoter', node: 4 },
    ]);
    const final = () => c.report(1).config.outgoing.length === 0 && c.report(1).configIndex > 3;
    while (!final()) c.deliver(c.messages.shift()!);
    c.take();
    c.isolate(1);
    c.crash(3);
    c.run(30);
    c.heal();
    c.run(100);
    assert.ok([2, 4].some(id => c.report(id).role === 'leader'));
  });
});

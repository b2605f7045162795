// Bugs that reviews and simulations found in the core, each as the shortest run that shows it.
// docs/BUGS.md tells their stories.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { Message } from '../../src/raft/messages.ts';
import type { Entry, LogId } from '../../src/raft/types.ts';
import { bytes, CoreCluster, entry, voters } from '../support/core-cluster.ts';

function append(
  from: number,
  term: number,
  prev: LogId,
  entries: Entry[],
  leaderCommit = 0,
): Message {
  const rest = { leaderCommit, acknowledged: 0, round: 1 };
  return { kind: 'append', from, to: 1, term, prev, entries, ...rest };
}

const START = { term: 0, index: 0 };

describe('Found and fixed', () => {
  test('B1: the answer to an append of an older term confirms no read of the newer one', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    for (let i = 0; i < 20; i++) {
      c.read(1);
      c.deliverAll();
    }
    c.read(1);
    const delayed = c.take(m => m.kind === 'append' && m.to === 2).at(-1)!;
    c.deliverAll();
    c.step(1, { kind: 'transfer', to: 3 });
    c.deliverAll();
    c.step(3, { kind: 'transfer', to: 1 });
    c.deliverAll();
    assert.equal(c.report(1).role, 'leader');
    assert.ok(c.report(1).currentTerm > delayed.term);
    c.deliver(delayed);
    for (const reply of c.take(m => m.from === 2)) c.deliver(reply);
    c.isolate(1);
    const read = c.read(1);
    c.deliverAll();
    assert.equal(c.readState(1, read), undefined);
  });

  test('B1: neither does the answer to a snapshot chunk of an older term', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.deliver({ ...append(2, 7, START, []), round: 3 } as Message);
    c.take();
    const meta = { last: { term: 1, index: 3 }, config: voters(1, 2, 3), configIndex: 0 };
    const chunk = { kind: 'snapshot' as const, from: 3, to: 1, term: 5, round: 99 };
    c.deliver({ ...chunk, meta, offset: 0, data: bytes('x'), done: true });
    const [reply] = c.take();
    assert.equal(reply?.kind === 'snapshotReply' && reply.round, 0);
  });

  test('B2: an index written, replaced and written again is durable with the last write only', () => {
    const options = { configuration: voters(1, 2, 3, 4, 5), autoPersist: false };
    const c = new CoreCluster([1], options);
    const prev = { term: 1, index: 1 };
    c.deliver(append(2, 1, START, [entry(1, 1, 'a')]));
    c.persist(1);
    c.deliver(append(2, 2, prev, [entry(2, 2, 'b')]));
    c.deliver(append(3, 3, prev, [entry(2, 3, 'x')]));
    const ask = { kind: 'voteRequest' as const, from: 2, to: 1, term: 4, preVote: false };
    c.deliver({ ...ask, transfer: true, last: { term: 3, index: 9 } });
    c.deliver(append(2, 4, prev, [entry(2, 2, 'b'), entry(3, 4, 'c')], 3));
    c.persist(1, false);
    c.persist(1, false);
    assert.equal(c.node(1).stored.entries.at(-1)?.term, 3);
    assert.equal(c.report(1).stableIndex, 1);
    assert.deepEqual(
      c.node(1).applied.map(e => e.index),
      [1],
    );
    c.persist(1);
    assert.equal(c.report(1).stableIndex, 3);
  });

  test('B3: a snapshot over a log that is still being written waits for its own record', () => {
    const c = new CoreCluster([1], { configuration: voters(1, 2, 3), autoPersist: false });
    const meta = { last: { term: 1, index: 3 }, config: voters(1, 2, 3), configIndex: 0 };
    const chunk = { kind: 'snapshot' as const, from: 2, to: 1, term: 1, round: 1 };
    c.deliver({ ...chunk, meta, offset: 0, data: bytes('x'), done: true });
    c.persist(1);
    const entries = [1, 2, 3, 4, 5].map(i => entry(i, 1, `${i}`));
    c.deliver(append(3, 2, START, entries));
    const { raft, waiting } = c.node(1);
    raft.step({ kind: 'snapshotWritten', from: 2, meta, next: 1, done: true, ok: true });
    raft.step({ kind: 'persisted', ready: waiting[0]!.number });
    assert.equal(raft.report().stableIndex, 0);
    assert.equal(raft.report().last.index, 5);
  });

  test('B9: a follower whose whole window was lost and compacted is sent the snapshot', () => {
    const c = new CoreCluster([1, 2, 3], { inflightMessagesMax: 4, trailingEntries: 0 });
    c.elect(1);
    c.cut(1, 3, true);
    for (let i = 0; i < 20; i++) c.propose(1, `${i}`);
    c.deliverAll();
    const { appliedIndex, config, configIndex, last } = c.report(1);
    const at = { term: last.term, index: appliedIndex };
    for (let i = 0; i < 11; i++) {
      c.tick(1);
      c.deliverAll();
    }
    c.step(1, { kind: 'snapshotTaken', meta: { last: at, config, configIndex } });
    c.heal();
    c.run(3);
    assert.equal(c.node(1).snapshotReads.at(-1)?.to, 3);
  });

  test('B12: the commit hint that rides with entries speaks of durable ones before them only', () => {
    const c = new CoreCluster([1, 2, 3], { autoPersist: false });
    c.deliver(append(2, 1, START, [entry(1, 1), entry(2, 1, 'a')]));
    c.persist(1);
    const { waiting } = c.node(1);
    c.deliver(append(3, 2, { term: 1, index: 1 }, [entry(2, 2, 'b'), entry(3, 2, 'c')], 3));
    const ready = waiting.find(r => r.entries.length > 0)!;
    assert.equal(c.report(1).commitIndex, 3);
    assert.ok(ready.hardState!.commitIndex < 2, `hint ${ready.hardState!.commitIndex}`);
  });

  test('B13: damage in the first chunk of a snapshot has the leader make a new file', () => {
    const c = new CoreCluster([1, 2, 3], { trailingEntries: 0 });
    c.elect(1);
    c.isolate(3);
    for (let i = 0; i < 5; i++) c.propose(1, `${i}`);
    c.deliverAll();
    for (let i = 0; i < 11; i++) {
      c.tick(1);
      c.deliverAll();
    }
    const { appliedIndex, config, configIndex } = c.report(1);
    const meta = { last: { term: 1, index: appliedIndex }, config, configIndex };
    c.step(1, { kind: 'snapshotTaken', meta });
    c.heal();
    c.run(3);
    const chunk = { kind: 'snapshotChunk' as const, to: 3, meta, offset: 0, done: true };
    c.step(1, { ...chunk, data: bytes('bad') });
    c.deliverAll();
    const from = { kind: 'snapshotWritten' as const, from: 1, meta };
    c.step(3, { ...from, next: 3, done: true, ok: false });
    c.deliverAll();
    assert.deepEqual(c.node(1).snapshotReads.at(-1)?.afresh, true);
  });

  test('B14: a write under way does not look stalled because the process stood still', () => {
    const c = new CoreCluster([1], { autoPersist: false });
    c.campaign(1);
    c.persist(1);
    c.persist(1);
    assert.equal(c.report(1).role, 'leader');
    c.propose(1, 'under way');
    c.step(1, { kind: 'tick', missed: 600 });
    assert.equal(c.report(1).role, 'leader');
  });

  test('B15: a late refusal of an older question does not hide the grant of this one', () => {
    const c = new CoreCluster([1, 2, 3], { preVote: false });
    c.campaign(1);
    const reply = { kind: 'voteReply' as const, from: 2, to: 1, term: 1, preVote: false };
    c.deliver({ ...reply, granted: false });
    c.deliver({ ...reply, granted: true });
    assert.equal(c.report(1).role, 'leader');
  });

  test('B17: a late answer to a question about an older term raises no term', () => {
    const c = new CoreCluster([1, 2, 3]);
    c.campaign(1);
    const late = { kind: 'voteReply' as const, from: 2, to: 1, term: 1, preVote: true };
    // Node 3 ran in term 1, which node 1 learns of; then node 1 asks about term 2.
    const ran = { kind: 'voteRequest' as const, from: 3, to: 1, term: 1, preVote: false };
    c.deliver({ ...ran, transfer: false, last: START });
    c.campaign(1);
    assert.equal(c.report(1).role, 'preCandidate');
    c.deliver({ ...late, granted: true });
    assert.equal(c.report(1).currentTerm, 1);
    c.deliver({ ...late, term: 2, granted: true });
    assert.equal(c.report(1).currentTerm, 2);
  });

  test("B21: the late vote of a removed node ends nobody's term", () => {
    const c = new CoreCluster([1, 2, 3]);
    c.elect(1);
    c.isolate(3);
    c.change(1, [{ kind: 'remove', node: 3 }]);
    c.run(2);
    c.heal();
    const late = { kind: 'voteReply' as const, from: 3, preVote: false, granted: false };
    for (const to of [1, 2]) c.deliver({ ...late, to, term: 9 });
    assert.equal(c.report(1).role, 'leader');
    assert.deepEqual([c.report(1).currentTerm, c.report(2).currentTerm], [1, 1]);
    c.deliver({ ...late, from: 2, to: 1, term: 9 });
    assert.equal(c.report(1).currentTerm, 9, 'a member may');
  });

  describe('B19: a snapshot on its way', () => {
    const sent = { last: { term: 1, index: 5 }, config: voters(1, 2, 3), configIndex: 0 };
    const part = { kind: 'snapshotChunk' as const, to: 3, meta: sent, done: false };

    /** Node 3 lacks what the leader has compacted; the first chunk is out. */
    function begun(): CoreCluster {
      const c = new CoreCluster([1, 2, 3], {
        preVote: false,
        checkQuorum: false,
        trailingEntries: 0,
      });
      c.elect(1);
      c.isolate(3);
      for (let i = 0; i < 4; i++) c.propose(1, `${i}`);
      for (let i = 0; i < 12; i++) {
        c.tick(1);
        c.deliverAll();
      }
      c.step(1, { kind: 'snapshotTaken', meta: sent });
      c.heal();
      c.run(2);
      c.step(1, { ...part, offset: 0, data: bytes('abc') });
      return c;
    }

    function answer(c: CoreCluster, next: number): void {
      const envelope = { kind: 'snapshotReply' as const, from: 3, to: 1, term: 1, round: 0 };
      c.deliver({ ...envelope, lastIndex: 5, next });
    }

    test('goes on once for each chunk, however often its answer comes', () => {
      const c = begun();
      const before = c.node(1).snapshotReads.length;
      for (let i = 0; i < 5; i++) answer(c, 3);
      assert.equal(c.node(1).snapshotReads.length, before + 1);
      answer(c, 6);
      assert.equal(c.node(1).snapshotReads.at(-1)?.offset, 6);
    });

    test('goes back for a follower that has lost what it had', () => {
      const c = begun();
      answer(c, 3);
      answer(c, 0);
      assert.equal(c.node(1).snapshotReads.at(-1)?.offset, 0);
    });

    test('is not begun anew by a chunk that was read twice', () => {
      const c = begun();
      answer(c, 3);
      c.step(1, { ...part, offset: 3, data: bytes('def') });
      answer(c, 6);
      c.take(m => m.kind === 'snapshot');
      const before = c.node(1).snapshotReads.length;
      c.step(1, { ...part, offset: 3, data: bytes('def') });
      assert.deepEqual(
        c.take(m => m.kind === 'snapshot'),
        [],
      );
      assert.equal(c.node(1).snapshotReads.length, before);
      c.step(1, { ...part, offset: 6, data: bytes('g') });
      assert.equal(c.take(m => m.kind === 'snapshot').length, 1);
    });
  });
});

// Figure 13, InstallSnapshot RPC, one test a rule, and what compaction keeps.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { Message, SnapshotReply, SnapshotRequest } from '../../src/raft/messages.ts';
import type { SnapshotMeta } from '../../src/raft/types.ts';
import { bytes, CoreCluster, entry, logOf, voters } from '../support/core-cluster.ts';

const plain = { preVote: false, checkQuorum: false };
const config = voters(1, 2, 3);

function meta(term: number, index: number): SnapshotMeta {
  return { last: { term, index }, config, configIndex: 0 };
}

function chunk(m: SnapshotMeta, offset: number, data: string, done = false): SnapshotRequest {
  const envelope = { kind: 'snapshot' as const, from: 2, to: 1, term: 5, round: 1 };
  return { ...envelope, meta: m, offset, data: bytes(data), done };
}

function follower(terms: number[], commitIndex = 0): CoreCluster {
  const c = new CoreCluster([2, 3], plain);
  const hardState = { currentTerm: 5, votedFor: 0, commitIndex };
  c.add(1, config, { hardState, entries: logOf(...terms) });
  return c;
}

function replies(c: CoreCluster): SnapshotReply[] {
  return c.take((m: Message) => m.kind === 'snapshotReply') as SnapshotReply[];
}

function written(c: CoreCluster, m: SnapshotRequest, ok = true): void {
  const next = m.offset + m.data.length;
  c.step(1, { kind: 'snapshotWritten', from: 2, meta: m.meta, next, done: m.done, ok });
}

function install(c: CoreCluster, m: SnapshotMeta): void {
  const only = chunk(m, 0, 'state', true);
  c.deliver(only);
  written(c, only);
}

describe('InstallSnapshot receiver', () => {
  test('IS1: a snapshot of an older term is answered at once with the newer term', () => {
    const c = follower([1]);
    c.deliver({ ...chunk(meta(1, 9), 0, 'x'), term: 4 });
    assert.equal(replies(c)[0]?.term, 5);
    assert.deepEqual(c.node(1).snapshotWrites, []);
  });

  test('IS2: the chunk at offset 0 begins a new file', () => {
    const c = follower([1]);
    c.deliver(chunk(meta(4, 9), 0, 'ab'));
    c.deliver(chunk(meta(4, 9), 0, 'ab'));
    assert.deepEqual(
      c.node(1).snapshotWrites.map(w => w.offset),
      [0, 0],
    );
  });

  test('IS3: data goes to its offset; a gap is answered with the offset wanted', () => {
    const c = follower([1]);
    const first = chunk(meta(4, 9), 0, 'abc');
    c.deliver(first);
    written(c, first);
    replies(c);
    c.deliver(chunk(meta(4, 9), 7, 'h'));
    assert.equal(replies(c)[0]?.next, 3);
    c.deliver(chunk(meta(4, 9), 3, 'd'));
    assert.deepEqual(
      c.node(1).snapshotWrites.map(w => w.offset),
      [0, 3],
    );
  });

  test('IS4: until done, each written chunk is answered with the next offset', () => {
    const c = follower([1]);
    const first = chunk(meta(4, 9), 0, 'abc');
    c.deliver(first);
    assert.deepEqual(replies(c), []);
    written(c, first);
    assert.equal(replies(c)[0]?.next, 3);
    assert.equal(c.report(1).commitIndex, 0);
  });

  test('IS5: a complete snapshot is recorded durably before it is acknowledged', () => {
    const c = new CoreCluster([2, 3], { ...plain, autoPersist: false });
    c.add(1, config);
    const only = chunk(meta(4, 9), 0, 'state', true);
    c.deliver(only);
    c.persist(1);
    written(c, only);
    assert.deepEqual(replies(c), []);
    c.persist(1);
    assert.equal(replies(c)[0]?.next, -1);
    assert.deepEqual(c.node(1).stored.snapshot.last, { term: 4, index: 9 });
  });

  test('IS5: an older snapshot than what is committed changes nothing (S07)', () => {
    const c = follower([1, 1, 4]);
    install(c, meta(4, 9));
    c.deliver(chunk(meta(4, 5), 0, 'old', true));
    assert.equal(c.report(1).snapshotIndex, 9);
    assert.equal(replies(c).at(-1)?.next, -1);
  });

  test('IS6: a log that holds the last entry of the snapshot keeps what follows it (S06)', () => {
    const c = follower([1, 1, 4, 4, 4]);
    install(c, meta(4, 3));
    assert.deepEqual(c.report(1).last, { term: 4, index: 5 });
    assert.deepEqual(
      c.node(1).stored.entries.map(e => e.index),
      [4, 5],
    );
  });

  test('IS7: otherwise the whole log goes', () => {
    const c = follower([1, 1, 2, 2, 2]);
    install(c, meta(4, 3));
    assert.deepEqual(c.report(1).last, { term: 4, index: 3 });
    assert.deepEqual(c.node(1).stored.entries, []);
  });

  test('IS8: the state machine and the configuration come from the snapshot', () => {
    const c = follower([1]);
    const changed = { ...meta(4, 9), config: voters(1, 2, 4), configIndex: 6 };
    install(c, changed);
    const { appliedIndex, commitIndex, configIndex, config: now } = c.report(1);
    assert.deepEqual([appliedIndex, commitIndex, configIndex], [9, 9, 6]);
    assert.deepEqual(now.voters, [1, 2, 4]);
  });

  test('a snapshot whose file is damaged is asked for again (S09)', () => {
    const c = follower([1]);
    const only = chunk(meta(4, 9), 0, 'state', true);
    c.deliver(only);
    written(c, only, false);
    assert.equal(replies(c)[0]?.next, -2);
    assert.equal(c.report(1).commitIndex, 0);
  });

  test('a node restarts from a snapshot that is newer than its log (S04)', () => {
    const c = new CoreCluster([2, 3], plain);
    const hardState = { currentTerm: 5, votedFor: 0, commitIndex: 1 };
    c.add(1, config, { hardState, snapshot: meta(4, 9), entries: logOf(1, 1) });
    assert.deepEqual(c.report(1).last, { term: 4, index: 9 });
    assert.equal(c.report(1).commitIndex, 9);
  });
});

describe('Leader and compaction', () => {
  /** Node 3 misses entries that the leader compacts away. */
  function behind(trailingEntries: number): CoreCluster {
    const c = new CoreCluster([1, 2, 3], { ...plain, trailingEntries });
    c.elect(1);
    c.isolate(3);
    for (let i = 0; i < 9; i++) c.propose(1, `${i}`);
    // Long enough for the leader to know that node 3 does not answer.
    for (let i = 0; i < 12; i++) {
      c.tick(1);
      c.deliverAll();
    }
    c.step(1, { kind: 'snapshotTaken', meta: meta(1, 10) });
    c.heal();
    return c;
  }

  test('a follower behind the compacted log is sent the snapshot, chunk by chunk', () => {
    const c = behind(0);
    c.run(3);
    assert.deepEqual(c.node(1).snapshotReads.at(-1), {
      to: 3,
      meta: null,
      offset: 0,
      afresh: false,
    });
    const data = bytes('abc');
    const part = { kind: 'snapshotChunk' as const, to: 3, meta: meta(1, 10), data };
    c.step(1, { ...part, offset: 0, done: false });
    c.deliverAll();
    const from = { kind: 'snapshotWritten' as const, from: 1, meta: meta(1, 10) };
    c.step(3, { ...from, next: 3, done: false, ok: true });
    c.deliverAll();
    assert.equal(c.node(1).snapshotReads.at(-1)?.offset, 3);
    c.step(1, { ...part, offset: 3, done: true });
    c.deliverAll();
    c.step(3, { ...from, next: 6, done: true, ok: true });
    c.deliverAll();
    c.propose(1, 'after');
    c.run(2);
    assert.equal(c.report(3).commitIndex, 11);
    assert.equal(c.report(1).progress.find(p => p.id === 3)?.state, 'replicate');
  });

  test('a lost chunk is asked for again after an election timeout', () => {
    const c = behind(0);
    c.run(3);
    const asked = c.node(1).snapshotReads.length;
    c.run(10);
    assert.ok(c.node(1).snapshotReads.length > asked);
  });

  test('trailing entries spare a follower that is a little behind the snapshot', () => {
    const c = behind(100);
    c.run(3);
    assert.deepEqual(c.node(1).snapshotReads, []);
    assert.equal(c.report(3).commitIndex, 10);
  });

  test('compaction keeps the trailing entries and the configuration', () => {
    const c = behind(4);
    const { compacted, snapshotIndex, config: now } = c.report(1);
    assert.deepEqual([compacted.index, snapshotIndex], [6, 10]);
    assert.deepEqual(now.voters, [1, 2, 3]);
  });

  test('only what is applied can be compacted', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    const envelope = { kind: 'append' as const, from: 2, to: 1, term: 1 };
    const append = { ...envelope, acknowledged: 0, round: 0 };
    c.deliver({ ...append, prev: { term: 0, index: 0 }, entries: [entry(1, 1)], leaderCommit: 0 });
    assert.throws(() => c.step(1, { kind: 'snapshotTaken', meta: meta(1, 1) }), /applied/);
  });

  /** Ten more entries, and everything applied may go. */
  function writeAndCompact(c: CoreCluster): void {
    for (let i = 0; i < 10; i++) c.propose(1, 'x');
    c.deliverAll();
    const { appliedIndex, config: now, configIndex } = c.report(1);
    const last = { term: 1, index: appliedIndex };
    c.step(1, { kind: 'snapshotTaken', meta: { last, config: now, configIndex } });
  }

  test('the log behind a snapshot on its way is kept until the follower has gone on from it', () => {
    const c = behind(5);
    for (let i = 0; i < 5; i++) writeAndCompact(c);
    c.run(15);
    const last = { term: 1, index: c.report(1).appliedIndex };
    const sent = { last, config, configIndex: 0 };
    const part = { kind: 'snapshotChunk' as const, to: 3, meta: sent, offset: 0, done: true };
    c.step(1, { ...part, data: bytes('s') });
    writeAndCompact(c);
    writeAndCompact(c);
    c.deliverAll();
    c.step(3, { kind: 'snapshotWritten', from: 1, meta: sent, next: 1, done: true, ok: true });
    c.deliverAll();
    c.run(2);
    assert.equal(c.report(1).progress.find(p => p.id === 3)?.state, 'replicate');
    assert.equal(c.report(3).last.index, c.report(1).last.index);
  });

  test('a follower that never goes on holds the log only up to a bound', () => {
    const c = behind(5);
    c.run(2);
    const part = { kind: 'snapshotChunk' as const, to: 3, meta: meta(1, 10), offset: 0 };
    c.step(1, { ...part, data: bytes('s'), done: false });
    for (let i = 0; i < 30; i++) {
      writeAndCompact(c);
      c.run(1);
    }
    const { last, compacted } = c.report(1);
    assert.ok(last.index - compacted.index <= 60, `${last.index - compacted.index} entries`);
  });
});

// §3.8: a server that has lost what it stored must not come back. §3.4: a term has one leader. Each is a
// promise that Raft builds on, and a replica that sees it broken halts.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { AppendRequest, Message } from '../../src/raft/messages.ts';
import type { HardState, LogIndex } from '../../src/raft/types.ts';
import { CoreCluster, entry, voters } from '../support/core-cluster.ts';

const OPTIONS = { checkQuorum: false, preVote: false };

/** Node 1 leads term 1, and all three have its entries up to 4: a no-op and three commands. */
function settled(): CoreCluster {
  const c = new CoreCluster([1, 2, 3], OPTIONS);
  c.elect(1);
  for (const command of ['a', 'b', 'c']) {
    c.propose(1, command);
    c.deliverAll();
  }
  c.run(1);
  assert.equal(c.report(2).last.index, 4);
  return c;
}

/** The node comes back with the log up to `last` only, and with this term and vote. */
function forget(c: CoreCluster, id: number, last: LogIndex, hardState?: Partial<HardState>): void {
  c.crash(id);
  const { stored } = c.node(id);
  stored.entries = stored.entries.filter(e => e.index <= last);
  stored.hardState = { ...stored.hardState, commitIndex: 0, ...hardState };
  c.restart(id);
}

function sentTo(c: CoreCluster, id: number): AppendRequest {
  return c.take(m => m.to === id && m.kind === 'append').at(-1) as AppendRequest;
}

function heartbeat(c: CoreCluster, to: number): AppendRequest {
  c.tick(1);
  return sentTo(c, to);
}

describe('A replica that has lost what it acknowledged (§3.8)', () => {
  test('halts at the first append of the leader that has counted it, and says what is missing', () => {
    const c = settled();
    forget(c, 2, 2);
    c.deliver(heartbeat(c, 2));
    const last = { term: 1, index: 2 };
    const halt = { kind: 'lostEntries', leader: 1, term: 1, acknowledged: 4, last };
    assert.deepEqual(c.node(2).halt, halt);
    const event = c.node(2).trace.at(-1)!;
    assert.deepEqual(event.halt, halt);
    assert.equal(event.rules.at(-1)?.rule, '§3.8');
  });

  test('neither answers nor votes nor campaigns from then on', () => {
    const c = settled();
    forget(c, 2, 2);
    c.deliver(heartbeat(c, 2));
    c.take();
    c.tick(2, 50);
    const ask = { kind: 'voteRequest' as const, from: 3, to: 2, term: 9, preVote: false };
    c.deliver({ ...ask, transfer: true, last: { term: 8, index: 99 } });
    c.deliver(heartbeat(c, 2));
    assert.deepEqual(
      c.take(m => m.from === 2),
      [],
    );
    assert.equal(c.report(2).currentTerm, 1);
  });

  test('says nothing of what it decided in the same turn, before it was told', () => {
    const c = settled();
    forget(c, 2, 2);
    const told = heartbeat(c, 2);
    const { raft } = c.node(2);
    const entries = [entry(3, 1, 'x')];
    raft.step({
      kind: 'receive',
      message: { ...told, acknowledged: 0, prev: { term: 1, index: 2 }, entries },
    });
    raft.step({ kind: 'receive', message: { ...told, acknowledged: 4 } });
    const ready = raft.ready()!;
    assert.equal(ready.halt?.kind, 'lostEntries');
    assert.equal(ready.messages.length + ready.afterPersist.length + ready.entries.length, 0);
    assert.equal(raft.ready(), null);
  });

  test('halts if it came back from before the term in which it acknowledged', () => {
    const c = settled();
    c.elect(3);
    c.run(2);
    // Nothing but the newest term, with the vote in it and the entry that opened it.
    forget(c, 2, 4, { currentTerm: 1, votedFor: 1 });
    c.tick(3);
    c.deliver(sentTo(c, 2));
    const halt = { kind: 'lostTerm', leader: 3, term: 2, acknowledged: 5, ownTerm: 1 };
    assert.deepEqual(c.node(2).halt, halt);
  });

  test('halts with an empty disk under its old id', () => {
    const c = settled();
    c.crash(2);
    c.add(2, voters(1, 2, 3));
    c.deliver(heartbeat(c, 2));
    assert.equal(c.node(2).halt?.kind, 'lostTerm');
  });

  test('halts if other entries stand in the place of those that it acknowledged', () => {
    const c = settled();
    c.elect(3);
    c.run(2);
    forget(c, 2, 4);
    const { stored } = c.node(2);
    stored.entries.push(entry(5, 1, 'never replicated'), entry(6, 1, 'nor this'));
    c.restart(2);
    c.tick(3);
    c.deliver(sentTo(c, 2));
    const last = { term: 1, index: 6 };
    const halt = { kind: 'lostEntries', leader: 3, term: 2, acknowledged: 5, last };
    assert.deepEqual(c.node(2).halt, halt);
  });

  test('is not noticed by a leader of a later term, which has counted nothing', () => {
    const c = settled();
    forget(c, 2, 2);
    c.campaign(3);
    c.deliverAll(m => m.from !== 1 && m.to !== 1);
    assert.equal(c.report(3).role, 'leader');
    assert.equal(c.node(2).halt, null);
    assert.equal(c.report(2).last.index, 5);
  });
});

describe('A replica that has lost nothing', () => {
  test('does not halt at appends from before or after its restart, in any order', () => {
    const c = new CoreCluster([1, 2, 3], OPTIONS);
    c.elect(1);
    const appends: Message[] = [];
    for (const command of ['a', 'b', 'c', 'd']) {
      c.propose(1, command);
      const all = c.take(m => m.to === 2);
      appends.push(...all);
      for (const m of all) c.deliver(m);
      c.deliverAll();
      c.tick(1);
      appends.push(...c.take(m => m.to === 2));
      c.crash(2);
      c.restart(2);
      for (const m of [...appends].reverse()) c.deliver(m);
      for (const m of appends) c.deliver(m);
      assert.equal(c.node(2).halt, null);
      c.deliverAll();
    }
    assert.equal(c.report(2).last.index, 5);
  });

  test('is told of nothing that it acknowledged in another term', () => {
    const c = settled();
    c.elect(3);
    c.crash(2);
    c.restart(2);
    c.tick(3);
    const told = sentTo(c, 2);
    assert.ok(told.acknowledged <= c.report(2).last.index);
    c.deliver(told);
    assert.equal(c.node(2).halt, null);
  });

  test('does not halt when it was removed and comes back with the log that it had', () => {
    const c = settled();
    c.change(1, [{ kind: 'remove', node: 2 }]);
    c.deliverAll();
    c.propose(1, 'while it is away');
    c.deliverAll();
    c.change(1, [{ kind: 'addVoter', node: 2 }]);
    c.run(3);
    assert.equal(c.node(2).halt, null);
    assert.equal(c.report(2).last.index, c.report(1).last.index);
  });
});

describe('A second leader in a term (§3.4)', () => {
  const foreign = (c: CoreCluster, from: number, to: number): AppendRequest => {
    return { ...heartbeat(c, to === 1 ? 2 : to), from, to, acknowledged: 0 };
  };

  test('halts the follower that hears it, before it takes anything from it', () => {
    const c = settled();
    const prev = { term: 1, index: 4 };
    c.deliver({ ...foreign(c, 3, 2), prev, entries: [entry(5, 1, 'theirs')] });
    assert.deepEqual(c.node(2).halt, { kind: 'twoLeaders', leader: 3, other: 1, term: 1 });
    assert.equal(c.node(2).trace.at(-1)!.rules.at(-1)?.rule, '§3.4');
    assert.equal(c.report(2).last.index, 4);
  });

  test('halts the other leader', () => {
    const c = settled();
    c.deliver(foreign(c, 3, 1));
    assert.deepEqual(c.node(1).halt, { kind: 'twoLeaders', leader: 3, other: 1, term: 1 });
  });

  test('halts a leader that has stepped down in that term', () => {
    const c = new CoreCluster([1, 2, 3], { preVote: false });
    c.elect(1);
    const m = foreign(c, 3, 1);
    while (c.report(1).role === 'leader') c.tick(1);
    assert.equal(c.report(1).currentTerm, 1);
    c.deliver(m);
    assert.equal(c.node(1).halt?.kind, 'twoLeaders');
  });

  test('is noticed by its snapshot as well', () => {
    const c = settled();
    const meta = { last: { term: 1, index: 9 }, config: voters(1, 2, 3), configIndex: 0 };
    const chunk = { offset: 0, data: Uint8Array.of(1), done: false, round: 1 };
    c.deliver({ kind: 'snapshot', from: 3, to: 2, term: 1, meta, ...chunk });
    assert.equal(c.node(2).halt?.kind, 'twoLeaders');
  });
});

// Figure 2, AppendEntries RPC and the rules for leaders, one test a rule.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { AppendRejected, AppendRequest, Message } from '../../src/raft/messages.ts';
import type { Entry } from '../../src/raft/types.ts';
import { CoreCluster, entry, logOf, voters } from '../support/core-cluster.ts';

const plain = { preVote: false, checkQuorum: false };

function follower(terms: number[], options: Partial<{ term: number; commit: number }> = {}) {
  const c = new CoreCluster([2, 3], plain);
  const currentTerm = options.term ?? terms.at(-1) ?? 0;
  const hardState = { currentTerm, votedFor: 0, commitIndex: options.commit ?? 0 };
  c.add(1, voters(1, 2, 3), { hardState, entries: logOf(...terms) });
  return c;
}

function append(term: number, prev: [number, number], entries: Entry[], leaderCommit = 0) {
  const envelope = { kind: 'append' as const, from: 2, to: 1, term, round: 1, acknowledged: 0 };
  return { ...envelope, prev: { term: prev[0], index: prev[1] }, entries, leaderCommit };
}

function answer(c: CoreCluster, m: AppendRequest): Message {
  c.deliver(m);
  const replies = c.take(r => r.to === m.from && r.kind.startsWith('append'));
  assert.equal(replies.length, 1);
  return replies[0]!;
}

describe('AppendEntries receiver', () => {
  test('AE1: an append of an older term is refused with the newer term', () => {
    const c = follower([1, 1], { term: 5 });
    const reply = answer(c, append(4, [1, 2], [entry(3, 4, 'x')]));
    assert.equal(reply.kind, 'appendRejected');
    assert.equal(reply.term, 5);
    assert.deepEqual(c.terms(1), [1, 1]);
  });

  test.each([
    { log: [1, 1], prev: [1, 3], hint: { term: 0, index: 3 }, what: 'a log that is too short' },
    { log: [1, 2, 2, 2], prev: [3, 4], hint: { term: 2, index: 2 }, what: 'another term at prev' },
    { log: [2], prev: [3, 1], hint: { term: 2, index: 1 }, what: 'a conflict at the first entry' },
  ])('AE2: $what is refused with a hint where to go on', ({ log, prev, hint }) => {
    const c = follower(log);
    const reply = answer(c, append(4, prev as [number, number], [])) as AppendRejected;
    assert.equal(reply.kind, 'appendRejected');
    assert.deepEqual(reply.hint, hint);
    assert.deepEqual(c.terms(1), log);
  });

  test('AE2: a heartbeat is checked like any other append', () => {
    const c = follower([1, 1]);
    assert.equal(answer(c, append(2, [2, 2], [])).kind, 'appendRejected');
  });

  test('AE3: a conflicting entry and all that follow it are deleted', () => {
    const c = follower([1, 2, 2, 2]);
    answer(c, append(3, [1, 1], [entry(2, 3, 'x')]));
    assert.deepEqual(c.terms(1), [1, 3]);
  });

  test('AE3: a delayed append that the log agrees with deletes nothing (R04)', () => {
    const c = follower([1, 1, 1, 1]);
    const reply = answer(c, append(1, [1, 1], [entry(2, 1, '1.2')]));
    assert.deepEqual(c.terms(1), [1, 1, 1, 1]);
    assert.equal(reply.kind === 'appendAccepted' && reply.match, 2);
  });

  test('AE4: only entries that are not in the log yet are appended', () => {
    const c = follower([1, 1]);
    answer(c, append(2, [1, 1], [entry(2, 1, '1.2'), entry(3, 2, 'new')]));
    assert.deepEqual(c.terms(1), [1, 1, 2]);
    assert.deepEqual(
      c.node(1).stored.entries.map(e => e.index),
      [1, 2, 3],
    );
  });

  test.each([
    { leaderCommit: 9, commit: 3, what: 'no further than the last new entry (R05)' },
    { leaderCommit: 2, commit: 2, what: 'no further than the leader' },
  ])('AE5: the commit goes $what', ({ leaderCommit, commit }) => {
    const c = follower([1, 1, 1, 1, 1]);
    answer(c, append(1, [1, 2], [entry(3, 1, '1.3')], leaderCommit));
    assert.equal(c.report(1).commitIndex, commit);
  });

  test('§3.8: an ack leaves only after the entries are durable', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, autoPersist: false });
    c.deliver(append(1, [0, 0], [entry(1, 1, 'x')]));
    assert.deepEqual(c.take(), []);
    c.persist(1);
    const [ack] = c.take();
    assert.equal(ack?.kind === 'appendAccepted' && ack.match, 1);
  });

  test('§10.2: acks of one turn become one', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, autoPersist: false });
    c.deliver(append(1, [0, 0], [entry(1, 1, 'x')]));
    c.deliver(append(1, [1, 1], [entry(2, 1, 'y')]));
    c.persist(1);
    const acks = c.take().map(m => m.kind === 'appendAccepted' && m.match);
    assert.equal(acks.at(-1), 2);
  });
});

describe('Leaders', () => {
  test('Lead2: a command is appended, committed by a majority, applied and answered', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    c.cut(1, 3);
    const batch = c.propose(1, 'a');
    assert.deepEqual(c.receipt(1, batch)?.first, { term: 1, index: 2 });
    assert.equal(c.report(1).commitIndex, 1);
    c.deliverAll();
    assert.equal(c.report(1).commitIndex, 2);
    assert.equal(c.node(1).applied.at(-1)?.index, 2);
  });

  test('Lead3: a follower gets the entries from its nextIndex on', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    c.isolate(3);
    for (const x of 'abcd') c.propose(1, x);
    c.run(3);
    assert.equal(c.report(3).last.index, 1);
    c.heal();
    c.run(3);
    assert.equal(c.report(3).last.index, 5);
    assert.equal(c.report(1).progress.find(p => p.id === 3)?.matchIndex, 5);
  });

  test('Lead3: after a rejection nextIndex goes back by whole terms and the append is retried', () => {
    const c = new CoreCluster([2], plain);
    const hardState = { currentTerm: 6, votedFor: 0, commitIndex: 0 };
    const config = voters(1, 2, 3);
    c.add(1, config, { hardState, entries: logOf(1, 1, 1, 4, 4, 5, 5, 6, 6, 6) });
    c.add(3, config, { hardState, entries: logOf(1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3) });
    c.campaign(1);
    c.deliverAll(m => m.to === 3 || m.from === 3);
    const probes = c.node(3).trace.filter(e => e.input === 'receive append').length;
    assert.ok(probes <= 4, `${probes} appends`);
    assert.deepEqual(c.terms(3), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7]);
  });

  test('Lead4: entries of older terms are never committed by counting', () => {
    const c = new CoreCluster([2, 3], { ...plain, noop: false });
    const hardState = { currentTerm: 2, votedFor: 0, commitIndex: 0 };
    c.add(1, voters(1, 2, 3), { hardState, entries: logOf(2) });
    c.elect(1);
    c.run(2);
    assert.deepEqual(c.terms(2), [2]);
    assert.equal(c.report(1).commitIndex, 0);
    const why = c
      .node(1)
      .trace.flatMap(e => e.rules)
      .find(r => r.rule === 'Lead4');
    assert.equal(why?.note, 'not committed: entry term 2, current term 3');
    c.propose(1, 'own');
    c.deliverAll();
    assert.equal(c.report(1).commitIndex, 2);
  });

  test('Lead4: the own match counts only once it is durable here (§10.2.1)', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, autoPersist: false });
    c.campaign(1);
    for (let i = 0; i < 4; i++) {
      for (const id of [1, 2, 3]) c.persist(id);
      c.deliverAll();
    }
    assert.equal(c.report(1).commitIndex, 1);
    c.propose(1, 'a');
    c.deliverAll(m => m.to !== 3);
    c.persist(2);
    c.deliverAll(m => m.to === 1);
    assert.equal(c.report(1).progress.find(p => p.id === 2)?.matchIndex, 2);
    assert.equal(c.report(1).commitIndex, 1);
    c.persist(1);
    assert.equal(c.report(1).commitIndex, 2);
  });

  test('§10.2: appends follow each other without waiting, up to the window', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, inflightMessagesMax: 3 });
    c.elect(1);
    for (const x of 'abcde') c.propose(1, x);
    const sent = c.take(m => m.kind === 'append' && m.to === 2 && m.entries.length > 0);
    assert.equal(sent.length, 3);
    for (const m of sent) c.deliver(m);
    c.deliverAll();
    assert.equal(c.report(2).last.index, 6);
  });

  test('§10.2: a lost append is found by the next heartbeat', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    c.propose(1, 'a');
    c.take(m => m.to === 2);
    c.propose(1, 'b');
    c.take(m => m.to === 2);
    c.run(2);
    assert.equal(c.report(2).last.index, 3);
  });

  test('reordered acks never take a match back (R06)', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    c.propose(1, 'a');
    c.propose(1, 'b');
    c.deliverAll(m => m.to === 2);
    const acks = c.take(m => m.kind === 'appendAccepted');
    for (const ack of acks.reverse()) c.deliver(ack);
    assert.equal(c.report(1).progress.find(p => p.id === 2)?.matchIndex, 3);
  });

  test('a stale rejection takes neither match nor commit back (R07)', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    c.propose(1, 'a');
    c.deliverAll();
    const envelope = { kind: 'appendRejected' as const, from: 2, to: 1, term: 1, round: 0 };
    c.deliver({ ...envelope, rejected: 1, hint: { term: 0, index: 1 } });
    const progress = c.report(1).progress.find(p => p.id === 2)!;
    assert.deepEqual([progress.matchIndex, progress.nextIndex], [2, 3]);
  });

  test('an ack of a rewritten index is not taken for the new entry (P06)', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, autoPersist: false });
    c.deliver(append(1, [0, 0], [entry(1, 1, 'old')]));
    c.deliver({ ...append(2, [0, 0], [entry(1, 2, 'new')]), from: 3 });
    c.persist(1, false);
    assert.equal(c.report(1).stableIndex, 0);
    c.persist(1);
    assert.equal(c.report(1).stableIndex, 1);
    assert.deepEqual(
      c.node(1).stored.entries.map(e => e.term),
      [2],
    );
  });

  test('a leader without commits refuses more than its bound of proposals (X08)', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, uncommittedBytesMax: 1000 });
    c.elect(1);
    c.isolate(1);
    const outcomes = Array.from({ length: 40 }, () => c.propose(1, 'x'.repeat(100)));
    const refused = outcomes.filter(b => c.receipt(1, b)?.refusal === 'overloaded');
    assert.ok(refused.length >= 30);
    c.heal();
    c.run(3);
    assert.equal(c.report(1).uncommittedBytes, 0);
    assert.equal(c.receipt(1, c.propose(1, 'again'))?.refusal, null);
  });

  test('a proposal at a follower goes to the leader once, with a receipt (C05)', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    c.elect(1);
    const batch = c.propose(2, 'a', 'b');
    assert.equal(c.receipt(2, batch), undefined);
    c.deliverAll();
    assert.deepEqual(c.receipt(2, batch)?.first, { term: 1, index: 2 });
    c.cut(1, 2);
    c.propose(2, 'lost');
    c.run(5);
    assert.equal(c.report(1).last.index, 3);
  });

  test('a proposal without a leader is refused for good', () => {
    const c = new CoreCluster([1, 2, 3], plain);
    assert.equal(c.receipt(1, c.propose(1, 'a'))?.refusal, 'noLeader');
  });
});

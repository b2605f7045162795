// Scenarios R03, R08 and R10: how a leader finds its followers again. R01, R02, R04 to R07 and R09
// stand elsewhere: docs/SCENARIOS.md.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { Entry } from '../../src/raft/types.ts';
import { CoreCluster, logOf, voters } from '../support/core-cluster.ts';

const plain = { preVote: false, checkQuorum: false };

function withLogs(logs: Record<number, Entry[]>, options = {}): CoreCluster {
  const c = new CoreCluster([], { ...plain, ...options });
  const ids = Object.keys(logs).map(Number);
  for (const id of ids) {
    const hardState = { currentTerm: 9, votedFor: 0, commitIndex: 0 };
    c.add(id, voters(...ids), { entries: logs[id]!, hardState });
  }
  return c;
}

function many(count: number, term: number): number[] {
  return new Array<number>(count).fill(term);
}

describe('Replication', () => {
  test('R03 backup_50x3_bounded_rpcs: one rejection for each term that differs', () => {
    const c = withLogs({
      1: logOf(1, ...many(50, 5), ...many(50, 8)),
      2: logOf(1, ...many(50, 2), ...many(50, 3), ...many(50, 4)),
      3: logOf(1, ...many(50, 5), ...many(50, 8)),
    });
    c.campaign(1);
    let rejections = 0;
    c.deliverAll(m => {
      if (m.kind === 'appendRejected' && m.from === 2) rejections += 1;
      return true;
    });
    c.run(3);
    assert.deepEqual(c.terms(2), c.terms(1));
    assert.ok(rejections >= 1);
    assert.ok(rejections <= 4, `${rejections} rejections for three terms`);
  });

  test('R08 heartbeat_nack_keeps_backtrack: an old rejection changes nothing', () => {
    const c = withLogs({
      1: logOf(1, ...many(20, 5)),
      2: logOf(1, ...many(10, 2), ...many(10, 3)),
      3: logOf(1, ...many(20, 5)),
    });
    c.cut(1, 3);
    c.campaign(1);
    c.heal();
    c.campaign(1);
    c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
    c.tick(1);
    // Both the first append and the heartbeat after it are rejected at the old place.
    c.deliverAll(m => m.kind === 'append' && m.to === 2);
    const nacks = c.take(m => m.kind === 'appendRejected');
    assert.ok(nacks.length >= 2, 'the leader asked twice');
    c.deliver(nacks[0]!);
    const next = () => c.report(1).progress.find(({ id }) => id === 2)!.nextIndex;
    const backed = next();
    assert.ok(backed <= 12);
    for (const nack of nacks.slice(1)) c.deliver(nack);
    assert.equal(next(), backed);
    c.run(4);
    assert.deepEqual(c.terms(2), c.terms(1));
  });

  test('R10 pipelining_window_full_then_drop', () => {
    const c = new CoreCluster([1, 2, 3], { ...plain, inflightMessagesMax: 4, electionTicks: 40 });
    c.elect(1);
    c.run(2);
    for (let i = 0; i < 20; i++) c.propose(1, `command ${i}`);
    const sent = c.take(m => m.kind === 'append');
    assert.equal(sent.filter(m => m.to === 2).length, 4, 'the window is full');
    // Everything that was under way is lost; heartbeats find that out.
    c.run(10);
    assert.equal(c.report(1).commitIndex, c.report(1).last.index);
    for (const id of [2, 3]) assert.deepEqual(c.terms(id), c.terms(1));
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { ReadOutcome } from '../../test/support/driver-cluster.ts';
import { ReadRounds } from './reads.ts';

const limits = {
  requestTimeoutMs: 5000,
  pendingMax: 10,
  retryMs: 500,
  groupMs: 10,
  firstNumber: 1,
};

describe('ReadRounds', () => {
  test('serves a read by a slow answer although the question was repeated meanwhile', () => {
    const reads = new ReadRounds(limits);
    const read = new ReadOutcome();
    reads.add(read, 0);
    const first = reads.ask(0);
    const second = reads.ask(500);
    assert.ok(second > first);
    reads.answer({ read: first, index: 1 }, 510);
    reads.appliedTo(1);
    assert.ok(read.done);
    assert.equal(read.error, null);
  });

  test('never serves a read by a question that was asked before it came', () => {
    const reads = new ReadRounds(limits);
    const [early, late] = [new ReadOutcome(), new ReadOutcome()];
    reads.add(early, 0);
    const first = reads.ask(0);
    reads.add(late, 100);
    const second = reads.ask(500);
    reads.answer({ read: first, index: 1 }, 510);
    reads.appliedTo(9);
    assert.deepEqual([early.done, late.done], [true, false]);
    reads.answer({ read: second, index: 2 }, 520);
    reads.appliedTo(9);
    assert.ok(late.done);
  });

  test('takes no second answer to a question', () => {
    const reads = new ReadRounds(limits);
    const read = new ReadOutcome();
    reads.add(read, 0);
    const first = reads.ask(0);
    reads.answer({ read: first, index: null }, 10);
    reads.answer({ read: first, index: 1 }, 20);
    reads.appliedTo(1);
    assert.equal(read.done, false);
  });
});

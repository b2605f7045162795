// What a proposer is told, case by case. The rule behind the table: `not-applied` only where no log
// can hold the command any more, `unknown` wherever one still might.

import { describe, expect, test } from 'vitest';
import { Outcome } from '../../test/support/driver-cluster.ts';
import { refusalError } from './errors.ts';
import { createBatch, ProposalTracker } from './proposals.ts';

const LIMITS = { requestTimeoutMs: 1000, pendingMax: 100, pendingBytesMax: 1000 };
const LEADER = 2;
const PAYLOAD = { kind: 'propose', proposals: [] } as const;

function setup(count = 1) {
  const tracker = new ProposalTracker(LIMITS, 0);
  return { tracker, ...add(tracker, 1, count) };
}

function add(tracker: ProposalTracker, number: number, count: number, now = 0) {
  const outcomes = Array.from({ length: count }, () => new Outcome());
  for (const _ of outcomes) tracker.reserve(10);
  const batch = createBatch(number, now, PAYLOAD, [...outcomes], 10 * count);
  tracker.add(batch, LEADER);
  return { batch, outcomes, outcome: outcomes[0]! };
}

const place = (tracker: ProposalTracker, batch: number, index: number, term: number) =>
  tracker.receipt({ batch, first: { term, index }, refusal: null });

const verdict = ({ error, result, answers }: Outcome) =>
  answers === 0 ? 'waits' : error === null ? result : `${error.code} ${error.outcome}`;

describe('a proposal', () => {
  test('whose entry is applied gets its result', () => {
    const { tracker, outcome } = setup();
    place(tracker, 1, 5, 3);
    tracker.applied(5, 3, 'ok');
    expect(verdict(outcome)).toBe('ok');
    expect([tracker.count, tracker.bytes]).toEqual([0, 0]);
  });

  test('is certainly not applied when another term is committed in its place', () => {
    const { tracker, outcome } = setup();
    place(tracker, 1, 5, 3);
    tracker.applied(5, 4, 'of somebody else');
    expect(verdict(outcome)).toBe('LEADER_CHANGED not-applied');
  });

  test('is not given up when a newer leader merely wrote in its place', () => {
    const { tracker, outcome } = setup();
    place(tracker, 1, 5, 3);
    const { outcome: newer } = add(tracker, 2, 1);
    place(tracker, 2, 5, 4);
    expect([verdict(outcome), verdict(newer)]).toEqual(['waits', 'waits']);
    // Figure 8: the older entry can still win.
    tracker.applied(5, 3, 'the older one');
    expect([verdict(outcome), verdict(newer)]).toEqual([
      'the older one',
      'LEADER_CHANGED not-applied',
    ]);
    tracker.appliedTo(5);
    expect([tracker.count, tracker.bytes]).toEqual([0, 0]);
  });

  test('that is refused with a lasting reason is certainly not applied', () => {
    const { tracker, outcome } = setup();
    tracker.receipt({ batch: 1, first: null, refusal: 'overloaded' });
    expect(verdict(outcome)).toBe('OVERLOADED not-applied');
  });

  test('that nobody leads for is kept, and after the timeout certainly not applied', () => {
    const { tracker, outcome } = setup();
    tracker.receipt({ batch: 1, first: null, refusal: 'noLeader' });
    tracker.expire(999);
    expect([verdict(outcome), tracker.hasParked]).toEqual(['waits', true]);
    tracker.expire(1000);
    expect(verdict(outcome)).toBe('NO_LEADER not-applied');
  });

  test('that was refused for want of a leader can be handed in again', () => {
    const { tracker, outcome, batch } = setup();
    tracker.receipt({ batch: 1, first: null, refusal: 'notLeader' });
    expect(tracker.takeParked()).toEqual([batch]);
    batch.number = 2;
    tracker.add(batch, 3);
    place(tracker, 2, 9, 4);
    tracker.applied(9, 4, 'at last');
    expect(verdict(outcome)).toBe('at last');
  });

  test('without a receipt is unknown at the timeout', () => {
    const { tracker, outcome } = setup();
    tracker.expire(1000);
    expect(verdict(outcome)).toBe('TIMEOUT unknown');
    place(tracker, 1, 5, 3);
    tracker.applied(5, 3, 'too late');
    expect(outcome.answers).toBe(1);
  });

  test('with a receipt but not committed is unknown at the timeout', () => {
    const { tracker, outcome } = setup();
    place(tracker, 1, 5, 3);
    tracker.expire(1000);
    expect(verdict(outcome)).toBe('TIMEOUT unknown');
    tracker.applied(5, 3, 'too late');
    expect(outcome.answers).toBe(1);
    expect([tracker.count, tracker.bytes]).toEqual([0, 0]);
  });

  test('without a receipt is unknown as soon as another node leads', () => {
    const { tracker, outcome } = setup();
    tracker.leaderChanged(LEADER);
    expect(verdict(outcome)).toBe('waits');
    tracker.leaderChanged(3);
    expect(verdict(outcome)).toBe('LEADER_CHANGED unknown');
  });

  test('without a receipt is unknown once the link to its leader broke', () => {
    const { tracker, outcome } = setup();
    tracker.linkLost(3);
    expect(verdict(outcome)).toBe('waits');
    tracker.linkLost(LEADER);
    expect(verdict(outcome)).toBe('LEADER_CHANGED unknown');
  });

  test('with a receipt survives a change of leader: its place decides', () => {
    const { tracker, outcome } = setup();
    place(tracker, 1, 5, 3);
    tracker.leaderChanged(3);
    tracker.linkLost(LEADER);
    tracker.applied(5, 3, 'ok');
    expect(verdict(outcome)).toBe('ok');
  });

  test('whose receipt comes after its index was passed has lost its result', () => {
    const { tracker, outcomes } = setup(2);
    tracker.appliedTo(5);
    place(tracker, 1, 5, 3);
    tracker.applied(6, 3, 'seen');
    expect(outcomes.map(verdict)).toEqual(['RESULT_LOST unknown', 'seen']);
  });

  test('whose index is skipped by a snapshot has lost its result', () => {
    const { tracker, outcomes } = setup(3);
    place(tracker, 1, 5, 3);
    tracker.skippedTo(6);
    tracker.applied(7, 3, 'seen');
    expect(outcomes.map(verdict)).toEqual(['RESULT_LOST unknown', 'RESULT_LOST unknown', 'seen']);
  });

  test('that failed by itself gets that error', () => {
    const { tracker, outcome } = setup();
    place(tracker, 1, 5, 3);
    tracker.rejected(5, 3, refusalError('tooLarge'));
    expect(verdict(outcome)).toBe('TOO_LARGE not-applied');
  });
});

describe('many proposals', () => {
  test('are told apart by index, across batches and foreign entries', () => {
    const tracker = new ProposalTracker(LIMITS, 0);
    const first = add(tracker, 1, 3);
    const second = add(tracker, 2, 2);
    place(tracker, 1, 10, 1);
    place(tracker, 2, 15, 1);
    for (let index = 1; index <= 17; index++) tracker.applied(index, 1, index);
    tracker.appliedTo(17);
    expect(first.outcomes.map(verdict)).toEqual([10, 11, 12]);
    expect(second.outcomes.map(verdict)).toEqual([15, 16]);
    expect([tracker.count, tracker.bytes]).toEqual([0, 0]);
  });

  test('are all answered when the node ends: parked ones as not applied, others unknown', () => {
    const tracker = new ProposalTracker(LIMITS, 0);
    const all = [add(tracker, 1, 1), add(tracker, 2, 1), add(tracker, 3, 1)];
    place(tracker, 1, 1, 1);
    tracker.receipt({ batch: 2, first: null, refusal: 'noLeader' });
    tracker.failAll(outcome => refusalError('stopped').withOutcome(outcome));
    expect(all.map(({ outcome }) => verdict(outcome))).toEqual([
      'STOPPED unknown',
      'STOPPED not-applied',
      'STOPPED unknown',
    ]);
    expect([tracker.count, tracker.bytes]).toEqual([0, 0]);
  });

  test('are bounded in number and in bytes, but one large one alone is let in', () => {
    const tracker = new ProposalTracker({ ...LIMITS, pendingMax: 3 }, 0);
    expect([tracker.reserve(5000), tracker.reserve(1)]).toEqual([true, false]);
    const small = new ProposalTracker({ ...LIMITS, pendingMax: 2 }, 0);
    expect([small.reserve(1), small.reserve(1), small.reserve(1)]).toEqual([true, true, false]);
  });
});

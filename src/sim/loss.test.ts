// The property `loss` by itself: what it sees, and what it lets pass.

import { describe, expect, test } from 'vitest';
import type { Halt } from '../raft/io.ts';
import type { AppendRequest } from '../raft/messages.ts';
import type { TraceState } from '../raft/trace.ts';
import { NO_NODE } from '../raft/types.ts';
import { Judge } from './judge.ts';
import { Shadow } from './shadow.ts';
import { World } from './world.ts';

const STATE: TraceState = {
  role: 'follower',
  term: 3,
  votedFor: NO_NODE,
  leader: 1,
  commitIndex: 0,
  stableIndex: 4,
  appliedIndex: 0,
  last: { term: 3, index: 4 },
};
const HALT: Halt = { kind: 'lostEntries', leader: 1, term: 3, acknowledged: 6, last: STATE.last };

function append(acknowledged: number, term = 3): AppendRequest {
  const content = { prev: STATE.last, entries: [], leaderCommit: 0, round: 1 };
  return { kind: 'append', from: 1, to: 2, term, acknowledged, ...content };
}

/** Node 2, which lost entries up to `lostUpTo` and has four, takes an append; says what is broken. */
function judged(message: AppendRequest, halt: Halt | null, lostUpTo: number): string | null {
  const judge = new Judge(new World(), ['loss']);
  const shadow = new Shadow(judge);
  shadow.node(2).lostUpTo = lostUpTo;
  const event = {
    version: 1,
    node: 2,
    step: 1,
    input: 'receive append',
    from: 1,
    rules: [],
  } as const;
  const core = { report: () => ({}) as never, entryAt: () => undefined };
  shadow.step({ ...event, halt, was: STATE, now: STATE }, { kind: 'receive', message }, core);
  return judge.violation?.property ?? null;
}

describe('a node that has lost entries', () => {
  test('must stop when the leader of its term tells it', () => {
    expect(judged(append(6), null, 6)).toBe('loss');
    expect(judged(append(6), HALT, 6)).toBe(null);
  });

  test('goes on while it is told of what it has, or by an older leader', () => {
    expect(judged(append(4), null, 6)).toBe(null);
    expect(judged(append(6, 2), null, 6)).toBe(null);
  });
});

describe('a node that has lost nothing', () => {
  test('must not stop', () => {
    expect(judged(append(6), HALT, 0)).toBe('loss');
  });

  test('and one that has lost something must not stop for two leaders', () => {
    expect(judged(append(4), { kind: 'twoLeaders', leader: 1, other: 3, term: 3 }, 6)).toBe('loss');
  });
});

test('what a disk has lost is back once it is durable again', () => {
  const shadow = new Shadow(new Judge(new World()));
  const node = shadow.node(1);
  node.durable.push(1, 11);
  const past = node.past();
  node.durable.push(1, 12);
  node.goBack(past);
  expect([node.durable.lastIndex, node.lostUpTo, node.isWhole]).toEqual([1, 2, false]);
  node.durable.push(2, 99);
  expect(node.isWhole).toBe(false);
  node.durable.truncate(2);
  node.durable.push(1, 12);
  expect(node.isWhole).toBe(true);
});

test('an image of another vote, or with a configuration more, is not put back', () => {
  const shadow = new Shadow(new Judge(new World()));
  const node = shadow.node(1);
  node.durable.push(1, 11);
  const past = node.past();
  expect(node.hasOnlyEntriesMore(past)).toBe(false);
  node.durable.push(1, 12);
  expect(node.hasOnlyEntriesMore(past)).toBe(true);
  expect(node.votesAsIn(past)).toBe(true);
  node.vote = { term: 1, votedFor: 2 };
  expect(node.votesAsIn(past)).toBe(false);
  node.durable.truncate(1);
  node.durable.push(1, 77);
  node.durable.push(1, 78);
  expect(node.hasOnlyEntriesMore(past)).toBe(false);
});

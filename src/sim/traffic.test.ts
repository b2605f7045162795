import { expect, test } from 'vitest';
import type { Message } from '../raft/messages.ts';
import { Judge } from './judge.ts';
import { drawPlan } from './swarm.ts';
import { Traffic } from './traffic.ts';
import { World } from './world.ts';

/** Three nodes for a minute, 100 rounds of heartbeats a second, 100 operations: 24,600 messages. */
const LINKS = { queueMessagesMax: 4096, inflightMessagesMax: 256 };
const PLAN = { nodes: 3, classes: [], tickMs: 10, heartbeatTicks: 1, ...LINKS };
const DEMAND = { simulatedMs: 60_000, members: 3, operations: 100 };

function broken(counts: Partial<Record<Message['kind'], number>>, change = {}): string | null {
  const traffic = new Traffic();
  for (const [kind, count] of Object.entries(counts)) {
    for (let i = 0; i < count; i++) traffic.sent({ kind } as Message);
  }
  const judge = new Judge(new World());
  const plan = { ...drawPlan({ seed: 1, plan: PLAN }), ...change };
  traffic.check(judge, plan, DEMAND);
  return judge.violation?.property ?? null;
}

test('what an idle cluster sends is within the budget', () => {
  expect(broken({ append: 12_000, appendAccepted: 12_000, forward: 200 })).toBe(null);
});

test('chunks that beget chunks are not', () => {
  expect(broken({ append: 12_000, snapshot: 90_000, snapshotReply: 90_000 })).toBe('traffic');
});

test('appends that are sent again and again are not, unless links lose whole windows of them', () => {
  const appends = { append: 150_000, appendAccepted: 12_000 };
  expect(broken(appends)).toBe('traffic');
  expect(broken(appends, { lossRate: 0.1 })).toBe(null);
  expect(broken(appends, { queueMessagesMax: 8 })).toBe(null);
  expect(broken(appends, { lossRate: 0.1, inflightMessagesMax: 1 })).toBe('traffic');
});

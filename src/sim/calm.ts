// where nothing goes wrong, nothing much happens. A run without faults begins with an idle time:
// one leader is elected, and from then on there are heartbeats and their answers, and nothing else.

import type { Judge } from './judge.ts';
import { HEAVY_TAIL_MAX } from './prng.ts';
import type { Plan } from './types.ts';
import type { World } from './world.ts';

export interface CalmParts {
  readonly world: World;
  readonly plan: Plan;
  readonly judge: Judge;
  /** How often a leader was elected, and how many messages have left a node so far. */
  counts(): { readonly elections: number; readonly messages: number };
}

/** By then somebody leads, even if the first ones to try collided. */
const ELECTION_TIMEOUTS = 10;
const IDLE_US = 3_000_000;

/** A run is calm when it meets no fault, and the slowest wire and disk are faster than an election. */
export function isCalm({ classes, delayMs, syncMs, electionTicks, tickMs, turnUs }: Plan): boolean {
  const slowestMs = HEAVY_TAIL_MAX * Math.max(2 * delayMs, syncMs) + turnUs / 1000;
  return classes.length === 0 && 2 * slowestMs < electionTicks * tickMs;
}

/** The idle time, before clients begin. */
export async function idleTime(parts: CalmParts): Promise<void> {
  const { world, plan, judge } = parts;
  const electionUs = plan.electionTicks * plan.tickMs * 1000;
  await world.runUntil(world.now + ELECTION_TIMEOUTS * electionUs);
  const before = parts.counts();
  await world.runUntil(world.now + IDLE_US);
  const after = parts.counts();
  checkElections(parts);
  const sent = after.messages - before.messages;
  const most = messagesMax(plan, IDLE_US);
  judge.check('A-50', 0, sent <= most, () => {
    return `${sent} messages leave in ${IDLE_US / 1e6} idle seconds, ${most} are enough`;
  });
}

/** One leader for the whole run. */
export function checkElections({ judge, counts }: CalmParts): void {
  const { elections } = counts();
  judge.check(
    'A-50',
    0,
    elections === 1,
    () => `${elections} leaders are elected, without a fault`,
  );
}

/** A heartbeat to each follower and its answer, and one round more at either end. */
export function messagesMax({ nodes, tickMs, heartbeatTicks }: Plan, us: number): number {
  const rounds = Math.ceil(us / (tickMs * heartbeatTicks * 1000)) + 2;
  return 2 * (nodes - 1) * rounds;
}

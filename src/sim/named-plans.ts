// Plans with a name, for whoever compares runs: `kontiki sim --plan usual`. What goes wrong, and how
// often, is drawn by each seed as ever.

import type { Plan, Stack } from './types.ts';

/**
 * Three nodes with etcd's timing, and a log that is written sector by sector. Messages stay objects, so
 * there is nothing for `corrupt` to change; every other kind of trouble has its effect.
 */
const USUAL: Partial<Plan> = {
  nodes: 3,
  tickMs: 100,
  heartbeatTicks: 1,
  electionTicks: 10,
  turnUs: 0,
  encode: false,
  segmentBytes: 131_072,
  alignBytes: 512,
};

export const NAMED_PLANS: Readonly<Record<string, (stack: Stack) => Partial<Plan>>> = {
  usual: stack => ({ ...USUAL, operationsPerSecond: stack === 'kv' ? 50 : 10 }),
};

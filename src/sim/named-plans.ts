// Plans with a name, for whoever compares runs: `kontiki sim --plan usual`. What goes wrong, and how
// often, is drawn by each seed as ever.

import type { Plan, Stack } from './types.ts';

/**
 * Three nodes with etcd's timing and sizes: a run is too short for a snapshot, and messages stay objects.
 * So `snapshot` and `corrupt` have no effect in it; every other kind of trouble has.
 */
const USUAL: Partial<Plan> = {
  nodes: 3,
  tickMs: 100,
  heartbeatTicks: 1,
  electionTicks: 10,
  snapshotCount: 10_000,
  trailingEntries: 5000,
  segmentBytes: 131_072,
  alignBytes: 512,
  turnUs: 0,
  encode: false,
};

export const NAMED_PLANS: Readonly<Record<string, (stack: Stack) => Partial<Plan>>> = {
  usual: stack => ({ ...USUAL, operationsPerSecond: stack === 'kv' ? 50 : 10 }),
};

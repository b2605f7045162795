// Plans with a name, for whoever compares runs: `kontiki sim --plan usual`. What goes wrong, and how
// often, is drawn by each seed as ever.

import type { Plan, Stack } from './types.ts';

/** Three nodes with etcd's timing and a log that is kept, as most clusters are run. */
const USUAL: Partial<Plan> = {
  nodes: 3,
  tickMs: 100,
  heartbeatTicks: 1,
  electionTicks: 10,
  segmentBytes: 131_072,
  alignBytes: 512,
  snapshotCount: 10_000,
  trailingEntries: 5000,
  durableMachine: false,
  turnUs: 0,
  encode: false,
};

export const NAMED_PLANS: Readonly<Record<string, (stack: Stack) => Partial<Plan>>> = {
  usual: stack => ({ ...USUAL, operationsPerSecond: stack === 'kv' ? 50 : 10 }),
};

import { describe, expect, test } from 'vitest';
import { sweep, workloadFor } from '../../src/sim/index.ts';

const MARKS = [
  'refusedAsCompacted',
  'watchAfterRestore',
  'watchAtCompact',
  'watchCaughtUp',
  'watchCompacted',
  'watchDeleteAtCompact',
  'watchFellBehind',
  'watchFuture',
  'watchProgress',
  'watchResumedElsewhere',
  'watchSeveralKeys',
];

describe('watches under faults', () => {
  test('meet every situation in which etcd once failed, and break nothing', {
    timeout: 120_000,
  }, async () => {
    const createWorkload = workloadFor('kv');
    const plan = {
      nodes: 3,
      durationMs: 15_000,
      classes: ['crash', 'partition', 'pause', 'snapshot'],
      faultEveryMs: 1500,
      snapshotCount: 20,
      trailingEntries: 0,
      operationsPerSecond: 40,
      readShare: 0.1,
      keys: 10,
    } as const;
    const options = { stack: 'kv', createWorkload, plan } as const;
    const { marks, checks, failures } = await sweep({ first: 1, last: 20, ...options });
    expect(failures).toEqual([]);
    for (const mark of MARKS) expect(marks[mark], mark).toBeGreaterThan(0);
    for (const id of [37, 38, 39, 40, 41, 42, 43]) expect(checks[`A-${id}`]).toBeGreaterThan(150);
  });
});

import { describe, expect, test } from 'vitest';
import { FAULT_CLASSES, PROPERTIES, sweep, workloadFor } from '../../src/sim/index.ts';

/** What speaks only when something is broken, and what other stacks look at. */
const ELSEWHERE = /^(A-24 undecided|A-30|A-3[7-9]|A-4[0-3]|A-51|A-53|corruption|own)$/;
const SHORT = { durationMs: 5000 } as const;

describe('a sweep', () => {
  test('200 short seeds of the core break nothing', { timeout: 120_000 }, async () => {
    const createWorkload = workloadFor('core');
    const summary = await sweep({ first: 1, last: 200, createWorkload, plan: SHORT });
    expect(summary.failures).toEqual([]);
    expect(summary.seeds).toBe(200);
    // A sweep that never commits or never elects proves nothing.
    expect(summary.acknowledged).toBeGreaterThan(3000);
    expect(summary.elections).toBeGreaterThan(200);
    for (const id of Object.keys(PROPERTIES)) {
      if (!ELSEWHERE.test(id)) expect(summary.checks[id] ?? 0, id).toBeGreaterThan(0);
    }
  });

  test('30 seeds with the key-value store break nothing', { timeout: 120_000 }, async () => {
    const createWorkload = workloadFor('kv');
    const options = { stack: 'kv', createWorkload, plan: SHORT } as const;
    const summary = await sweep({ first: 1, last: 30, ...options });
    expect(summary.failures).toEqual([]);
    expect(summary.acknowledged).toBeGreaterThan(300);
  });

  test('every class of fault happens when it is asked for', { timeout: 120_000 }, async () => {
    const createWorkload = workloadFor('core');
    const rate = (name: string, wanted: string) => (name === wanted ? 0.05 : 0);
    for (const name of FAULT_CLASSES) {
      const plan = {
        durationMs: 4000,
        liveness: false,
        nodes: 3,
        // What is held over a restart needs a restart, and messages under way.
        classes: name === 'held' ? (['held', 'crash'] as const) : ([name] as const),
        delayMs: name === 'held' ? 40 : 1,
        faultEveryMs: 500,
        operationsPerSecond: 20,
        encode: name === 'corrupt',
        lossRate: rate(name, 'loss'),
        duplicateRate: rate(name, 'duplicate'),
        reorderRate: rate(name, 'reorder'),
        corruptRate: rate(name, 'corrupt'),
      };
      const summary = await sweep({ first: 1, last: 3, createWorkload, plan });
      expect(summary.failures, name).toEqual([]);
      expect(summary.faults[name] ?? 0, name).toBeGreaterThan(0);
    }
  });

  test('damage beyond what a cluster can survive stops it, and makes it say nothing wrong', {
    timeout: 120_000,
  }, async () => {
    const createWorkload = workloadFor('core');
    const plan = {
      durationMs: 10_000,
      nodes: 3,
      classes: ['bitRot', 'staleSector', 'misdirected', 'lostDisk', 'crash'],
      faultEveryMs: 500,
      beyondAtlas: true,
    } as const;
    const { marks, failures } = await sweep({ first: 1, last: 12, createWorkload, plan });
    expect(failures).toEqual([]);
    for (const mark of ['beyondAtlas', 'refusedDamage']) {
      expect(marks[mark], mark).toBeGreaterThan(0);
    }
  });

  test('what should happen now and then does', { timeout: 120_000 }, async () => {
    const createWorkload = workloadFor('core');
    const plan = {
      durationMs: 15_000,
      nodes: 3,
      classes: ['membership', 'snapshot', 'crash', 'transfer', 'fullDisk', 'fsyncError'],
      faultEveryMs: 600,
      snapshotCount: 20,
      trailingEntries: 0,
      operationsPerSecond: 30,
    } as const;
    const { marks, failures } = await sweep({ first: 1, last: 12, createWorkload, plan });
    expect(failures).toEqual([]);
    const wanted = [
      'membershipChanged',
      'outsiderHeard',
      'recoveredLog',
      'recoveredSnapshot',
      'jointConfiguration',
      'snapshotInstalled',
      'leadershipTransferred',
      'stoppedBySyncError',
      'stoppedByFullDisk',
    ];
    for (const mark of wanted) expect(marks[mark], mark).toBeGreaterThan(0);
  });
});

import { describe, expect, test } from 'vitest';
import { simulate } from './run.ts';
import type { FaultClass, SimResult } from './types.ts';

const CLASSES: readonly FaultClass[] = ['oldImage', 'fsyncLie'];

async function run(seeds: number, name: FaultClass, plan = {}): Promise<SimResult[]> {
  const results: SimResult[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const fixed = { nodes: 3, durationMs: 12_000, faultEveryMs: 1500, classes: [name], ...plan };
    results.push(await simulate({ seed, plan: fixed }));
  }
  return results;
}

function total(results: readonly SimResult[], mark: string): number {
  return results.reduce((sum, { stats }) => sum + (stats.marks[mark] ?? 0), 0);
}

describe.each(CLASSES)('a disk that goes back in time (%s)', name => {
  test('is noticed, condemned and replaced, and the cluster lives on', async () => {
    const results = await run(8, name);
    expect(results.map(({ violation }) => violation)).toEqual(results.map(() => null));
    expect(total(results, 'lossDetected')).toBeGreaterThan(3);
    expect(total(results, 'refusedCondemned')).toBeGreaterThan(1);
    expect(total(results, 'membershipChanged')).toBeGreaterThan(3);
  }, 60_000);

  test('loses nothing of a cluster that has no others to keep it', async () => {
    const results = await run(3, name, { nodes: 1 });
    for (const { violation, stats } of results) {
      expect(violation).toBe(null);
      expect(stats.faults[name]).toBe(undefined);
    }
  }, 60_000);
});

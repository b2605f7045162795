import { describe, expect, test } from 'vitest';
import { simulate } from '../../src/sim/index.ts';

describe('determinism', () => {
  test('T01: a seed gives the same rolling hash each time it is run', {
    timeout: 120_000,
  }, async () => {
    for (let seed = 500; seed < 512; seed++) {
      const plan = { durationMs: 10_000 };
      const [first, second] = [await simulate({ seed, plan }), await simulate({ seed, plan })];
      expect(second.hash).toBe(first.hash);
      expect(second.stats).toEqual(first.stats);
    }
  });

  test('two seeds running at the same time do not disturb each other', async () => {
    const plan = { durationMs: 5000 };
    const alone = [await simulate({ seed: 1, plan }), await simulate({ seed: 2, plan })];
    const together = await Promise.all([simulate({ seed: 1, plan }), simulate({ seed: 2, plan })]);
    expect(together.map(({ hash }) => hash)).toEqual(alone.map(({ hash }) => hash));
  });

  test('another seed gives another hash', async () => {
    const plan = { durationMs: 2000, nodes: 3, classes: [] };
    const results = await Promise.all([simulate({ seed: 1, plan }), simulate({ seed: 2, plan })]);
    expect(results[0]!.hash).not.toBe(results[1]!.hash);
  });
});

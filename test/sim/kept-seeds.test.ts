import { describe, expect, test } from 'vitest';
import { failureReport, simulate } from '../../src/sim/index.ts';
import { KEPT_SEEDS } from './seeds.ts';

describe('seeds that once failed', () => {
  for (const { why, ...options } of KEPT_SEEDS) {
    test(`seed ${options.seed} (${options.stack ?? 'core'}) holds: ${why}`, {
      timeout: 60_000,
    }, async () => {
      const result = await simulate(options);
      expect(result.ok, failureReport(result)).toBe(true);
    });
  }
});

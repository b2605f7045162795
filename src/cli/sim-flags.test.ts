import { describe, expect, test } from 'vitest';
import { emptySummary } from '../sim/index.ts';
import { parseNumbers, parsePlan, parseSeeds } from './sim-flags.ts';
import { progressText, replayCommand, summaryReport } from './sim-text.ts';
import { NO_STYLE } from './style.ts';

describe('flags', () => {
  test('seeds are one number or a range, the smaller number first', () => {
    expect(parseSeeds('7')).toEqual({ first: 7, last: 7 });
    expect(parseSeeds('1-500')).toEqual({ first: 1, last: 500 });
    for (const wrong of ['', 'x', '5-1', '1-2-3', '-3', '1.5']) {
      expect(() => parseSeeds(wrong), wrong).toThrow();
    }
  });

  test('numbers are a list, none is the empty one', () => {
    expect(parseNumbers('3,7')).toEqual([3, 7]);
    expect(parseNumbers('none')).toEqual([]);
    expect(() => parseNumbers('3,,7')).toThrow();
  });

  test('a plan is an object of JSON, or a name', () => {
    expect(parsePlan('{"nodes":3}')).toEqual({ settings: { nodes: 3 } });
    expect(parsePlan('usual')).toEqual({ name: 'usual' });
    for (const wrong of ['', '{', '[]', 'null', '7']) {
      expect(() => parsePlan(wrong), wrong).toThrow('a plan is a JSON object');
    }
  });
});

test('a replay command is quoted for the shell and knows who started this one', () => {
  const options = { seed: 7, stack: 'kv', plan: { nodes: 3 }, only: { faults: [] } } as const;
  expect(replayCommand(options, {})).toBe(
    `kontiki sim --seed 7 --stack kv --plan '{"nodes":3}' --faults none`,
  );
  const cut = { seed: 7, stack: 'core', only: { operations: [1, 2] } } as const;
  expect(replayCommand(cut, { npm_lifecycle_event: 'sim' })).toBe(
    'npm run sim -- --seed 7 --operations 1,2',
  );
});

test('progress names seeds, simulated time, failures and what is left', () => {
  const summary = { ...emptySummary(), seeds: 1234, simulatedMs: 7_200_000 };
  expect(progressText(summary, 0.5, 65_000, 120_000)).toBe(
    '1,234 seeds · 2.0 cluster-hours · 4 a CPU-minute · 0 failures · 1 min 5 s of 2 min',
  );
});

test('a summary shows each failure on one line with its replay, escapes and all', () => {
  const failures = [{ seed: 7, property: 'A-01', message: 'two \x1b[31mleaders\nand more' }];
  const summary = { ...emptySummary(), seeds: 1, failures };
  const text = summaryReport(summary, 0.1, seed => `replay-${seed}`, NO_STYLE);
  expect(text).toContain('failures            1\n');
  expect(text).toMatch(/✗ seed 7: A-01: two \\x1b\[31mleaders\n {2}replay replay-7\n$/);
});

// `kontiki sim` and its flags. The simulator itself is loaded when the command runs.

import { buildCommand } from '@stricli/core';
import type { CliContext } from './context.ts';
import { parseCount } from './values.ts';

export const STACKS = ['core', 'kv'] as const;
const WORKERS_MAX = 64;
const MINUTES_MAX = 7 * 24 * 60;

export interface SeedRange {
  readonly first: number;
  readonly last: number;
}

export interface SimFlags {
  readonly seed?: number;
  readonly seeds?: SeedRange;
  readonly minutes?: number;
  readonly hours?: number;
  readonly workers: number;
  readonly stack: (typeof STACKS)[number];
  /** Checked against the names of a plan when the simulator is there to know them. */
  readonly plan?: Readonly<Record<string, unknown>>;
  readonly faults?: readonly number[];
  readonly operations?: readonly number[];
  readonly shrink: boolean;
  readonly trace?: string;
  readonly json: boolean;
}

/** `7` or `1-500`. */
export function parseSeeds(text: string): SeedRange {
  const [first = '', last = first, ...more] = text.split('-');
  const range = { first: parseCount(first), last: parseCount(last) };
  if (more.length > 0 || range.last < range.first) {
    throw new Error('seeds are a range like 1-500, the smaller number first');
  }
  return range;
}

/** `3,7,12`, or `none`. */
export function parseNumbers(text: string): readonly number[] {
  return text === 'none' ? [] : text.split(',').map(parseCount);
}

export function parsePlan(text: string): Readonly<Record<string, unknown>> {
  let plan: unknown;
  try {
    plan = JSON.parse(text);
  } catch (error) {
    throw new Error(`a plan is a JSON object: ${(error as Error).message}`);
  }
  if (typeof plan !== 'object' || plan === null || Array.isArray(plan)) {
    throw new Error('a plan is a JSON object, like {"nodes":3,"classes":["crash"]}');
  }
  return plan as Readonly<Record<string, unknown>>;
}

function parseTime(text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0 || value > max) {
    throw new Error(`expected a number above 0, at most ${max}`);
  }
  return value;
}

function parseWorkers(text: string): number {
  const value = parseCount(text);
  if (value < 1 || value > WORKERS_MAX) throw new Error(`expected 1 to ${WORKERS_MAX}`);
  return value;
}

function parsed<T>(parse: (text: string) => T, placeholder: string, brief: string) {
  return { kind: 'parsed', parse, optional: true, placeholder, brief } as const;
}

const switchedOff = { kind: 'boolean', default: false, withNegated: false } as const;

export const simCommand = buildCommand<SimFlags, [], CliContext>({
  loader: async () => (await import('./sim.ts')).sim,
  parameters: {
    flags: {
      seed: parsed(parseCount, 'N', 'Run this seed; the last line is the hash of the run'),
      seeds: parsed(parseSeeds, 'A-B', 'Run these seeds'),
      minutes: parsed(text => parseTime(text, MINUTES_MAX), 'M', 'Run seeds for this long [1]'),
      hours: parsed(text => parseTime(text, MINUTES_MAX / 60), 'H', 'The same in hours: a soak'),
      workers: {
        kind: 'parsed',
        parse: parseWorkers,
        default: '1',
        placeholder: 'N',
        brief: 'Processes that share the seeds',
      },
      stack: {
        kind: 'enum',
        values: STACKS,
        default: 'core',
        brief: 'What runs on the nodes: small registers, or the key-value store',
      },
      plan: parsed(parsePlan, 'JSON', "Settings instead of the seed's own"),
      faults: parsed(parseNumbers, 'N,N', 'With --seed: only these of its faults, or none'),
      operations: parsed(parseNumbers, 'N,N', 'With --seed: only these of its operations'),
      shrink: { ...switchedOff, brief: 'With --seed: look for the smallest run that fails alike' },
      trace: parsed(String, 'FILE', 'With --seed: write every step of every node as JSON lines'),
      json: { ...switchedOff, brief: 'Print the result as JSON' },
    },
  },
  docs: {
    brief: 'Run clusters in virtual time and try to break them',
    fullDescription: [
      'Runs whole clusters, production code on a virtual clock, network and disk, each decided by a',
      'seed: its size, its settings, its load, its faults. The same seed gives the same run.',
      '',
      '  kontiki sim                          as many seeds as fit into a minute',
      '  kontiki sim --seed 312               one seed, with a report if it breaks something',
      '  kontiki sim --seed 312 --shrink      the smallest run that breaks the same',
      '  kontiki sim --hours 2 --workers 2    a soak',
      '',
      'Exit codes: 0 nothing is broken, 1 an invariant is, 64 usage, 130 interrupted.',
    ].join('\n'),
  },
});

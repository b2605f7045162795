// The flags of `kontiki sim`: what they mean and how they are read.

import { parseCount } from './values.ts';

export const STACKS = ['core', 'kv'] as const;
const WORKERS_MAX = 64;
export const MINUTES_MAX = 7 * 24 * 60;

export interface SeedRange {
  readonly first: number;
  readonly last: number;
}

/** One of the two. */
export interface GivenPlan {
  readonly name?: string;
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface SimFlags {
  readonly seed?: number;
  readonly seeds?: SeedRange;
  readonly minutes?: number;
  readonly hours?: number;
  readonly workers: number;
  readonly stack: (typeof STACKS)[number];
  /** Settings, or the name of a plan; checked when the simulator is there to know them. */
  readonly plan?: GivenPlan;
  readonly faults?: readonly number[];
  readonly operations?: readonly number[];
  readonly shrink: boolean;
  readonly twice: boolean;
  readonly trace?: string;
  readonly html?: string;
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

/** `usual`, or settings as JSON. */
export function parsePlan(text: string): GivenPlan {
  if (/^[a-z]+$/.test(text) && text !== 'null') return { name: text };
  let plan: unknown;
  try {
    plan = JSON.parse(text);
  } catch (error) {
    throw new Error(`a plan is a JSON object: ${(error as Error).message}`);
  }
  if (typeof plan !== 'object' || plan === null || Array.isArray(plan)) {
    throw new Error('a plan is a JSON object, like {"nodes":3,"classes":["crash"]}');
  }
  return { settings: plan as Readonly<Record<string, unknown>> };
}

export function parseTime(text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0 || value > max) {
    throw new Error(`expected a number above 0, at most ${max}`);
  }
  return value;
}

export function parseWorkers(text: string): number {
  const value = parseCount(text);
  if (value < 1 || value > WORKERS_MAX) throw new Error(`expected 1 to ${WORKERS_MAX}`);
  return value;
}

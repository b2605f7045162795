// Many seeds, one after the other, and what they amount to.

import { simulateWorkload } from './run.ts';
import type { FaultClass, SimResult, SimulateOptions } from './types.ts';
import type { CreateWorkload } from './workload.ts';

export interface SweepOptions {
  /** Seeds `first`, `first + step`, ... up to `last` (Infinity: until isOver says so). */
  readonly first: number;
  readonly last: number;
  readonly step?: number;
  readonly createWorkload: CreateWorkload;
  readonly stack?: SimulateOptions['stack'];
  readonly plan?: SimulateOptions['plan'];
  /** Asked before each seed: the caller's clock. */
  readonly isOver?: () => boolean;
  /** Every so many seeds one is run twice, and the hashes compared; 0: never. */
  readonly twiceEvery?: number;
  readonly failuresMax?: number;
  /** Awaited: the caller may let its event loop turn. */
  readonly onSeed?: (result: SimResult, so: SweepSummary) => void | Promise<void>;
}

export interface SweepSummary {
  seeds: number;
  simulatedMs: number;
  events: number;
  steps: number;
  operations: number;
  acknowledged: number;
  elections: number;
  /** How often each class really happened. */
  faults: Partial<Record<FaultClass, number>>;
  checks: Record<string, number>;
  marks: Record<string, number>;
  /** Seeds run twice. */
  twice: number;
  failures: { seed: number; property: string; message: string }[];
}

const FAILURES_MAX = 20;

export function emptySummary(): SweepSummary {
  return {
    seeds: 0,
    simulatedMs: 0,
    events: 0,
    steps: 0,
    operations: 0,
    acknowledged: 0,
    elections: 0,
    faults: {},
    checks: {},
    marks: {},
    twice: 0,
    failures: [],
  };
}

export async function sweep(options: SweepOptions): Promise<SweepSummary> {
  const { first, last, step = 1, createWorkload, plan, stack } = options;
  const summary = emptySummary();
  for (let seed = first; seed <= last; seed += step) {
    if (options.isOver?.() === true) break;
    if (summary.failures.length >= (options.failuresMax ?? FAILURES_MAX)) break;
    const run = () => {
      const extra = { ...(plan === undefined ? {} : { plan }), ...(stack ? { stack } : {}) };
      return simulateWorkload({ seed, ...extra }, createWorkload);
    };
    const result = await run();
    add(summary, result);
    if (options.twiceEvery && summary.seeds % options.twiceEvery === 0) {
      summary.twice += 1;
      const again = await run();
      if (again.hash !== result.hash) {
        const message = `hash ${result.hash}, then ${again.hash}: the run is not deterministic`;
        summary.failures.push({ seed, property: 'A-51', message });
      }
    }
    await options.onSeed?.(result, summary);
  }
  return summary;
}

function add(summary: SweepSummary, { seed, stats, violation }: SimResult): void {
  summary.seeds += 1;
  summary.simulatedMs += stats.simulatedMs;
  summary.events += stats.events;
  summary.steps += stats.steps;
  summary.operations += stats.operations;
  summary.acknowledged += stats.acknowledged;
  summary.elections += stats.elections;
  addCounts(summary.faults, stats.faults);
  addCounts(summary.checks, stats.checks);
  addCounts(summary.marks, stats.marks);
  if (violation !== null) {
    const { property, message } = violation;
    summary.failures.push({ seed, property, message });
  }
}

/** Sums of two sweeps, for those that ran side by side. */
export function merge(a: SweepSummary, b: SweepSummary): SweepSummary {
  const sum: SweepSummary = { ...a, failures: [...a.failures, ...b.failures] };
  for (const key of ['faults', 'checks', 'marks'] as const) {
    const counts: Record<string, number> = { ...a[key] };
    addCounts(counts, b[key]);
    Object.assign(sum, { [key]: counts });
  }
  const numbers = ['seeds', 'simulatedMs', 'events', 'steps', 'operations'] as const;
  for (const key of [...numbers, 'acknowledged', 'elections', 'twice'] as const) {
    sum[key] = a[key] + b[key];
  }
  return sum;
}

function addCounts(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [key, count] of Object.entries(from)) to[key] = (to[key] ?? 0) + count;
}

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
  readonly onSeed?: (result: SimResult, so: SweepSummary) => void;
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
    options.onSeed?.(result, summary);
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

/** The page that a sweep ends with. `cpuMinutes` as the caller measured it. */
export function summaryText(summary: SweepSummary, cpuMinutes: number): string {
  const hours = summary.simulatedMs / 3_600_000;
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const perMinute = cpuMinutes > 0 ? hours / cpuMinutes : 0;
  const perSecond = cpuMinutes > 0 ? summary.events / (60 * cpuMinutes) : 0;
  return [
    `seeds run:          ${summary.seeds} (${summary.twice} of them twice)`,
    `simulated:          ${hours.toFixed(2)} cluster-hours, ${perMinute.toFixed(1)} a CPU-minute`,
    `events:             ${summary.events}, ${Math.round(perSecond)} a CPU-second`,
    `operations:         ${summary.operations}, ${summary.acknowledged} acknowledged`,
    `elections:          ${summary.elections}`,
    `faults:             ${list(summary.faults)}`,
    `invariants checked: ${list(summary.checks)}`,
    `seen:               ${list(summary.marks)}`,
    `failures:           ${summary.failures.length}`,
    ...summary.failures.map(({ seed, property, message }) => {
      return `  seed ${seed}: ${property}: ${message.split('\n')[0]}`;
    }),
  ].join('\n');
}

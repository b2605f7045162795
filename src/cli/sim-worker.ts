// A process of its own that runs seeds for `kontiki sim` and reports each to its parent. A seed that
// never ends or that takes the process down leaves the parent whole, which knows the seed.

import { type SimResult, type SweepSummary, sweep, workloadFor } from '../sim/index.ts';
import type { SimulateOptions } from '../sim/types.ts';

/** What the parent asks for: the seeds `first`, `first + step`, ... up to `last`. */
export interface SweepJob extends Omit<SimulateOptions, 'seed' | 'onTrace'> {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly twiceEvery: number;
}

export interface WorkerReport {
  /** The seed that has just been run. */
  readonly seed: number;
  readonly summary: SweepSummary;
  readonly cpuMinutes: number;
  /** Present if it broke something. */
  readonly failed?: SimResult;
}

// Refusals and broken frames are what a simulation is made of, and each would note where it was made.
// `kontiki sim --seed N` runs in a process that does.
Error.stackTraceLimit = 0;

let stopped = false;

async function work({ first, last, step, twiceEvery, stack, plan }: SweepJob): Promise<void> {
  const createWorkload = workloadFor(stack ?? 'core');
  const options = { ...(stack === undefined ? {} : { stack }), ...(plan ? { plan } : {}) };
  const onSeed = async (result: SimResult, summary: SweepSummary) => {
    const { user, system } = process.cpuUsage();
    const failed = result.ok ? {} : { failed: result };
    const cpuMinutes = (user + system) / 60e6;
    process.send!({ seed: result.seed, summary, cpuMinutes, ...failed } satisfies WorkerReport);
    // A run is one long turn of the event loop: between two there must be time to hear the parent.
    await new Promise(resolve => setImmediate(resolve));
  };
  const isOver = () => stopped;
  await sweep({ first, last, step, createWorkload, ...options, twiceEvery, isOver, onSeed });
  process.disconnect();
}

// Ctrl-C reaches every process of the terminal; the parent decides what it means.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
process.on('message', (message: SweepJob | 'stop') => {
  if (message === 'stop') stopped = true;
  else void work(message);
});

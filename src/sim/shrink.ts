// Makes a failing run small enough to be understood: fewer kinds of trouble, fewer faults, fewer
// operations, as long as the same property stays broken. Faults and operations have numbers and
// generators of their own (schedule.ts), so leaving some out leaves the others what they were.

import { simulateWorkload } from './run.ts';
import type { Plan, SimResult, SimulateOptions } from './types.ts';
import type { CreateWorkload } from './workload.ts';

export interface ShrinkOptions {
  readonly createWorkload: CreateWorkload;
  readonly runsMax?: number;
  /** Asked before each run: the caller's clock. */
  readonly isOver?: () => boolean;
  readonly onProgress?: (runs: number, faults: number, operations: number) => void;
}

export interface Shrunk {
  readonly options: SimulateOptions;
  readonly result: SimResult;
  readonly runs: number;
}

const RUNS_MAX = 400;

/** What makes a run simpler when it is switched off; each is tried alone, in this order. */
const SIMPLER: readonly Partial<Plan>[] = [
  { encode: false, corruptRate: 0 },
  { duplicateRate: 0 },
  { reorderRate: 0 },
  { lossRate: 0 },
  { driftPpm: 0 },
  { delayMs: 1 },
  { syncMs: 1 },
  { turnUs: 0 },
  { durableMachine: false },
  { sessionShare: 0 },
  { probeEveryMs: 1_000_000_000 },
];

/** The run must fail; throws a RangeError when it does not. */
export async function shrink(start: SimulateOptions, how: ShrinkOptions): Promise<Shrunk> {
  const shrinker = new Shrinker(how);
  const first = await shrinker.run(start);
  if (first.violation === null) throw new RangeError(`seed ${start.seed} breaks nothing`);
  shrinker.accept(start, first);
  await shrinker.shorten();
  await shrinker.dropFaults();
  await shrinker.dropOperations();
  await shrinker.simplify();
  await shrinker.dropFaults();
  await shrinker.dropOperations();
  return shrinker.shrunk();
}

class Shrinker {
  readonly #how: ShrinkOptions;
  #options!: SimulateOptions;
  #result!: SimResult;
  #runs = 0;

  constructor(how: ShrinkOptions) {
    this.#how = how;
  }

  run(options: SimulateOptions): Promise<SimResult> {
    this.#runs += 1;
    return simulateWorkload(options, this.#how.createWorkload);
  }

  accept(options: SimulateOptions, result: SimResult): void {
    this.#options = options;
    this.#result = result;
    this.#how.onProgress?.(this.#runs, result.faults.length, result.operations.length);
  }

  shrunk(): Shrunk {
    return { options: this.#options, result: this.#result, runs: this.#runs };
  }

  /** What comes after the violation does not matter. */
  async shorten(): Promise<void> {
    const { violation, plan } = this.#result;
    const durationMs = Math.ceil(violation!.timeMs) + 1;
    if (durationMs < plan.durationMs) await this.#try({ plan: { durationMs, liveness: false } });
  }

  async simplify(): Promise<void> {
    for (const plan of SIMPLER) await this.#try({ plan });
  }

  async dropFaults(): Promise<void> {
    const numbers = this.#result.faults.map(({ number }) => number);
    await this.#reduce(numbers, faults => ({ only: { ...this.#options.only, faults } }));
  }

  async dropOperations(): Promise<void> {
    const numbers = [...this.#result.operations];
    await this.#reduce(numbers, operations => ({ only: { ...this.#options.only, operations } }));
  }

  /** Delta debugging: drops large parts first, then smaller ones. */
  async #reduce(
    numbers: readonly number[],
    withOnly: (kept: readonly number[]) => Partial<SimulateOptions>,
  ): Promise<void> {
    let kept = numbers;
    if (kept.length > 0 && (await this.#try(withOnly([])))) return;
    for (let size = Math.ceil(kept.length / 2); size >= 1; ) {
      let dropped = false;
      for (let at = 0; at < kept.length; ) {
        if (this.#isOver()) return;
        const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
        if (await this.#try(withOnly(rest))) {
          kept = rest;
          dropped = true;
        } else at += size;
      }
      if (size === 1 && !dropped) return;
      size = Math.max(1, Math.floor(size / 2));
    }
  }

  async #try(change: Partial<SimulateOptions>): Promise<boolean> {
    if (this.#isOver()) return false;
    const plan = { ...this.#options.plan, ...change.plan };
    // The classes decide the schedule, so they stay what the seed drew.
    const classes = this.#result.plan.classes;
    const options = { ...this.#options, ...change, plan: { ...plan, classes } };
    const result = await this.run(options);
    if (result.violation?.property !== this.#result.violation!.property) return false;
    this.accept(options, result);
    return true;
  }

  #isOver(): boolean {
    return this.#runs >= (this.#how.runsMax ?? RUNS_MAX) || this.#how.isOver?.() === true;
  }
}

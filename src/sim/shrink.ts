// Makes a failing run small enough to be understood: a smaller cluster, fewer kinds of trouble, a
// shorter time, fewer faults, fewer operations, as long as the same property stays broken. Faults and
// operations have numbers and generators of their own (schedule.ts), so leaving some out leaves the
// others what they were.

import { simulateWorkload } from './run.ts';
import { SIMPLER } from './simpler.ts';
import { drawPlan } from './swarm.ts';
import type { Plan, SimResult, SimulateOptions } from './types.ts';
import type { CreateWorkload } from './workload.ts';

export interface ShrinkOptions {
  readonly createWorkload: CreateWorkload;
  readonly runsMax?: number;
  /** Asked before each run: the caller's clock. */
  readonly isOver?: () => boolean;
  /** Awaited after each run: the caller may let its event loop turn. */
  readonly onRun?: (runs: number, smallest: SimResult) => void | Promise<void>;
}

export interface Shrunk {
  readonly options: SimulateOptions;
  readonly result: SimResult;
  readonly runs: number;
}

type Only = NonNullable<SimulateOptions['only']>;

const RUNS_MAX = 2000;
/** A failure that these don't make small is looked for elsewhere. */
const REDUCE_RUNS = 250;
/** What a person can follow. */
const FAULTS_SMALL = 5;
const OPERATIONS_SMALL = 20;
/** Runs cheap enough to try many seeds: so much virtual time. */
const BRIEF_MS = [2000, 4000, 8000] as const;
const SEEDS_ELSEWHERE = 150;
/** A run whose end is this near to its violation is short enough. */
const SHORT_ENOUGH = 0.9;

/** The run must fail; throws a RangeError when it does not. */
export async function shrink(start: SimulateOptions, how: ShrinkOptions): Promise<Shrunk> {
  const shrinker = new Shrinker(how);
  const first = await shrinker.run(start);
  if (first.violation === null) throw new RangeError(`seed ${start.seed} breaks nothing`);
  // All that the seed drew is pinned down: changing one setting must not draw the others anew.
  shrinker.accept({ ...start, plan: first.plan }, first);
  await shrinker.reduce(REDUCE_RUNS);
  if (!shrinker.isSmall) {
    const so = shrinker.smallest;
    await shrinker.lookElsewhere();
    await shrinker.reduce(RUNS_MAX);
    if (shrinker.sizeOf(so.result) < shrinker.sizeOf(shrinker.smallest.result)) {
      shrinker.accept(so.options, so.result);
    }
  }
  return shrinker.shrunk(start);
}

class Shrinker {
  readonly #how: ShrinkOptions;
  #options!: SimulateOptions;
  #result!: SimResult;
  #runs = 0;
  #runsMax = RUNS_MAX;

  constructor(how: ShrinkOptions) {
    this.#how = how;
  }

  get isSmall(): boolean {
    const { faults, operations } = this.#result;
    return faults.length <= FAULTS_SMALL && operations.length <= OPERATIONS_SMALL;
  }

  get smallest(): { readonly options: SimulateOptions; readonly result: SimResult } {
    return { options: this.#options, result: this.#result };
  }

  sizeOf({ faults, operations }: SimResult): number {
    return faults.length + operations.length;
  }

  /** Until nothing more can be left out, or so many runs are over. */
  async reduce(runsMax: number): Promise<void> {
    this.#runsMax = Math.min(this.#how.runsMax ?? RUNS_MAX, runsMax);
    await this.shorten();
    await this.simplify();
    for (let before = Number.POSITIVE_INFINITY; this.sizeOf(this.#result) < before; ) {
      before = this.sizeOf(this.#result);
      await this.drop('faults');
      await this.drop('operations');
      await this.simplify();
    }
  }

  /**
   * Some failures hang on the exact course of a long run, and any change undoes them. The same trouble
   * in a brief run of another seed mostly leads to the same place.
   */
  async lookElsewhere(): Promise<void> {
    this.#runsMax = this.#how.runsMax ?? RUNS_MAX;
    const { plan: full, violation } = this.#result;
    for (const durationMs of BRIEF_MS) {
      const faultEveryMs = Math.min(full.faultEveryMs, 300);
      const plan = { ...full, durationMs, faultEveryMs, operationsPerSecond: 10 };
      for (let seed = 1; seed <= SEEDS_ELSEWHERE; seed++) {
        if (this.#isOver()) return;
        const options = { ...this.#options, seed, plan, only: {} };
        const result = await this.run(options);
        await this.#how.onRun?.(this.#runs, this.#result);
        if (result.violation?.property !== violation!.property) continue;
        this.accept(options, result);
        return;
      }
    }
  }

  async run(options: SimulateOptions): Promise<SimResult> {
    this.#runs += 1;
    return simulateWorkload(options, this.#how.createWorkload);
  }

  accept(options: SimulateOptions, result: SimResult): void {
    this.#options = options;
    this.#result = result;
  }

  shrunk(start: SimulateOptions): Shrunk {
    const options = { ...this.#options, plan: differences(this.#options, start) };
    return { options, result: this.#result, runs: this.#runs };
  }

  /** What comes after the violation does not matter, and often little of what comes before. */
  async shorten(): Promise<void> {
    const { violation, plan } = this.#result;
    const enough = Math.ceil(violation!.timeMs) + 1;
    if (enough < SHORT_ENOUGH * plan.durationMs) {
      await this.#try({ plan: { durationMs: enough, liveness: false } });
      return;
    }
    if (enough <= plan.durationMs) return;
    // It shows only when the time is over: in the liveness phase, or in the history as a whole.
    await this.#try({ plan: { liveness: false } });
    for (let share = 0.1; share < 0.8; share *= 2) {
      const durationMs = Math.ceil(plan.durationMs * share);
      if (await this.#try({ plan: { durationMs } })) return;
    }
  }

  /** Settings of their own, and ambient trouble, one after the other. */
  async simplify(): Promise<void> {
    for (const simpler of SIMPLER) {
      const change = simpler(this.#result.plan);
      if (change !== null && (await this.#try({ plan: change }))) await this.shorten();
    }
  }

  /** Delta debugging: drops large parts first, then smaller ones. */
  async drop(what: keyof Only): Promise<void> {
    if ((await this.#keepOnly(what, [])) || this.#happened(what).length === 0) return;
    await this.#keepLast(what);
    let size = Math.ceil(this.#happened(what).length / 2);
    while (size >= 1 && !this.#isOver()) {
      const dropped = await this.#dropPieces(what, size);
      if (size === 1 && !dropped) return;
      size = Math.max(1, Math.floor(size / 2));
      await this.shorten();
    }
  }

  /** What broke it mostly happened just before. */
  async #keepLast(what: keyof Only): Promise<void> {
    const all = this.#happened(what);
    for (let count = 1; count < all.length / 2; count *= 2) {
      if (await this.#keepOnly(what, all.slice(-count))) return;
    }
  }

  async #dropPieces(what: keyof Only, size: number): Promise<boolean> {
    let dropped = false;
    for (let end = this.#happened(what).length; end > 0 && !this.#isOver(); end -= size) {
      const all = this.#happened(what);
      const rest = [...all.slice(0, Math.max(0, end - size)), ...all.slice(end)];
      if (rest.length < all.length && (await this.#keepOnly(what, rest))) dropped = true;
    }
    return dropped;
  }

  #happened(what: keyof Only): readonly number[] {
    if (what === 'operations') return this.#result.operations;
    return this.#result.faults.map(({ number }) => number);
  }

  #keepOnly(what: keyof Only, numbers: readonly number[]): Promise<boolean> {
    return this.#try({ only: { ...this.#options.only, [what]: numbers } });
  }

  async #try(change: { plan?: Partial<Plan>; only?: Only }): Promise<boolean> {
    if (this.#isOver()) return false;
    const plan = { ...this.#options.plan, ...change.plan };
    const options = { ...this.#options, ...change, plan };
    const result = await this.run(options);
    const isSame = result.violation?.property === this.#result.violation!.property;
    if (isSame) this.accept(options, result);
    await this.#how.onRun?.(this.#runs, this.#result);
    return isSame;
  }

  #isOver(): boolean {
    return this.#runs >= this.#runsMax || this.#how.isOver?.() === true;
  }
}

/** Settings that the seed would not have drawn: what a person has to type. */
function differences({ seed, plan = {} }: SimulateOptions, start: SimulateOptions): Partial<Plan> {
  const drawn = drawPlan({ ...start, seed }) as unknown as Readonly<Record<string, unknown>>;
  // Without its classes a seed draws differently from there on, so then everything is named.
  if (plan.classes?.join() !== (drawn['classes'] as readonly string[]).join()) return plan;
  const given = start.plan ?? {};
  const entries = Object.entries(plan).filter(([name, value]) => {
    return name in given || (name !== 'classes' && value !== drawn[name]);
  });
  return Object.fromEntries(entries);
}

// Linearizability of a history against a sequential model: splits it by key, searches each part
// within a budget, and says legal, illegal or undecided. Undecided is never a pass.

import { assertHistory, type Operation, type Verdict } from './history.ts';
import type { Model } from './models.ts';
import { searchOrder } from './wgl-search.ts';

export interface LinearizabilityOptions {
  /** Steps of the model all parts together may take: about 10 million a second. */
  readonly stepsMax?: number | undefined;
  /** Bytes the memory of one part's search may take. */
  readonly memoBytesMax?: number | undefined;
  /** For tests of hash collisions. */
  readonly hashMask?: number | undefined;
}

/** A part that was not judged to its end, since another one is illegal, is undecided. */
export interface PartResult {
  /** The key of the part, '' if the model has none. */
  readonly key: string;
  readonly verdict: Verdict;
  readonly steps: number;
  /** Indexes into the history of the operations that were judged. */
  readonly operations: number[];
  /** Indexes into the history: a legal order, or the longest order found. */
  readonly order: number[];
}

export interface LinearizabilityResult {
  readonly verdict: Verdict;
  readonly steps: number;
  readonly parts: PartResult[];
}

export const STEPS_MAX_DEFAULT = 50_000_000;
export const MEMO_BYTES_MAX_DEFAULT = 256 * 1024 * 1024;

/**
 * Intervals are closed: an operation called at the very time another returned counts as
 * concurrent with it. Throws HistoryError if the history is malformed.
 */
export function checkLinearizable<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  options: LinearizabilityOptions = {},
): LinearizabilityResult {
  assertHistory(history);
  const parts = [...partition(history, model)].sort((a, b) => a[1].length - b[1].length);
  const search = new PartsSearch(history, model, parts, options);
  return search.run();
}

/** Steps that each part may take before any part may take more. */
const FIRST_SLICE = 100_000;
const SLICE_FACTOR = 10;

/**
 * Parts differ in how hard they are by orders of magnitude, and one illegal part decides. So each is
 * tried with few steps before any is tried with many, and the first that is illegal ends it all.
 */
class PartsSearch<S, In, Out> {
  readonly #history: readonly Operation<In, Out>[];
  readonly #model: Model<S, In, Out>;
  readonly #options: LinearizabilityOptions;
  readonly #parts: PartResult[];
  #budget: number;

  constructor(
    history: readonly Operation<In, Out>[],
    model: Model<S, In, Out>,
    parts: readonly (readonly [string, number[]])[],
    options: LinearizabilityOptions,
  ) {
    this.#history = history;
    this.#model = model;
    this.#options = options;
    this.#budget = options.stepsMax ?? STEPS_MAX_DEFAULT;
    this.#parts = parts.map(([key, operations]) => {
      return { key, operations, verdict: 'undecided', steps: 0, order: [] };
    });
  }

  run(): LinearizabilityResult {
    for (let slice = FIRST_SLICE; this.#budget > 0; slice *= SLICE_FACTOR) {
      const open = [...this.#parts.keys()].filter(i => this.#parts[i]!.verdict === 'undecided');
      if (open.length === 0 || !this.#round(open, slice)) break;
    }
    const steps = this.#parts.reduce((n, part) => n + part.steps, 0);
    return { verdict: worst(this.#parts), steps, parts: this.#parts };
  }

  /** False once a part is illegal. */
  #round(open: readonly number[], slice: number): boolean {
    for (let n = 0; n < open.length && this.#budget > 0; n++) {
      // An equal share of what is left: one hard part cannot starve the others.
      const share = Math.ceil(this.#budget / (open.length - n));
      const part = this.#try(this.#parts[open[n]!]!, Math.min(slice, share));
      this.#parts[open[n]!] = part;
      if (part.verdict === 'illegal') return false;
    }
    return true;
  }

  #try(part: PartResult, stepsMax: number): PartResult {
    const { memoBytesMax = MEMO_BYTES_MAX_DEFAULT, hashMask } = this.#options;
    const operations = part.operations.map(i => this.#history[i]!);
    const limits = { stepsMax, memoWordsMax: memoBytesMax / 4, hashMask };
    const { verdict, steps, order } = searchOrder(operations, this.#model, limits);
    this.#budget -= steps;
    const inHistory = order.map(i => part.operations[i]!);
    return { ...part, verdict, steps: part.steps + steps, order: inHistory };
  }
}

/** Indexes by key, without failed operations and reads whose answer nobody saw. */
export function partition<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
): Map<string, number[]> {
  const parts = new Map<string, number[]>();
  for (let i = 0; i < history.length; i++) {
    const op = history[i]!;
    if (op.outcome === 'failed') continue;
    if (op.outcome === 'unknown' && model.isRead(op.input, undefined)) continue;
    const key = model.key?.(op.input) ?? '';
    const part = parts.get(key);
    if (part === undefined) parts.set(key, [i]);
    else part.push(i);
  }
  return parts;
}

function worst(results: readonly PartResult[]): Verdict {
  if (results.some(r => r.verdict === 'illegal')) return 'illegal';
  return results.some(r => r.verdict === 'undecided') ? 'undecided' : 'legal';
}

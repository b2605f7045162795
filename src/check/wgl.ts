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
  let budget = options.stepsMax ?? STEPS_MAX_DEFAULT;
  const results: PartResult[] = [];
  for (const [key, operations] of parts) {
    // Small parts first, each with an equal share of what is left: one hard part cannot starve
    // the others, and inherits what they did not need.
    const share = Math.ceil(budget / (parts.length - results.length));
    const result = searchOrder(
      operations.map(i => history[i]!),
      model,
      {
        stepsMax: share,
        memoWordsMax: (options.memoBytesMax ?? MEMO_BYTES_MAX_DEFAULT) / 4,
        hashMask: options.hashMask,
      },
    );
    budget = Math.max(0, budget - result.steps);
    results.push({ ...result, key, operations, order: result.order.map(i => operations[i]!) });
  }
  return {
    verdict: worst(results),
    steps: results.reduce((n, r) => n + r.steps, 0),
    parts: results,
  };
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

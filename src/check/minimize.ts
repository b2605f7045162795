// The smallest set of operations that contradict each other. Deleting operations would not do: a
// read of 5 is "wrong" as soon as the write of 5 is deleted. So operations are not deleted but
// released: a released one may take effect at any time from its call on, or never, and tells
// nothing. What stays illegal with all others released is the contradiction.

import { type Configuration, findFrontier } from './frontier.ts';
import type { Operation } from './history.ts';
import type { Model } from './models.ts';
import { searchOrder } from './wgl-search.ts';

export interface MinimizeOptions {
  /** Steps each of the many small searches may take. One that runs out counts as legal. */
  readonly stepsMax?: number | undefined;
  /** How many returns before the failure are looked at. */
  readonly windowReturns?: number | undefined;
  readonly configurationsMax?: number | undefined;
}

export interface Culprits<S> {
  /** Positions in the input, by call time. */
  readonly operations: number[];
  /** What may have been the state when the window began; empty if it began with the history. */
  readonly statesBefore: S[];
  /** Positions of the operations shown around them: all that were considered. */
  readonly window: number[];
  /** False if the history was too wide to be reduced; `operations` is then the whole window. */
  readonly minimal: boolean;
}

/** The input is one part of a history that the search found illegal. */
export function minimize<S, In, Out>(
  operations: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  options: MinimizeOptions = {},
): Culprits<S> {
  const frontier = findFrontier(
    operations,
    model,
    options.windowReturns ?? 24,
    options.configurationsMax ?? 20_000,
  );
  if (frontier === undefined) {
    const all = operations.map((_, i) => i);
    return { operations: all, statesBefore: [], window: all, minimal: false };
  }
  const window = [...frontier.window].sort(
    (a, b) => operations[a]!.callTime - operations[b]!.callTime || a - b,
  );
  const stepsMax = options.stepsMax ?? 200_000;
  const contradicts = (kept: ReadonlySet<number>) =>
    frontier.before.every(c => isIllegal(operations, model, window, kept, c, stepsMax));
  // What had not returned when the last configuration vanished tells nothing yet.
  const end = operations[frontier.stuckAt]!.returnTime;
  const telling = window.filter(
    i => operations[i]!.outcome === 'ok' && operations[i]!.returnTime <= end,
  );
  const minimal = contradicts(new Set(telling));
  const kept = minimal ? reduce(telling, contradicts) : telling;
  const fromStart = frontier.before.every(
    c => c.placed.length === 0 && model.stateKey(c.state) === model.stateKey(model.init()),
  );
  return {
    operations: kept,
    statesBefore: fromStart ? [] : distinctStates(frontier.before, model),
    window,
    minimal,
  };
}

/**
 * Delta debugging: drops ever smaller pieces while the rest still contradicts itself. The result
 * contradicts itself and no longer does without any one of its members.
 */
export function reduce(
  all: readonly number[],
  contradicts: (kept: ReadonlySet<number>) => boolean,
): number[] {
  let kept = [...all];
  let size = Math.ceil(kept.length / 2);
  while (size >= 1) {
    let dropped = false;
    for (let from = 0; from < kept.length; ) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (contradicts(new Set(rest))) {
        kept = rest;
        dropped = true;
      } else {
        from += size;
      }
    }
    if (size === 1 && !dropped) break;
    if (size > 1) size = Math.ceil(size / 2);
  }
  return kept;
}

function isIllegal<S, In, Out>(
  operations: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  window: readonly number[],
  kept: ReadonlySet<number>,
  configuration: Configuration<S>,
  stepsMax: number,
): boolean {
  const rest: Operation<In, Out>[] = [];
  for (const i of window) {
    if (configuration.placed.includes(i)) continue;
    const op = operations[i]!;
    if (kept.has(i)) rest.push(op);
    // A released read tells nothing and does nothing.
    else if (!model.isRead(op.input, undefined)) rest.push({ ...op, outcome: 'unknown' });
  }
  const options = { stepsMax, memoWordsMax: 1 << 20, from: configuration.state };
  return searchOrder(rest, model, options).verdict === 'illegal';
}

function distinctStates<S, In, Out>(
  configurations: readonly Configuration<S>[],
  model: Model<S, In, Out>,
): S[] {
  const states = new Map<string | number, S>();
  for (const { state } of configurations) states.set(model.stateKey(state), state);
  return [...states.values()];
}

// Where a history went wrong: a breadth-first run that keeps every configuration still possible
// at each return. It is slower than the search, but it stops at the very return after which
// nothing is possible, and it knows what was possible a little earlier: what an explanation needs.

import type { Operation } from './history.ts';
import type { Model } from './models.ts';

/** A state, and which open operations have been placed in reaching it (positions, sorted). */
export interface Configuration<S> {
  readonly state: S;
  readonly placed: readonly number[];
}

export interface Frontier<S> {
  /** What was possible just before the window. */
  readonly before: readonly Configuration<S>[];
  /** Positions of the operations of the window: those that returned in it, or were open in it. */
  readonly window: readonly number[];
  /** The operation whose return left nothing possible. */
  readonly stuckAt: number;
}

interface Event {
  readonly op: number;
  readonly isReturn: boolean;
}

/**
 * Finds the first return after which no configuration is left, and the configurations up to
 * `windowReturns` returns before it. Undefined if the history is legal or if there are more than
 * `configurationsMax` at some time.
 */
export function findFrontier<S, In, Out>(
  operations: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  windowReturns: number,
  configurationsMax: number,
): Frontier<S> | undefined {
  const events = eventsOf(operations);
  const open = new Set<number>();
  let current: Configuration<S>[] = [{ state: model.init(), placed: [] }];
  // The configurations and open operations before each of the latest returns.
  const recent: { configurations: Configuration<S>[]; open: number[] }[] = [];
  const returns: number[] = [];
  for (const { op, isReturn } of events) {
    if (!isReturn) {
      open.add(op);
      continue;
    }
    recent.push({ configurations: current, open: [...open] });
    returns.push(op);
    if (recent.length > windowReturns) recent.shift();
    const next = afterReturn(current, op, open, operations, model, configurationsMax);
    if (next === undefined) return undefined;
    if (next.length === 0) {
      const start = recent[0]!;
      const returned = returns.slice(-recent.length);
      const window = [...new Set([...start.open, ...returned, ...open])];
      return { before: start.configurations, window, stuckAt: op };
    }
    open.delete(op);
    current = next;
  }
  return undefined;
}

// Every configuration in which `op` is placed, by way of placing any open operations before it.
function afterReturn<S, In, Out>(
  current: readonly Configuration<S>[],
  op: number,
  open: ReadonlySet<number>,
  operations: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  configurationsMax: number,
): Configuration<S>[] | undefined {
  const seen = new Set<string>();
  const done = new Map<string, Configuration<S>>();
  const work: Configuration<S>[] = [];
  const push = (configuration: Configuration<S>) => {
    const key = keyOf(configuration, model);
    if (seen.has(key)) return;
    seen.add(key);
    work.push(configuration);
  };
  for (const configuration of current) push(configuration);
  while (work.length > 0) {
    if (seen.size > configurationsMax) return undefined;
    const { state, placed } = work.pop()!;
    if (placed.includes(op)) {
      const configuration = { state, placed: placed.filter(p => p !== op) };
      done.set(keyOf(configuration, model), configuration);
      continue;
    }
    for (const candidate of open) {
      if (placed.includes(candidate)) continue;
      const { input, output, outcome } = operations[candidate]!;
      const next = model.step(state, input, outcome === 'ok' ? output : undefined);
      if (next === undefined) continue;
      push({ state: next, placed: [...placed, candidate].sort((a, b) => a - b) });
    }
  }
  return [...done.values()];
}

function keyOf<S, In, Out>(configuration: Configuration<S>, model: Model<S, In, Out>): string {
  const key = model.stateKey(configuration.state);
  return `${configuration.placed.join(',')}|${typeof key}${key}`;
}

// At equal times calls stand before returns, as in the search.
function eventsOf(operations: readonly Operation[]): Event[] {
  const events: (Event & { time: number })[] = [];
  for (let op = 0; op < operations.length; op++) {
    const { callTime, returnTime, outcome } = operations[op]!;
    events.push({ op, isReturn: false, time: callTime });
    if (outcome === 'ok') events.push({ op, isReturn: true, time: returnTime });
  }
  return events.sort(
    (a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn) || a.op - b.op,
  );
}

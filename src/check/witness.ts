// Whoever watched the system from inside knows in which order things happened. If that order
// explains what the clients saw, the history is legal, and nothing has to be searched for. If it
// does not, nothing is proven: another order may.

import type { Operation } from './history.ts';
import type { Model } from './models.ts';

/**
 * Whether the operations, taken in this order, are what the model allows and respect real time.
 * `order` holds indexes into the history: every operation that succeeded once, none that failed,
 * and those of unknown outcome that took effect.
 */
export function isExplainedBy<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  order: readonly number[],
): boolean {
  return isComplete(history, order) && isInTime(history, order) && isAllowed(history, model, order);
}

function isComplete(history: readonly Operation[], order: readonly number[]): boolean {
  const placed = new Set(order);
  if (placed.size !== order.length) return false;
  return history.every(({ outcome }, i) => {
    if (outcome === 'unknown') return true;
    return placed.has(i) === (outcome === 'ok');
  });
}

/** Nothing stands behind an operation that was called only after it had returned. */
function isInTime(history: readonly Operation[], order: readonly number[]): boolean {
  let latestCall = Number.NEGATIVE_INFINITY;
  for (const i of order) {
    const { callTime, returnTime, outcome } = history[i]!;
    latestCall = Math.max(latestCall, callTime);
    // An unknown outcome may take effect long after its client gave up.
    if (outcome === 'ok' && returnTime < latestCall) return false;
  }
  return true;
}

function isAllowed<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  order: readonly number[],
): boolean {
  const states = new Map<string, S>();
  for (const i of order) {
    const { input, output, outcome } = history[i]!;
    const key = model.key?.(input) ?? '';
    const before = states.get(key) ?? model.init();
    const after = model.step(before, input, outcome === 'ok' ? output : undefined);
    if (after === undefined) return false;
    states.set(key, after);
  }
  return true;
}

// Linearizability by trying every order: no cleverness to be wrong about. It is the reference the
// searching checker is compared with, and is meant for at most eight operations.

import { HistoryError, type Operation } from './history.ts';
import type { Model } from './models.ts';

const OPERATIONS_MAX = 10;

export function isLinearizableByBruteForce<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
): boolean {
  const operations = history.filter(op => op.outcome !== 'failed');
  if (operations.length > OPERATIONS_MAX) throw new HistoryError('too long for brute force');
  const rest = new Set(operations);
  const extend = (state: S): boolean => {
    if (![...rest].some(op => op.outcome === 'ok')) return true;
    return [...rest].some(op => {
      // It cannot come next if another must come before it.
      if ([...rest].some(other => other.outcome === 'ok' && other.returnTime < op.callTime)) {
        return false;
      }
      const next = model.step(state, op.input, op.outcome === 'ok' ? op.output : undefined);
      if (next === undefined) return false;
      rest.delete(op);
      const legal = extend(next);
      rest.add(op);
      return legal;
    });
  };
  return extend(model.init());
}

// The judgement of what clients saw, in the words of the checkers: the smallest set of operations that
// contradict each other. A history that the search can't decide is a failure too: "unknown" must
// never count as a pass.

import { type Explanation, explainLinearizability, explanationText } from '../check/explain.ts';
import type { Operation } from '../check/history.ts';
import type { Model } from '../check/models.ts';
import { checkLinearizable } from '../check/wgl.ts';
import type { Judge } from './judge.ts';

export const UNDECIDED = 'A-24 undecided';

export function judgeLinearizable<S, In, Out>(
  judge: Judge,
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  stepsMax: number,
): void {
  const result = checkLinearizable(history, model, { stepsMax });
  if (result.verdict === 'illegal') {
    failExplained(judge, explainLinearizability(history, model, result)!);
  } else if (result.verdict === 'undecided') {
    const keys = result.parts.filter(part => part.verdict === 'undecided').map(part => part.key);
    const which = keys.some(key => key !== '') ? ` of ${keys.join(', ')}` : '';
    judge.fail(UNDECIDED, 0, `${stepsMax} steps did not decide the history${which}`);
  }
}

export function failExplained(judge: Judge, explanation: Explanation): void {
  const shown = { ...explanation, operations: explanation.operations.filter(op => op.isCulprit) };
  judge.fail('A-24', 0, explanationText(shown).trimEnd(), explanation);
}

// Explanations of a violation for people: which operations contradict each other, why, and what
// happened around them. One form for both checkers; text here, a page in html.ts.

import type { Operation } from './history.ts';
import { describeOutput, describeRequest, type KvOperation } from './kv-history.ts';
import { type MinimizeOptions, minimize } from './minimize.ts';
import type { Model } from './models.ts';
import type { RevisionResult } from './revision-types.ts';
import type { LinearizabilityResult } from './wgl.ts';

export interface ExplainedOperation {
  /** Index into the history. */
  readonly index: number;
  readonly process: number;
  readonly callTime: number;
  /** Infinity if it is not known when the effect, if any, was over. */
  readonly returnTime: number;
  readonly text: string;
  readonly isCulprit: boolean;
}

export interface Explanation {
  readonly title: string;
  /** One sentence each. */
  readonly reasons: readonly string[];
  /** By call time: the culprits, and what was open or ended near them. */
  readonly operations: readonly ExplainedOperation[];
}

const SHOWN_MAX = 400;

/** Undefined unless the verdict is illegal. */
export function explainLinearizability<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  result: LinearizabilityResult,
  options: MinimizeOptions = {},
): Explanation | undefined {
  const part = result.parts.find(p => p.verdict === 'illegal');
  if (part === undefined) return undefined;
  const operations = part.operations.map(i => history[i]!);
  const culprits = minimize(operations, model, options);
  const describe = (i: number) => {
    const op = history[i]!;
    return model.describe(op.input, op.outcome === 'ok' ? op.output : undefined);
  };
  const indexes = culprits.operations.map(i => part.operations[i]!);
  const window = culprits.window.map(i => part.operations[i]!);
  const states = culprits.statesBefore.slice(0, 6).map(s => model.describeState(s));
  if (culprits.statesBefore.length > states.length) states.push('...');
  const reasons = [
    culprits.minimal
      ? `No order of ${count(indexes.length)} explains their answers, even if every other ` +
        'operation could take effect at any time after its call, or never.'
      : 'No order of these operations explains their answers; there were too many to single out few.',
    ...(states.length > 0
      ? [`When they began, the state could only be: ${states.join(' or ')}.`]
      : []),
    ...precedences(history, indexes),
  ];
  return {
    title: `${model.name}${part.key === '' ? '' : ` ${part.key}`}: not linearizable`,
    reasons,
    operations: explained(history, window, indexes, describe),
  };
}

/** Undefined unless the verdict is illegal. */
export function explainRevisions(
  history: readonly KvOperation[],
  result: RevisionResult,
): Explanation | undefined {
  const { violation } = result;
  if (violation === undefined) return undefined;
  const describe = (i: number) => {
    const { input, output, outcome } = history[i]!;
    return `${describeRequest(input)} -> ${outcome === 'ok' ? describeOutput(output!) : outcome}`;
  };
  return {
    title: `revision ${violation.revision}: ${violation.kind}`,
    reasons: [`${violation.message}.`, ...precedences(history, violation.operations)],
    operations: explained(
      history,
      nearby(history, violation.operations),
      violation.operations,
      describe,
    ),
  };
}

export function explanationText(explanation: Explanation): string {
  const lines = [explanation.title, ''];
  for (const reason of explanation.reasons) lines.push(`  ${reason}`);
  lines.push('');
  for (const op of explanation.operations) {
    const mark = op.isCulprit ? '>' : ' ';
    const end = op.returnTime === Infinity ? '?' : String(op.returnTime);
    lines.push(`${mark} #${op.index} process ${op.process} [${op.callTime}, ${end}] ${op.text}`);
  }
  return `${lines.join('\n')}\n`;
}

// Which of the culprits real time puts before which: neighbours only, the rest follows.
function precedences(history: readonly Operation[], indexes: readonly number[]): string[] {
  const before = (a: number, b: number) =>
    history[a]!.outcome === 'ok' && history[a]!.returnTime < history[b]!.callTime;
  const sentences: string[] = [];
  for (const a of indexes) {
    for (const b of indexes) {
      if (!before(a, b) || indexes.some(c => before(a, c) && before(c, b))) continue;
      if (sentences.length >= 12) return sentences;
      sentences.push(`#${a} had returned before #${b} was called.`);
    }
  }
  return sentences;
}

function explained(
  history: readonly Operation[],
  shown: readonly number[],
  culprits: readonly number[],
  describe: (index: number) => string,
): ExplainedOperation[] {
  const guilty = new Set(culprits);
  const indexes = [...new Set([...culprits, ...shown])].slice(0, SHOWN_MAX);
  indexes.sort((a, b) => history[a]!.callTime - history[b]!.callTime || a - b);
  return indexes.map(index => {
    const { process, callTime, returnTime, outcome } = history[index]!;
    return {
      index,
      process,
      callTime,
      returnTime: outcome === 'unknown' ? Infinity : returnTime,
      text: describe(index),
      isCulprit: guilty.has(index),
    };
  });
}

// What met the first and the last culprit, a few dozen operations at most.
function nearby(history: readonly Operation[], culprits: readonly number[]): number[] {
  const near: number[] = [];
  for (let i = 0; i < history.length && near.length < 60; i++) {
    const op = history[i]!;
    const meets = culprits.some(c => {
      const culprit = history[c]!;
      return op.callTime <= culprit.returnTime && op.returnTime >= culprit.callTime;
    });
    if (meets && op.outcome !== 'failed') near.push(i);
  }
  return near;
}

function count(operations: number): string {
  return operations === 1 ? 'this one operation' : `these ${operations} operations`;
}

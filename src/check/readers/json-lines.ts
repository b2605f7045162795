// Histories as JSON lines: one operation a line, the shape of Operation. Infinity, which JSON does
// not know, is written as null.

import { HistoryError, type Operation, type Outcome } from '../history.ts';

const OUTCOMES: readonly string[] = ['ok', 'failed', 'unknown'] satisfies Outcome[];

/** Inputs and outputs are taken as they are: `In` and `Out` are the caller's claim. */
export function readJsonLines<In, Out>(text: string): Operation<In, Out>[] {
  const history: Operation<In, Out>[] = [];
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    if (lines[i]!.trim() !== '') history.push(readLine<In, Out>(lines[i]!, i + 1));
  }
  return history;
}

export function writeJsonLines(history: readonly Operation[]): string {
  return history
    .map(op => {
      const { process, callTime, returnTime, outcome, input, output } = op;
      const end = returnTime === Infinity ? null : returnTime;
      return `${JSON.stringify({ process, callTime, returnTime: end, outcome, input, output })}\n`;
    })
    .join('');
}

function readLine<In, Out>(line: string, number: number): Operation<In, Out> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new HistoryError(`line ${number} is not JSON`);
  }
  if (typeof value !== 'object' || value === null) {
    throw new HistoryError(`line ${number} is not an object`);
  }
  const { process, callTime, returnTime, outcome, input, output } = value as {
    [field: string]: unknown;
  };
  if (typeof process !== 'number' || typeof callTime !== 'number') {
    throw new HistoryError(`line ${number} lacks a numeric process or callTime`);
  }
  if (returnTime !== null && typeof returnTime !== 'number') {
    throw new HistoryError(`line ${number} has a returnTime that is neither number nor null`);
  }
  if (typeof outcome !== 'string' || !OUTCOMES.includes(outcome)) {
    throw new HistoryError(`line ${number} has an unknown outcome`);
  }
  if (outcome === 'ok' && output === undefined) {
    throw new HistoryError(`line ${number} succeeded without an output`);
  }
  return {
    process,
    callTime,
    returnTime: returnTime ?? Infinity,
    input: input as In,
    output: output as Out | undefined,
    outcome: outcome as Outcome,
  };
}

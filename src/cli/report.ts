// A failure as people should read it: what happened, and for a write whether it took effect; who was
// asked; what to do next. Thrown as a CliError, printed in one place.

import { type CliContext, exitWith } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { styleFor } from './style.ts';

/** `asked`, `why`, `next`: a label and its lines. */
export type Detail = readonly [label: string, lines: readonly string[]];

export interface Report {
  readonly headline: string;
  readonly details: readonly Detail[];
  readonly exitCode: ExitCode;
}

export class CliError extends Error {
  readonly report: Report;

  constructor(report: Report) {
    super(report.headline);
    this.name = 'CliError';
    this.report = report;
  }
}

export function usageError(headline: string, next: readonly string[] = []): CliError {
  const details: Detail[] = next.length === 0 ? [] : [['next', next]];
  return new CliError({ headline, details, exitCode: ExitCode.USAGE });
}

const LABEL_CHARS = 7;

/** Whole lines, without colours. */
export function formatReport({ headline, details }: Report, paintMark = (mark: string) => mark) {
  const lines = [`${paintMark('✗')} ${headline}`];
  for (const [label, texts] of details) {
    texts.forEach((text, i) => {
      lines.push(`  ${(i === 0 ? label : '').padEnd(LABEL_CHARS)}${text}`);
    });
  }
  return `${lines.join('\n')}\n`;
}

/** Runs a command; what it throws as a CliError is shown and decides the exit code. */
export async function reporting(
  context: CliContext,
  command: () => Promise<ExitCode>,
): Promise<void> {
  try {
    exitWith(context, await command());
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const { stderr, env } = context.process;
    stderr.write(formatReport(error.report, styleFor(stderr, env).red));
    exitWith(context, error.report.exitCode);
  }
}

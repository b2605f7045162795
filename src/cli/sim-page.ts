// The page of a run whose clients saw what no order explains: a bar for each operation, the
// contradiction in red.

import { writeFileSync } from 'node:fs';
import { explanationHtml } from '../check/html.ts';
import type { SimResult } from '../sim/index.ts';
import { ExitCode } from './exit-codes.ts';
import { CliError } from './report.ts';

/** False when there is nothing to show: the run is fine, or what it breaks is no history of clients. */
export function writePage(path: string, { violation }: SimResult): boolean {
  const explanation = violation?.explanation;
  if (explanation === undefined) return false;
  atFile(path, () => writeFileSync(path, explanationHtml(explanation)));
  return true;
}

/** What goes wrong with a file that a person named is told as such. */
export function atFile<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new CliError({
      headline: `${path} can't be written.`,
      details: [['why', [(error as Error).message]]],
      exitCode: ExitCode.FAILED,
    });
  }
}

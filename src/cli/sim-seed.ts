// One seed: run, shrunk if asked, reported. The last line is the hash of the run, which any other
// run of the same seed must repeat.

import { closeSync, openSync, writeSync } from 'node:fs';
import { silentLogger } from '../etcd/logger.ts';
import {
  failureReport,
  type SimResult,
  type SimulateOptions,
  shrink,
  simulateWorkload,
  workloadFor,
} from '../sim/index.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { Progress } from './progress.ts';
import { StopSignals } from './signals.ts';
import type { SimFlags } from './sim-flags.ts';
import { atFile, writePage } from './sim-page.ts';
import { jsonResult, quietReport, replayCommand } from './sim-text.ts';
import { styleFor } from './style.ts';
import { formatDuration } from './values.ts';

const SHRINK_MS = 60_000;
const TRACE_CHUNK_CHARS = 1 << 20;

export async function runSeed(
  context: CliContext,
  flags: SimFlags,
  given: SimulateOptions,
): Promise<ExitCode> {
  const { stdout, env } = context.process;
  const forget = hearRejections(context, given.seed);
  try {
    const options = flags.shrink ? await shrunk(context, flags, given) : given;
    const result = await traced(options, flags.trace);
    const command = replayCommand(options, env);
    if (flags.json) stdout.write(`${JSON.stringify(jsonResult(result, command))}\n`);
    else if (result.ok) stdout.write(quietReport(result, styleFor(stdout, env)));
    else stdout.write(`${failureReport(result, { command: () => command })}\n`);
    if (!flags.json) stdout.write(`${result.hash}\n`);
    if (flags.html !== undefined && !writePage(flags.html, result)) {
      context.process.stderr.write('no page: what the clients saw contradicts nothing\n');
    }
    return result.ok ? ExitCode.OK : ExitCode.FAILED;
  } finally {
    forget();
  }
}

/** The options of the smallest failing run, or those given if it does not fail. Ctrl-C settles for less. */
async function shrunk(
  context: CliContext,
  flags: SimFlags,
  given: SimulateOptions,
): Promise<SimulateOptions> {
  const { stderr, env } = context.process;
  const createWorkload = workloadFor(flags.stack);
  const first = await simulateWorkload(given, createWorkload);
  if (first.ok) return given;
  let so = { runs: 0, smallest: first };
  const signals = new StopSignals(silentLogger);
  let stopped = false;
  void signals.first.then(() => {
    stopped = true;
  });
  const progress = new Progress(stderr, env);
  progress.start(ms => {
    return `${so.runs} runs · ${sizeOf(so.smallest)} · ${formatDuration(ms)}`;
  });
  const end = performance.now() + SHRINK_MS;
  const { options, result, runs } = await shrink(given, {
    createWorkload,
    isOver: () => stopped || performance.now() > end,
    onRun: (ran, smallest) => {
      so = { runs: ran, smallest };
      return new Promise(resolve => setImmediate(resolve));
    },
  });
  progress.end();
  signals.close();
  stderr.write(`from ${sizeOf(first)} to ${sizeOf(result)} in ${runs} runs\n`);
  return options;
}

function sizeOf({ faults, operations }: SimResult): string {
  return `${faults.length} faults, ${operations.length} operations`;
}

async function traced(options: SimulateOptions, path: string | undefined): Promise<SimResult> {
  const createWorkload = workloadFor(options.stack ?? 'core');
  if (path === undefined) return simulateWorkload(options, createWorkload);
  const file = new LineFile(path);
  try {
    return await simulateWorkload(
      { ...options, onTrace: (timeMs, event) => file.write({ timeMs, ...event }) },
      createWorkload,
    );
  } finally {
    file.close();
  }
}

/** One JSON value a line. */
class LineFile {
  readonly #file: number;
  #text = '';

  constructor(path: string) {
    this.#file = atFile(path, () => openSync(path, 'w'));
  }

  write(value: object): void {
    this.#text += `${JSON.stringify(value)}\n`;
    if (this.#text.length > TRACE_CHUNK_CHARS) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    writeSync(this.#file, this.#text);
    this.#text = '';
  }
}

/** A promise that is rejected unheard has no run to blame: it ends this one. */
function hearRejections(context: CliContext, seed: number): () => void {
  const heard = (error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    context.process.stderr.write(
      `seed ${seed}: VIOLATION\n  A-53: a promise was rejected and nobody listened: ${text}\n`,
    );
    process.exit(ExitCode.FAILED);
  };
  process.on('unhandledRejection', heard);
  return () => process.off('unhandledRejection', heard);
}

// Many seeds, run by worker processes, until they or the time are over or somebody presses Ctrl-C; a
// summary follows in any case.

import { silentLogger } from '../etcd/logger.ts';
import { failureReport, type SimResult, type SimulateOptions } from '../sim/index.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { Progress } from './progress.ts';
import { StopSignals } from './signals.ts';
import type { SeedRange, SimFlags } from './sim-flags.ts';
import { jsonSummary, progressText, replayCommand, summaryReport } from './sim-text.ts';
import { SimWorkers } from './sim-workers.ts';
import { styleFor } from './style.ts';

const MINUTE_MS = 60_000;
const TWICE_EVERY = 100;

export async function sweepSeeds(
  context: CliContext,
  flags: SimFlags,
  options: Omit<SimulateOptions, 'seed'>,
): Promise<ExitCode> {
  const { stdout, env } = context.process;
  const range = flags.seeds ?? freshSeeds();
  const limitMs = timeLimitMs(flags);
  const replay = (seed: number) => replayCommand({ ...options, seed }, env);
  const progress = new Progress(context.process.stderr, env);
  const failed = (result: SimResult) => {
    if (flags.json) return;
    progress.clear();
    stdout.write(`${failureReport(result, { command: replay })}\n\n`);
  };
  const job = { ...options, ...range, twiceEvery: flags.twice ? 1 : TWICE_EVERY };
  const workers = new SimWorkers(job, flags.workers, failed);
  const stop = new AbortController();
  const signals = new StopSignals(silentLogger);
  void signals.first.then(() => stop.abort());
  if (limitMs < Number.POSITIVE_INFINITY) setTimeout(() => workers.stop(), limitMs).unref();
  stop.signal.addEventListener('abort', () => workers.stop());
  progress.start(ms => progressText(workers.summary, workers.cpuMinutes, ms, limitMs));
  await workers.run();
  progress.end();
  signals.close();
  const { summary, cpuMinutes } = workers;
  if (flags.json) stdout.write(`${JSON.stringify(jsonSummary(summary, cpuMinutes, replay))}\n`);
  else stdout.write(summaryReport(summary, cpuMinutes, replay, styleFor(stdout, env)));
  if (summary.failures.length > 0) return ExitCode.FAILED;
  return stop.signal.aborted ? ExitCode.INTERRUPTED : ExitCode.OK;
}

function timeLimitMs({ seeds, minutes, hours }: SimFlags): number {
  const given = (minutes ?? 0) + 60 * (hours ?? 0);
  if (given > 0) return given * MINUTE_MS;
  return seeds === undefined ? MINUTE_MS : Number.POSITIVE_INFINITY;
}

/** Seeds that depend on the moment, so that each run without a range sees new ones. */
function freshSeeds(): SeedRange {
  const first = Math.floor(Date.now() / 1000) % 1_000_000_000;
  return { first, last: Number.MAX_SAFE_INTEGER };
}

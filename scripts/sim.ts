// Runs the simulator from the command line: one seed with its report, or as many as a time allows.
//
//   npx tsx scripts/sim.ts --seed 42                 one seed; the last line is its rolling hash
//   npx tsx scripts/sim.ts --seeds 1-500             a range
//   npx tsx scripts/sim.ts --minutes 1 --workers 2   as many as there is time for
//   npx tsx scripts/sim.ts --hours 2                 a soak
//   ... --seed 42 --shrink                           the smallest run that breaks the same property
//   ... --stack kv                                   the key-value store instead of registers
//
// Exit code 1 when something is broken.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  emptySummary,
  failureReport,
  merge,
  type SimResult,
  type Stack,
  type SweepSummary,
  shrink,
  simulateWorkload,
  summaryText,
  sweep,
  workloadFor,
} from '../src/sim/index.ts';

const TWICE_EVERY = 100;
const PROGRESS_MS = 10_000;
const SHRINK_MS = 60_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    hours: { type: 'string' },
    workers: { type: 'string', default: '1' },
    stack: { type: 'string', default: 'core' },
    plan: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    step: { type: 'string', default: '1' },
  },
});

const stack: Stack = values.stack === 'kv' ? 'kv' : 'core';
const createWorkload = workloadFor(stack);
const plan = values.plan === undefined ? {} : { plan: JSON.parse(values.plan) };
const replay = (seed: number) => {
  const how = `npm run sim -- --seed ${seed}${stack === 'kv' ? ' --stack kv' : ''}`;
  return values.plan === undefined ? how : `${how} --plan '${values.plan}'`;
};

process.on('unhandledRejection', error => {
  console.error('A-53: a promise was rejected and nobody listened:', error);
  process.exit(1);
});

if (values.seed !== undefined) await runOne(number(values.seed, 'seed'));
else await runMany();

async function runOne(seed: number): Promise<void> {
  let result = await simulateWorkload({ seed, stack, ...plan }, createWorkload);
  if (!result.ok && values.shrink) result = await shrunk(seed);
  if (!result.ok) console.log(failureReport(result, { command: replay }));
  else console.log(`seed ${seed}: ok, ${JSON.stringify(result.stats, null, 1)}`);
  console.log(result.hash);
  process.exitCode = result.ok ? 0 : 1;
}

async function shrunk(seed: number): Promise<SimResult> {
  const end = performance.now() + SHRINK_MS;
  const isOver = () => performance.now() > end;
  const { result, runs, options } = await shrink(
    { seed, stack, ...plan },
    { createWorkload, isOver },
  );
  const { faults, operations } = result;
  console.log(`${faults.length} faults, ${operations.length} operations after ${runs} runs:`);
  console.log(JSON.stringify({ plan: options.plan, only: options.only }));
  return result;
}

async function runMany(): Promise<void> {
  const [first, last] = range(values.seeds);
  const minutes =
    number(values.minutes ?? '0', 'minutes') + 60 * number(values.hours ?? '0', 'hours');
  const forTime = values.seeds === undefined || minutes > 0;
  const limitMs = forTime ? (minutes || 1) * 60_000 : Number.POSITIVE_INFINITY;
  const workers = number(values.workers, 'workers');
  const [summary, cpuMinutes] =
    workers > 1 ? await inWorkers(workers, first, last, limitMs) : await here(first, last, limitMs);
  if (values.json) console.log(JSON.stringify({ summary, cpuMinutes }));
  else {
    console.log(summaryText(summary, cpuMinutes));
    for (const { seed } of summary.failures) console.log(`replay: ${replay(seed)}`);
  }
  process.exitCode = summary.failures.length === 0 ? 0 : 1;
}

async function here(first: number, last: number, limitMs: number): Promise<[SweepSummary, number]> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  let shown = start;
  const summary = await sweep({
    first,
    last,
    step: number(values.step, 'step'),
    createWorkload,
    stack,
    ...plan,
    twiceEvery: TWICE_EVERY,
    isOver: () => performance.now() - start > limitMs,
    onSeed: (result, so) => {
      if (!result.ok && !values.json)
        console.log(`${failureReport(result, { command: replay })}\n`);
      if (values.json || performance.now() - shown < PROGRESS_MS) return;
      shown = performance.now();
      const hours = (so.simulatedMs / 3_600_000).toFixed(1);
      console.log(`${so.seeds} seeds, ${hours} cluster-hours, ${so.failures.length} failures`);
    },
  });
  const { user, system } = process.cpuUsage(cpu);
  return [summary, (user + system) / 60e6];
}

/** Each worker takes every n-th seed. */
async function inWorkers(
  workers: number,
  first: number,
  last: number,
  limitMs: number,
): Promise<[SweepSummary, number]> {
  const results = await Promise.all(
    Array.from({ length: workers }, (_, i) => worker(first + i, last, workers, limitMs)),
  );
  let [summary, cpuMinutes] = [emptySummary(), 0];
  for (const result of results) {
    summary = merge(summary, result.summary);
    cpuMinutes += result.cpuMinutes;
  }
  return [summary, cpuMinutes];
}

async function worker(
  first: number,
  last: number,
  step: number,
  limitMs: number,
): Promise<{ summary: SweepSummary; cpuMinutes: number }> {
  const end = Number.isFinite(last) ? last : Number.MAX_SAFE_INTEGER;
  const args = ['--seeds', `${first}-${end}`, '--step', String(step), '--json', '--stack', stack];
  if (values.plan !== undefined) args.push('--plan', values.plan);
  if (Number.isFinite(limitMs)) args.push('--minutes', String(limitMs / 60_000));
  const script = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [...process.execArgv, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let lastLine = '';
  for await (const line of createInterface(child.stdout)) lastLine = line;
  return JSON.parse(lastLine);
}

function range(text: string | undefined): [number, number] {
  // Without a range: seeds that depend on the day, so that each run of a soak sees new ones.
  if (text === undefined) return [Math.floor(Date.now() / 1000) % 1_000_000_000, Infinity];
  const [first = '', last = first] = text.split('-');
  return [number(first, 'seeds'), number(last, 'seeds')];
}

function number(text: string, name: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`--${name} ${text}: not a number`);
  process.exit(2);
}

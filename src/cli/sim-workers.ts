// The worker processes of a sweep. Each takes every n-th seed. One that dies or hangs is a failure of
// the seed that it was running; another one goes on with the seed after it.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { emptySummary, merge, type SimResult, type SweepSummary } from '../sim/index.ts';
import type { SweepJob, WorkerReport } from './sim-worker.ts';

/** No seed takes that long; the slowest known one takes a twentieth of it. */
const SEED_MS_MAX = 120_000;
const FAILURES_MAX = 20;
const ERROR_CHARS = 2000;
/**
 * A run leaves much garbage and little else: in a large nursery less of it survives to be copied. One
 * thread is enough to look through it; more of them would take the processor from the other workers.
 */
const HEAP = ['--max-semi-space-size=64', '--min-semi-space-size=64', '--single-threaded-gc'];

export class SimWorkers {
  readonly #workers: SimWorker[];
  #stopped = false;

  constructor(job: Omit<SweepJob, 'step'>, count: number, onFailed: (result: SimResult) => void) {
    const failed = (result: SimResult | null) => {
      if (result !== null) onFailed(result);
      if (this.summary.failures.length >= FAILURES_MAX) this.stop();
    };
    this.#workers = Array.from({ length: count }, (_, i) => {
      return new SimWorker({ ...job, first: job.first + i, step: count }, failed);
    });
  }

  get summary(): SweepSummary {
    return this.#workers.map(worker => worker.summary).reduce(merge, emptySummary());
  }

  get cpuMinutes(): number {
    return this.#workers.reduce((sum, worker) => sum + worker.cpuMinutes, 0);
  }

  /** Resolves when all seeds are run, or after stop() when the ones under way are. */
  async run(): Promise<void> {
    const kill = () => {
      for (const worker of this.#workers) worker.kill();
    };
    process.on('exit', kill);
    await Promise.all(this.#workers.map(worker => worker.run()));
    process.off('exit', kill);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const worker of this.#workers) worker.stop();
  }
}

class SimWorker {
  readonly #job: SweepJob;
  readonly #onFailed: (result: SimResult | null) => void;
  /** Of the processes that are gone. */
  #before = { summary: emptySummary(), cpuMinutes: 0 };
  #now = { summary: emptySummary(), cpuMinutes: 0 };
  /** The seed that is being run. */
  #seed: number;
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #hangs = false;
  #errors = '';

  constructor(job: SweepJob, onFailed: (result: SimResult | null) => void) {
    this.#job = job;
    this.#seed = job.first;
    this.#onFailed = onFailed;
  }

  get summary(): SweepSummary {
    return merge(this.#before.summary, this.#now.summary);
  }

  get cpuMinutes(): number {
    return this.#before.cpuMinutes + this.#now.cpuMinutes;
  }

  async run(): Promise<void> {
    while (!this.#stopped && this.#seed <= this.#job.last) {
      const code = await this.#runProcess();
      if (code === 0) return;
      this.#died(code);
    }
  }

  stop(): void {
    this.#stopped = true;
    if (this.#child?.connected === true) this.#child.send('stop');
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Resolves to the exit code, null if a signal ended it. */
  #runProcess(): Promise<number | null> {
    const child = fork(workerFile(), [], {
      execArgv: [...process.execArgv, ...HEAP],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#errors = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + String(chunk)).slice(-ERROR_CHARS);
    });
    child.on('message', (report: WorkerReport) => this.#heard(report));
    child.send({ ...this.#job, first: this.#seed });
    this.#watch();
    return new Promise(resolve => {
      child.once('close', code => {
        clearTimeout(this.#timer);
        this.#child = null;
        resolve(code);
      });
    });
  }

  #heard({ seed, summary, cpuMinutes, failed }: WorkerReport): void {
    this.#now = { summary, cpuMinutes };
    this.#seed = seed + this.#job.step;
    this.#watch();
    if (failed !== undefined) this.#onFailed(failed);
  }

  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#hangs = true;
      this.kill();
    }, SEED_MS_MAX);
  }

  #died(code: number | null): void {
    const summary = this.summary;
    const why = this.#hangs
      ? `no end in sight after ${SEED_MS_MAX / 1000} s`
      : `the process ended with ${code ?? 'a signal'}: ${this.#errors.trim()}`;
    summary.failures.push({ seed: this.#seed, property: 'A-53', message: why });
    this.#before = { summary, cpuMinutes: this.cpuMinutes };
    this.#now = { summary: emptySummary(), cpuMinutes: 0 };
    this.#hangs = false;
    this.#seed += this.#job.step;
    this.#onFailed(null);
  }
}

/** Beside this file in the source, and beside the bundled command in dist/. */
function workerFile(): string {
  const name = import.meta.url.endsWith('.ts') ? './sim-worker.ts' : './sim-worker.js';
  return fileURLToPath(new URL(name, import.meta.url));
}

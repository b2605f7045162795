// One server process: started, killed, paused and restarted with the same flags, data and ports. Its
// output goes to a file that outlives each run, so that a failed test can show all of it.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { until, WaitError } from './process-wait.ts';

const LOG_SHOWN_CHARS = 6000;
const EXIT_MS_MAX = 20_000;

export interface MemberFlags {
  readonly name: string;
  readonly dataDir: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly initialCluster: string;
  readonly token: string;
}

export interface MemberLaunch {
  /** Program and first arguments; the flags follow. */
  readonly command: readonly string[];
  readonly flags: MemberFlags;
  readonly extraFlags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Processes that must not survive this one, whatever happens to it. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});
// The test runner ends its workers by this signal, of which the exit handlers would not hear.
process.once('SIGTERM', () => process.exit(143));

export class MemberProcess {
  readonly name: string;
  /** host:port */
  readonly endpoint: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly #launch: MemberLaunch;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  #paused = false;
  #startedAtByte = 0;

  constructor(launch: MemberLaunch, logDirectory: string) {
    const { name, clientUrl, peerUrl, dataDir } = launch.flags;
    this.name = name;
    this.clientUrl = clientUrl;
    this.peerUrl = peerUrl;
    this.endpoint = new URL(clientUrl).host;
    this.dataDir = dataDir;
    this.logFile = join(logDirectory, `${name}.log`);
    this.#launch = launch;
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Throws if it does not run. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    return pid;
  }

  /** Starts the program; it need not be ready yet. `more` flags are for this run only. */
  spawn(more: readonly string[] = [], nodeFlags: readonly string[] = []): void {
    if (this.#child !== null) throw new Error(`${this.name} runs already`);
    const [program, ...first] = this.#launch.command as [string, ...string[]];
    const node = program === process.execPath ? nodeFlags : [];
    const args = [...node, ...first, ...flagList(this.#launch), ...more];
    const log = openSync(this.logFile, 'a');
    this.#startedAtByte = statSync(this.logFile).size;
    const environment = { ...cleanEnvironment(), ...this.#launch.environment };
    const child = spawn(program, args, { stdio: ['ignore', log, log], env: environment });
    closeSync(log);
    alive.add(child);
    this.#child = child;
    this.#exited = new Promise(resolve => {
      const ended = () => {
        alive.delete(child);
        if (this.#child === child) this.#child = null;
        this.#paused = false;
        resolve();
      };
      child.once('exit', ended);
      child.once('error', ended);
    });
  }

  /** SIGKILL: no chance to flush anything. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM and the exit code; SIGKILL and a WaitError if it does not end in time. */
  async terminate(timeoutMs = EXIT_MS_MAX): Promise<number | null> {
    const child = this.#child;
    if (child === null) return null;
    if (this.#paused) this.resume();
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    await this.#exited;
    clearTimeout(timer);
    if (child.signalCode === 'SIGKILL') {
      throw new WaitError(`${this.name} did not end within ${timeoutMs} ms of SIGTERM`);
    }
    return child.exitCode;
  }

  /** Freezes the process with all its connections open. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP');
    this.#paused = true;
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
    this.#paused = false;
  }

  /** Everything it has written since its last start. */
  output(): string {
    return readFileSync(this.logFile).subarray(this.#startedAtByte).toString();
  }

  /** Waits for text in the output of the present run; fails at once if the process ends first. */
  async waitForOutput(text: string, timeoutMs = 20_000): Promise<void> {
    await until(
      `${this.name} writes ${JSON.stringify(text)}`,
      () => this.output().includes(text) || this.#throwIfEnded(),
      timeoutMs,
    ).catch(error => Promise.reject(new WaitError(`${error.message}\n${this.tail()}`)));
  }

  /** The end of all its output, for people. */
  tail(): string {
    const text = readFileSync(this.logFile).toString().slice(-LOG_SHOWN_CHARS);
    return `--- ${this.name} (${this.logFile})\n${text}`;
  }

  #throwIfEnded(): boolean {
    if (this.#child === null) throw new WaitError(`${this.name} has ended`);
    return false;
  }
}

function flagList({ flags, extraFlags }: MemberLaunch): string[] {
  return [
    ...['--name', flags.name],
    ...['--data-dir', flags.dataDir],
    ...['--listen-client-urls', flags.clientUrl],
    ...['--advertise-client-urls', flags.clientUrl],
    ...['--listen-peer-urls', flags.peerUrl],
    ...['--initial-advertise-peer-urls', flags.peerUrl],
    ...['--initial-cluster', flags.initialCluster],
    ...['--initial-cluster-token', flags.token],
    ...['--initial-cluster-state', 'new'],
    ...extraFlags,
  ];
}

/** Variables that servers or their runtime would act upon must not leak in from the test runner. */
function cleanEnvironment(): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined || /^(ETCD|KONTIKI|NODE|VITEST)/.test(name)) continue;
    clean[name] = value;
  }
  return clean;
}

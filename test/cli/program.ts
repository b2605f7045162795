// Runs the command line as a process. It is the built one, as users have it;
// KONTIKI_TEST_FROM_SOURCE=1 runs the source instead.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../src/cli/app.ts';
import { until } from '../support/process-wait.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function command(): string[] {
  if (process.env['KONTIKI_TEST_FROM_SOURCE'] === '1') {
    return ['--import', 'tsx', join(root, 'src', 'cli', 'main.ts')];
  }
  const built = join(root, 'dist', 'cli', 'main.js');
  if (!existsSync(built)) throw new Error(`${built} is missing: run npm run build first`);
  return [built];
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Program {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #finished: Promise<Finished>;
  #isRunning = true;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    // Settings of whoever runs the tests must not reach the program.
    const { PATH = '', TMPDIR = '/tmp', HOME = '/' } = process.env;
    this.#child = spawn(process.execPath, [...command(), ...args], {
      cwd: root,
      env: { PATH, TMPDIR, HOME, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.stdout += chunk;
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk;
    });
    this.#child.stdin.on('error', () => {}); // it may end before it has read everything
    this.#finished = new Promise(resolve => {
      this.#child.once('close', code => {
        this.#isRunning = false;
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  type(input: string | Uint8Array): void {
    this.#child.stdin.end(input);
  }

  finished(): Promise<Finished> {
    return this.#finished;
  }

  signal(signal: 'SIGTERM' | 'SIGINT'): void {
    this.#child.kill(signal);
  }

  /** Waits until stdout or stderr matches, and gives the match. */
  async said(what: RegExp): Promise<RegExpExecArray> {
    const find = () => what.exec(this.stdout) ?? what.exec(this.stderr);
    await until(`the program says ${what}`, () => find() !== null || !this.#isRunning);
    const match = find();
    if (match === null) throw new Error(`it has ended: ${this.stdout}${this.stderr}`);
    return match;
  }

  async end(): Promise<void> {
    if (this.#isRunning) this.#child.kill('SIGKILL');
    await this.#finished;
  }
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly input?: string | Uint8Array;
}

/** The same within this process, for the many runs that need no process of their own. */
export async function runHere(
  args: readonly string[],
  { env = {}, input = '' }: RunOptions = {},
): Promise<Finished> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    write(text: string | Uint8Array) {
      written[name] += typeof text === 'string' ? text : Buffer.from(text).toString();
    },
  });
  const stdin = {
    async *[Symbol.asyncIterator]() {
      yield input;
    },
  };
  const streams = { stdout: stream('stdout'), stderr: stream('stderr') };
  const code = await runCli(args, { stdin, process: { ...streams, env } });
  return { code, ...written };
}

export async function runProgram(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const program = new Program(args, options.env);
  program.type(options.input ?? '');
  return program.finished();
}

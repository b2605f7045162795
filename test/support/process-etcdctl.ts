// Runs the stock command line client of etcd. Where it is not installed its tests are skipped with a
// warning; in CI that is a failure, because nothing would notice that they no longer run.

import { spawn, spawnSync } from 'node:child_process';

const RUN_MS_MAX = 20_000;
const OUTPUT_CHARS_MAX = 4_000_000;

export interface CommandOutput {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Throws in CI when etcdctl is missing. */
export function hasEtcdctl(): boolean {
  const { error } = spawnSync('etcdctl', ['version'], { env: environment() });
  if (error === undefined) return true;
  if (process.env['CI'] === 'true') throw new Error('etcdctl is not installed, but CI needs it');
  console.warn(
    'SKIPPED: etcdctl is not installed (apt-get install etcd-client), its tests do not run',
  );
  return false;
}

export class Etcdctl {
  readonly #endpoints: string;

  constructor(...endpoints: readonly string[]) {
    this.#endpoints = endpoints.join(',');
  }

  /** Resolves however the command ends. */
  run(args: readonly string[], input = ''): Promise<CommandOutput> {
    const child = spawn('etcdctl', ['--endpoints', this.#endpoints, ...args], {
      env: environment(),
      timeout: RUN_MS_MAX,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', chunk => {
      if (stdout.length < OUTPUT_CHARS_MAX) stdout += chunk;
    });
    child.stderr.on('data', chunk => {
      if (stderr.length < OUTPUT_CHARS_MAX) stderr += chunk;
    });
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', code => resolve({ code, stdout, stderr }));
    });
  }

  /** What it printed; rejects unless it succeeded. */
  async ok(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code !== 0) throw new Error(`etcdctl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** The lines it printed, without the empty ones. */
  async lines(args: readonly string[], input = ''): Promise<string[]> {
    return (await this.ok(args, input)).split('\n').filter(line => line !== '');
  }

  /** The last line of its complaint; rejects if it succeeded. */
  async error(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code === 0) throw new Error(`etcdctl ${args.join(' ')} succeeded: ${stdout}`);
    return stderr.trim().split('\n').at(-1) ?? '';
  }

  // The shape depends on the command, so it is the test that says what it expects.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async json(args: readonly string[], input = ''): Promise<any> {
    return JSON.parse(await this.ok([...args, '-w', 'json'], input));
  }
}

function environment(): Record<string, string> {
  return { ETCDCTL_API: '3', PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/' };
}

import { describe, expect, test } from 'vitest';
import { hoistGlobals, runCli, takeNoColor } from './app.ts';
import type { CliStream } from './context.ts';
import { styleFor } from './style.ts';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function cli(args: string[], env: Record<string, string> = {}, input = ''): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const stdin = {
    async *[Symbol.asyncIterator]() {
      yield input;
    },
  };
  const context = {
    stdin,
    process: {
      stdout: { write: (text: string | Uint8Array) => void (stdout += String(text)) },
      stderr: { write: (text: string | Uint8Array) => void (stderr += String(text)) },
      env,
    },
  };
  const code = await runCli(args, context);
  return { code, stdout, stderr };
}

describe('the program', () => {
  test('lists its commands', async () => {
    const { code, stdout } = await cli(['--help']);
    expect(code).toBe(0);
    for (const name of ['demo', 'serve', 'put', 'get', 'del', 'txn', 'status', 'member', 'sim']) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
  });

  test('prints its own version first', async () => {
    const { stdout } = await cli(['--version']);
    expect(stdout).toMatch(/^kontiki \d+\.\d+\.\d+\netcd API Version: 3\.\d+\.\d+\n/);
  });

  test('asks what a misspelt command meant', async () => {
    expect(await cli(['stauts'])).toEqual({
      code: 64,
      stdout: '',
      stderr: 'No command registered for `stauts`, did you mean `status`?\n',
    });
  });

  test('asks what a misspelt flag meant', async () => {
    const { code, stderr } = await cli(['get', 'k', '--prefx']);
    expect(code).toBe(64);
    expect(stderr).toContain('did you mean --prefix?');
    expect(stderr).toContain('kontiki get --help');
  });

  test.each<[string, string[], string]>([
    ['a missing argument', ['put', 'k'], 'Expected argument for value'],
    ['a duration that is none', ['get', 'k', '--timeout', 'x'], 'a duration looks like'],
    ['too many nodes', ['demo', '--nodes', '6'], 'expected 1 to 5'],
    ['an unknown format', ['status', '-o', 'xml'], 'table|plain|json'],
    ['a malformed endpoint', ['get', 'k', '--endpoints', 'x'], 'not an endpoint'],
    ['TLS endpoints', ['get', 'k', '--endpoints', 'https://h:1'], 'https is not supported'],
    [
      'contradicting conditions',
      ['put', 'k', 'v', '--if-absent', '--if-version', '1'],
      'contradict',
    ],
    ['two ways to show keys', ['get', 'k', '--keys-only', '--count-only'], 'Give one of'],
    ['an order of nothing', ['get', 'k', '--descending'], 'needs --sort'],
    ['an empty key', ['del', ''], 'The key is empty.'],
    ['a wrong flag of serve', ['serve', '--data-dri=x'], 'did you mean --data-dir?'],
  ])('%s is wrong usage', async (_, args, words) => {
    const { code, stderr, stdout } = await cli(args);
    expect(stderr).toContain(words);
    expect(stdout).toBe('');
    expect(code).toBe(64);
  });

  test('malformed endpoints in the environment are wrong usage', async () => {
    const { code, stderr } = await cli(['get', 'k'], { ETCDCTL_ENDPOINTS: 'a:1,,b:1' });
    expect(stderr).toContain('KONTIKI_ENDPOINTS or ETCDCTL_ENDPOINTS');
    expect(code).toBe(64);
  });

  test('an unreadable transaction is wrong usage', async () => {
    const { code, stderr } = await cli(['txn'], {}, 'size(a) = 1');
    expect(stderr).toBe(
      "✗ The transaction on standard input can't be read: line 1: size is not one of version, create, mod, value, lease.\n" +
        '  next   kontiki txn --help     shows both forms\n',
    );
    expect(code).toBe(64);
  });

  test('serve prints the version line that etcd prints', async () => {
    const { code, stdout } = await cli(['serve', '--version']);
    expect(stdout).toMatch(/^etcd Version: \d+\.\d+\.\d+\nKontiki Version: /);
    expect(code).toBe(0);
  });

  test('the help of serve names every flag that it takes', async () => {
    const { stdout } = await cli(['serve', '--help']);
    for (const flag of ['--data-dir DIR', '--unsafe-no-fsync', '--cert-file']) {
      expect(stdout).toContain(flag);
    }
  });
});

describe('arguments', () => {
  test('global options before the command move behind it, but not behind --', () => {
    const args = ['--endpoints', 'a:1', '-o=json', 'put', '--', 'k', '-v'];
    expect(hoistGlobals(args)).toEqual(['put', '--endpoints', 'a:1', '-o=json', '--', 'k', '-v']);
    expect(hoistGlobals(['get', 'k'])).toEqual(['get', 'k']);
  });

  test('--no-color is for the whole program, except where it is a value', () => {
    expect(takeNoColor(['get', '--no-color', 'k'])).toEqual({ args: ['get', 'k'], noColor: true });
    const value = ['put', '--', 'k', '--no-color'];
    expect(takeNoColor(value)).toEqual({ args: value, noColor: false });
  });
});

test('colours are for terminals, unless NO_COLOR is set', () => {
  const terminal = { write() {}, isTTY: true } satisfies CliStream;
  expect(styleFor(terminal, {}).red('x')).toBe('\x1b[31mx\x1b[39m');
  expect(styleFor(terminal, { NO_COLOR: '1' }).red('x')).toBe('x');
  expect(styleFor(terminal, { TERM: 'dumb' }).red('x')).toBe('x');
  expect(styleFor({ write() {} }, {}).red('x')).toBe('x');
});

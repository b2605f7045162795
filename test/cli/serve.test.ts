// One server as a process, and the client commands against it.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePorts } from '../support/process-ports.ts';
import { Program, runHere, runProgram } from './program.ts';

const dir = mkdtempSync(join(tmpdir(), 'kontiki-cli-'));
const started: Program[] = [];
let server: Program;
let endpoint: string;

function serve(name: string, clientPort: number, peerPort: number, ...flags: string[]): Program {
  const program = new Program([
    'serve',
    `--name=${name}`,
    `--data-dir=${join(dir, name)}`,
    '-listen-client-urls',
    `http://127.0.0.1:${clientPort}`,
    '--listen-peer-urls',
    `http://127.0.0.1:${peerPort}`,
    ...flags,
  ]);
  started.push(program);
  return program;
}

const kontiki = (args: string[], input: string | Uint8Array = '') =>
  runHere(args, { env: { ETCDCTL_ENDPOINTS: endpoint }, input });

beforeAll(async () => {
  const [client, peer] = await freePorts(2);
  endpoint = `127.0.0.1:${client}`;
  server = serve('a', client!, peer!, '--unsafe-no-fsync');
  await server.said(/ready to serve client requests/);
});

afterAll(async () => {
  await Promise.all(started.map(program => program.end()));
  rmSync(dir, { recursive: true, force: true });
});

describe('a server', () => {
  test('logs one JSON object a line, with where it serves and what has no effect', () => {
    const lines = server.stderr.trimEnd().split('\n');
    const records = lines.map(line => JSON.parse(line) as Record<string, unknown>);
    expect(records).toContainEqual(
      expect.objectContaining({
        level: 'info',
        msg: 'serving clients',
        urls: [`http://${endpoint}`],
      }),
    );
    expect(records.filter(({ level }) => level === 'warn').map(({ msg }) => msg)).toEqual([
      '--unsafe-no-fsync has no effect here: writes are always synced',
    ]);
    expect(server.stdout).toBe('');
  });

  test('stores what put writes and get reads', async () => {
    const env = { ETCDCTL_ENDPOINTS: endpoint };
    const put = await runProgram(['put', 'greeting', '-'], { env, input: 'hello' });
    expect(put).toEqual({ code: 0, stdout: 'OK\n', stderr: '' });
    expect((await runProgram(['get', 'greeting'], { env })).stdout).toBe('greeting\nhello\n');
    const json = JSON.parse((await kontiki(['get', 'greeting', '-o', 'json'])).stdout);
    expect(json.kvs).toMatchObject([{ key: 'greeting', value: 'hello', encoding: 'utf8' }]);
  });

  test('keeps any bytes that come from standard input', async () => {
    const bytes = Uint8Array.of(0, 0xff, 10, 13);
    await kontiki(['put', 'binary', '-'], bytes);
    const { kvs } = JSON.parse((await kontiki(['get', 'binary', '-o=json'])).stdout);
    expect(kvs[0]).toMatchObject({ encoding: 'base64', value: 'AP8KDQ==' });
  });

  test('writes on a condition or tells the conflict', async () => {
    expect((await kontiki(['put', 'cas', '1', '--if-absent'])).code).toBe(0);
    expect(await kontiki(['put', 'cas', '2', '--if-absent'])).toEqual({
      code: 5,
      stdout: '',
      stderr:
        '✗ Conflict: cas is at version 1. Nothing was written.\n' +
        '  next   kontiki get cas     then put again with --if-version 1\n',
    });
    const { code, stdout } = await kontiki(['put', 'cas', '2', '--if-version=1', '--prev']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'OK\ncas\n1\n' });
  });

  test('reads ranges, in order, in part, and as they were', async () => {
    for (const key of ['r/1', 'r/2', 'r/3']) await kontiki(['put', key, key.slice(2)]);
    const get = async (...args: string[]) =>
      (await kontiki(['get', '--prefix', 'r/', ...args])).stdout;
    expect(await get('--keys-only', '--limit', '2')).toBe('r/1\nr/2\n');
    expect(await get('--value-only', '--sort', 'key', '--descending')).toBe('3\n2\n1\n');
    expect(await get('--count-only')).toBe('3\n');
    const { revision } = JSON.parse(await get('--count-only', '-o', 'json'));
    expect(await get('--count-only', '--rev', String(revision - 1))).toBe('2\n');
    expect((await kontiki(['del', '--prefix', 'r/'])).stdout).toBe('3\n');
    expect(await get('--count-only')).toBe('0\n');
  });

  test('a key that does not exist has an exit code of its own', async () => {
    expect(await kontiki(['get', 'nothing'])).toEqual({
      code: 4,
      stdout: '',
      stderr: 'nothing does not exist\n',
    });
  });

  test('runs transactions', async () => {
    const text = 'version("t") = 0\n\nput t "one two"\nget t\n\nget t\n';
    expect((await kontiki(['txn'], text)).stdout).toBe('SUCCESS\n\nOK\n\nt\none two\n');
    const again = await kontiki(['txn', '-o', 'json'], text);
    expect(JSON.parse(again.stdout)).toMatchObject({
      succeeded: false,
      responses: [{ get: { kvs: [{ key: 't', value: 'one two' }] } }],
    });
    expect(again.code).toBe(5);
  });

  test('explains a refusal', async () => {
    const { code, stderr } = await kontiki(['get', 'greeting', '--rev', '999999']);
    expect(stderr).toContain('✗ The server refused: Required revision is a future revision.');
    expect(code).toBe(1);
  });

  test('is healthy and can lose nothing more', async () => {
    const { code, stdout } = await kontiki(['status', '-o', 'table']);
    expect(stdout).toMatch(/^● HEALTHY {2}writes ok · reads ok · can lose 0 more {5}term 1 /);
    expect(stdout).toMatch(/\na {7}leader {2}ok /);
    expect(code).toBe(0);
  });

  test('is its own only member', async () => {
    const { stdout } = await kontiki(['member', 'ls']);
    expect(stdout).toMatch(
      new RegExp(`^[0-9a-f]+, started, a, http://127.0.0.1:\\d+, http://${endpoint}, false\n$`),
    );
  });

  test('leaves its ports and its data to no second server', async () => {
    const [client, peer] = await freePorts(2);
    const port = Number(endpoint.split(':')[1]);
    const second = await serve('b', port, peer!).finished();
    expect(second.stderr).toContain(`✗ The server can't start: --listen-client-urls: can't listen`);
    expect(second.code).toBe(1);
    const third = await serve('a', client!, peer!).finished();
    expect(third.stderr).toMatch(/✗ The server can't start\.\n {2}why {4}STORAGE_/);
    expect(third.code).toBe(1);
  });
});

test('SIGTERM ends a server in order, with exit code 0, and it comes back with its data', async () => {
  const [client, peer] = await freePorts(2);
  const env = { KONTIKI_ENDPOINTS: `127.0.0.1:${client}` };
  const first = serve('c', client!, peer!);
  await first.said(/ready to serve client requests/);
  await runHere(['put', 'k', 'v'], { env });
  first.signal('SIGTERM');
  expect((await first.finished()).code).toBe(0);
  expect(first.stderr).toContain('"msg":"stopped"');
  const again = serve('c', client!, peer!);
  await again.said(/ready to serve client requests/);
  expect((await runHere(['get', 'k'], { env })).stdout).toBe('k\nv\n');
  again.signal('SIGINT');
  expect((await again.finished()).code).toBe(0);
});

test('a member alone of three waits: status and put say what is missing', async () => {
  const [client, peer, b, c] = await freePorts(4);
  const url = (port: number | undefined) => `http://127.0.0.1:${port}`;
  const cluster = `--initial-cluster=a3=${url(peer)},b3=${url(b)},c3=${url(c)}`;
  const alone = serve('a3', client!, peer!, cluster);
  await alone.said(/serving clients/);
  const env = { KONTIKI_ENDPOINTS: `127.0.0.1:${client}` };
  const status = await runHere(['status', '-o', 'table'], { env });
  expect(status.stdout).toContain('○ UNAVAILABLE  no leader · writes fail');
  expect(status.stdout).toContain('Only 1 of 3 voters answer, a leader needs 2.');
  expect(status.code).toBe(2);
  const put = await runHere(['put', 'k', 'v', '--timeout', '500ms'], { env });
  expect(put.stderr).toContain('✗ No leader. This write was NOT applied.');
  expect(put.code).toBe(2);
  alone.signal('SIGTERM');
  expect((await alone.finished()).code).toBe(0);
});

describe('without a server', () => {
  test('a write says that it was not applied, and a read that nothing was read', async () => {
    const [port] = await freePorts(1);
    const flags = ['--endpoints', `127.0.0.1:${port}`];
    expect(await runProgram(['put', 'k', 'v', ...flags])).toEqual({
      code: 2,
      stdout: '',
      stderr:
        '✗ The server does not answer. This write was NOT applied.\n' +
        `  asked  127.0.0.1:${port}  connection refused\n` +
        '  next   check that the servers run and that host and port are right\n',
    });
    const get = await runHere(['get', 'k', ...flags, '--timeout', '300ms']);
    expect(get.stderr).toContain('✗ The server does not answer. Nothing was read.');
    expect(get.code).toBe(2);
  });

  test('status can not determine anything', async () => {
    const [port] = await freePorts(1);
    const { code, stderr } = await runHere(['status', '--endpoints', `127.0.0.1:${port}`]);
    expect(stderr).toContain('✗ The server does not answer: the state of the cluster is unknown.');
    expect(code).toBe(3);
  });
});

test('a write that a server takes and never answers has an unknown outcome', async () => {
  const mute: Server = createServer(socket => {
    // An HTTP/2 server's settings and nothing more: the request is sent and stays without an answer.
    socket.write(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
    socket.on('error', () => {});
  });
  await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as { port: number };
  try {
    const flags = ['--endpoints', `127.0.0.1:${port}`, '--timeout', '300ms'];
    const { code, stderr } = await runProgram(['put', 'k', 'v', ...flags]);
    expect(stderr).toContain(
      '✗ Timed out after 300 ms. It is UNKNOWN whether this write was applied.',
    );
    expect(stderr).toContain(`127.0.0.1:${port}  no answer within 1 s`);
    expect(stderr).toContain('kontiki get k');
    expect(code).toBe(6);
  } finally {
    mute.close();
  }
});

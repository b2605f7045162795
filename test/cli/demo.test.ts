// `kontiki demo` as a process: three real servers in one.

import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { takenPort } from '../../src/cli/ports.ts';
import { freePorts } from '../support/process-ports.ts';
import { Program, runHere, runProgram } from './program.ts';

const PORTS = 6;
let basePort: number;
let demo: Program;

/** So many ports side by side. */
async function freeBase(): Promise<number> {
  for (;;) {
    const [base] = await freePorts(1);
    const ports = Array.from({ length: PORTS }, (_, i) => base! + i);
    if ((await takenPort(ports)) === null) return base!;
  }
}

beforeAll(async () => {
  basePort = await freeBase();
  demo = new Program(['demo', '--base-port', String(basePort)]);
  await demo.said(/Stop {3}with SIGTERM/);
});

afterAll(() => demo.end());

test('a demo shows its nodes, its leader and what to do next', () => {
  const { stdout } = demo;
  expect(stdout).toMatch(
    /^kontiki \d+\.\d+\.\d+ demo · 3 nodes in this process · data on disk in /,
  );
  expect(stdout).toMatch(/ leader {4}http:\/\/127\.0\.0\.1:\d+ /);
  expect(stdout).toMatch(/Leader elected in \d+ ms \(term \d+\)\. Can lose 1 of 3\./);
  expect(stdout).toContain(
    `export KONTIKI_ENDPOINTS=127.0.0.1:${basePort},127.0.0.1:${basePort + 2},127.0.0.1:${basePort + 4}`,
  );
});

test('a demo serves: what one node takes another gives', async () => {
  await runHere(['put', 'k', 'v', '--endpoints', `127.0.0.1:${basePort}`]);
  const { stdout } = await runHere(['get', 'k', '--endpoints', `127.0.0.1:${basePort + 2}`]);
  expect(stdout).toBe('k\nv\n');
  const status = await runHere(['status', '--endpoints', `127.0.0.1:${basePort + 4}`]);
  expect(status.stdout).toMatch(/^healthy\tcan-lose=1\t/);
});

test('a demo says which of its ports is taken', async () => {
  const { code, stderr } = await runProgram(['demo', '--base-port', String(basePort - 1)]);
  expect(stderr).toContain(`✗ Port ${basePort} is in use by another process.`);
  expect(stderr).toContain('--base-port N');
  expect(code).toBe(1);
});

test('SIGTERM ends a demo with exit code 0 and removes its data', async () => {
  const [, dir] = /data on disk in (\S+),/.exec(demo.stdout)!;
  expect(existsSync(dir!)).toBe(true);
  demo.signal('SIGTERM');
  expect((await demo.finished()).code).toBe(0);
  expect(existsSync(dir!)).toBe(false);
});

test('a demo on the usual ports moves to free ones if they are taken, and stops by itself', async () => {
  const blocker = createServer();
  await new Promise<void>(resolve => {
    blocker.once('error', () => resolve()); // somebody else has the port: as good
    blocker.listen(2379, '127.0.0.1', resolve);
  });
  try {
    const { code, stdout } = await runProgram(['demo', '--nodes', '1', '--seconds', '1']);
    expect(stdout).toContain(
      'Port 2379 is in use, so these are free ports (--base-port N chooses).',
    );
    expect(stdout).toContain('Can lose 0 of 1.');
    expect(code).toBe(0);
  } finally {
    blocker.close();
  }
});

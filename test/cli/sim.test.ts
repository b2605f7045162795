// `kontiki sim` as a process: one seed and many, workers and all.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TRACE_VERSION } from '../../src/raft/index.ts';
import { Program, runHere, runProgram } from './program.ts';

const QUICK = JSON.stringify({ durationMs: 2000, nodes: 3 });
/** Nobody wins an election when a turn takes longer than any timeout: A-46 says so. */
const SLOW = JSON.stringify({ durationMs: 500, nodes: 3, classes: [], turnUs: 60_000_000 });

test('one seed ends with its hash, and the same seed with the same hash', async () => {
  const runs = [];
  for (let i = 0; i < 2; i++) runs.push(await runHere(['sim', '--seed', '7', '--plan', QUICK]));
  expect(runs[0]!.code).toBe(0);
  expect(runs[0]!.stdout).toMatch(/^seed 7: nothing is broken\n[\s\S]*\n[0-9a-f]{16}\n$/);
  expect(runs[1]!.stdout).toBe(runs[0]!.stdout);
});

test('a plan that has a name sets what it says, for the stack that runs', async () => {
  const seen = [];
  for (const stack of ['core', 'kv']) {
    const args = ['sim', '--seed', '7', '--stack', stack, '--plan', 'usual', '--json'];
    const { plan } = JSON.parse((await runHere(args)).stdout);
    seen.push([plan.nodes, plan.tickMs, plan.operationsPerSecond]);
  }
  expect(seen).toEqual([
    [3, 100, 10],
    [3, 100, 50],
  ]);
});

test('a seed that breaks something exits with 1 and says how to run it again', async () => {
  const { code, stdout } = await runHere(['sim', '--seed', '11', '--plan', SLOW]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^seed 11: VIOLATION\n {2}A-46: /);
  expect(stdout).toContain(`kontiki sim --seed 11 --plan '${SLOW}'`);
  expect(stdout).toMatch(/\n[0-9a-f]{16}\n$/);
});

test('a shrunk run is smaller, breaks the same and is replayed by the command that it names', async () => {
  const shrunk = await runHere(['sim', '--seed', '11', '--plan', SLOW, '--shrink', '--json']);
  expect(shrunk.code).toBe(1);
  expect(shrunk.stderr).toMatch(/^from 0 faults, \d+ operations to 0 faults, 0 operations in \d+ /);
  const { replay, violation, hash } = JSON.parse(shrunk.stdout);
  expect(violation.property).toBe('A-46');
  const words = [...replay.matchAll(/'([^']*)'|(\S+)/g)].map(([, a, b]) => a ?? b).slice(1);
  const again = await runHere(words);
  expect(again.stdout.endsWith(`\n${hash}\n`)).toBe(true);
});

test('a trace file holds every step of every core, versioned', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kontiki-sim-'));
  try {
    const path = join(dir, 'trace.jsonl');
    await runHere(['sim', '--seed', '7', '--plan', QUICK, '--trace', path]);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(100);
    const events = lines.map(line => JSON.parse(line));
    for (const event of events) expect(event.version).toBe(TRACE_VERSION);
    expect(new Set(events.map(({ node }) => node)).size).toBe(3);
    expect(events[0]).toMatchObject({ step: 1, was: { role: 'follower' } });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test.each<[string, string[], string]>([
  ['a setting that does not exist', ['--seed', '1', '--plan', '{"nodez":3}'], 'did you mean nodes'],
  ['a plan that does not exist', ['--plan', 'usul'], 'there is no plan usul'],
  ['a class that does not exist', ['--plan', '{"classes":["crsh"]}'], 'did you mean crash'],
  ['a setting of another type', ['--plan', '{"nodes":"3"}'], 'nodes must be a number'],
  ['a time for one seed', ['--seed', '1', '--minutes', '1'], 'Give either --seed or --minutes'],
  ['workers for one seed', ['--seed', '1', '--workers', '2'], '--workers is for many seeds'],
  ['shrinking no seed', ['--shrink'], '--shrink needs --seed N'],
  ['a reversed range', ['--seeds', '9-1'], 'the smaller number first'],
  ['no time', ['--minutes', '0'], 'above 0'],
])('%s is wrong usage', async (_, args, words) => {
  const { code, stdout, stderr } = await runHere(['sim', ...args]);
  expect(stderr).toContain(words);
  expect(stdout).toBe('');
  expect(code).toBe(64);
});

test('workers share the seeds and report what each seed broke', async () => {
  const { code, stdout } = await runProgram(
    ['sim', '--seeds', '11-14', '--plan', SLOW, '--workers', '2'],
    { env: { NO_COLOR: '1' } },
  );
  expect(stdout).toMatch(/\nseeds run {11}4, 0 of them twice/);
  expect(stdout).toMatch(/\nfailures {12}4\n/);
  for (const seed of [11, 12, 13, 14]) {
    expect(stdout).toContain(`seed ${seed}: VIOLATION\n  A-46`);
    expect(stdout).toContain(`✗ seed ${seed}: A-46: `);
  }
  expect(code).toBe(1);
}, 60_000);

test('SIGINT ends a sweep with its summary', async () => {
  const program = new Program(['sim', '--hours', '1', '--json', '--plan', QUICK]);
  try {
    await program.said(/\d+ seeds · /); // the first line of progress, so some seeds are over
    program.signal('SIGINT');
    const { code, stdout } = await program.finished();
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'kontiki.sim/1', ok: true, failures: [] });
    expect(code).toBe(130);
  } finally {
    await program.end();
  }
}, 60_000);

// `npm run releases`: fetches the oldest supported release of Node and the newest of each later
// long-term line from npm, and has each run the same sample of seeds and a small cluster. A seed must
// give the same hash on all of them: chance, rounding and the order of promises are the language's,
// never an engine's. Arguments replace the releases: `npm run releases -- 22 24.1.0`.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt, ensureInstalled, root } from './lib.mjs';

const RELEASES = ['20.19.0', '22', '24'];
const SEEDS = { core: 24, kv: 8 };
const BASE_PORT = 24790;
const SERVE_MS = 30_000;
const PLATFORM = { darwin: 'darwin', linux: 'linux', win32: 'win' }[process.platform];

const hashesOf = `
  const { simulate } = await import(${JSON.stringify(pathToFileURL(join(root, 'dist/sim/index.js')))});
  for (const [stack, seeds] of Object.entries(${JSON.stringify(SEEDS)})) {
    for (let seed = 1; seed <= seeds; seed++) {
      const { hash, ok } = await simulate({ seed, stack });
      console.log(stack, seed, ok ? hash : 'violation');
    }
  }
`;

ensureInstalled();
ensureBuilt();
const dir = mkdtempSync(join(tmpdir(), 'kontiki-releases-'));
const wanted = process.argv.length > 2 ? process.argv.slice(2) : RELEASES;
let failures = 0;
try {
  const expected = hashes(process.execPath);
  for (const release of wanted) {
    const node = fetchNode(release);
    const version = run(node, ['--version']).trim();
    const differing = firstDifference(expected, hashes(node));
    const served = await serves(node);
    if (differing !== null || served !== null) failures += 1;
    console.log(
      `${version}: ${differing ?? `${expected.length} seeds agree`}, ${served ?? 'a cluster serves'}`,
    );
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

/** npm carries each release of Node as a package for each platform. */
function fetchNode(release) {
  const name = `node-${PLATFORM}-${process.arch}`;
  const prefix = join(dir, release);
  const args = ['install', '--prefix', prefix, '--no-save', '--no-audit', '--no-fund'];
  run('npm', [...args, '--loglevel=error', `${name}@${release}`]);
  return join(
    prefix,
    'node_modules',
    name,
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
}

function hashes(node) {
  return run(node, ['--input-type=module', '--eval', hashesOf]).trim().split('\n');
}

function firstDifference(expected, found) {
  const at = expected.findIndex((line, i) => line !== found[i]);
  if (at === -1) return null;
  return `"${expected[at]}" here, "${found[at]}" there`;
}

/** Null when a cluster of three takes a write and gives it back. */
async function serves(node) {
  const main = join(root, 'dist/cli/main.js');
  const demo = spawn(node, [main, 'demo', '--base-port', String(BASE_PORT), '--seconds', '60'], {
    stdio: 'ignore',
  });
  const closed = new Promise(resolve => demo.once('close', resolve));
  const env = { ...process.env, KONTIKI_ENDPOINTS: `127.0.0.1:${BASE_PORT}` };
  const call = (...args) => spawnSync(node, [main, ...args], { env, encoding: 'utf8' });
  const end = performance.now() + SERVE_MS;
  let put = call('put', 'release', 'works');
  while (put.status !== 0 && performance.now() < end) put = call('put', 'release', 'works');
  const got = call('get', '--value-only', 'release');
  demo.kill('SIGTERM');
  const code = await closed;
  if (put.status !== 0) return `no write succeeds: ${put.stderr}`;
  if (got.stdout.trim() !== 'works')
    return `a read gives ${JSON.stringify(got.stdout)}: ${got.stderr}`;
  return code === 0 ? null : `the cluster ends with code ${code}`;
}

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args[0]} failed: ${error?.message ?? stderr}`);
}

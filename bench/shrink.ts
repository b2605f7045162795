// How small the shrinker makes the failures of planted bugs, and how long it takes. Each mutant of
// test/mutants is planted into a bundle of its own, hunted, and its failing run is shrunk.
//
//   npm run bench -- shrink [mutant,mutant,...] [CPU seconds for each]

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import type { Mutant } from '../test/mutants/mutant.ts';
import { MUTANTS } from '../test/mutants/mutants.ts';

const DEFAULT = [
  ...['vote-twice', 'own-vote-before-durable', 'half-is-a-quorum', 'no-consistency-check'],
  ...['conflict-kept', 'ack-before-durable', 'apply-twice', 'read-at-applied', 'session-forgets'],
  ...['two-changes-at-once', 'log-checksum-ignored', 'next-never-backs-up'],
];
const names = process.argv[2]?.split(',') ?? DEFAULT;
const seconds = Number(process.argv[3] ?? 60);
const dir = mkdtempSync(join(tmpdir(), 'kontiki-shrink-'));
try {
  console.log('| mutant | seed | broken | faults | operations | nodes | runs | CPU |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const name of names) {
    const mutant = MUTANTS.find(m => m.name === name);
    console.log(mutant === undefined ? `no mutant ${name}` : await row(mutant));
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function row(mutant: Mutant): Promise<string> {
  const outfile = join(dir, `${mutant.name}.mjs`);
  await bundle(mutant, outfile);
  const args = [outfile, mutant.stack, String(seconds)];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) return `| ${mutant.name} | ${stderr.trim().split('\n').at(-1)} |`;
  return `| ${mutant.name} | ${stdout.trim()} |`;
}

/** As `npm run mutants` plants them. */
async function bundle(mutant: Mutant, outfile: string): Promise<void> {
  const sources = new Map<string, string>();
  for (const { file, find, replace } of mutant.edits) {
    const path = resolve(file);
    const source = sources.get(path) ?? readFileSync(path, 'utf8');
    if (source.split(find).length !== 2) throw new Error(`${mutant.name} has no place in ${file}`);
    sources.set(
      path,
      source.replace(find, () => replace),
    );
  }
  const plant = (args: { readonly path: string }) => {
    const contents = sources.get(args.path);
    return contents === undefined ? undefined : ({ contents, loader: 'ts' } as const);
  };
  await build({
    entryPoints: ['test/mutants/shrink.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'error',
    plugins: [{ name: 'mutant', setup: b => b.onLoad({ filter: /\.ts$/ }, plant) }],
  });
}

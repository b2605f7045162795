// `npm run mutants`: plants each bug of test/mutants/mutants.ts into a bundle of the production code
// and lets the simulator look for it. Ends with `caught N of M`; exit code 1 when one escapes.
//
//   --only NAME,NAME   these mutants        --seeds N   seeds for each (2000)
//   --jobs N           at once (2)          --write     rewrite the table in docs/MUTANTS.md
//   --property ID      with this property as the only one that is judged

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import type { Hunt } from '../test/mutants/hunt.ts';
import type { Mutant } from '../test/mutants/mutant.ts';
import { MUTANTS } from '../test/mutants/mutants.ts';

/** A mutant that makes no progress for this long in one seed is caught: it has hung. */
const SEED_TIMEOUT_MS = 60_000;

interface Outcome {
  readonly mutant: Mutant;
  readonly hunt: Hunt;
  readonly seconds: number;
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    jobs: { type: 'string', default: '2' },
    property: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const only = values.only?.split(',');
const chosen = MUTANTS.filter(m => only === undefined || only.includes(m.name));
const unknown = only?.filter(name => !MUTANTS.some(m => m.name === name)) ?? [];
if (unknown.length > 0) {
  console.error(`no such mutant: ${unknown.join(', ')}`);
  process.exit(64);
}
const dir = mkdtempSync(join(tmpdir(), 'kontiki-mutants-'));
try {
  const outcomes = await runAll(chosen, Number(values.jobs), Number(values.seeds));
  const caught = outcomes.filter(o => o.hunt.property !== null).length;
  if (values.write) writeTable(outcomes);
  console.log(`median ${median(outcomes)} seeds`);
  console.log(`caught ${caught} of ${chosen.length}`);
  process.exitCode = caught === chosen.length ? 0 : 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function runAll(mutants: readonly Mutant[], jobs: number, seeds: number) {
  const waiting = [...mutants];
  const outcomes: Outcome[] = [];
  const worker = async () => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const outcome = await hunt(mutant, seeds);
      outcomes.push(outcome);
      console.log(`${outcomes.length}/${mutants.length} ${describe(outcome)}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return mutants.map(m => outcomes.find(o => o.mutant === m)!);
}

async function hunt(mutant: Mutant, seeds: number): Promise<Outcome> {
  const started = performance.now();
  const outfile = join(dir, `${mutant.name}.mjs`);
  await bundle(mutant, outfile);
  const found = await runHunt(outfile, mutant, seeds);
  return { mutant, hunt: found, seconds: (performance.now() - started) / 1000 };
}

async function bundle(mutant: Mutant, outfile: string): Promise<void> {
  const changed = changedSources(mutant);
  await build({
    entryPoints: ['test/mutants/hunt.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'error',
    plugins: [
      {
        name: 'mutant',
        setup(b) {
          b.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const contents = changed.get(path);
            return contents === undefined ? undefined : { contents, loader: 'ts' };
          });
        },
      },
    ],
  });
}

/** The text of each file that the mutant changes. */
function changedSources({ name, edits }: Mutant): Map<string, string> {
  const changed = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const path = resolve(file);
    const source = changed.get(path) ?? readFileSync(path, 'utf8');
    const count = source.split(find).length - 1;
    if (count !== 1) throw new Error(`${name}: its text occurs ${count} times in ${file}`);
    changed.set(
      path,
      source.replace(find, () => replace),
    );
  }
  return changed;
}

function runHunt(file: string, { stack }: Mutant, seeds: number): Promise<Hunt> {
  return new Promise(done => {
    const stdio: ['ignore', 'pipe', 'pipe', 'ipc'] = ['ignore', 'pipe', 'pipe', 'ipc'];
    const args = ['--max-old-space-size=2048', file, stack, '1', String(seeds)];
    if (values.property !== undefined) args.push(values.property);
    const child = spawn(process.execPath, args, { stdio });
    let output = '';
    let errors = '';
    let seed = 1;
    const hang = () => child.kill('SIGKILL');
    let timer = setTimeout(hang, SEED_TIMEOUT_MS);
    child.on('message', (message: { running: number }) => {
      seed = message.running;
      clearTimeout(timer);
      timer = setTimeout(hang, SEED_TIMEOUT_MS);
    });
    child.stdout!.on('data', chunk => (output += chunk));
    child.stderr!.on('data', chunk => (errors = (errors + chunk).slice(-2000)));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return done(JSON.parse(output) as Hunt);
      const why = signal === null ? `exit code ${code}: ${errors}` : 'no end in sight';
      done({ seed, seeds: seed, property: 'crash', message: why });
    });
  });
}

function describe({ mutant, hunt: h, seconds }: Outcome): string {
  const time = `${seconds.toFixed(1)} s`;
  if (h.property === null) return `ESCAPED ${mutant.name} after ${h.seeds} seeds (${time})`;
  const message = h.message.split('\n')[0]!.slice(0, 100);
  return `caught  ${mutant.name} at seed ${h.seed} by ${h.property} (${time}): ${message}`;
}

/** Of the seeds that it took to catch one; those that escaped count with all they had. */
function median(outcomes: readonly Outcome[]): number {
  const seeds = outcomes.map(o => o.hunt.seeds).sort((a, b) => a - b);
  return seeds[Math.floor(seeds.length / 2)] ?? 0;
}

function writeTable(outcomes: readonly Outcome[]): void {
  const rows = outcomes.map(({ mutant, hunt: h }) => {
    const caught = h.property === null ? '**escaped**' : h.property;
    return `| ${mutant.name} | ${mutant.trap} | ${mutant.stack} | ${caught} | ${h.seeds} |`;
  });
  const path = 'docs/MUTANTS.md';
  const head = readFileSync(path, 'utf8').split('<!-- table -->')[0]!;
  const columns =
    '| mutant | re-creates | stack | caught by | seeds needed |\n|---|---|---|---|---|';
  const caught = outcomes.filter(o => o.hunt.property !== null).length;
  const foot = `\n\ncaught ${caught} of ${outcomes.length}, median ${median(outcomes)} seeds\n`;
  writeFileSync(path, `${head}<!-- table -->\n\n${columns}\n${rows.join('\n')}${foot}`);
}

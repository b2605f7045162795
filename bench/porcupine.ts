// Our linearizability checker beside Porcupine's (github.com/anishathalye/porcupine): on the histories
// that its tests carry, 102 of them logs of Jepsen against etcd, and on generated ones, legal and
// mutated. Needs Go, and fetches the module through Go's own module proxy into Go's own cache.
//
//   npm run bench -- porcupine [generated histories]

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  generateHistory,
  MUTATIONS,
  mutate,
  type Random,
  seededRandom,
} from '../src/check/generate.ts';
import type { Operation, Verdict } from '../src/check/history.ts';
import {
  type AppendInput,
  type AppendOutput,
  appendModel,
  type Model,
  type RegisterInput,
  type RegisterOutput,
  registerModel,
} from '../src/check/models.ts';
import { readJepsenAppend, readJepsenRegister } from '../src/check/readers/jepsen.ts';
import { checkLinearizable } from '../src/check/wgl.ts';

const MODULE = 'github.com/anishathalye/porcupine';
const VERSION = 'v1.3.1';
const generated = Number(process.argv[2] ?? 6000);

const dir = mkdtempSync(join(tmpdir(), 'kontiki-porcupine-'));
try {
  go('mod', 'init', 'compare');
  const { Dir } = JSON.parse(go('mod', 'download', '-json', `${MODULE}@${VERSION}`));
  go('get', `${MODULE}@${VERSION}`);
  const wrong = checkVectors(Dir) + compareGenerated();
  console.log(wrong === 0 ? 'every verdict agrees' : `${wrong} verdicts differ`);
  process.exitCode = wrong === 0 ? 0 : 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function go(...args: string[]): string {
  const { stdout, stderr, status, error } = spawnSync('go', args, {
    cwd: dir,
    env: { ...process.env, GOFLAGS: '-mod=mod' },
    encoding: 'utf8',
  });
  if (error !== undefined) throw new Error(`Go is needed: ${error.message}`);
  if (status !== 0) throw new Error(`go ${args.join(' ')}: ${stderr}`);
  return stdout;
}

// -------------------------------------------------------------------- the histories of its tests

/** What its tests expect of each file, read from its tests. Returns how often we say otherwise. */
function checkVectors(module: string): number {
  const tests = readFileSync(join(module, 'porcupine_test.go'), 'utf8');
  const jepsen = [...tests.matchAll(/checkJepsen\(t, (\d+), (true|false)\)/g)].map(m => {
    const name = `etcd_${m[1]!.padStart(3, '0')}.log`;
    return { path: join('jepsen', name), legal: m[2] === 'true' };
  });
  const texts = [...tests.matchAll(/checkKv\(t, "([\w-]+)", (true|false), true\)/g)].map(m => {
    return { path: join('kv', `${m[1]}.txt`), legal: m[2] === 'true' };
  });
  const read = (path: string) => readFileSync(join(module, 'test_data', path), 'utf8');
  const wrong =
    judgeFiles('Jepsen logs of etcd', jepsen, path => {
      return checkLinearizable(readJepsenRegister(read(path)), registerModel());
    }) +
    judgeFiles('histories of texts by key', texts, path => {
      return checkLinearizable(readJepsenAppend(read(path)), appendModel());
    });
  return wrong;
}

function judgeFiles(
  what: string,
  files: readonly { path: string; legal: boolean }[],
  check: (path: string) => { verdict: Verdict },
): number {
  let wrong = 0;
  let legal = 0;
  const start = performance.now();
  for (const file of files) {
    const { verdict } = check(file.path);
    legal += verdict === 'legal' ? 1 : 0;
    if (verdict === (file.legal ? 'legal' : 'illegal')) continue;
    wrong += 1;
    console.log(`${file.path}: ${verdict}, expected ${file.legal ? 'legal' : 'illegal'}`);
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  const count = `${files.length} ${what}: ${legal} legal, ${files.length - legal} illegal`;
  console.log(`${count}, ${wrong} unlike its tests, ${seconds} s with reading`);
  return wrong;
}

// ------------------------------------------------------------------------------ generated ones

interface Case {
  readonly line: string;
  readonly what: string;
  readonly verdict: Verdict;
}

function compareGenerated(): number {
  const cases = Array.from({ length: generated }, (_, i) => makeCase(i));
  copyFileSync(join(import.meta.dirname, 'porcupine', 'main.go'), join(dir, 'main.go'));
  go('build', '-o', 'judge', '.');
  const input = cases.map(({ line }) => `${line}\n`).join('');
  const { stdout } = spawnSync(join(dir, 'judge'), {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const theirs = stdout.trim().split('\n');
  const words: Readonly<Record<string, Verdict>> = { Ok: 'legal', Illegal: 'illegal' };
  const counts = new Map<string, number>();
  let wrong = 0;
  cases.forEach(({ verdict, what, line }, i) => {
    // Porcupine gives up after two seconds: nothing to compare with.
    const their = theirs[i] === 'Unknown' ? undefined : words[theirs[i] ?? ''];
    const key = their === undefined ? 'Porcupine gave up on' : `${what}: ${verdict}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    if (verdict === their || theirs[i] === 'Unknown') return;
    wrong += 1;
    console.log(`history ${i} (${what}): ${verdict}, Porcupine says ${their}: ${line}`);
  });
  console.log(`${cases.length} generated histories, ${wrong} judged unlike Porcupine judges them`);
  for (const [key, count] of [...counts].sort()) console.log(`  ${key} ${count}`);
  return wrong;
}

/** In turn: as generated, and once for each mutation; registers and texts. */
function makeCase(number: number): Case {
  const random = seededRandom(number);
  const mutation = [undefined, ...MUTATIONS][number % (MUTATIONS.length + 1)];
  const isText = Math.floor(number / (MUTATIONS.length + 1)) % 2 === 1;
  const size = {
    operations: 5 + Math.floor(random() * 40),
    clients: 1 + Math.floor(random() * 8),
    unknownRate: random() < 0.5 ? 0 : 0.08,
  };
  const what = `${isText ? 'text' : 'register'} ${mutation ?? 'untouched'}`;
  if (isText) {
    const history = broken(texts(random, size), mutation, random, input => input.kind === 'get');
    return judged(history, appendModel(), what, 'text', textEvent);
  }
  const history = broken(registers(random, size), mutation, random, input => input.kind === 'read');
  return judged(history, registerModel(0), what, 'register', registerEvent);
}

function broken<In, Out>(
  history: readonly Operation<In, Out>[],
  mutation: (typeof MUTATIONS)[number] | undefined,
  random: Random,
  isRead: (input: In) => boolean,
): readonly Operation<In, Out>[] {
  return mutation === undefined ? history : (mutate(history, mutation, random, isRead) ?? history);
}

interface Size {
  readonly operations: number;
  readonly clients: number;
  readonly unknownRate: number;
}

function registers(random: Random, size: Size) {
  const values = random() < 0.5 ? 3 : 1000;
  let state = 0;
  return generateHistory<RegisterInput, RegisterOutput>({
    ...size,
    random,
    input: r => {
      const value = () => 1 + Math.floor(r() * values);
      const kind = r();
      if (kind < 0.4) return { kind: 'read' };
      if (kind < 0.7) return { kind: 'write', value: value() };
      return { kind: 'cas', from: r() < 0.5 ? state : value(), to: value() };
    },
    apply: input => {
      if (input.kind === 'read') return { value: state };
      const swapped = input.kind === 'write' || state === input.from;
      if (swapped) state = Number(input.kind === 'write' ? input.value : input.to);
      return input.kind === 'write' ? {} : { swapped };
    },
  });
}

function texts(random: Random, size: Size) {
  let state = '';
  let next = 0;
  return generateHistory<AppendInput, AppendOutput>({
    ...size,
    random,
    input: r => {
      const kind = r();
      if (kind < 0.4) return { kind: 'get', key: 'k' };
      return { kind: kind < 0.5 ? 'put' : 'append', key: 'k', value: `${next++};` };
    },
    apply: input => {
      if (input.kind === 'get') return state;
      state = input.kind === 'put' ? input.value : state + input.value;
      return null;
    },
  });
}

type EventFields = Record<string, string | number | boolean>;

function registerEvent(input: RegisterInput, output: RegisterOutput | undefined): EventFields {
  if (output !== undefined) {
    return { a: Number(output.value ?? 0), swapped: output.swapped ?? false };
  }
  if (input.kind === 'read') return {};
  if (input.kind === 'write') return { a: Number(input.value) };
  return { a: Number(input.from), b: Number(input.to) };
}

function textEvent(input: AppendInput, output: AppendOutput | undefined): EventFields {
  if (output !== undefined) return { text: output ?? '' };
  return input.kind === 'get' ? {} : { text: input.value };
}

function judged<S, In extends { readonly kind: string }, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  what: string,
  name: string,
  fields: (input: In, output: Out | undefined) => EventFields,
): Case {
  const events: { readonly time: number; readonly event: EventFields }[] = [];
  history.forEach(({ process, callTime, returnTime, input, output, outcome }, id) => {
    if (outcome === 'failed') return;
    const common = { client: process, id, kind: input.kind };
    events.push({ time: callTime, event: { ...common, ...fields(input, undefined) } });
    // Whatever is not known to have ended ends after everything: there it can do no harm.
    const isKnown = outcome === 'ok';
    const answer = isKnown ? fields(input, output) : { unknown: true };
    const time = isKnown ? returnTime : Number.POSITIVE_INFINITY;
    events.push({ time, event: { ...common, returns: true, ...answer } });
  });
  events.sort((a, b) => (a.time === b.time ? 0 : a.time - b.time));
  const line = JSON.stringify({ model: name, events: events.map(({ event }) => event) });
  return { line, what, verdict: checkLinearizable(history, model).verdict };
}

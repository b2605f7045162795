// How long the checkers take on long histories, and what they say of a violation.
// Generating the histories is not part of the times. Ends with the explanation of a planted stale read.
//
//   npm run bench -- check [operations]

import { performance } from 'node:perf_hooks';
import { explainRevisions, explanationText } from '../src/check/explain.ts';
import { generateHistory, type Random, seededRandom } from '../src/check/generate.ts';
import type { KvOperation, KvOutput, KvRequest } from '../src/check/kv-history.ts';
import { applyKv, EMPTY_KV } from '../src/check/kv-model.ts';
import {
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
  registerModel,
} from '../src/check/models.ts';
import { checkRevisions } from '../src/check/revision.ts';
import { checkLinearizable } from '../src/check/wgl.ts';

const million = Number(process.argv[2] ?? 1_000_000);
const hundredThousand = Math.min(100_000, million);

function show<R extends { verdict: string; steps: number }>(name: string, run: () => R): R {
  const start = performance.now();
  const before = process.cpuUsage();
  const result = run();
  const { verdict, steps } = result;
  const { user, system } = process.cpuUsage(before);
  const wall = ((performance.now() - start) / 1000).toFixed(2).padStart(6);
  const cpu = ((user + system) / 1e6).toFixed(2).padStart(6);
  console.log(`${name.padEnd(74)} ${verdict.padEnd(10)}${wall} s${cpu} s cpu ${steps} steps`);
  return result;
}

function registers(clients: number, values: number, unknownRate = 0) {
  let state: RegisterValue = 0;
  return generateHistory<RegisterInput, RegisterOutput>({
    operations: hundredThousand,
    clients,
    unknownRate,
    random: seededRandom(1),
    input: random => {
      const value = () => Math.floor(random() * values);
      const kind = random();
      if (kind < 0.4) return { kind: 'read' };
      if (kind < 0.7) return { kind: 'write', value: value() };
      return { kind: 'cas', from: value(), to: value() };
    },
    apply: input => {
      if (input.kind === 'read') return { value: state };
      if (input.kind === 'write') {
        state = input.value;
        return {};
      }
      const swapped = state === input.from;
      if (swapped) state = input.to;
      return { swapped };
    },
  });
}

function store(clients: number, unknownRate: number, request: (r: Random, n: number) => KvRequest) {
  let state = EMPTY_KV;
  let made = 0;
  return generateHistory<KvRequest, KvOutput>({
    operations: million,
    clients,
    unknownRate,
    random: seededRandom(2),
    input: random => request(random, made++),
    apply: input => {
      const step = applyKv(state, input, false);
      state = step.state;
      const { revision, response } = step.output;
      if (response.kind === 'put') return { revision, response: { kind: 'put' } };
      if (response.kind !== 'delete') return step.output;
      return { revision, response: { kind: 'delete', deleted: response.deleted } };
    },
  });
}

const key = (random: Random) => `k${Math.floor(random() * 10)}`;

function simple(random: Random, n: number): KvRequest {
  if (random() < 0.5) return { kind: 'range', key: key(random) };
  return { kind: 'put', key: key(random), value: `v${n}` };
}

function mixed(random: Random, n: number): KvRequest {
  const kind = random();
  if (kind < 0.75) return simple(random, n);
  if (kind < 0.8) return { kind: 'delete', key: key(random) };
  if (kind < 0.85) return { kind: 'range', key: 'k', rangeEnd: 'l', limit: 3 };
  const compare = [{ key: key(random), target: 'version', relation: '>', operand: 2 }] as const;
  const success: KvRequest[] = [
    { kind: 'put', key: 'x', value: `v${n}` },
    { kind: 'put', key: 'y', value: `v${n}` },
  ];
  return { kind: 'txn', compare, success, failure: [{ kind: 'range', key: key(random) }] };
}

/** One late read gets the answer an earlier read of its key had. */
function plantStaleRead(history: readonly KvOperation[]): KvOperation[] {
  const isRead = (op: KvOperation) =>
    op.outcome === 'ok' && op.input.kind === 'range' && op.input.key === 'k5';
  const late = history.findIndex((op, i) => i > history.length * 0.95 && isRead(op));
  const early = history.findIndex((op, i) => i > history.length * 0.9 && isRead(op));
  const changed = [...history];
  changed[late] = { ...history[late]!, output: history[early]!.output };
  return changed;
}

for (const [clients, values] of [
  [5, 5],
  [8, 5],
  [10, 5],
  [10, 1e9],
  [25, 5],
] as const) {
  const history = registers(clients, values);
  const what = values > 1000 ? 'unique values' : `${values} values`;
  const name = `search: ${hundredThousand} register ops, ${clients} clients, ${what}`;
  show(name, () => checkLinearizable(history, registerModel(0)));
  const at = history.findLastIndex(op => op.input.kind === 'read');
  const wrong = [...history];
  wrong[at] = { ...history[at]!, output: { value: -1 } };
  show(`${name}, violated`, () => checkLinearizable(wrong, registerModel(0)));
}

let explained = '';
for (const [name, unknownRate, request] of [
  ['get/put', 0, simple],
  ['get/put, 0.1% unknown', 0.001, simple],
  ['get/put/delete/range/txn, 0.1% unknown', 0.001, mixed],
] as const) {
  const history = store(50, unknownRate, request);
  const title = `revisions: ${million} ops, 50 clients, ${name}`;
  show(title, () => checkRevisions(history));
  const wrong = plantStaleRead(history);
  const result = show(`${title}, stale read`, () => checkRevisions(wrong));
  const explanation = explainRevisions(wrong, result);
  if (explanation === undefined) continue;
  const operations = explanation.operations.filter(op => op.isCulprit);
  explained = explanationText({ ...explanation, operations });
}
console.log(`\nThe stale read in the last one, explained by the smallest set of operations:\n`);
console.log(explained);

import { describe, expect, test } from 'vitest';
import { isLinearizableByBruteForce } from './brute.ts';
import { generateHistory, MUTATIONS, mutate, type Random, seededRandom } from './generate.ts';
import { HistoryError, type Operation } from './history.ts';
import {
  type AppendInput,
  type AppendOutput,
  appendModel,
  type CounterInput,
  type CounterOutput,
  counterModel,
  keyedRegisterModel,
  type Model,
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
  registerModel,
} from './models.ts';
import { checkLinearizable } from './wgl.ts';

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

function registerInput(random: Random, values: number): RegisterInput {
  const value = () => Math.floor(random() * values);
  const kind = random();
  if (kind < 0.45) return { kind: 'read' };
  if (kind < 0.75) return { kind: 'write', value: value() };
  return { kind: 'cas', from: value(), to: value() };
}

function legalRegister(
  random: Random,
  operations: number,
  clients: number,
  values: number,
  unknownRate = 0,
): RegisterOperation[] {
  let state: RegisterValue = 0;
  return generateHistory<RegisterInput, RegisterOutput>({
    operations,
    clients,
    unknownRate,
    random,
    input: r => registerInput(r, values),
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

/** Answers and times at random: about half are illegal. */
function anyRegister(random: Random): RegisterOperation[] {
  const history = legalRegister(random, 3 + Math.floor(random() * 5), 4, 3, 0.25);
  return history.map(op => {
    if (op.outcome !== 'ok' || random() < 0.8) return op;
    if (op.input.kind === 'read') return { ...op, output: { value: Math.floor(random() * 3) } };
    return op.input.kind === 'cas' ? { ...op, output: { swapped: random() < 0.5 } } : op;
  });
}

const model = registerModel(0);

function register(
  process: number,
  callTime: number,
  returnTime: number,
  input: RegisterInput,
  output?: RegisterOutput,
): RegisterOperation {
  const outcome = returnTime === Infinity ? 'unknown' : 'ok';
  return { process, callTime, returnTime, input, output, outcome };
}

describe('against brute force', () => {
  test('the search agrees on thousands of small register histories of both kinds', () => {
    const random = seededRandom(1);
    const seen = { legal: 0, illegal: 0 };
    for (let i = 0; i < 3000; i++) {
      const history = anyRegister(random);
      const expected = isLinearizableByBruteForce(history, model) ? 'legal' : 'illegal';
      expect(checkLinearizable(history, model).verdict, `history ${i}`).toBe(expected);
      seen[expected] += 1;
    }
    expect(seen.legal).toBeGreaterThan(500);
    expect(seen.illegal).toBeGreaterThan(500);
  });

  test('the search agrees where every hash collides', () => {
    const random = seededRandom(2);
    for (let i = 0; i < 1000; i++) {
      const history = anyRegister(random);
      const expected = isLinearizableByBruteForce(history, model) ? 'legal' : 'illegal';
      expect(checkLinearizable(history, model, { hashMask: 0 }).verdict).toBe(expected);
    }
  });

  test('the search agrees on counters', () => {
    const random = seededRandom(3);
    const counter = counterModel();
    let illegal = 0;
    for (let i = 0; i < 1500; i++) {
      let total = 0;
      const history = generateHistory<CounterInput, CounterOutput>({
        operations: 6,
        clients: 3,
        unknownRate: 0.2,
        random,
        input: r => (r() < 0.5 ? { kind: 'get' } : { kind: 'add', by: 1 + Math.floor(r() * 2) }),
        apply: input => {
          total += input.kind === 'add' ? input.by : 0;
          return input.kind === 'add' && random() < 0.5 ? null : total;
        },
      }).map(op =>
        op.outcome === 'ok' && op.output !== null && random() < 0.1
          ? { ...op, output: Math.floor(random() * 5) }
          : op,
      );
      const expected = isLinearizableByBruteForce(history, counter) ? 'legal' : 'illegal';
      expect(checkLinearizable(history, counter).verdict).toBe(expected);
      illegal += expected === 'illegal' ? 1 : 0;
    }
    expect(illegal).toBeGreaterThan(100);
  });

  test('mutated histories are judged as brute force judges them, and most are illegal', () => {
    const random = seededRandom(4);
    for (const mutation of MUTATIONS) {
      let illegal = 0;
      for (let i = 0; i < 400; i++) {
        const legal = legalRegister(random, 7, 3, 1000);
        const changed = mutate(legal, mutation, random, input => input.kind === 'read');
        if (changed === undefined) continue;
        const expected = isLinearizableByBruteForce(changed, model) ? 'legal' : 'illegal';
        expect(checkLinearizable(changed, model).verdict, mutation).toBe(expected);
        illegal += expected === 'illegal' ? 1 : 0;
      }
      expect(illegal, mutation).toBeGreaterThan(10);
    }
  });
});

describe('long histories', () => {
  test('legal histories are legal and their order is a proof', () => {
    for (const [seed, clients, values] of [
      [1, 1, 5],
      [2, 5, 5],
      [3, 10, 5],
      [4, 10, 1e9],
      [5, 16, 5],
    ] as const) {
      const history = legalRegister(seededRandom(seed), 4000, clients, values, 0.0005);
      const result = checkLinearizable(history, model);
      expect(result.verdict).toBe('legal');
      expectProof(history, model, result.parts[0]!.order);
    }
  });

  test('one impossible read among twenty thousand operations is found', () => {
    const history = legalRegister(seededRandom(7), 20_000, 8, 1e9);
    const at = history.findLastIndex(op => op.input.kind === 'read');
    history[at] = { ...history[at]!, output: { value: -1 } };
    expect(checkLinearizable(history, model).verdict).toBe('illegal');
  });

  test('each mutation of histories with unique values is caught', () => {
    const random = seededRandom(8);
    for (const mutation of MUTATIONS) {
      const verdicts = new Set<string>();
      for (let i = 0; i < 10; i++) {
        const legal = legalRegister(random, 300, 5, 1e9);
        const changed = mutate(legal, mutation, random, input => input.kind === 'read');
        verdicts.add(checkLinearizable(changed!, model).verdict);
      }
      expect(verdicts, mutation).toContain('illegal');
    }
  });

  test('a search that runs out of its budget is undecided, not legal', () => {
    const history = legalRegister(seededRandom(9), 2000, 10, 3);
    const result = checkLinearizable(history, model, { stepsMax: 100 });
    expect(result.verdict).toBe('undecided');
  });

  test('a memory too small to hold the configurations changes no verdict', () => {
    const random = seededRandom(10);
    for (let i = 0; i < 300; i++) {
      const history = anyRegister(random);
      const expected = isLinearizableByBruteForce(history, model) ? 'legal' : 'illegal';
      expect(checkLinearizable(history, model, { memoBytesMax: 64 }).verdict).toBe(expected);
    }
  });
});

describe('rules', () => {
  const write = (value: number): RegisterInput => ({ kind: 'write', value });
  const read: RegisterInput = { kind: 'read' };

  test('an empty history is legal', () => {
    expect(checkLinearizable([], model).verdict).toBe('legal');
  });

  test('a read that began after a write returned must see it', () => {
    const history = [register(1, 0, 1, write(1), {}), register(2, 2, 3, read, { value: 0 })];
    expect(checkLinearizable(history, model).verdict).toBe('illegal');
  });

  test('operations that meet at one instant are concurrent', () => {
    const history = [register(1, 0, 1, write(1), {}), register(2, 1, 3, read, { value: 0 })];
    expect(checkLinearizable(history, model).verdict).toBe('legal');
  });

  test('an unknown write may take effect long after its client gave up, or never', () => {
    const lost = { ...register(1, 0, 1, write(1)), outcome: 'unknown' as const };
    const reads = [register(2, 2, 3, read, { value: 0 }), register(2, 4, 5, read, { value: 1 })];
    expect(checkLinearizable([lost, ...reads], model).verdict).toBe('legal');
    expect(checkLinearizable([lost, reads[0]!], model).verdict).toBe('legal');
  });

  test('an unknown write takes effect once at most', () => {
    const history = [
      register(1, 0, Infinity, write(1)),
      register(2, 1, 2, read, { value: 1 }),
      register(2, 3, 4, write(2), {}),
      register(2, 5, 6, read, { value: 1 }),
    ];
    expect(checkLinearizable(history, model).verdict).toBe('illegal');
  });

  test('an unknown write takes no effect before it was called', () => {
    const history = [register(1, 0, 1, read, { value: 1 }), register(2, 2, Infinity, write(1))];
    expect(checkLinearizable(history, model).verdict).toBe('illegal');
  });

  test('a failed write must not be seen', () => {
    const failed = { ...register(1, 0, 1, write(1)), outcome: 'failed' as const };
    const history = [failed, register(2, 2, 3, read, { value: 1 })];
    expect(checkLinearizable(history, model).verdict).toBe('illegal');
  });

  test('two operations open in one process are refused', () => {
    const history = [register(1, 0, 5, write(1), {}), register(1, 2, 3, read, { value: 1 })];
    expect(() => checkLinearizable(history, model)).toThrow(HistoryError);
  });

  test('a write of the value that is there already is still a write', () => {
    const history = [
      register(1, 0, 9, write(3), {}),
      register(2, 0, 1, write(3), {}),
      register(2, 2, 3, write(1), {}),
      register(2, 4, 5, read, { value: 3 }),
    ];
    expect(checkLinearizable(history, model).verdict).toBe('legal');
  });

  test('keys are checked apart and the illegal one is named', () => {
    const key = (name: string, input: RegisterInput) => ({ ...input, key: name });
    const history = [
      { ...register(1, 0, 1, read, { value: 0 }), input: key('a', read) },
      { ...register(2, 0, 1, read, { value: 7 }), input: key('b', read) },
    ];
    const result = checkLinearizable(history, keyedRegisterModel(0));
    expect(result.verdict).toBe('illegal');
    expect(result.parts.filter(p => p.verdict === 'illegal').map(p => p.key)).toEqual(['b']);
  });

  test('append lists: an append lost, doubled or reordered is illegal', () => {
    const op = (at: number, input: AppendInput, output: AppendOutput) =>
      ({ process: 1, callTime: at, returnTime: at + 1, input, output, outcome: 'ok' }) as const;
    const appends = [
      op(0, { kind: 'append', key: 'k', value: 'x' }, null),
      op(2, { kind: 'append', key: 'k', value: 'y' }, null),
    ];
    const verdict = (seen: string) =>
      checkLinearizable([...appends, op(4, { kind: 'get', key: 'k' }, seen)], appendModel())
        .verdict;
    expect(verdict('xy')).toBe('legal');
    for (const wrong of ['x', 'y', 'xxy', 'xyy', 'yx', '']) expect(verdict(wrong)).toBe('illegal');
  });
});

/** Replays the order: real time is respected and every step is possible. */
function expectProof<S, In, Out>(
  history: readonly Operation<In, Out>[],
  spec: Model<S, In, Out>,
  order: readonly number[],
): void {
  let state = spec.init();
  let latestCall = -Infinity;
  for (const i of order) {
    const op = history[i]!;
    latestCall = Math.max(latestCall, op.callTime);
    // Plain throws: an expectation an operation would take longer than the search.
    if (op.outcome === 'ok' && op.returnTime < latestCall) throw new Error(`${i} comes too late`);
    const next = spec.step(state, op.input, op.outcome === 'ok' ? op.output : undefined);
    if (next === undefined) throw new Error(`${i} is impossible where it stands`);
    state = next;
  }
  const placed = new Set(order);
  const missing = history.filter((op, i) => op.outcome === 'ok' && !placed.has(i));
  expect(missing).toEqual([]);
}

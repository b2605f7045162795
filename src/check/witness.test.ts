import { describe, expect, test } from 'vitest';
import { isLinearizableByBruteForce } from './brute.ts';
import { generateHistory, MUTATIONS, mutate, seededRandom } from './generate.ts';
import type { Operation } from './history.ts';
import {
  type KeyedRegisterInput,
  keyedRegisterModel,
  type RegisterInput,
  type RegisterOutput,
  registerModel,
} from './models.ts';
import { isExplainedBy } from './witness.ts';

type Recorded = Operation<KeyedRegisterInput, RegisterOutput>;

const model = keyedRegisterModel();

function write(process: number, times: [number, number], value: number): Recorded {
  const [callTime, returnTime] = times;
  const input = { kind: 'write', key: 'a', value } as const;
  return { process, callTime, returnTime, input, output: {}, outcome: 'ok' };
}

function read(process: number, times: [number, number], value: number | null): Recorded {
  const [callTime, returnTime] = times;
  const input = { kind: 'read', key: 'a' } as const;
  return { process, callTime, returnTime, input, output: { value }, outcome: 'ok' };
}

function unknown(operation: Recorded): Recorded {
  return { ...operation, output: undefined, outcome: 'unknown' };
}

describe('a witness', () => {
  test('explains a history by an order that the model allows', () => {
    const history = [write(1, [0, 3], 7), read(2, [1, 2], 7)];
    expect(isExplainedBy(history, model, [0, 1])).toBe(true);
    expect(isExplainedBy(history, model, [1, 0]), 'the read saw the write').toBe(false);
  });

  test('may not put an operation before one that had returned when it was called', () => {
    const history = [write(1, [0, 1], 7), read(2, [2, 3], null)];
    expect(isExplainedBy(history, model, [1, 0])).toBe(false);
  });

  test('names every operation that succeeded, and each once', () => {
    const history = [write(1, [0, 1], 7), write(1, [2, 3], 7)];
    expect(isExplainedBy(history, model, [0, 1])).toBe(true);
    expect(isExplainedBy(history, model, [0])).toBe(false);
    expect(isExplainedBy(history, model, [0, 1, 0])).toBe(false);
  });

  test('names none that failed', () => {
    const history: Recorded[] = [{ ...write(1, [0, 1], 7), outcome: 'failed' }];
    expect(isExplainedBy(history, model, [])).toBe(true);
    expect(isExplainedBy(history, model, [0])).toBe(false);
  });

  test('may name one of unknown outcome long after its client gave up', () => {
    const history = [unknown(write(1, [0, 1], 7)), read(2, [2, 3], null), read(2, [4, 5], 7)];
    expect(isExplainedBy(history, model, [1, 0, 2])).toBe(true);
    expect(isExplainedBy(history, model, [1, 2]), 'somebody read it').toBe(false);
    expect(isExplainedBy(history.slice(0, 2), model, [1])).toBe(true);
  });

  test('is never believed where trying every order finds none', () => {
    const random = seededRandom(17);
    const plain = registerModel(0);
    let illegal = 0;
    for (let round = 0; round < 3000; round++) {
      const legal = smallHistory(random);
      const mutation = MUTATIONS[round % MUTATIONS.length]!;
      const history = mutate(legal, mutation, random, input => input.kind === 'read');
      if (history === undefined || history.length > 8) continue;
      if (isLinearizableByBruteForce(history, plain)) continue;
      illegal += 1;
      const certain = [...history.keys()].filter(i => history[i]!.outcome === 'ok');
      for (let i = 0; i < 20; i++) {
        expect(isExplainedBy(history, plain, shuffled(certain, random))).toBe(false);
      }
    }
    expect(illegal).toBeGreaterThan(200);
  });
});

function smallHistory(random: () => number): Operation<RegisterInput, RegisterOutput>[] {
  let state = 0;
  return generateHistory<RegisterInput, RegisterOutput>({
    operations: 6,
    clients: 3,
    random,
    input: r => (r() < 0.5 ? { kind: 'read' } : { kind: 'write', value: Math.floor(r() * 4) }),
    apply: input => {
      if (input.kind === 'read') return { value: state };
      if (input.kind === 'write') state = input.value as number;
      return {};
    },
  });
}

function shuffled(items: readonly number[], random: () => number): number[] {
  return [...items].sort(() => random() - 0.5);
}

import { describe, expect, test } from 'vitest';
import { explainLinearizability, explainRevisions, explanationText } from './explain.ts';
import { generateHistory, seededRandom } from './generate.ts';
import type { Operation } from './history.ts';
import { explanationHtml } from './html.ts';
import type { KvOperation } from './kv-history.ts';
import { minimize, reduce } from './minimize.ts';
import {
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
  registerModel,
} from './models.ts';
import { checkRevisions } from './revision.ts';
import { checkLinearizable } from './wgl.ts';

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

const model = registerModel(0);

function op(
  process: number,
  callTime: number,
  returnTime: number,
  input: RegisterInput,
  value?: RegisterValue,
) {
  const output: RegisterOutput = value === undefined ? {} : { value };
  return { process, callTime, returnTime, input, output, outcome: 'ok' as const };
}
const write = (value: RegisterValue): RegisterInput => ({ kind: 'write', value });
const read: RegisterInput = { kind: 'read' };

describe('the smallest contradiction', () => {
  test('of a stale read is the two writes and the read, whatever surrounds them', () => {
    const history = [
      op(1, 0, 1, write(1)),
      op(2, 2, 3, read, 9),
      op(1, 4, 5, write(2)),
      op(2, 6, 7, read, 1),
      op(3, 0, 7, write(9)),
      op(4, 6, 8, read, 2),
    ];
    const culprits = minimize(history, model);
    expect(culprits).toMatchObject({ operations: [0, 2, 3], minimal: true });
  });

  test('of a value from nowhere is the read alone', () => {
    const history = [op(1, 0, 1, write(1)), op(2, 2, 3, read, 7), op(1, 4, 5, write(2))];
    expect(minimize(history, model).operations).toEqual([1]);
  });

  test('is found in a long history, near where it went wrong', () => {
    const history = longHistory(5, 5000);
    const at = history.findIndex((o, i) => i > 4000 && o.input.kind === 'read');
    history[at] = { ...history[at]!, output: { value: 1_234_567 } };
    const culprits = minimize(history, model);
    expect(culprits.minimal).toBe(true);
    expect(culprits.operations).toEqual([at]);
    expect(culprits.window.length).toBeLessThan(60);
  });

  test('without any one member is no contradiction', () => {
    const needed = new Set([3, 11, 12]);
    const all = Array.from({ length: 40 }, (_, i) => i);
    const found = reduce(all, kept => [...needed].every(n => kept.has(n)));
    expect(found).toEqual([3, 11, 12]);
  });

  test('a history too wide to reduce is shown whole and says so', () => {
    const history = [op(1, 0, 1, write(1)), op(2, 2, 3, read, 7)];
    expect(minimize(history, model, { configurationsMax: 0 }).minimal).toBe(false);
  });
});

describe('an explanation', () => {
  const history = [op(1, 0, 1, write(1)), op(2, 2, 3, write(2)), op(3, 4, 5, read, 1)];

  test('in text marks the culprits and says what real time demands', () => {
    const text = explanationText(
      explainLinearizability(history, model, checkLinearizable(history, model))!,
    );
    expect(text).toContain('these 3 operations');
    expect(text).toContain('#1 had returned before #2 was called.');
    expect(text).toContain('> #2 process 3 [4, 5] read() -> 1');
  });

  test('is not given for a legal history', () => {
    const legal = history.slice(0, 2);
    expect(explainLinearizability(legal, model, checkLinearizable(legal, model))).toBe(undefined);
  });

  test('of a revision violation names the operations that contradict each other', () => {
    const put = (at: number, process: number): KvOperation => ({
      process,
      callTime: at,
      returnTime: at + 1,
      input: { kind: 'put', key: 'k', value: `v${at}` },
      output: { revision: 2, response: { kind: 'put' } },
      outcome: 'ok',
    });
    const writes = [put(0, 1), put(5, 2)];
    const text = explanationText(explainRevisions(writes, checkRevisions(writes))!);
    expect(text).toContain('two writes claim revision 2');
    expect(text).toContain('> #0 process 1 [0, 1] put(k, v0)');
    expect(text).toContain('> #1 process 2 [5, 6] put(k, v5)');
  });
});

describe('the page', () => {
  test('stands alone: no script, no outside resource, culprits in red', () => {
    const history = [op(1, 0, 1, write(1)), op(2, 2, 3, read, 7)];
    const html = explanationHtml(
      explainLinearizability(history, model, checkLinearizable(history, model))!,
    );
    expect(html.startsWith('<!doctype html>')).toBe(true);
    expect(html).not.toMatch(/<script|https?:|src=|url\(/);
    expect(html.match(/class="bar culprit"/g)).toHaveLength(1);
    expect(html.match(/<rect /g)).toHaveLength(2);
  });

  test('nothing in a history becomes markup', () => {
    const evil = `"><script>alert('&')</script>`;
    const history: RegisterOperation[] = [op(1, 0, 1, write(evil)), op(2, 2, 3, read, `${evil}!`)];
    const html = explanationHtml(
      explainLinearizability(history, model, checkLinearizable(history, model))!,
    );
    expect(html).not.toContain('<script');
    expect(html).toContain('&lt;script&gt;');
  });

  test('an operation of unknown outcome reaches to the end', () => {
    const unknown = { ...op(1, 0, 1, write(1)), outcome: 'unknown' as const, output: undefined };
    const history: RegisterOperation[] = [unknown, op(2, 2, 3, read, 7)];
    const html = explanationHtml(
      explainLinearizability(history, model, checkLinearizable(history, model))!,
    );
    expect(html).toContain('class="bar open"');
  });
});

function longHistory(clients: number, operations: number): RegisterOperation[] {
  let state: RegisterValue = 0;
  let next = 1;
  return generateHistory<RegisterInput, RegisterOutput>({
    operations,
    clients,
    random: seededRandom(3),
    input: random => (random() < 0.5 ? read : write(next++)),
    apply: input => {
      if (input.kind === 'write') state = input.value;
      return input.kind === 'read' ? { value: state } : {};
    },
  });
}

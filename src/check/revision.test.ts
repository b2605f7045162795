import { describe, expect, test } from 'vitest';
import { isLinearizableByBruteForce } from './brute.ts';
import { generateHistory, MUTATIONS, mutate, type Random, seededRandom } from './generate.ts';
import { HistoryError } from './history.ts';
import type { KvOperation, KvOutput, KvRequest, RevisionEvents } from './kv-history.ts';
import { applyKv, EMPTY_KV, kvModel } from './kv-model.ts';
import { checkRevisions } from './revision.ts';
import { checkLinearizable } from './wgl.ts';

interface Legal {
  history: KvOperation[];
  events: RevisionEvents[];
}

function randomRequest(random: Random, keys: number, unique: () => string): KvRequest {
  const key = () => `k${Math.floor(random() * keys)}`;
  const put = (): KvRequest => ({ kind: 'put', key: key(), value: unique() });
  const x = random();
  if (x < 0.3) return { kind: 'range', key: key() };
  if (x < 0.55) return put();
  if (x < 0.65) return { kind: 'delete', key: key() };
  if (x < 0.72) return { kind: 'range', key: 'k', rangeEnd: 'l', limit: Math.floor(random() * 3) };
  if (x < 0.76) return { kind: 'range', key: 'k1', rangeEnd: '\0', countOnly: true };
  if (x < 0.8) return { kind: 'delete', key: 'k1', rangeEnd: 'k3' };
  const target = (['version', 'create', 'mod'] as const)[Math.floor(random() * 3)]!;
  const compare = { key: key(), target, relation: '>', operand: Math.floor(random() * 4) } as const;
  const failure: KvRequest[] = random() < 0.5 ? [{ kind: 'range', key: key() }] : [];
  // Like etcd, no transaction here changes one key twice.
  const success: KvRequest[] = [
    { kind: 'put', key: `k${1 + Math.floor(random() * 3)}`, value: unique() },
    { kind: 'delete', key: 'k0' },
  ];
  return { kind: 'txn', compare: [compare], success, failure };
}

function legalKv(random: Random, operations: number, clients: number, unknownRate = 0): Legal {
  let state = EMPTY_KV;
  let values = 0;
  const events: RevisionEvents[] = [];
  const history = generateHistory<KvRequest, KvOutput>({
    operations,
    clients,
    unknownRate,
    random,
    input: r => randomRequest(r, 4, () => `v${values++}`),
    apply: input => {
      const step = applyKv(state, input);
      if (step.events.length > 0)
        events.push({ revision: step.output.revision, events: step.events });
      state = step.state;
      return shorten(step.output, random);
    },
  });
  return { history, events };
}

// Most clients do not ask for previous values.
function shorten(output: KvOutput, random: Random): KvOutput {
  const { response, revision } = output;
  if (random() < 0.3) return output;
  if (response.kind === 'put') return { revision, response: { kind: 'put' } };
  if (response.kind !== 'delete') return output;
  return { revision, response: { kind: 'delete', deleted: response.deleted } };
}

function disturbed(random: Random, history: KvOperation[]): KvOperation[] {
  return history.map(op => {
    if (op.outcome !== 'ok' || random() < 0.93) return op;
    if (random() < 0.4) return { ...op, outcome: 'unknown', output: undefined };
    const revision = Math.max(1, op.output!.revision + (random() < 0.5 ? 1 : -1));
    return { ...op, output: { ...op.output!, revision } };
  });
}

const isRead = (input: KvRequest) => input.kind === 'range';

describe('against the model', () => {
  test('agrees with brute force and with the search on small histories of both kinds', () => {
    const random = seededRandom(11);
    const model = kvModel();
    const seen = { legal: 0, illegal: 0, unknown: 0 };
    for (let i = 0; i < 1500; i++) {
      const size = 4 + Math.floor(random() * 4);
      const history = disturbed(random, legalKv(random, size, 3, 0.2).history);
      const expected = isLinearizableByBruteForce(history, model) ? 'legal' : 'illegal';
      const result = checkRevisions(history);
      expect(result.verdict, `history ${i}: ${JSON.stringify(history)}`).toBe(expected);
      expect(checkLinearizable(history, model).verdict).toBe(expected);
      // What it does only in hard cases must not change a verdict either.
      expect(checkRevisions(history, { failuresFree: 0 }).verdict).toBe(expected);
      seen[expected] += 1;
      seen.unknown += result.unknownWrites.length;
    }
    expect(seen.legal).toBeGreaterThan(150);
    expect(seen.illegal).toBeGreaterThan(150);
    expect(seen.unknown).toBeGreaterThan(40);
  });

  test('agrees with the search on longer histories with many unknown writes', () => {
    const random = seededRandom(12);
    const seen = { legal: 0, illegal: 0, undecided: 0 };
    for (let i = 0; i < 60; i++) {
      const history = disturbed(random, legalKv(random, 25, 4, 0.3).history);
      const expected = checkLinearizable(history, kvModel(), { stepsMax: 20_000 }).verdict;
      for (const failuresFree of [0, 3, 100]) {
        const { verdict } = checkRevisions(history, { stepsMax: 20_000, failuresFree });
        if (expected !== 'undecided') expect(verdict).toBe(expected);
        seen[verdict] += 1;
      }
    }
    expect(seen.legal).toBeGreaterThan(60);
    expect(seen.illegal).toBeGreaterThan(60);
    expect(seen.undecided).toBe(0);
  });

  test('mutated histories are judged as the search judges them, and many are illegal', () => {
    const random = seededRandom(13);
    for (const mutation of MUTATIONS) {
      let illegal = 0;
      for (let i = 0; i < 60; i++) {
        const changed = mutate(legalKv(random, 20, 3, 0.05).history, mutation, random, isRead);
        if (changed === undefined) continue;
        const { verdict } = checkRevisions(changed);
        const expected = checkLinearizable(changed, kvModel()).verdict;
        expect(verdict, mutation).toBe(expected);
        illegal += verdict === 'illegal' ? 1 : 0;
      }
      expect(illegal, mutation).toBeGreaterThan(20);
    }
  });
});

describe('long histories', () => {
  test('legal ones are legal, with few or many unknown writes', () => {
    for (const [seed, clients, unknownRate] of [
      [1, 10, 0],
      [2, 50, 0.001],
      [3, 20, 0.02],
    ] as const) {
      const { history } = legalKv(seededRandom(seed), 10_000, clients, unknownRate);
      expect(checkRevisions(history).verdict).toBe('legal');
    }
  });

  test('the events returned are those that happened', () => {
    const { history, events } = legalKv(seededRandom(4), 2000, 10);
    const result = checkRevisions(history, { collectEvents: true });
    const brief = (all: readonly RevisionEvents[]) =>
      all.map(r => [r.revision, r.events.map(e => [e.kind, e.key, e.value, e.version])]);
    expect(brief(result.events!)).toEqual(brief(events));
  });

  test('a watch of every key decides which unknown writes took effect', () => {
    const { history, events } = legalKv(seededRandom(5), 3000, 10, 0.1);
    const result = checkRevisions(history, { events });
    expect(result.verdict).toBe('legal');
    expect(result.unknownWrites.length).toBeGreaterThan(30);
    const wrong = events.map(r => ({
      ...r,
      events: r.events.map(e => ({ ...e, value: e.kind === 'put' ? `${e.value}!` : '' })),
    }));
    expect(checkRevisions(history, { events: wrong }).verdict).toBe('illegal');
  });

  test('a planted stale read is explained by the read and what it missed', () => {
    const { history } = legalKv(seededRandom(6), 20_000, 20, 0.001);
    const reads = history
      .map((_, i) => i)
      .filter(i => {
        const { input, outcome } = history[i]!;
        return input.kind === 'range' && input.key === 'k2' && !input.rangeEnd && outcome === 'ok';
      });
    const stale = reads.at(-3)!;
    const source = reads.find(i => history[i]!.output!.revision > 2000)!;
    history[stale] = { ...history[stale]!, output: history[source]!.output };
    const result = checkRevisions(history);
    expect(result.verdict).toBe('illegal');
    expect(result.violation!.kind).toBe('realTime');
    expect(result.violation!.operations).toHaveLength(2);
    expect(result.violation!.operations).toContain(stale);
  });
});

describe('rules', () => {
  const op = (
    at: number,
    input: KvRequest,
    output: KvOutput | undefined,
    process = 1,
  ): KvOperation => ({
    process,
    callTime: at,
    returnTime: at + 1,
    input,
    output,
    outcome: output === undefined ? 'unknown' : 'ok',
  });
  const put = (at: number, key: string, value: string, revision?: number): KvOperation =>
    op(
      at,
      { kind: 'put', key, value },
      revision === undefined ? undefined : { revision, response: { kind: 'put' } },
    );
  const get = (
    at: number,
    revision: number,
    kv: readonly [string, string, number, number, number] | null,
    key = 'a',
  ): KvOperation => {
    const kvs = kv === null ? [] : [toKv(kv)];
    const response = { kind: 'range', kvs, count: kvs.length } as const;
    return op(at, { kind: 'range', key }, { revision, response });
  };
  const toKv = ([key, value, createRevision, modRevision, version]: readonly [
    string,
    string,
    number,
    number,
    number,
  ]) => ({ key, value, createRevision, modRevision, version });
  const kindOf = (history: KvOperation[]) => checkRevisions(history).violation?.kind;

  test('two writes of one revision contradict each other', () => {
    const result = checkRevisions([put(0, 'a', 'x', 2), put(2, 'b', 'y', 2)]);
    expect(result.violation).toMatchObject({ kind: 'revisionReused', operations: [0, 1] });
  });

  test('a revision no write can have made comes from nowhere', () => {
    expect(kindOf([put(0, 'a', 'x', 2), put(2, 'a', 'y', 4)])).toBe('revisionFromNowhere');
  });

  test('a huge revision is answered, not allocated', () => {
    const result = checkRevisions([put(0, 'a', 'x', Number.MAX_SAFE_INTEGER)]);
    expect(result.verdict).toBe('illegal');
  });

  test('an unknown write fills a gap only if its value is the one seen', () => {
    const seen = ['a', 'x', 2, 2, 1] as const;
    expect(checkRevisions([put(0, 'a', 'x'), get(2, 2, seen)]).verdict).toBe('legal');
    expect(kindOf([put(0, 'a', 'y'), get(2, 2, seen)])).toBe('revisionFromNowhere');
    expect(kindOf([put(0, 'b', 'x'), get(2, 2, seen)])).toBe('revisionFromNowhere');
  });

  test('an unknown write called later cannot have made an earlier revision', () => {
    expect(kindOf([get(0, 2, ['a', 'x', 2, 2, 1]), put(2, 'a', 'x')])).toBe('revisionFromNowhere');
  });

  test('one unknown write makes one revision', () => {
    const history = [
      put(0, 'a', 'x'),
      put(2, 'b', 'z'),
      get(4, 2, ['a', 'x', 2, 2, 1]),
      get(6, 3, ['a', 'x', 2, 3, 2]),
    ];
    expect(kindOf(history)).toBe('appliedTwice');
  });

  test('a failed write whose value appears is named', () => {
    const failed = { ...put(0, 'a', 'x'), outcome: 'failed' as const };
    const result = checkRevisions([failed, put(2, 'b', 'y'), get(4, 2, ['a', 'x', 2, 2, 1])]);
    expect(result.violation).toMatchObject({ kind: 'revisionFromNowhere', operations: [0, 2] });
  });

  test('a write that nobody saw is matched by what it must have done to the version', () => {
    const history = [
      put(0, 'a', '1', 2),
      put(2, 'b', 'lost'),
      put(4, 'a', 'lost'),
      put(6, 'a', '2', 4),
      get(8, 4, ['a', '2', 2, 4, 3]),
    ];
    const result = checkRevisions(history);
    expect(result).toMatchObject({
      verdict: 'legal',
      unknownWrites: [{ revision: 3, operation: 2 }],
    });
  });

  test('a serializable read may be old but not wrong, nor from the future', () => {
    const read = (at: number, revision: number, value: string): KvOperation => {
      const kvs = [toKv(['a', value, 2, revision, revision - 1])];
      return op(
        at,
        { kind: 'range', key: 'a', serializable: true },
        { revision, response: { kind: 'range', kvs, count: 1 } },
      );
    };
    const writes = [put(0, 'a', 'x', 2), put(10, 'a', 'y', 3)];
    expect(checkRevisions([...writes, read(20, 2, 'x')]).verdict).toBe('legal');
    expect(checkRevisions([...writes, read(20, 2, 'y')]).violation?.kind).toBe('wrongAnswer');
    expect(checkRevisions([...writes, { ...read(5, 3, 'y'), process: 2 }]).violation?.kind).toBe(
      'realTime',
    );
  });

  test('a read at an old revision shows the store as it was', () => {
    const read = (value: string, modRevision: number): KvOperation => {
      const kvs = [toKv(['a', value, 2, modRevision, modRevision - 1])];
      return op(
        20,
        { kind: 'range', key: 'a', revision: 2 },
        { revision: 3, response: { kind: 'range', kvs, count: 1 } },
      );
    };
    const writes = [put(0, 'a', 'x', 2), put(10, 'a', 'y', 3)];
    expect(checkRevisions([...writes, read('x', 2)]).verdict).toBe('legal');
    expect(checkRevisions([...writes, read('y', 3)]).violation?.kind).toBe('wrongAnswer');
  });

  test('a lease that expired deletes its keys in one revision', () => {
    const leased = (at: number, key: string, revision: number): KvOperation =>
      op(at, { kind: 'put', key, value: key, lease: 7 }, { revision, response: { kind: 'put' } });
    const expiry = op(4, { kind: 'revoke', lease: 7 }, undefined, 9);
    const history = [
      leased(0, 'a', 2),
      leased(2, 'b', 3),
      expiry,
      get(6, 4, null),
      get(8, 4, null, 'b'),
    ];
    expect(checkRevisions(history).verdict).toBe('legal');
    expect(kindOf(history.filter(o => o !== expiry))).toBe('revisionFromNowhere');
    const partly = [...history.slice(0, 4), get(8, 4, ['b', 'b', 3, 3, 1], 'b')];
    expect(checkRevisions(partly).verdict).toBe('illegal');
  });

  test('a revoke need not have made the revision it names', () => {
    const leased: KvRequest = { kind: 'put', key: 'a', value: 'x', lease: 7 };
    const revoked = op(
      4,
      { kind: 'revoke', lease: 7 },
      { revision: 3, response: { kind: 'revoke' } },
    );
    const written = op(0, leased, { revision: 2, response: { kind: 'put' } });
    // The unknown write took the key from the lease, or came too late to.
    const history = [written, put(2, 'a', 'y'), revoked];
    expect(checkRevisions([...history, get(6, 3, ['a', 'y', 2, 3, 2])]).verdict).toBe('legal');
    expect(checkRevisions([...history, get(6, 3, null)]).verdict).toBe('legal');
    expect(checkRevisions([...history, get(6, 3, ['a', 'x', 2, 2, 1])]).verdict).toBe('illegal');
  });

  test('a range that hides, adds or disorders a key is wrong', () => {
    const writes = [put(0, 'a', 'x', 2), put(2, 'b', 'y', 3), put(4, 'c', 'z', 4)];
    const all = [
      toKv(['a', 'x', 2, 2, 1]),
      toKv(['b', 'y', 3, 3, 1]),
      toKv(['c', 'z', 4, 4, 1]),
    ] as const;
    const verdict = (kvs: readonly (typeof all)[number][], count: number, limit = 0) =>
      checkRevisions([
        ...writes,
        op(
          6,
          { kind: 'range', key: 'a', rangeEnd: '\0', limit },
          { revision: 4, response: { kind: 'range', kvs, count } },
        ),
      ]).verdict;
    expect(verdict(all, 3)).toBe('legal');
    expect(verdict(all.slice(0, 2), 3, 2)).toBe('legal');
    expect(verdict([all[0], all[2]], 2)).toBe('illegal');
    expect(verdict([all[0], all[2]], 3, 2)).toBe('illegal');
    expect(verdict([all[1], all[0], all[2]], 3)).toBe('illegal');
    expect(verdict([all[0], all[0], all[1]], 3)).toBe('illegal');
    expect(verdict([], 3)).toBe('illegal');
  });

  test('an answer of the wrong kind is an answer, not a crash', () => {
    const response = { kind: 'delete', deleted: 1 } as const;
    const history = [op(0, { kind: 'put', key: 'a', value: 'x' }, { revision: 2, response })];
    expect(kindOf(history)).toBe('wrongAnswer');
  });

  test('what cannot be replayed is refused', () => {
    const inner: KvRequest = { kind: 'range', key: 'a', revision: 1 };
    const input: KvRequest = { kind: 'txn', compare: [], success: [inner], failure: [] };
    const response = { kind: 'txn', succeeded: true, responses: [] } as const;
    expect(() => checkRevisions([op(0, input, { revision: 1, response })])).toThrow(HistoryError);
  });

  test('when the budget ends first the verdict is undecided', () => {
    const { history } = legalKv(seededRandom(20), 500, 5);
    expect(checkRevisions(history, { stepsMax: 100 }).verdict).toBe('undecided');
  });

  /** `n` puts that nobody answered, and one of their values seen long after. */
  function burst(n: number, seen: [value: string, version: number]): KvOperation[] {
    const history: KvOperation[] = [put(0, 'k', 'first', 2)];
    for (let i = 0; i < n; i++) history.push(put(2 + i, i % 2 ? 'k' : 'other', `v${i}`));
    const [value, version] = seen;
    return [...history, get(1000, 2 + n, ['k', value, 2, 2 + n, version], 'k')];
  }

  test('unknown writes that nothing tells apart are tried once: dozens in a row are decided', () => {
    const legal = checkRevisions(burst(60, ['v59', 31]), { stepsMax: 100_000 });
    expect(legal.verdict).toBe('legal');
    expect(legal.unknownWrites).toHaveLength(60);
    // One version more needs a put more than there are.
    expect(checkRevisions(burst(20, ['v19', 12]), { stepsMax: 100_000 }).verdict).toBe('illegal');
  });

  test('a later answer that shows a key unchanged forbids changes before it', () => {
    const history: KvOperation[] = [put(0, 'a', 'x', 2)];
    for (let i = 0; i < 40; i++) history.push(put(2 + i, `k${i % 4}`, `v${i}`));
    for (let i = 0; i < 10; i++) history.push(put(50 + i, 'a', `w${i}`));
    // Forty revisions nobody answered for, and `a` as it was before all of them.
    const quiet = get(1000, 42, ['a', 'x', 2, 2, 1]);
    expect(checkRevisions([...history, quiet], { stepsMax: 100_000 }).verdict).toBe('legal');
    const few = [...history.slice(0, 3), ...history.slice(41), get(1000, 5, ['a', 'x', 2, 2, 1])];
    expect(checkRevisions(few).verdict).toBe('illegal');
  });
});

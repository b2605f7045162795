import { describe, expect, test } from 'vitest';
import { seededRandom } from './generate.ts';
import { HistoryError } from './history.ts';
import type { KvEvent, KvRequest, RevisionEvents } from './kv-history.ts';
import { applyKv, EMPTY_KV } from './kv-model.ts';
import { checkWatch } from './watch.ts';
import type {
  WatchHistory,
  WatchProperty,
  WatchRequest,
  WatchResponse,
  WatchStream,
} from './watch-types.ts';

const put = (key: string, value: string): KvRequest => ({ kind: 'put', key, value });

function truthOf(requests: readonly KvRequest[]): RevisionEvents[] {
  let state = EMPTY_KV;
  const revisions: RevisionEvents[] = [];
  for (const request of requests) {
    const step = applyKv(state, request, false);
    if (step.events.length > 0)
      revisions.push({ revision: step.state.revision, events: step.events });
    state = step.state;
  }
  return revisions;
}

// Revisions 2 to 6: put a, put b, both in one, delete a, put a again.
const revisions = truthOf([
  put('a', '1'),
  put('b', '2'),
  { kind: 'txn', compare: [], success: [put('a', '3'), put('b', '4')], failure: [] },
  { kind: 'delete', key: 'a' },
  put('a', '5'),
]);
const history: WatchHistory = { revisions };
const everything: WatchRequest = { key: '', rangeEnd: '\0', startRevision: 2, prevKv: true };
const created: WatchResponse = { kind: 'created', revision: 1 };

function told(from: number, to: number, header = to): WatchResponse {
  const events = revisions
    .filter(r => r.revision >= from && r.revision <= to)
    .flatMap(r => r.events);
  return { kind: 'events', revision: header, events };
}

function found(
  responses: readonly WatchResponse[],
  request: WatchRequest = everything,
  more: Partial<WatchStream> = {},
  truth = history,
): WatchProperty[] {
  return checkWatch(truth, { request, responses: [created, ...responses], ...more }).map(
    v => v.property,
  );
}

/** One response of the given events under the header 6. */
const events = (...list: readonly KvEvent[]): WatchResponse => ({
  kind: 'events',
  revision: 6,
  events: list,
});
const [put2, put3, putA4, putB4, delete5, put6] = revisions.flatMap(r => r.events) as [
  KvEvent,
  KvEvent,
  KvEvent,
  KvEvent,
  KvEvent,
  KvEvent,
];

describe('an honest stream', () => {
  test('may be one response or many', () => {
    expect(found([told(2, 6)], everything, { mustReach: 6 })).toEqual([]);
    const each = [2, 3, 4, 5, 6].map(r => told(r, r));
    expect(found(each, everything, { mustReach: 6 })).toEqual([]);
  });

  test('may end before the history does', () => {
    expect(found([told(2, 3)])).toEqual([]);
  });

  test('tells only the keys and kinds asked for', () => {
    const request = { key: 'a', startRevision: 3, noDelete: true, prevKv: true };
    expect(found([events(putA4, put6)], request, { mustReach: 6 })).toEqual([]);
  });

  test('may split a revision if it says so', () => {
    const first = { ...events(put2, put3, putA4), fragment: true };
    expect(found([first, events(putB4, delete5, put6)], everything, { mustReach: 6 })).toEqual([]);
  });

  test('from now on starts after its creation', () => {
    const request = { ...everything, startRevision: 0 };
    const responses: WatchResponse[] = [{ kind: 'created', revision: 4 }, told(5, 6)];
    expect(checkWatch(history, { request, responses, mustReach: 6 })).toEqual([]);
  });

  test('may announce progress that it has made', () => {
    expect(found([told(2, 4), { kind: 'progress', revision: 4 }, told(5, 6)])).toEqual([]);
  });

  test('may be canceled when what it needs was compacted', () => {
    const canceled = { kind: 'canceled', revision: 6, compactRevision: 5 } as const;
    expect(
      found([told(2, 3), canceled], everything, {}, { revisions, compactRevision: 5 }),
    ).toEqual([]);
  });
});

describe('a dishonest stream', () => {
  const cases: readonly (readonly [string, WatchProperty, readonly WatchResponse[]])[] = [
    ['going back in time', 'ordered', [told(2, 4), told(3, 3, 4)]],
    ['telling a revision twice', 'unique', [told(2, 4), told(4, 4)]],
    ['telling an event twice', 'unique', [events(put2, put2)]],
    ['splitting a revision unasked', 'atomic', [events(put2, put3, putA4), events(putB4)]],
    ['leaving out a revision', 'complete', [told(2, 2), told(4, 6)]],
    ['leaving out part of a revision', 'atomic', [events(put2, put3, putB4)]],
    ['swapping the events of a revision', 'unique', [events(put2, put3, putB4, putA4)]],
    ['inventing an event', 'content', [events({ ...put2, key: 'x' })]],
    [
      'inventing a revision',
      'content',
      [told(2, 6), { ...events({ ...put6, modRevision: 7 }), revision: 7 }],
    ],
    ['changing a value', 'content', [events({ ...put2, value: 'x' })]],
    ['changing a version', 'content', [events({ ...put2, version: 2 })]],
    ['telling more than its header knows', 'notEarly', [told(2, 4, 3)]],
    ['a wrong previous value', 'prevKv', [events(put2, put3, { ...putA4, prevKv: null }, putB4)]],
    ['a wrong creation', 'isCreate', [events({ ...put2, isCreate: false } as KvEvent)]],
    ['progress past what was told', 'progress', [told(2, 3), { kind: 'progress', revision: 5 }]],
    ['progress that falls', 'progress', [told(2, 6), { kind: 'progress', revision: 4 }]],
    [
      'cancellation for no compaction',
      'compacted',
      [{ kind: 'canceled', revision: 6, compactRevision: 4 }],
    ],
    ['creation twice', 'protocol', [created]],
  ];

  test.each(cases)('%s is caught', (_name, property, responses) => {
    expect(found(responses)).toContain(property);
  });

  test('telling what was before the start is caught', () => {
    expect(found([told(2, 3)], { ...everything, startRevision: 3 })).toContain('notEarly');
    const now = { ...everything, startRevision: 0 };
    const responses: WatchResponse[] = [{ kind: 'created', revision: 3 }, told(3, 4)];
    expect(checkWatch(history, { request: now, responses })[0]!.property).toBe('notEarly');
  });

  test('telling what the filter excludes is caught', () => {
    expect(found([events(put2, put3)], { ...everything, key: 'a', rangeEnd: '' })).toContain(
      'filter',
    );
    expect(found([events(put2)], { ...everything, noPut: true })).toContain('filter');
  });

  test('a previous value that nobody asked for is caught', () => {
    expect(found([told(2, 6)], { ...everything, prevKv: false })).toContain('prevKv');
  });

  test('never arriving is caught if it had to', () => {
    expect(found([told(2, 4)], everything, { mustReach: 6 })).toEqual(['complete', 'complete']);
  });

  test('resuming past unseen revisions is caught', () => {
    const request = { ...everything, startRevision: 5 };
    expect(found([told(5, 6)], request, { resumedAfter: 3 })).toEqual(['resumable']);
    expect(found([told(5, 6)], request, { resumedAfter: 4 })).toEqual([]);
  });

  test('cancellation of a watch that needs nothing compacted is caught', () => {
    const canceled = { kind: 'canceled', revision: 6, compactRevision: 5 } as const;
    const truth = { revisions, compactRevision: 5 };
    expect(found([told(2, 4), canceled], everything, {}, truth)).toEqual(['compacted']);
  });
});

test('any event dropped, doubled or moved in a long stream is caught', () => {
  const random = seededRandom(1);
  const keys = ['a', 'b', 'c'];
  const requests = Array.from({ length: 200 }, (_, i): KvRequest => {
    const key = keys[Math.floor(random() * 3)]!;
    return random() < 0.8 ? put(key, `${i}`) : { kind: 'delete', key };
  });
  const truth = truthOf(requests);
  const all = truth.flatMap(r => r.events);
  const check = (list: readonly KvEvent[]) =>
    checkWatch(
      { revisions: truth },
      {
        request: everything,
        responses: [created, { kind: 'events', revision: all.length + 1, events: list }],
        mustReach: all.length + 1,
      },
    ).length;
  expect(check(all)).toBe(0);
  for (let i = 0; i < all.length; i += 7) {
    expect(check(all.toSpliced(i, 1))).toBeGreaterThan(0);
    expect(check(all.toSpliced(i, 0, all[i]!))).toBeGreaterThan(0);
    if (i > 0) expect(check(all.toSpliced(i - 1, 2, all[i]!, all[i - 1]!))).toBeGreaterThan(0);
  }
});

test('a true history with a gap is refused', () => {
  const stream = { request: everything, responses: [created] };
  expect(() => checkWatch({ revisions: [revisions[0]!, revisions[2]!] }, stream)).toThrow(
    HistoryError,
  );
});

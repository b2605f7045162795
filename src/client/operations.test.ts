import { describe, expect, test } from 'vitest';
import { keyRange, op, prefixRange, when } from './operations.ts';

const range = (prefix: number[]) => {
  const { key, rangeEnd } = prefixRange(Uint8Array.from(prefix));
  return [[...key], [...rangeEnd]];
};

describe('ranges', () => {
  test('a prefix ends where its last raisable byte is one higher', () => {
    expect(range([1, 2])).toEqual([
      [1, 2],
      [1, 3],
    ]);
    expect(range([1, 0xff, 0xff])).toEqual([[1, 0xff, 0xff], [2]]);
  });

  test('a prefix of 0xff bytes, or an empty one, has an open end', () => {
    expect(range([0xff, 0xff])).toEqual([[0xff, 0xff], [0]]);
    expect(range([])).toEqual([[0], [0]]);
  });

  test('a prefix given as bytes is not changed', () => {
    const prefix = Uint8Array.of(5);
    prefixRange(prefix);
    expect([...prefix]).toEqual([5]);
  });

  test('a range without an end is open', () => {
    expect([...keyRange('a').rangeEnd]).toEqual([0]);
    expect(keyRange('a', 'c').rangeEnd).toEqual(new TextEncoder().encode('c'));
  });
});

describe('transactions', () => {
  test('conditions name their target, relation and operand', () => {
    expect(when.modRevision('k', '=', 5)).toEqual({
      key: new TextEncoder().encode('k'),
      rangeEnd: new Uint8Array(0),
      result: 0,
      target: 2,
      targetUnion: { kind: 'modRevision', modRevision: 5 },
    });
    expect(when.version('k', '>', 1)).toMatchObject({ result: 1, target: 0 });
    expect(when.createRevision('k', '<', 1)).toMatchObject({ result: 2, target: 1 });
    expect(when.value('k', '!=', 'v')).toMatchObject({ result: 3, target: 3 });
    expect(when.lease('k', '=', 7n)).toMatchObject({ target: 4, targetUnion: { lease: 7n } });
  });

  test('operations take one key or a range', () => {
    expect(op.delete(prefixRange('a'), { prevKv: true })).toMatchObject({
      kind: 'deleteRange',
      deleteRange: { rangeEnd: new TextEncoder().encode('b'), prevKv: true },
    });
    expect(op.get('a', { limit: 3 })).toMatchObject({ kind: 'range', range: { limit: 3 } });
    expect(op.put('a', 'b')).toMatchObject({ kind: 'put', put: { lease: 0n } });
  });
});

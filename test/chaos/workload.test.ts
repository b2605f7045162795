// The judge of the chaos test must be able to find someone guilty.

import { describe, expect, test } from 'vitest';
import type { KeyValue } from '../../src/api/common.ts';
import type { KvOperation } from '../../src/check/kv-history.ts';
import { judge } from './workload.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

function put(key: string, value: string, outcome: KvOperation['outcome']): KvOperation {
  const input = { kind: 'put' as const, key, value };
  return { process: 0, callTime: 0, returnTime: 1, input, outcome };
}

function stored(key: string, value: string): KeyValue {
  const revisions = { createRevision: 2, modRevision: 2, version: 1, lease: 0n };
  return { key: bytes(key), value: bytes(value), ...revisions };
}

describe('judge', () => {
  test('an acknowledged write that is not there is lost', () => {
    expect(judge([put('own/1', 'v', 'ok')], [])).toMatchObject({ lost: ['own/1'] });
    expect(judge([put('own/1', 'v', 'ok')], [stored('own/1', 'v')])).toMatchObject({ lost: [] });
  });

  test('a refused write that is there is a ghost', () => {
    const refused = put('own/1', 'v', 'failed');
    expect(judge([refused], [stored('own/1', 'v')])).toMatchObject({ ghosts: ['own/1'] });
    expect(judge([refused], [])).toMatchObject({ ghosts: [] });
  });

  test('a write of unknown outcome may be there or not', () => {
    const nothing = { lost: [], ghosts: [], strange: [] };
    const unknown = put('own/1', 'v', 'unknown');
    expect(judge([unknown], [])).toEqual({ ...nothing, unknownFound: 0 });
    expect(judge([unknown], [stored('own/1', 'v')])).toEqual({ ...nothing, unknownFound: 1 });
  });

  test('another value, and a key that nobody wrote, are strange', () => {
    const wrong = judge([put('own/1', 'v', 'ok')], [stored('own/1', 'w'), stored('own/2', 'x')]);
    expect(wrong.strange).toEqual(['own/1', 'own/2']);
  });
});

import { expect, test } from 'vitest';
import type { KeyValue } from '../api/common.ts';
import { jsonKeyValue, jsonRange, kvTable, plainKeyValues } from './kv-output.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text: KeyValue = {
  key: bytes('config/x'),
  value: bytes('{"limit": 20}'),
  createRevision: 7,
  modRevision: 9,
  version: 3,
  lease: 0n,
};
const binary = { ...text, value: Uint8Array.of(0xff, 0x0a), lease: 0x1fn };

test('JSON has text where it can, and says where it can not', () => {
  const response = { header: null, kvs: [text, binary], more: false, count: 2 };
  expect(JSON.stringify(jsonRange(response))).toBe(
    '{"schema":"kontiki.kv/1","revision":0,"count":2,"more":false,"kvs":[' +
      '{"key":"config/x","value":"{\\"limit\\": 20}","encoding":"utf8","createRevision":7,"modRevision":9,"version":3},' +
      '{"key":"Y29uZmlnL3g=","value":"/wo=","encoding":"base64","createRevision":7,"modRevision":9,"version":3,"lease":"1f"}]}',
  );
});

test('JSON of keys alone has no values', () => {
  expect(jsonKeyValue(text, true)).not.toHaveProperty('value');
});

test('plain output keeps the bytes as they are', () => {
  expect([...plainKeyValues([binary], 'values')]).toEqual([0xff, 0x0a, 0x0a]);
  expect(plainKeyValues([text], 'both').toString()).toBe('config/x\n{"limit": 20}\n');
  expect(plainKeyValues([text], 'keys').toString()).toBe('config/x\n');
});

test('the table shows one line a key, whatever the value holds', () => {
  expect(kvTable([text, binary])).toBe(
    'KEY       VERSION  REVISION  VALUE\n' +
      'config/x  3        9         {"limit": 20}\n' +
      'config/x  3        9         \\xff\\x0a\n',
  );
});

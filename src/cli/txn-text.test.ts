import { describe, expect, test } from 'vitest';
import { op, prefixRange, when } from '../client/operations.ts';
import { parseTxnJson } from './txn-json.ts';
import { parseTxnText } from './txn-text.ts';

describe('as text', () => {
  test('three sections are conditions, what is done if they hold, and what if not', () => {
    const txn = parseTxnText(`# a lock
version("lock") = 0
value(greeting) != "good \\"day\\"\\n"
mod("a b") > "7"
create(x) < 3
lease(x) = 1f

put lock 'me \\n'
get config/ --prefix

del lock
`);
    expect(txn).toEqual({
      compare: [
        when.version('lock', '=', 0),
        when.value('greeting', '!=', 'good "day"\n'),
        when.modRevision('a b', '>', 7),
        when.createRevision('x', '<', 3),
        when.lease('x', '=', 0x1fn),
      ],
      success: [op.put('lock', 'me \\n'), op.get(prefixRange('config/'))],
      failure: [op.delete('lock')],
    });
  });

  test('no conditions are an empty first section', () => {
    expect(parseTxnText('\nput a 1')).toEqual({
      compare: [],
      success: [op.put('a', '1')],
      failure: [],
    });
  });

  test('empty lines at the end mean nothing', () => {
    expect(parseTxnText('\nput a 1\n\n\n\n').failure).toEqual([]);
  });

  test.each([
    ['version(a = 1', 'line 1: a condition looks like'],
    ['size(a) = 1', 'line 1: size is not one of'],
    ['toString(a) = 1', 'line 1: toString is not one of'],
    ['version(a) = x', 'line 1: a whole number'],
    ['lease(a) = -1', 'line 1: a lease is a hexadecimal number'],
    ['value(a) = b c', 'line 1: one value is expected'],
    ['\nput a', 'line 2: expected put KEY VALUE'],
    ['\nput a b --prefix', 'line 2: put takes no --prefix'],
    ['\nget', 'line 2: expected get KEY'],
    ['\ninsert a b', 'line 2: insert is not one of'],
    ['\nput a "b', 'line 2: a quote is not closed'],
    ['\nput a "b"c', 'line 2: a quote is not closed, or text follows it'],
    ['\n\n\nput a b', 'line 4: there are three sections at the most'],
  ])('%j is refused with its line', (text, words) => {
    expect(() => parseTxnText(text)).toThrow(words);
  });

  test('a long quote that is not closed is refused like a short one', () => {
    const text = `\nput a "${'\\'.repeat(200_000)}`;
    expect(() => parseTxnText(text)).toThrow('line 2: a quote is not closed');
  });
});

describe('as JSON', () => {
  test('says the same', () => {
    const txn = parseTxnJson(
      JSON.stringify({
        compare: [{ key: 'lock', target: 'version', result: '=', value: 0 }],
        success: [{ put: { key: 'lock', value: 'me' } }, { get: { key: 'c/', prefix: true } }],
        failure: [{ del: { key: 'lock' } }],
      }),
    );
    expect(txn).toEqual({
      compare: [when.version('lock', '=', 0)],
      success: [op.put('lock', 'me'), op.get(prefixRange('c/'))],
      failure: [op.delete('lock')],
    });
  });

  test.each([
    ['{', 'not JSON'],
    ['[]', 'the transaction: expected an object'],
    ['{"compares": []}', 'the transaction: unknown field "compares"'],
    ['{"compare": {}}', 'compare: expected a list'],
    ['{"compare": [{"key": "a", "target": "x"}]}', 'compare[0].target: expected version'],
    ['{"compare": [{"key": "a", "target": "mod", "result": "=="}]}', 'compare[0].result'],
    ['{"compare": [{"key": 1, "target": "mod", "result": "=", "value": 1}]}', 'compare[0].key'],
    [
      '{"compare": [{"key": "a", "target": "mod", "result": "=", "value": 1.5}]}',
      'compare[0]: a whole',
    ],
    ['{"success": [{"put": {"key": "a"}}]}', 'success[0].put.value: expected a string'],
    ['{"success": [{"put": {"key": "a", "value": "b", "ttl": 1}}]}', 'unknown field "ttl"'],
    ['{"success": [{"put": {}, "get": {}}]}', 'success[0]: expected one of put, get, del'],
    ['{"failure": [{"incr": {"key": "a"}}]}', 'failure[0]: expected one of put, get, del'],
    ['{"failure": [{"get": {"key": "a", "prefix": 1}}]}', 'failure[0].get.prefix'],
  ])('%s is refused with its place', (text, words) => {
    expect(() => parseTxnJson(text)).toThrow(words);
  });
});

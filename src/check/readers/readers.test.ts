import { describe, expect, test } from 'vitest';
import { HistoryError } from '../history.ts';
import { appendModel, registerModel } from '../models.ts';
import { checkLinearizable } from '../wgl.ts';
import { EdnError, readEdn } from './edn.ts';
import { readJepsenAppend, readJepsenRegister } from './jepsen.ts';
import { readJsonLines, writeJsonLines } from './json-lines.ts';

describe('EDN', () => {
  test('maps, lists, sets, tags, comments and commas are read', () => {
    const text = '; note\n{:a 1, "b\\n" [2.5 -3 nil true]} #{:x} #inst "2020" #_ skipped (4N)';
    const [map, set, date, list] = readEdn(text);
    expect([...(map as Map<unknown, unknown>).values()]).toEqual([1, [2.5, -3, null, true]]);
    expect(set).toEqual([{ keyword: 'x' }]);
    expect(date).toBe('2020');
    expect(list).toEqual([4]);
  });

  test.each(['{:a}', '[1', '"abc', '"\\q"', '}', '1x', '#'])('%s is refused', text => {
    expect(() => readEdn(text)).toThrow(EdnError);
  });

  test('deep nesting is refused, not overflowed', () => {
    expect(() => readEdn('['.repeat(100_000))).toThrow(EdnError);
    expect(() => readEdn('#_ '.repeat(100_000))).toThrow(EdnError);
    expect(() => readEdn('#a '.repeat(100_000))).toThrow(EdnError);
  });
});

describe('Jepsen histories', () => {
  const log = `
INFO  jepsen.core - Worker 0 starting
INFO  jepsen.util - 0	:invoke	:write	3
INFO  jepsen.util - 1	:invoke	:cas	[3 1]
INFO  jepsen.util - 0	:ok	:write	3
INFO  jepsen.util - 1	:ok	:cas	[3 1]
INFO  jepsen.util - 2	:invoke	:cas	[0 4]
INFO  jepsen.util - 2	:fail	:cas	[0 4]
INFO  jepsen.util - 0	:invoke	:write	5
INFO  jepsen.util - 0	:info	:write	:timed-out
INFO  jepsen.util - 1	:invoke	:read	nil
INFO  jepsen.util - 1	:fail	:read	:timed-out
INFO  jepsen.util - 2	:invoke	:read	nil
INFO  jepsen.util - 2	:ok	:read	VALUE
`;
  const edn = `
{:process 0, :type :invoke, :f :write, :value 3}
{:process :nemesis, :type :info, :f :start, :value nil}
{:process 0, :type :ok, :f :write, :value 3, :time 17}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 3}
`;

  test('a log is read and judged', () => {
    const outcomes = readJepsenRegister(log.replace('VALUE', '1')).map(op => op.outcome);
    expect(outcomes).toEqual(['ok', 'ok', 'ok', 'unknown', 'failed', 'ok']);
    const verdict = (value: string) =>
      checkLinearizable(readJepsenRegister(log.replace('VALUE', value)), registerModel()).verdict;
    // 1 is what the cas left, 5 what the lost write may have left; 3 was overwritten.
    expect([verdict('1'), verdict('5'), verdict('3')]).toEqual(['legal', 'legal', 'illegal']);
  });

  test('EDN maps are read, one after another or in a vector', () => {
    const history = readJepsenRegister(edn);
    expect(history).toHaveLength(2);
    expect(history[1]).toMatchObject({ process: 1, outcome: 'ok', output: { value: 3 } });
    expect(readJepsenRegister(`[${edn}]`)).toEqual(history);
  });

  test('texts by key are read and judged, and a get of nothing is an empty text', () => {
    const text = (seen: string) => `
{:process 0, :type :invoke, :f :get, :key "a", :value nil}
{:process 0, :type :ok, :f :get, :key "a", :value nil}
{:process 0, :type :invoke, :f :append, :key "a", :value "x"}
{:process 1, :type :invoke, :f :put, :key 7, :value "z"}
{:process 0, :type :ok, :f :append, :key "a", :value "x"}
{:process 0, :type :invoke, :f :get, :key "a", :value nil}
{:process 0, :type :ok, :f :get, :key "a", :value "${seen}"}
`;
    const history = readJepsenAppend(text('x'));
    expect(history.map(op => op.outcome)).toEqual(['ok', 'ok', 'unknown', 'ok']);
    expect(history[2]!.input).toEqual({ kind: 'put', key: '7', value: 'z' });
    const verdict = (seen: string) =>
      checkLinearizable(readJepsenAppend(text(seen)), appendModel()).verdict;
    expect([verdict('x'), verdict('')]).toEqual(['legal', 'illegal']);
    expect(() => readJepsenAppend('{:process 0, :type :invoke, :f :get}')).toThrow(HistoryError);
  });

  test('a cas that failed with an error tells nothing of the state', () => {
    const text = `{:process 0, :type :invoke, :f :cas, :value [1 2]}
      {:process 0, :type :fail, :f :cas, :value [1 2], :error :refused}`;
    expect(readJepsenRegister(text)[0]!.outcome).toBe('failed');
  });

  test.each([
    '{:process 0, :type :ok, :f :read, :value 3}',
    '{:process 0, :type :invoke, :f :read} {:process 0, :type :invoke, :f :read}',
    '{:process 0, :type :invoke, :f :append, :value 3}',
    '{:process 0, :type :invoke, :f :cas, :value 3}',
    '{:process 0, :type :invoke, :f :read} {:process 0, :type :done, :f :read}',
    '[1 2]',
  ])('%s is refused', text => {
    expect(() => readJepsenRegister(text)).toThrow(HistoryError);
  });
});

describe('JSON lines', () => {
  test('a history is read back as it was written', () => {
    const history = [
      { process: 1, callTime: 0, returnTime: 1, input: { a: 1 }, output: null, outcome: 'ok' },
      { process: 2, callTime: 0, returnTime: Infinity, input: 'x', outcome: 'unknown' },
    ] as const;
    expect(readJsonLines(writeJsonLines(history))).toEqual(history);
  });

  test.each([
    'nonsense',
    '7',
    '{"process":1}',
    '{"process":1,"callTime":0,"returnTime":"1","outcome":"ok","output":1}',
    '{"process":1,"callTime":0,"returnTime":1,"outcome":"maybe"}',
    '{"process":1,"callTime":0,"returnTime":1,"outcome":"ok","input":1}',
  ])('%s is refused', line => {
    expect(() => readJsonLines(line)).toThrow(HistoryError);
  });
});

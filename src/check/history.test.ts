import { expect, test } from 'vitest';
import { assertHistory, HistoryError, HistoryRecorder, historyFaults } from './history.ts';

test('a recorder orders events as they come and leaves open operations unknown', () => {
  const recorder = new HistoryRecorder<string, number>();
  const a = recorder.call(1, 'a');
  const b = recorder.call(2, 'b');
  recorder.call(3, 'c');
  recorder.ok(b, 7);
  recorder.failed(a);
  const history = recorder.history();
  expect(history.map(op => [op.callTime, op.returnTime, op.outcome, op.output])).toEqual([
    [0, 4, 'failed', undefined],
    [1, 3, 'ok', 7],
    [2, Infinity, 'unknown', undefined],
  ]);
  expect(historyFaults(history)).toEqual([]);
});

test('an operation returns once', () => {
  const recorder = new HistoryRecorder<string, number>();
  recorder.ok(recorder.call(1, 'a'), 1);
  expect(() => recorder.ok(0, 1)).toThrow(HistoryError);
  expect(() => recorder.unknown(5)).toThrow(HistoryError);
});

const base = { process: 1, input: 0, output: 0, outcome: 'ok' } as const;

test.each([
  [
    'an overlap within a process',
    [
      { ...base, callTime: 0, returnTime: 5 },
      { ...base, callTime: 3, returnTime: 6 },
    ],
  ],
  [
    'an overlap in any order',
    [
      { ...base, callTime: 3, returnTime: 6 },
      { ...base, callTime: 0, returnTime: 5 },
    ],
  ],
  ['a return before the call', [{ ...base, callTime: 3, returnTime: 2 }]],
  ['a success without a return', [{ ...base, callTime: 3, returnTime: Infinity }]],
  ['a time that is no number', [{ ...base, callTime: Number.NaN, returnTime: 2 }]],
])('%s is a fault', (_name, history) => {
  expect(historyFaults(history)).toHaveLength(1);
  expect(() => assertHistory(history)).toThrow(HistoryError);
});

test('operations of one process out of order in the list are no fault', () => {
  const history = [
    { ...base, callTime: 3, returnTime: 6 },
    { ...base, callTime: 0, returnTime: 2 },
  ];
  expect(historyFaults(history)).toEqual([]);
});

test('the number of faults named is bounded', () => {
  const history = Array.from({ length: 1000 }, () => ({ ...base, callTime: 3, returnTime: 2 }));
  expect(historyFaults(history)).toHaveLength(20);
});

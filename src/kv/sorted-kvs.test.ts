import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SortedKvs } from './sorted-kvs.ts';

const numberOf = (kv: Uint8Array) => kv[0]!;
const bytes = (values: number[]) => values.map((value, i) => Uint8Array.of(value, i >> 8, i));
const same = (kv: Uint8Array) => kv;

test('any number of any values comes out sorted, equal ones as they came in, whatever the slices', () => {
  const values = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 0, maxLength: 5000 });
  const limit = fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 3000 }));
  const budget = fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 2000 }));
  fc.assert(
    fc.property(values, limit, budget, (numbers, kept, slice) => {
      const kvs = bytes(numbers);
      const sorted = new SortedKvs(numberOf, (a, b) => b - a, kept);
      for (const kv of kvs) sorted.add(kv);
      let result = sorted.finish(slice, same);
      while (result === null) result = sorted.finish(slice, same);
      const expected = [...kvs].sort((a, b) => b[0]! - a[0]!).slice(0, kept);
      expect(result).toEqual(expected);
      expect(sorted.added).toBe(kvs.length);
    }),
    { numRuns: 60 },
  );
});

test('a slice moves no more than its budget', () => {
  const sorted = new SortedKvs(numberOf, (a, b) => a - b, Infinity);
  for (const kv of bytes(Array.from({ length: 4096 }, (_, i) => i % 251))) sorted.add(kv);
  let slices = 1;
  while (sorted.finish(512, same) === null) slices += 1;
  // Two rounds of merging and one of handing out.
  expect(slices).toBe((3 * 4096) / 512);
});

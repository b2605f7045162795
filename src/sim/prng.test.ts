import { describe, expect, test } from 'vitest';
import { Prng } from './prng.ts';

describe('Prng', () => {
  test('a seed gives the same numbers on every engine', () => {
    const chance = Prng.stream(42, 'network');
    expect([chance.u32(), chance.u32(), chance.u32()]).toEqual([1824123874, 3793897731, 541920166]);
  });

  test('a stream does not depend on what others have drawn', () => {
    const other = Prng.stream(7, 'disk', 1);
    for (let i = 0; i < 100; i++) other.u32();
    expect(Prng.stream(7, 'disk', 2).u32()).toBe(Prng.stream(7, 'disk', 2).u32());
    expect(Prng.stream(7, 'disk', 1).u32()).not.toBe(Prng.stream(7, 'disk', 2).u32());
    expect(Prng.stream(7, 'disk').u32()).not.toBe(Prng.stream(8, 'disk').u32());
  });

  test('seeds above 32 bits are told apart', () => {
    expect(new Prng(2 ** 40).u32()).not.toBe(new Prng(0).u32());
  });

  test('float, below and between keep their bounds', () => {
    const chance = new Prng(1);
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      const value = chance.float();
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
      seen.add(chance.between(3, 5));
    }
    expect([...seen].sort()).toEqual([3, 4, 5]);
  });

  test('logUniform gives each doubling its share', () => {
    const chance = new Prng(3);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      const value = chance.logUniform(1, 16);
      expect(value).toBeGreaterThanOrEqual(1);
      expect(value).toBeLessThanOrEqual(16);
      const doubling = [2, 4, 8, 16].findIndex(bound => value <= bound);
      counts[doubling]! += 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(600);
  });

  test('heavyTail has about the mean it was asked for, and a tail', () => {
    const chance = new Prng(4);
    let sum = 0;
    let largest = 0;
    for (let i = 0; i < 100_000; i++) {
      const value = chance.heavyTail(10);
      sum += value;
      largest = Math.max(largest, value);
    }
    expect(sum / 100_000).toBeGreaterThan(5);
    expect(sum / 100_000).toBeLessThan(20);
    expect(largest).toBeGreaterThan(500);
  });

  test('shuffle keeps every item and leaves its argument alone', () => {
    const items = [1, 2, 3, 4, 5];
    const shuffled = new Prng(5).shuffle(items);
    expect([...shuffled].sort()).toEqual(items);
    expect(items).toEqual([1, 2, 3, 4, 5]);
  });
});

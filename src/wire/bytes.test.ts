import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, WireError } from './bytes.ts';

const EDGES = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1];

describe('varints', () => {
  test('give back every safe integer', () => {
    const numbers = fc.oneof(fc.constantFrom(...EDGES), fc.maxSafeNat());
    fc.assert(
      fc.property(numbers, value => {
        const writer = new ByteWriter(1);
        writer.varint(value);
        const reader = new ByteReader(writer.view());
        expect(reader.varint()).toBe(value);
        reader.finish();
      }),
    );
  });

  test.each([-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])('refuse to write %d', bad => {
    expect(() => new ByteWriter().varint(bad)).toThrow(WireError);
    expect(() => new ByteWriter().u64(bad)).toThrow(WireError);
  });

  test('refuse what exceeds 53 bits, has too many bytes or ends too early', () => {
    const read = (...bytes: number[]) => new ByteReader(Uint8Array.from(bytes)).varint();
    expect(() => read(255, 255, 255, 255, 255, 255, 255, 127)).toThrow('exceeds 53 bits');
    expect(() => read(128, 128, 128, 128, 128, 128, 128, 128, 1)).toThrow('more than eight bytes');
    expect(() => read(128, 128)).toThrow('end too early');
    expect(() => read()).toThrow('end too early');
  });
});

test('u64 gives back every safe integer and refuses more', () => {
  for (const value of EDGES) {
    const writer = new ByteWriter();
    writer.u64(value);
    expect(new ByteReader(writer.view()).u64()).toBe(value);
  }
  expect(() => new ByteReader(new Uint8Array(8).fill(255)).u64()).toThrow('exceeds 53 bits');
});

test('a writer grows, keeps what it has, and can be used again', () => {
  const writer = new ByteWriter(1);
  const data = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
  writer.u8(7);
  writer.bytes(data);
  writer.bytes(data.subarray(0, 5));
  const reader = new ByteReader(writer.view());
  expect(reader.u8()).toBe(7);
  expect(reader.bytes()).toEqual(data);
  expect(reader.bytes()).toEqual(data.subarray(0, 5));
  reader.finish();
  writer.reset();
  writer.zeros(3);
  expect(writer.copy()).toEqual(new Uint8Array(3));
});

test('a reader never reads beyond its end', () => {
  const reader = new ByteReader(new Uint8Array(100), 10, 14);
  expect(() => reader.raw(5)).toThrow(WireError);
  expect(() => new ByteReader(new Uint8Array(100), 10, 13).u32()).toThrow(WireError);
  expect(reader.raw(4).length).toBe(4);
  expect(() => reader.u8()).toThrow(WireError);
});

test('a count that cannot fit into the bytes left is refused before anything is allocated', () => {
  const writer = new ByteWriter();
  writer.varint(1_000_000);
  expect(() => new ByteReader(writer.view()).count(1, 2_000_000)).toThrow('do not fit');
  expect(() => new ByteReader(writer.view()).count(0, 1000)).toThrow('at most 1000');
});

test('bytes after the end of a format are an error', () => {
  expect(() => new ByteReader(new Uint8Array(3)).finish()).toThrow('3 bytes too many');
});

import { describe, expect, test } from 'vitest';
import { ProtoError } from './proto-error.ts';
import { EMPTY_BYTES, ProtoReader } from './proto-reader.ts';

function reader(...bytes: number[]): ProtoReader {
  return new ProtoReader(Uint8Array.from(bytes));
}

/** A reader that stands before the value of field 1. */
function at(type: 'varint' | 'bytes', ...value: number[]): ProtoReader {
  const r = reader(type === 'varint' ? 0x08 : 0x0a, ...value);
  expect(r.next()).toBe(1);
  return r;
}

const max64 = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
const minInt64 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];

describe('integers', () => {
  test('a varint of any length up to ten bytes is one number', () => {
    expect(at('varint', 0x00).int()).toBe(0);
    expect(at('varint', 0x7f).int()).toBe(127);
    expect(at('varint', 0xac, 0x02).int()).toBe(300);
    expect(at('varint', 0xff, 0xff, 0xff, 0xff, 0x0f).int()).toBe(2 ** 32 - 1);
    expect(at('varint', 0x80, 0x80, 0x80, 0x80, 0x10).int()).toBe(2 ** 32);
    expect(at('varint', 0x80, 0x00).int()).toBe(0);
  });

  test('an int64 beyond 53 bits saturates in both directions', () => {
    expect(at('varint', ...max64).int()).toBe(-1);
    expect(at('varint', ...minInt64).int()).toBe(Number.MIN_SAFE_INTEGER);
    expect(at('varint', ...max64.slice(0, 8), 0x7f).int()).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('a uint64 beyond 53 bits saturates', () => {
    expect(at('varint', ...max64).uint()).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('ids keep all 64 bits, with and without a sign', () => {
    expect(at('varint', ...max64).uint64()).toBe(2n ** 64n - 1n);
    expect(at('varint', ...max64).int64()).toBe(-1n);
    expect(at('varint', ...minInt64).int64()).toBe(-(2n ** 63n));
  });

  test('a uint32 drops higher bits, an enum becomes an int32, and a bool is any bit', () => {
    expect(at('varint', 0x85, 0x80, 0x80, 0x80, 0x10).uint32()).toBe(5);
    expect(at('varint', ...max64).enum()).toBe(-1);
    expect(at('varint', 0x80, 0x80, 0x80, 0x80, 0x10).bool()).toBe(true);
  });

  test('a varint of eleven bytes is an error', () => {
    const r = at('varint', ...Array<number>(10).fill(0xff), 0x01);
    expect(() => r.int()).toThrow(ProtoError);
  });
});

describe('bounds', () => {
  test('a length beyond the message is an error before anything is allocated', () => {
    expect(() => at('bytes', 0xff, 0xff, 0xff, 0xff, 0x07).bytes()).toThrow('cut short');
    expect(() => at('bytes', ...max64).bytes()).toThrow(ProtoError);
    expect(() => at('bytes').bytes()).toThrow('cut short');
  });

  test('a value cut short is an error even when it is skipped', () => {
    const cut = {
      varint: [0x08, 0x80],
      fixed64: [0x09, 1, 2],
      bytes: [0x0a, 3, 1],
      fixed32: [0x0d, 1],
    };
    for (const bytes of [...Object.values(cut), [0x0b, 0x08, 1]]) {
      const r = reader(...bytes);
      r.next();
      expect(() => r.skip()).toThrow('cut short');
    }
  });

  test('a field of a nested message cannot reach beyond it', () => {
    const r = at('bytes', 2, 0x0a, 3, 1, 2, 3);
    const inner = (source: Uint8Array | ProtoReader) => {
      const nested = source as ProtoReader;
      nested.next();
      return nested.bytes();
    };
    expect(() => r.message(inner)).toThrow('cut short');
  });

  test('messages may be nested 100 deep and no deeper', () => {
    const descend = (source: Uint8Array | ProtoReader): number => {
      const r = source as ProtoReader;
      return r.next() === 0 ? 0 : 1 + r.message(descend);
    };
    expect(descend(new ProtoReader(nest(100)))).toBe(100);
    expect(() => descend(new ProtoReader(nest(101)))).toThrow('too deep');
  });

  test('more nested messages than allowed are an error', () => {
    const bytes = Uint8Array.of(0x0a, 0, 0x0a, 0, 0x0a, 0);
    const count = (r: ProtoReader) => {
      let n = 0;
      for (; r.next() !== 0; n++) r.message(() => null);
      return n;
    };
    expect(count(new ProtoReader(bytes, 3))).toBe(3);
    expect(() => count(new ProtoReader(bytes, 2))).toThrow('too many');
  });

  test('a million open groups neither exhaust the stack nor pass', () => {
    const r = new ProtoReader(new Uint8Array(1_000_000).fill(0x0b));
    r.next();
    expect(() => r.skip()).toThrow('cut short');
  });

  function nest(levels: number): Uint8Array {
    let bytes: number[] = [];
    for (let i = 0; i < levels; i++) {
      const length = bytes.length;
      const prefix = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
      bytes = [0x0a, ...prefix, ...bytes];
    }
    return Uint8Array.from(bytes);
  }
});

describe('fields', () => {
  test('field number 0, a number over 29 bits and unknown wire types are errors', () => {
    expect(() => reader(0x00).next()).toThrow('field number 0');
    expect(() => reader(0x80, 0x00).next()).toThrow('field number 0');
    expect(() => reader(...max64).next()).toThrow('exceeds 29 bits');
    for (const type of [4, 6, 7]) {
      const r = reader(0x08 | type);
      r.next();
      expect(() => r.skip()).toThrow(ProtoError);
    }
  });

  test('a value of another wire type than the field has is an error, as in etcd', () => {
    expect(() => at('bytes', 0).int()).toThrow('wire type 2 where 0 belongs');
    expect(() => at('varint', 0).bytes()).toThrow('wire type 0 where 2 belongs');
  });

  test('a repeated enum is read packed and unpacked', () => {
    const values: number[] = [];
    const r = reader(0x0a, 3, 0x01, 0x80, 0x01, 0x08, 0x07);
    while (r.next() !== 0) r.enums(values);
    expect(values).toEqual([1, 128, 7]);
  });

  test('bytes are a view on the source, and empty bytes the shared empty array', () => {
    const source = Uint8Array.of(0x0a, 2, 7, 8);
    const r = new ProtoReader(source);
    r.next();
    const value = r.bytes();
    source[2] = 9;
    expect([...value]).toEqual([9, 8]);
    expect(at('bytes', 0).bytes()).toBe(EMPTY_BYTES);
  });

  test('text that is not UTF-8 is an error, short or long', () => {
    expect(() => at('bytes', 2, 0xc3, 0x28).string()).toThrow('not UTF-8');
    expect(() => at('bytes', 100, ...Array<number>(100).fill(0xff)).string()).toThrow('not UTF-8');
    expect(at('bytes', 3, 0xef, 0xbb, 0xbf).string()).toBe('\u{feff}');
  });
});

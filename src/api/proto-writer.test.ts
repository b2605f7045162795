import { describe, expect, test } from 'vitest';
import { ProtoReader } from './proto-reader.ts';
import { copyWritten, ProtoWriter, toBytes } from './proto-writer.ts';

function bytesOf(write: (w: ProtoWriter) => void): number[] {
  const w = new ProtoWriter(0);
  write(w);
  return [...w.finish()];
}

describe('ProtoWriter', () => {
  test('fields come out in the opposite order of the calls', () => {
    const write = (w: ProtoWriter) => {
      w.int(2, 300);
      w.bool(1, true);
    };
    expect(bytesOf(write)).toEqual([8, 1, 16, 0xac, 2]);
  });

  test('a negative number takes ten bytes, the two-complement of 64 bits', () => {
    const ones = Array<number>(9).fill(0xff);
    expect(bytesOf(w => w.int(1, -1))).toEqual([8, ...ones, 1]);
    expect(bytesOf(w => w.id(1, -1n))).toEqual([8, ...ones, 1]);
  });

  test('defaults are left out, except where presence counts', () => {
    const nothing = bytesOf(w => {
      w.int(1, 0);
      w.id(2, 0n);
      w.bool(3, false);
      w.bytes(4, new Uint8Array(0));
      w.string(5, '');
      w.packedInts(6, []);
      w.message(7, null, () => {});
    });
    expect(nothing).toEqual([]);
    expect(bytesOf(w => w.presentInt(1, 0))).toEqual([8, 0]);
    expect(bytesOf(w => w.presentId(1, 0n))).toEqual([8, 0]);
    expect(bytesOf(w => w.embedded(1, new Uint8Array(0)))).toEqual([10, 0]);
    expect(bytesOf(w => w.message(1, {}, () => {}))).toEqual([10, 0]);
    expect(bytesOf(w => w.strings(1, ['', '']))).toEqual([10, 0, 10, 0]);
  });

  test('every power of two and its neighbours survive a round trip, as number and as id', () => {
    for (let bit = 0; bit < 64; bit++) {
      for (const value of [2n ** BigInt(bit) - 1n, 2n ** BigInt(bit), 2n ** BigInt(bit) + 1n]) {
        const id = new ProtoReader(Uint8Array.from(bytesOf(w => w.presentId(1, value))));
        id.next();
        expect(id.uint64()).toBe(BigInt.asUintN(64, value));
        if (value > BigInt(Number.MAX_SAFE_INTEGER)) continue;
        for (const sign of [1, -1]) {
          const number = Number(value) * sign;
          const r = new ProtoReader(Uint8Array.from(bytesOf(w => w.presentInt(1, number))));
          r.next();
          expect(r.int() - number).toBe(0);
        }
      }
    }
  });

  test('a number that is not an integer of 53 bits is refused', () => {
    for (const value of [2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, -1.5, 2 ** 33 + 0.5]) {
      expect(() => bytesOf(w => w.int(1, value))).toThrow(RangeError);
    }
  });

  test('a half surrogate is written as the replacement character', () => {
    expect(bytesOf(w => w.string(1, 'a\ud800'))).toEqual([10, 4, 0x61, 0xef, 0xbf, 0xbd]);
  });

  test('a buffer that must grow keeps what is written', () => {
    const w = new ProtoWriter(16);
    for (let i = 500; i >= 1; i--) w.embedded(1, new Uint8Array(i % 60).fill(i));
    const r = new ProtoReader(w.finish());
    for (let i = 1; i <= 500; i++) {
      expect(r.next()).toBe(1);
      expect([...r.bytes()]).toEqual(Array<number>(i % 60).fill(i & 255));
    }
    expect(r.next()).toBe(0);
  });

  test('reset() forgets the message and gives back a buffer blown up by a huge one', () => {
    const w = new ProtoWriter();
    w.embedded(1, new Uint8Array(3 << 20));
    expect(w.length).toBe((3 << 20) + 5);
    w.reset();
    w.int(1, 1);
    expect([...w.view()]).toEqual([8, 1]);
    expect(w.view().buffer.byteLength).toBeLessThan(1 << 20);
  });

  test('finished messages stay as they are, whatever is written after them', () => {
    const w = new ProtoWriter();
    const finished: Uint8Array[] = [];
    for (let i = 0; i < 200; i++) {
      w.reset();
      w.raw(new Uint8Array(i * 8).fill(i));
      finished.push(w.finish());
    }
    for (const [i, bytes] of finished.entries()) {
      expect([...bytes]).toEqual(Array<number>(i * 8).fill(i));
    }
  });

  test('copyWritten puts the message at the offset and nowhere else', () => {
    for (const size of [3, 200]) {
      const w = new ProtoWriter();
      w.raw(new Uint8Array(size).fill(7));
      const target = new Uint8Array(size + 4);
      expect(copyWritten(w, target, 2)).toBe(size + 2);
      expect([...target]).toEqual([0, 0, ...Array<number>(size).fill(7), 0, 0]);
    }
  });

  test('toBytes inside an encoder does not disturb the outer message', () => {
    const bytes = toBytes((_, w) => {
      w.int(2, 2);
      w.embedded(
        1,
        toBytes((_m, inner) => inner.int(1, 1), {}),
      );
    }, {});
    expect([...bytes]).toEqual([10, 2, 8, 1, 16, 2]);
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../wire/bytes.ts';
import { crc32c } from '../wire/crc32c.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  beginBatch,
  isStamped,
  readBatchHeader,
  readPayload,
  sealBatch,
} from './batch.ts';
import { PayloadSlab } from './payload-slab.ts';

const slab = new PayloadSlab();
const LINK = { sequence: 2 ** 40 + 3, segmentCrc: 0xdead_beef, previousCrc: 77 };

function sealed(payload: Uint8Array, alignBytes: number): Uint8Array {
  const writer = new ByteWriter(64);
  beginBatch(writer);
  writer.raw(payload);
  sealBatch(writer, LINK, alignBytes);
  return writer.copy();
}

test('a payload of any length comes back, and its size on disk is known before', () => {
  const lengths = fc.oneof(fc.nat(2000), fc.nat(40_000), fc.constantFrom(471, 472, 982, 983));
  fc.assert(
    fc.property(lengths, fc.constantFrom(512, 4096), fc.nat(255), (length, align, salt) => {
      const payload = Uint8Array.from({ length }, (_, i) => (i * 13 + salt) & 255);
      const bytes = sealed(payload, align);
      expect(bytes.length).toBe(batchBytes(length, align));
      expect(bytes.length % align).toBe(0);
      const header = readBatchHeader(bytes, 0)!;
      expect(header).toMatchObject({ ...LINK, payloadBytes: length });
      const found = readPayload(bytes, 0, bytes.length, header, slab)!;
      expect(Buffer.compare(found, payload)).toBe(0);
      expect(isStamped(bytes, 0, bytes.length)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('any byte of the padding that is not zero is damage, however the memory is aligned', () => {
  for (const [length, align] of [
    [100, 512],
    [700, 4096],
  ] as const) {
    const bytes = sealed(new Uint8Array(length), align);
    for (let shift = 0; shift < 5; shift++) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift);
      for (let at = BATCH_HEADER_BYTES + length + 2; at < bytes.length; at += 1) {
        if (at % 512 === 511) continue;
        moved.set(bytes);
        moved[at] = 0x10;
        const header = readBatchHeader(moved, 0)!;
        expect(readPayload(moved, 0, moved.length, header, slab), `${at}`).toBe(null);
      }
      moved.set(bytes);
      expect(readPayload(moved, 0, moved.length, readBatchHeader(moved, 0)!, slab)).not.toBe(null);
    }
  }
});

test('every length around the sector boundaries fits', () => {
  for (let length = 0; length < 1600; length++) {
    const payload = new Uint8Array(length).fill(length & 255);
    const bytes = sealed(payload, 512);
    const found = readPayload(bytes, 0, bytes.length, readBatchHeader(bytes, 0)!, slab)!;
    expect(Buffer.compare(found, payload), `length ${length}`).toBe(0);
  }
});

test('a sector that was never written shows, even if the payload is all zeros', () => {
  const bytes = sealed(new Uint8Array(3000), 512);
  for (let at = 0; at < bytes.length; at += 512) {
    const torn = bytes.slice();
    torn.fill(0, at, at + 512);
    expect(isStamped(torn, 0, torn.length)).toBe(false);
  }
  expect(isStamped(bytes.subarray(0, bytes.length - 1), 0, bytes.length)).toBe(false);
});

test('a header with any flipped bit is none', () => {
  const bytes = sealed(new Uint8Array(10), 512);
  for (let bit = 0; bit < BATCH_HEADER_BYTES * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    expect(readBatchHeader(damaged, 0)).toBeNull();
  }
  expect(readBatchHeader(bytes.subarray(0, BATCH_HEADER_BYTES - 1), 0)).toBeNull();
});

test('the body checksum is that of all bytes behind the header', () => {
  for (const length of [0, 1, 460, 470, 471, 472, 473, 981, 1493, 3000, 4055, 4056, 9000]) {
    for (const align of [512, 1024, 4096]) {
      const bytes = sealed(new Uint8Array(length).fill(201), align);
      const { bodyCrc } = readBatchHeader(bytes, 0)!;
      expect(bodyCrc, `length ${length}`).toBe(crc32c(bytes, BATCH_HEADER_BYTES, bytes.length));
    }
  }
});

test('a flipped bit anywhere in the body is noticed, in the padding as well', () => {
  for (const length of [0, 100, 471, 475, 1200]) {
    const bytes = sealed(new Uint8Array(length).fill(7), 1024);
    const header = readBatchHeader(bytes, 0)!;
    for (let bit = BATCH_HEADER_BYTES * 8; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(readPayload(bytes, 0, bytes.length, header, slab), `bit ${bit}`).toBeNull();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
});

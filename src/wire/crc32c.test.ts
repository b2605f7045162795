import { expect, test } from 'vitest';
import { crc32c, crc32cZeros, ZEROS_MAX } from './crc32c.ts';

/** One bit at a time, straight from the definition. */
function slowly(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

test('CRC-32C has the check values of RFC 3720', () => {
  expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe306_9283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8_ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd_794e);
  expect(crc32c(new Uint8Array(0))).toBe(0);
});

test('the fast path agrees with the definition at every length and position', () => {
  const bytes = Uint8Array.from({ length: 70 }, (_, i) => (i * 97 + 13) & 255);
  for (let from = 0; from < 20; from++) {
    for (let to = from; to <= bytes.length; to++) {
      expect(crc32c(bytes, from, to)).toBe(slowly(bytes.subarray(from, to)));
    }
  }
});

test('a checksum may be continued over several arrays', () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
  for (let cut = 0; cut <= 100; cut++) {
    expect(crc32c(bytes, cut, 100, crc32c(bytes, 0, cut))).toBe(crc32c(bytes));
  }
});

test('zeros of any number are skipped to the checksum that reading them would give', () => {
  const zeros = new Uint8Array(ZEROS_MAX);
  for (const before of [0, 1, 0x8a91_36aa, 0xffff_ffff]) {
    for (let count = 0; count <= ZEROS_MAX; count++) {
      expect(crc32cZeros(count, before)).toBe(crc32c(zeros, 0, count, before));
    }
  }
});

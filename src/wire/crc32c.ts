// CRC-32C (Castagnoli), the checksum of frames, log batches and snapshot blocks. It runs over every
// byte that is logged or sent, so it takes sixteen bytes a step from sixteen tables (64 KiB).

const POLYNOMIAL = 0x82f63b78;
const SLICES = 16;

/** Table k at offset 256*k: the effect of a byte that is followed by k zero bytes. */
const TABLE = buildTable();

function buildTable(): Int32Array {
  const table = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i++) {
    const shorter = table[i - 256]!;
    table[i] = (shorter >>> 8) ^ table[shorter & 0xff]!;
  }
  return table;
}

/**
 * The checksum of bytes[from, to) as an unsigned number. `previous` continues an earlier call, as if
 * the bytes of both had been one array.
 */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length, previous = 0): number {
  const t = TABLE;
  let crc = ~previous;
  let i = from;
  for (const end = to - 15; i < end; i += 16) {
    const word =
      crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    crc =
      t[3840 + (word & 0xff)]! ^
      t[3584 + ((word >>> 8) & 0xff)]! ^
      t[3328 + ((word >>> 16) & 0xff)]! ^
      t[3072 + (word >>> 24)]! ^
      t[2816 + bytes[i + 4]!]! ^
      t[2560 + bytes[i + 5]!]! ^
      t[2304 + bytes[i + 6]!]! ^
      t[2048 + bytes[i + 7]!]! ^
      t[1792 + bytes[i + 8]!]! ^
      t[1536 + bytes[i + 9]!]! ^
      t[1280 + bytes[i + 10]!]! ^
      t[1024 + bytes[i + 11]!]! ^
      t[768 + bytes[i + 12]!]! ^
      t[512 + bytes[i + 13]!]! ^
      t[256 + bytes[i + 14]!]! ^
      t[bytes[i + 15]!]!;
  }
  for (; i < to; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]!) & 0xff]!;
  return ~crc >>> 0;
}

/** More zeros than this in a row take more than one call of crc32cZeros(). */
export const ZEROS_MAX = 511;

/** What n zero bytes make of each of the 32 bits of a checksum: row n, column of the bit. */
const ZEROS = buildZeros();

function buildZeros(): Int32Array {
  const rows = new Int32Array((ZEROS_MAX + 1) * 32);
  for (let bit = 0; bit < 32; bit++) rows[bit] = 1 << bit;
  for (let i = 32; i < rows.length; i++) {
    const shorter = rows[i - 32]!;
    rows[i] = (shorter >>> 8) ^ TABLE[shorter & 0xff]!;
  }
  return rows;
}

/** As crc32c() over `count` zero bytes, at most ZEROS_MAX, in a time that does not depend on it. */
export function crc32cZeros(count: number, previous: number): number {
  const row = count * 32;
  let rest = ~previous;
  let crc = 0;
  for (let bit = 0; rest !== 0; bit++) {
    crc ^= ZEROS[row + bit]! & -(rest & 1);
    rest >>>= 1;
  }
  return ~crc >>> 0;
}

// The static Huffman code of HPACK (RFC 7541 §5.2, Appendix B). The code is canonical: the length of
// each symbol's code fixes the code itself, so the 257 lengths below are the whole table. We decode
// only; what we send goes plain, which the RFC allows and which costs neither side any time. Pure.

// biome-ignore format: sixteen lengths a row, as symbol codes 0x00 to 0xff, then EOS
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const EOS = 256;
const BITS_MAX = 30;

/** Per code length: the first code, its place in `SYMBOLS`, and one past the last code. */
const FIRST_CODE = new Uint32Array(BITS_MAX + 1);
const FIRST_PLACE = new Uint16Array(BITS_MAX + 1);
const END_CODE = new Uint32Array(BITS_MAX + 1);
/** Symbols by code length, then by value: the canonical order. */
const SYMBOLS = new Uint16Array(CODE_BITS.length);

/** Codes of up to 8 bits, by the byte they begin: `bits << 9 | symbol`, or 0 for a longer code. */
const SHORT = new Uint16Array(256);

function buildTables(): void {
  let code = 0;
  let place = 0;
  for (let bits = 1; bits <= BITS_MAX; bits++) {
    code <<= 1;
    FIRST_CODE[bits] = code;
    FIRST_PLACE[bits] = place;
    for (let symbol = 0; symbol < CODE_BITS.length; symbol++) {
      if (CODE_BITS[symbol] !== bits) continue;
      if (bits <= 8) fillShort(code, bits, symbol);
      SYMBOLS[place++] = symbol;
      code += 1;
    }
    END_CODE[bits] = code;
  }
}

function fillShort(code: number, bits: number, symbol: number): void {
  const from = code << (8 - bits);
  const to = (code + 1) << (8 - bits);
  for (let byte = from; byte < to; byte++) SHORT[byte] = (bits << 9) | symbol;
}

buildTables();

/**
 * Decodes `bytes[start, end)` to text, a character per byte. Undefined when the code is broken: a
 * padding longer than 7 bits or not of ones, or the EOS symbol inside.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | undefined {
  const endBit = end * 8;
  let text = '';
  let bit = start * 8;
  for (;;) {
    const word = wordAt(bytes, bit, end);
    if (endBit - bit < 8 && word === 0xffffffff) return text;
    const short = SHORT[word >>> 24]!;
    const found = short === 0 ? longCode(word) : short;
    bit += found >> 9;
    if (found === 0 || bit > endBit) return undefined;
    text += String.fromCharCode(found & 0xff);
  }
}

/** The 32 bits that begin at `bit`, with ones after the end, as the padding has them. */
function wordAt(bytes: Uint8Array, bit: number, end: number): number {
  const at = bit >> 3;
  const shift = bit & 7;
  const byte = (i: number): number => (i < end ? bytes[i]! : 0xff);
  const head = (byte(at) << 24) | (byte(at + 1) << 16) | (byte(at + 2) << 8) | byte(at + 3);
  return ((head << shift) | (byte(at + 4) >> (8 - shift))) >>> 0;
}

/** `bits << 9 | symbol` of the code of 9 to 30 bits that `word` begins with; 0 for EOS. */
function longCode(word: number): number {
  for (let bits = 9; bits <= BITS_MAX; bits++) {
    const code = word >>> (32 - bits);
    if (code >= END_CODE[bits]!) continue;
    const symbol = SYMBOLS[FIRST_PLACE[bits]! + code - FIRST_CODE[bits]!]!;
    return symbol === EOS ? 0 : (bits << 9) | symbol;
  }
  return 0;
}

// RFC 7541's own examples (Appendix C) as vectors, and the ways a header block can be broken.
import { describe, expect, test } from 'vitest';
import { ConnectionError, ErrorCode } from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HeaderBlock, HpackEncoder } from './hpack-encoder.ts';
import { DynamicTable, headerField } from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function decode(decoder: HpackDecoder, text: string): string[] | null {
  const block = hex(text);
  const fields = decoder.decode(block, 0, block.length);
  return fields === null ? null : fields.map(field => field.name + ': ' + field.value);
}

const FIRST_REQUEST = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const THIRD_REQUEST = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
];

function codeOf(run: () => unknown): number | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ConnectionError) return error.code;
    throw error;
  }
  return undefined;
}

describe('HPACK decoder', () => {
  test('reads the literal and indexed fields of C.2', () => {
    const indexing = new HpackDecoder(65_536);
    const custom = '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572';
    expect(decode(indexing, custom)).toEqual(['custom-key: custom-header']);
    expect(indexing.tableBytes).toBe(55);
    const plain = new HpackDecoder(65_536);
    expect(decode(plain, '040c 2f73 616d 706c 652f 7061 7468')).toEqual([':path: /sample/path']);
    expect(decode(plain, '1008 7061 7373 776f 7264 0673 6563 7265 74')).toEqual([
      'password: secret',
    ]);
    expect(decode(plain, '82')).toEqual([':method: GET']);
    expect(plain.tableBytes).toBe(0);
  });

  test('follows the table through the plain requests of C.3', () => {
    const decoder = new HpackDecoder(65_536);
    expect(decode(decoder, '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d')).toEqual(
      FIRST_REQUEST,
    );
    expect(decode(decoder, '8286 84be 5808 6e6f 2d63 6163 6865')).toEqual([
      ...FIRST_REQUEST,
      'cache-control: no-cache',
    ]);
    const third = '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65';
    expect(decode(decoder, third)).toEqual(THIRD_REQUEST);
    expect(decoder.tableBytes).toBe(164);
  });

  test('follows the table through the Huffman-coded requests of C.4', () => {
    const decoder = new HpackDecoder(65_536);
    expect(decode(decoder, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff')).toEqual(FIRST_REQUEST);
    expect(decode(decoder, '8286 84be 5886 a8eb 1064 9cbf')).toHaveLength(5);
    expect(decode(decoder, '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf')).toEqual(
      THIRD_REQUEST,
    );
    expect(decoder.tableBytes).toBe(164);
  });

  test('evicts as the Huffman-coded responses of C.6 do in a table of 256 bytes', () => {
    const decoder = new HpackDecoder(65_536, 256);
    const first =
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6' +
      '2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3';
    expect(decode(decoder, first)).toEqual([
      ':status: 302',
      'cache-control: private',
      'date: Mon, 21 Oct 2013 20:13:21 GMT',
      'location: https://www.example.com',
    ]);
    expect(decoder.tableBytes).toBe(222);
    expect(decode(decoder, '4883 640e ffc1 c0bf')?.[0]).toBe(':status: 307');
    const third =
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab' +
      '77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f' +
      '9587 3160 65c0 03ed 4ee5 b106 3d50 07';
    expect(decode(decoder, third)?.slice(3)).toEqual([
      'location: https://www.example.com',
      'content-encoding: gzip',
      'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ]);
    expect(decoder.tableBytes).toBe(215);
  });

  test.each([
    ['an index beyond the table', 'be'],
    ['index 0', '80'],
    ['a string past the end', '0005 61'],
    ['a number that never ends', 'ffff ffff ffff ffff ff'],
    ['a block that ends inside a number', 'ff'],
    ['a block that ends inside a field', '40'],
    ['a table larger than allowed', '3fe2 1f'],
    ['a size update after a field', '8220'],
    ['Huffman padding of zeros', '0081 00 00'],
    ['Huffman padding of 8 bits', '0082 1fff 00'],
  ])('refuses %s with COMPRESSION_ERROR', (_what, text) => {
    expect(codeOf(() => decode(new HpackDecoder(65_536), text))).toBe(ErrorCode.COMPRESSION_ERROR);
  });

  test('reads a list over its limit to the end and keeps the table in step', () => {
    const decoder = new HpackDecoder(60);
    expect(decode(decoder, '82 400161 0162 400163 0164')).toBeNull();
    expect(decode(decoder, 'be')).toEqual(['c: d']);
  });
});

describe('Huffman code', () => {
  /** Symbol, code, bits: the rows of Appendix B that end a code length, and the longest ones. */
  const rows: [number, number, number][] = [
    [0x00, 0x1ff8, 13],
    [0x01, 0x7fffd8, 23],
    [0x02, 0xfffffe2, 28],
    [0x09, 0xffffea, 24],
    [0x0a, 0x3ffffffc, 30],
    [0x0d, 0x3ffffffd, 30],
    [0x16, 0x3ffffffe, 30],
    [0x26, 0xf8, 8],
    [0x30, 0x0, 5],
    [0x3c, 0x7ffc, 15],
    [0x5a, 0xfd, 8],
    [0x5c, 0x7fff0, 19],
    [0x7b, 0x7ffe, 15],
    [0x7c, 0x7fc, 11],
    [0x7d, 0x3ffd, 14],
    [0x7e, 0x1ffd, 13],
    [0x7f, 0xffffffc, 28],
    [0x80, 0xfffe6, 20],
    [0xf9, 0xffffffe, 28],
    [0xff, 0x3ffffee, 26],
  ];

  function bytesOf(bits: string): Uint8Array {
    const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
    return Uint8Array.from(padded.match(/.{8}/g) ?? [], byte => Number.parseInt(byte, 2));
  }

  test('decodes the rows of Appendix B, alone and all in a row', () => {
    let all = '';
    for (const [symbol, code, bits] of rows) {
      const word = code.toString(2).padStart(bits, '0');
      all += word;
      const bytes = bytesOf(word);
      expect(decodeHuffman(bytes, 0, bytes.length)).toBe(String.fromCharCode(symbol));
    }
    const bytes = bytesOf(all);
    const text = String.fromCharCode(...rows.map(row => row[0]));
    expect(decodeHuffman(bytes, 0, bytes.length)).toBe(text);
  });

  test('refuses EOS and padding of a whole byte, takes the empty string', () => {
    expect(decodeHuffman(hex('ff'), 0, 1)).toBeUndefined();
    expect(decodeHuffman(hex('ffff ffff'), 0, 4)).toBeUndefined();
    expect(decodeHuffman(new Uint8Array(0), 0, 0)).toBe('');
  });
});

describe('HPACK encoder', () => {
  const encode = (encoder: HpackEncoder, pairs: [string, string][]): Uint8Array => {
    const out = new HeaderBlock();
    encoder.begin(out);
    for (const [name, value] of pairs) encoder.field(out, name, value, 'index');
    return out.finish();
  };

  test('costs one byte a field once the table holds it', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(65_536);
    const pairs: [string, string][] = [
      [':path', '/a.B/C'],
      ['x-custom', 'value'],
    ];
    const first = encode(encoder, pairs);
    const second = encode(encoder, pairs);
    expect(second.length).toBe(2);
    for (const block of [first, second]) {
      expect(decoder.decode(block, 0, block.length)).toEqual(pairs.map(p => headerField(...p)));
    }
  });

  test('stays in step with the decoder through evictions and table size changes', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(1 << 20);
    let wrong = 0;
    for (let i = 0; i < 3000; i++) {
      if (i === 1000) encoder.setPeerTableBytes(0);
      if (i === 1500) encoder.setPeerTableBytes(500);
      if (i === 2000) encoder.setPeerTableBytes(9999);
      const pairs: [string, string][] = [
        ['n' + (i % 7), 'v' + (i % 150)],
        ['same', 'same'],
      ];
      const block = encode(encoder, pairs);
      const fields = decoder.decode(block, 0, block.length) ?? [];
      const same = fields.every((f, n) => f.name === pairs[n]?.[0] && f.value === pairs[n]?.[1]);
      if (!same || fields.length !== 2 || decoder.tableBytes > 4096) wrong += 1;
    }
    expect(wrong).toBe(0);
  });

  test('a secret is marked never-indexed and stays out of the table', () => {
    const out = new HeaderBlock();
    const encoder = new HpackEncoder();
    encoder.field(out, 'token', 's3cret', 'never');
    expect(out.finish()[0]! & 0xf0).toBe(0x10);
    expect(encoder.generation).toBe(0);
  });
});

describe('dynamic table', () => {
  test('a field larger than the table empties it', () => {
    const table = new DynamicTable(100);
    table.insert(headerField('a', 'b'));
    table.insert(headerField('big', 'x'.repeat(200)));
    expect(table.count).toBe(0);
    expect(table.bytes).toBe(0);
  });

  test('keeps order while its ring grows', () => {
    const table = new DynamicTable(4096);
    for (let i = 0; i < 100; i++) table.insert(headerField('n', String(i)));
    expect(table.get(0)?.value).toBe('99');
    expect(table.get(table.count - 1)?.value).toBe(String(100 - table.count));
    expect(table.get(table.count)).toBeUndefined();
  });
});

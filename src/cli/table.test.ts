import { expect, test } from 'vitest';
import { formatTable, printable, printableBytes, shortened } from './table.ts';

test('columns are as wide as their widest cell, and lines end without spaces', () => {
  const table = formatTable(
    ['KEY', 'VALUE'],
    [
      ['greeting', ''],
      ['ä', 'x'],
    ],
  );
  expect(table).toBe('KEY       VALUE\ngreeting\nä         x\n');
});

test('nothing that steers a terminal is printed as it is', () => {
  expect(printable('a\x1b[31m\nb\u202e\\')).toBe('a\\x1b[31m\\nb\\u202e\\\\');
});

test('bytes that are not UTF-8 are shown as escapes', () => {
  expect(printableBytes(Uint8Array.of(0x61, 0xff, 0x5c))).toBe('a\\xff\\x5c');
});

test('long text is cut with a mark, between code points', () => {
  expect(shortened('👍👍👍', 2)).toBe('👍…');
  expect(shortened('abc', 3)).toBe('abc');
});

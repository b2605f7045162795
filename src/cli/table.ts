// Columns for people. Cells come from servers and keys from anyone, so whatever could steer a terminal
// is shown as an escape.

import { utf8OrNull } from './values.ts';

const GAP = '  ';

/** Left-aligned columns under their titles; no spaces at the ends of lines. */
export function formatTable(titles: readonly string[], rows: readonly (readonly string[])[]) {
  const widths = titles.map((title, column) =>
    Math.max(width(title), ...rows.map(row => width(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell + ' '.repeat(widths[column]! - width(cell)))
      .join(GAP)
      .trimEnd();
  return `${[titles, ...rows].map(line).join('\n')}\n`;
}

/** In code points: good enough for keys and names. */
function width(text: string): number {
  return [...text].length;
}

const UNSAFE = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\\]/g;
const SHORT: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\\': '\\\\',
};

/** Text on one line, with escapes for what is not printable. */
export function printable(text: string): string {
  return text.replace(UNSAFE, char => {
    const code = char.codePointAt(0)!;
    if (SHORT[char] !== undefined) return SHORT[char];
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

/** Bytes on one line: UTF-8 as text, anything else with escapes. */
export function printableBytes(bytes: Uint8Array): string {
  const text = utf8OrNull(bytes);
  if (text !== null) return printable(text);
  let out = '';
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    out += plain ? String.fromCharCode(byte) : `\\x${hex(byte, 2)}`;
  }
  return out;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** Cut to `charsMax`, with a mark. */
export function shortened(text: string, charsMax: number): string {
  const chars = [...text];
  return chars.length <= charsMax ? text : `${chars.slice(0, charsMax - 1).join('')}…`;
}

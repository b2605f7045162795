// Holds docs/SCENARIOS.md true: every scenario has a row, and every row that names a test names one
// that exists.

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

interface Row {
  readonly name: string;
  readonly file: string;
  readonly test: string;
}

/** How many names each letter has. */
const COUNTS: Record<string, number> = {
  E: 8,
  R: 10,
  P: 9,
  S: 10,
  M: 13,
  L: 7,
  C: 5,
  K: 6,
  W: 7,
  Z: 5,
  D: 12,
  X: 9,
  T: 5,
};

const rows: Row[] = readFileSync('docs/SCENARIOS.md', 'utf8')
  .split('\n')
  .filter(line => /^\| [A-Z]\d\d /.test(line))
  .map(line => {
    const [, name = '', file = '', text = ''] = line.split('|').map(cell => cell.trim());
    return { name, file, test: /`([^`]+)`/.exec(text)?.[1] ?? '' };
  });

describe('The map of scenarios', () => {
  test('has a row for each name', () => {
    const wanted = Object.entries(COUNTS).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, i) => `${letter}${String(i + 1).padStart(2, '0')}`),
    );
    expect(rows.map(({ name }) => name.slice(0, 3))).toEqual(wanted);
  });

  test.each(rows.filter(({ file }) => file !== 'missing'))('$name has its test', row => {
    expect(existsSync(row.file), row.file).toBe(true);
    const source = readFileSync(row.file, 'utf8');
    // The tests of the mutants are named by the mutants.
    if (row.test.startsWith('npm ') || row.test === '') return;
    expect(source).toContain(row.test);
  });
});

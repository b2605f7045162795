// Holds docs/FIGURE2.md complete: each rule of Figure 2 and Figure 13 is cited in the code where it
// is obeyed, named by a test, and listed with both in the map.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'vitest';

function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`);
}

const RULES = [
  ...ids('AE', 5),
  ...ids('RV', 2),
  ...ids('All', 2),
  ...ids('Fol', 2),
  ...ids('Cand', 4),
  ...ids('Lead', 4),
  ...ids('IS', 8),
];

function textOf(dir: string, ends: (name: string) => boolean): string {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter(ends)
    .map(name => readFileSync(join(dir, name), 'utf8'))
    .join('\n');
}

const code = textOf('src/raft', name => name.endsWith('.ts') && !name.endsWith('.test.ts'));
const tests = textOf('test/paper', name => name.endsWith('.test.ts'));
const map = readFileSync('docs/FIGURE2.md', 'utf8');

describe('The map from the paper to the code', () => {
  test.each(RULES)('%s is cited in a comment where it is obeyed', id => {
    assert.match(code, new RegExp(`(//|\\*) .*\\b${id}\\b`));
  });

  test.each(RULES)('%s is named by a test', id => {
    assert.match(tests, new RegExp(`test(\\.each[^']*)?\\(\\s*['"\`]${id}: |\\)\\(\\s*'${id}: `));
  });

  test.each(RULES)('%s has a row with a function that exists', id => {
    const row = map.split('\n').find(line => line.split('|')[1]?.trim() === id);
    assert.ok(row, `docs/FIGURE2.md has no row for ${id}`);
    const [, , , where = ''] = row.split('|').map(cell => cell.trim());
    const name = /`(#?\w+)`/.exec(where)?.[1];
    assert.ok(name, `the row of ${id} names no function`);
    assert.ok(code.includes(`${name}(`), `${name} of ${id} is not in src/raft`);
  });
});

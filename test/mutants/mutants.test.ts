// The list of planted bugs fits the code, and one of them, the canary, is caught in every run: a
// simulator that no longer bites fails here.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { MUTANTS } from './mutants.ts';

const CANARY = 'commit-old-terms';

describe('Planted bugs', () => {
  test('are at least forty, each with a name of its own', () => {
    assert.ok(MUTANTS.length >= 40);
    assert.equal(new Set(MUTANTS.map(m => m.name)).size, MUTANTS.length);
  });

  test.each(MUTANTS)('$name changes texts that occur exactly once', ({ edits }) => {
    assert.ok(edits.length > 0);
    for (const { file, find, replace } of edits) {
      assert.equal(readFileSync(file, 'utf8').split(find).length - 1, 1, file);
      assert.notEqual(find, replace);
    }
  });

  test('are caught by the simulator: the canary dies within 100 seeds', {
    timeout: 120_000,
  }, () => {
    const tsx = 'node_modules/tsx/dist/cli.mjs';
    const args = [tsx, 'scripts/mutants.ts', '--only', CANARY, '--seeds', '100'];
    const output = execFileSync(process.execPath, args, { encoding: 'utf8' });
    assert.match(output, /caught 1 of 1/);
  });
});

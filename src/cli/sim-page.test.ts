import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Explanation } from '../check/index.ts';
import type { SimResult } from '../sim/index.ts';
import { writePage } from './sim-page.ts';

const explanation: Explanation = {
  title: 'register: not linearizable',
  reasons: ['#0 had returned before #1 was called.'],
  operations: [],
};

function resultWith(shown: Explanation | null): SimResult {
  const violation = { property: 'A-24', message: 'illegal', timeMs: 1, node: 0 };
  const explained = shown === null ? {} : { explanation: shown };
  return { violation: { ...violation, ...explained } } as SimResult;
}

describe('the page of a run', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'kontiki-page-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test('shows why the history is not linearizable', () => {
    const path = join(dir, 'page.html');
    expect(writePage(path, resultWith(explanation))).toBe(true);
    const page = readFileSync(path, 'utf8');
    expect(page).toContain('register: not linearizable');
    expect(page).toContain('#0 had returned before #1 was called.');
  });

  test('is not written for a failure of another kind', () => {
    const path = join(dir, 'none.html');
    expect(writePage(path, resultWith(null))).toBe(false);
    expect(() => readFileSync(path)).toThrow(/ENOENT/);
  });

  test('that can not be written is told by the name of the file', () => {
    const path = join(dir, 'missing', 'page.html');
    expect(() => writePage(path, resultWith(explanation))).toThrow(/page\.html can't be written/);
  });
});

import { describe, expect, test } from 'vitest';
import {
  closest,
  formatBytes,
  formatCount,
  formatDuration,
  parseCount,
  parseDuration,
  shellWord,
  utf8OrNull,
} from './values.ts';

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['2s', 2000],
    ['1m30s', 90_000],
    ['1.5s', 1500],
    ['3', 3000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['', '2x', 's', '-1s', '2s ', '0s', '25h', '1e3s'])('%j is no duration', text => {
    expect(() => parseDuration(text)).toThrow('a duration');
  });

  test('are shown in the unit that fits', () => {
    expect([formatDuration(0.4), formatDuration(999), formatDuration(1500)]).toEqual([
      '0 ms',
      '999 ms',
      '1.5 s',
    ]);
  });
});

describe('numbers', () => {
  test.each(['-1', '1.5', '', '0x10', '1e3', '9007199254740992'])('%j is no count', text => {
    expect(() => parseCount(text)).toThrow('whole number');
  });

  test('thousands are set apart', () => {
    expect([7, 1000, 88_412, 1_234_567].map(formatCount)).toEqual([
      '7',
      '1,000',
      '88,412',
      '1,234,567',
    ]);
  });

  test('sizes are shown in the unit that fits', () => {
    expect([0, 1023, 20_992, 222_298_112, 2 ** 31].map(formatBytes)).toEqual([
      '0 B',
      '1023 B',
      '20.5 KiB',
      '212 MiB',
      '2 GiB',
    ]);
  });
});

test('bytes that are not UTF-8 have no text', () => {
  expect(utf8OrNull(Uint8Array.of(0xff))).toBeNull();
  expect(utf8OrNull(new TextEncoder().encode('\ufeffä'))).toBe('\ufeffä');
});

test('a word is quoted only if the shell would change it', () => {
  expect(shellWord('config/x')).toBe('config/x');
  expect(shellWord("it's $HOME")).toBe("'it'\\''s $HOME'");
  expect(shellWord('')).toBe("''");
});

describe('closest', () => {
  const names = ['data-dir', 'listen-client-urls', 'listen-peer-urls', 'name'];

  test('finds what a typo meant', () => {
    expect(closest('data-dri', names)).toEqual(['data-dir']);
    expect(closest('listen-client-url', names)[0]).toBe('listen-client-urls');
  });

  test('finds nothing for a word that resembles none', () => {
    expect(closest('zzzzzzzz', names)).toEqual([]);
  });
});

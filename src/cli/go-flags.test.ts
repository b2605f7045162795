import { describe, expect, test } from 'vitest';
import { booleanOf, environmentFlags, integerOf, listOf, parseFlags } from './go-flags.ts';

const KNOWN = { names: new Set(['name', 'data-dir', 'pre-vote']), booleans: new Set(['pre-vote']) };
const given = (...args: string[]) =>
  Object.fromEntries([...parseFlags(args, KNOWN)].map(([name, { text }]) => [name, text]));

describe('flags', () => {
  test.each([
    [['--name=a']],
    [['--name', 'a']],
    [['-name', 'a']],
    [['-name=a']],
    [['--name', 'b', '--name', 'a']],
  ])('%j names it a', args => {
    expect(given(...args)).toEqual({ name: 'a' });
  });

  test('a value may be empty, hold = and begin with a dash', () => {
    expect(given('--name=', '--data-dir', '-x=y')).toEqual({ name: '', 'data-dir': '-x=y' });
  });

  test('a boolean needs no value and does not take the next word', () => {
    expect(given('--pre-vote', '--name', 'a')).toEqual({ 'pre-vote': 'true', name: 'a' });
    expect(given('--pre-vote=false')).toEqual({ 'pre-vote': 'false' });
    expect(() => given('--pre-vote', 'false')).toThrow('write --pre-vote=false');
  });

  test('an unknown flag is refused with what it may have meant', () => {
    expect(() => given('--data-dri=x')).toThrow('No flag --data-dri, did you mean --data-dir?');
    expect(() => given('--zzzzzzzzzz')).toThrow('No flag --zzzzzzzzzz.');
  });

  test('a missing value and a stray word are refused', () => {
    expect(() => given('--name')).toThrow('--name needs a value.');
    expect(() => given('stray')).toThrow('"stray" is not a flag');
  });
});

describe('environment', () => {
  const from = (env: Record<string, string>) => environmentFlags(env, KNOWN.names);

  test('KONTIKI_ beats ETCD_', () => {
    const { given } = from({ KONTIKI_DATA_DIR: 'k', ETCD_DATA_DIR: 'e', ETCD_NAME: 'n' });
    expect(given.get('data-dir')).toEqual({ text: 'k', source: 'KONTIKI_DATA_DIR' });
    expect(given.get('name')).toEqual({ text: 'n', source: 'ETCD_NAME' });
  });

  test('unknown names are told without their values; empty ones count as not set', () => {
    const { given, unknown } = from({
      ETCD_SECRET: 's',
      ETCD_NAME: '',
      ETCDCTL_API: '3',
      PATH: '',
    });
    expect(unknown).toEqual(['ETCD_SECRET']);
    expect(given.size).toBe(0);
  });

  test('the endpoints of client commands are no unknown flag', () => {
    expect(from({ KONTIKI_ENDPOINTS: 'x:1' }).unknown).toEqual([]);
  });
});

test('values are checked, and errors name where they came from', () => {
  expect(booleanOf({ text: 'T', source: '--x' })).toBe(true);
  expect(booleanOf({ text: '0', source: '--x' })).toBe(false);
  expect(() => booleanOf({ text: 'yes', source: 'ETCD_X' })).toThrow('ETCD_X: "yes" is neither');
  expect(integerOf({ text: '-1', source: '--x' })).toBe(-1);
  expect(() => integerOf({ text: '1k', source: '--x' })).toThrow('--x: "1k" is not a whole number');
  expect(listOf({ text: ' a, b,', source: '--x' })).toEqual(['a', 'b']);
});

import { describe, expect, test } from 'vitest';
import type { Entry } from '../raft/types.ts';
import { NO_DATA } from '../raft/types.ts';
import { SESSION_WINDOW, SessionTable, type Slot } from './sessions.ts';

function entry(index: number, session: number, sequence: number): Entry {
  return { term: 1, index, kind: 'command', data: NO_DATA, session, sequence, config: null };
}

/** Admits a command and, when it is new, gives it a reply. */
function run(table: SessionTable, index: number, session: number, sequence: number): string {
  const verdict = table.admit(entry(index, session, sequence));
  if (typeof verdict === 'string') return verdict;
  if (verdict.index !== index) return `repeat of ${verdict.index}`;
  verdict.reply = Uint8Array.of(index);
  return 'applied';
}

function changes(table: SessionTable): Map<string, Uint8Array | null> {
  const puts = new Map<string, Uint8Array | null>();
  table.takeChanges(puts);
  return puts;
}

describe('a session', () => {
  test('applies each sequence number once', () => {
    const table = new SessionTable(10);
    table.open(5);
    expect(run(table, 6, 5, 1)).toBe('applied');
    expect(run(table, 7, 5, 1)).toBe('repeat of 6');
    expect(run(table, 8, 5, 2)).toBe('applied');
    expect(run(table, 9, 5, 1)).toBe('repeat of 6');
  });

  test('takes numbers out of order within the window', () => {
    const table = new SessionTable(10);
    table.open(1);
    expect(run(table, 2, 1, SESSION_WINDOW)).toBe('applied');
    expect(run(table, 3, 1, 1)).toBe('applied');
    expect(run(table, 4, 1, 1)).toBe('repeat of 3');
  });

  test('refuses numbers below the window, applied before or not', () => {
    const table = new SessionTable(10);
    table.open(1);
    run(table, 2, 1, 1);
    run(table, 3, 1, SESSION_WINDOW + 2);
    expect(run(table, 4, 1, 1)).toBe('tooOld');
    expect(run(table, 5, 1, 2)).toBe('tooOld');
    expect(run(table, 6, 1, 3)).toBe('applied');
    expect(run(table, 7, 1, 0)).toBe('tooOld');
  });

  test('that is closed or was never opened has expired', () => {
    const table = new SessionTable(10);
    table.open(1);
    table.close(1);
    table.close(1);
    expect(run(table, 2, 1, 1)).toBe('expired');
    expect(run(table, 3, 99, 1)).toBe('expired');
  });

  test('is evicted when it is the one used least recently, by log index', () => {
    const table = new SessionTable(2);
    table.open(1);
    table.open(2);
    run(table, 3, 1, 1);
    table.open(4);
    expect(table.size).toBe(2);
    expect(run(table, 5, 2, 1)).toBe('expired');
    expect(run(table, 6, 1, 2)).toBe('applied');
    expect(run(table, 7, 4, 1)).toBe('applied');
  });
});

describe('the record of a session', () => {
  test('brings it back: replies, window and order of use', () => {
    const table = new SessionTable(2);
    table.open(1);
    table.open(2);
    run(table, 3, 2, 7);
    run(table, 4, 1, 9);
    const stored = [...changes(table)] as [string, Uint8Array][];
    const restored = new SessionTable(2);
    restored.load(stored);
    const repeat = restored.admit(entry(5, 1, 9)) as Slot;
    expect([repeat.index, repeat.reply]).toEqual([4, Uint8Array.of(4)]);
    expect(run(restored, 6, 1, 1)).toBe('tooOld');
    restored.open(7);
    expect(run(restored, 8, 2, 8)).toBe('expired');
  });

  test('is written only for sessions that changed, and removed with them', () => {
    const table = new SessionTable(1);
    table.open(1);
    changes(table);
    expect([...changes(table).keys()]).toEqual([]);
    table.open(2);
    const [names, values] = [[...changes(table)], [] as unknown[]];
    for (const [, value] of names) values.push(value === null);
    expect(names.map(([name]) => name).sort()).toEqual([
      'sessions/0000000000000001',
      'sessions/0000000000000002',
    ]);
    expect(values.sort()).toEqual([false, true]);
  });

  test('that is damaged is a RangeError', () => {
    const table = new SessionTable(2);
    table.open(1);
    run(table, 2, 1, 1);
    const [[name, bytes]] = [...changes(table)] as [[string, Uint8Array]];
    for (let length = 0; length < bytes.length; length++) {
      const cut: [string, Uint8Array] = [name, bytes.slice(0, length)];
      expect(() => new SessionTable(2).load([cut])).toThrow(RangeError);
    }
  });
});

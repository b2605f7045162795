import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { Log } from './log.ts';
import type { Configuration, Entry, SnapshotMeta } from './types.ts';
import { NO_DATA } from './types.ts';

const config: Configuration = { voters: [1], outgoing: [], learners: [], learnersNext: [] };

function entry(index: number, term: number, more: Partial<Entry> = {}): Entry {
  const kind = more.config == null ? 'command' : 'config';
  return { index, term, kind, data: NO_DATA, session: 0, sequence: 0, config: null, ...more };
}

function snapshot(term: number, index: number): SnapshotMeta {
  return { last: { term, index }, config, configIndex: 0 };
}

function logWith(entries: Entry[], at = snapshot(0, 0), applied = at.last.index): Log {
  const hardState = { currentTerm: 9, votedFor: 0, commitIndex: 0 };
  return new Log({ hardState, snapshot: at, entries }, applied);
}

describe('Log', () => {
  test('recovered with a snapshot ahead of it starts at the snapshot', () => {
    const log = logWith([entry(1, 1), entry(2, 1)], snapshot(2, 5));
    assert.deepEqual(log.last, { term: 2, index: 5 });
    assert.equal(log.commitIndex, 5);
  });

  test('recovered with entries that contradict the snapshot drops them', () => {
    const log = logWith([entry(4, 1), entry(5, 1), entry(6, 1)], snapshot(2, 5));
    assert.deepEqual(log.last, { term: 2, index: 5 });
  });

  test('recovered with a gap after the snapshot is refused', () => {
    assert.throws(() => logWith([entry(7, 2)], snapshot(2, 5)), /no gap/);
  });

  test('recovered with entries from before the snapshot keeps them for followers', () => {
    const log = logWith([entry(3, 1), entry(4, 1), entry(5, 2), entry(6, 2)], snapshot(2, 5));
    assert.equal(log.base.index, 3);
    assert.deepEqual(
      log.slice(4, 10, 1000).map(e => e.index),
      [4, 5, 6],
    );
  });

  test('recovered with a commit hint beyond its end trusts its end', () => {
    const hardState = { currentTerm: 9, votedFor: 0, commitIndex: 50 };
    const log = new Log({ hardState, snapshot: snapshot(0, 0), entries: [entry(1, 1)] }, 0);
    assert.equal(log.commitIndex, 1);
  });

  test('hands out each entry to storage once, and again after a truncation', () => {
    const log = logWith([]);
    log.append([entry(1, 1), entry(2, 1)]);
    assert.equal(log.takeUnstable().length, 2);
    assert.equal(log.takeUnstable().length, 0);
    log.truncate(2);
    log.append([entry(2, 2)]);
    assert.deepEqual(
      log.takeUnstable().map(e => e.term),
      [2],
    );
  });

  test('takes no confirmation for an entry that was rewritten meanwhile', () => {
    const log = logWith([]);
    log.append([entry(1, 1)]);
    log.takeUnstable();
    log.truncate(1);
    log.append([entry(1, 2)]);
    log.takeUnstable();
    log.stableTo({ term: 1, index: 1 });
    assert.equal(log.stableIndex, 0);
    log.stableTo({ term: 2, index: 1 });
    assert.equal(log.stableIndex, 1);
  });

  test('gives out committed entries only once they are durable here', () => {
    const log = logWith([]);
    log.append([entry(1, 1), entry(2, 1)]);
    log.takeUnstable();
    log.commitTo(2);
    assert.deepEqual(log.takeCommitted(), []);
    log.stableTo({ term: 1, index: 1 });
    assert.equal(log.takeCommitted().length, 1);
  });

  test('never truncates what is committed', () => {
    const log = logWith([entry(1, 1), entry(2, 1)]);
    log.commitTo(1);
    assert.throws(() => log.truncate(1), /committed/);
  });

  test('bounds a slice by count and by bytes, but gives at least one entry', () => {
    const data = new Uint8Array(100);
    const log = logWith([1, 2, 3, 4].map(i => entry(i, 1, { data })));
    assert.equal(log.slice(1, 2, 1e6).length, 2);
    assert.equal(log.slice(1, 9, 270).length, 2);
    assert.equal(log.slice(1, 9, 1).length, 1);
  });

  test('goes back to the configuration before when its entry is truncated', () => {
    const next = { ...config, voters: [1, 2] };
    const log = logWith([entry(1, 1)]);
    log.append([entry(2, 1, { config: next })]);
    assert.deepEqual([log.config.voters, log.configIndex], [[1, 2], 2]);
    log.truncate(2);
    assert.deepEqual([log.config.voters, log.configIndex], [[1], 0]);
  });

  test('finds the bounds of a term for the backing up of nextIndex', () => {
    const log = logWith([1, 1, 2, 2, 4].map((term, i) => entry(i + 1, term)));
    assert.equal(log.firstIndexOfTerm(2, 4), 3);
    assert.equal(log.lastIndexAtMost(3, 5), 4);
    assert.equal(log.lastIndexAtMost(1, 5), 2);
    assert.equal(log.lastIndexAtMost(0, 5), 0);
  });
});

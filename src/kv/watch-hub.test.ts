// Watches as etcd's clients know them. The names W01 to W07 are those of docs/SCENARIOS.md.

import { describe, expect, test } from 'vitest';
import {
  apply,
  bytes,
  compact,
  EVERYTHING,
  install,
  put,
  remove,
  show,
  txn,
  watch,
} from '../../test/support/kv-commands.ts';
import { KvMachine } from './kv-machine.ts';
import { MemoryBackend } from './memory-backend.ts';
import { WatchHub, type WatchHubOptions } from './watch-hub.ts';
import type { Watcher, WatchOptions } from './watcher.ts';

interface Watched {
  readonly machine: KvMachine;
  readonly hub: WatchHub;
  create(options: WatchOptions): Watcher;
  /** Takes everything, in pieces of one revision; each line is one piece. */
  taken(watcher: Watcher): string[];
}

function open(options: WatchHubOptions = {}): Watched {
  const machine = new KvMachine(new MemoryBackend());
  const hub = new WatchHub(machine, options);
  return {
    machine,
    hub,
    create: wanted => hub.create(wanted, () => {})!,
    taken(watcher) {
      const lines: string[] = [];
      for (;;) {
        const batch = hub.take(watcher, 1, 1);
        if (batch === null) return lines;
        lines.push(show(batch).join(' '));
      }
    },
  };
}

/** Steps until this one is not behind any more, and takes what comes. */
function readAll({ hub, taken }: Watched, watcher: Watcher, changesMax = 1): string[] {
  const lines = taken(watcher);
  while (watcher.state !== 'live' && watcher.state !== 'ended') {
    hub.step(changesMax);
    lines.push(...taken(watcher));
  }
  return lines;
}

describe('a watch', () => {
  test('from now on tells what comes after its creation', () => {
    const w = open();
    apply(w.machine, put('a', '1'));
    const watcher = w.create(watch('a'));
    expect(w.hub.revision).toBe(2);
    expect(w.taken(watcher)).toEqual([]);
    apply(w.machine, put('a', '2'), put('b'), remove('a'));
    expect(w.taken(watcher)).toEqual(['3:a=2', '5:a']);
  });

  test('tells its own keys only: one key, a range, all from a key on, everything', () => {
    const w = open();
    const ranges = [
      ['b', ''],
      ['b', 'd'],
      ['c', '\0'],
      ['\0', '\0'],
      ['', '\0'],
    ] as const;
    const watchers = ranges.map(([key, end]) => w.create(watch(key, { rangeEnd: bytes(end) })));
    apply(w.machine, ...['a', 'b', 'ba', 'c', 'd'].map(key => put(key)));
    const keys = watchers.map(watcher => w.taken(watcher).map(line => line.slice(2, -2)));
    expect(keys).toEqual([
      ['b'],
      ['b', 'ba', 'c'],
      ['c', 'd'],
      ['a', 'b', 'ba', 'c', 'd'],
      ['a', 'b', 'ba', 'c', 'd'],
    ]);
  });

  test('of an empty range is refused', () => {
    const { hub } = open();
    expect(hub.create(watch('b', { rangeEnd: bytes('b') }), () => {})).toBeNull();
    expect(hub.create(watch('b', { rangeEnd: bytes('a') }), () => {})).toBeNull();
    expect(hub.size).toBe(0);
  });

  test('leaves out puts or deletions on request, and is told nothing when that is all', () => {
    const w = open();
    const noPut = w.create(watch('a', { noPut: true }));
    const noDelete = w.create(watch('a', { noDelete: true }));
    const neither = w.create(watch('a', { noPut: true, noDelete: true }));
    apply(w.machine, put('a', '1'), remove('a'));
    expect(w.taken(noPut)).toEqual(['3:a']);
    expect(w.taken(noDelete)).toEqual(['2:a=1']);
    expect(w.taken(neither)).toEqual([]);
  });

  test('tells what was before, also of a deletion, and nothing before a creation', () => {
    const w = open();
    const watcher = w.create(watch('a', { prevKv: true }));
    apply(w.machine, put('a', '1'), put('a', '2'), remove('a'), put('a', '3'));
    expect(w.taken(watcher)).toEqual(['2:a=1', '3:a=2(1)', '4:a(2)', '5:a=3']);
    const late = w.create(watch('a', { prevKv: true, startRevision: 3 }));
    expect(readAll(w, late)).toEqual(['3:a=2(1)', '4:a(2)', '5:a=3']);
  });

  test('says once that there is something to take, and again when it has been taken', () => {
    const { hub, machine } = open();
    let calls = 0;
    const watcher = hub.create(watch('a'), () => calls++)!;
    apply(machine, put('a'), put('a'));
    apply(machine, put('a'));
    expect(calls).toBe(1);
    expect(hub.take(watcher, 100, 1e6)!.events).toHaveLength(3);
    apply(machine, put('a'));
    expect(calls).toBe(2);
  });

  test('that was cancelled hears nothing more, and others of its key go on', () => {
    const w = open();
    const [gone, stays] = [w.create(watch('a')), w.create(watch('a'))];
    w.hub.cancel(gone);
    apply(w.machine, put('a', '1'));
    expect(w.taken(gone)).toEqual([]);
    expect(w.taken(stays)).toEqual(['2:a=1']);
    w.hub.cancel(stays);
    expect(w.hub.size).toBe(0);
  });

  test('that was cancelled with a full queue asks for no more work', () => {
    const w = open({ queueEventsMax: 2 });
    const watcher = w.create(watch('a'));
    apply(w.machine, put('a'), put('a'), put('a'));
    w.hub.cancel(watcher);
    expect(w.taken(watcher)).toHaveLength(2);
    expect(w.hub.step()).toBe(false);
  });
});

describe('a watch of the past', () => {
  test('reads the history in bounded steps and then hears the present, without gap or repeat', () => {
    const w = open();
    for (let i = 0; i < 20; i++) apply(w.machine, put('a', `${i}`));
    const watcher = w.create(watch('a', { startRevision: 5 }));
    expect(watcher).toMatchObject({ state: 'behind', createdAt: 4 });
    w.hub.step(4);
    expect(w.taken(watcher)).toHaveLength(4);
    apply(w.machine, put('a', 'new'));
    expect(w.taken(watcher)).toEqual([]);
    const rest = readAll(w, watcher, 4);
    apply(w.machine, put('a', 'newer'));
    rest.push(...w.taken(watcher));
    expect(watcher.state).toBe('live');
    const expected = [...Array.from({ length: 13 }, (_, i) => `${i + 9}:a=${i + 7}`)];
    expect(rest).toEqual([...expected, '22:a=new', '23:a=newer']);
  });

  test('does not wait for another one that has further to go', () => {
    const w = open();
    for (let i = 0; i < 100; i++) apply(w.machine, put('a', `${i}`));
    const far = w.create(watch('a', { startRevision: 2 }));
    const near = w.create(watch('a', { startRevision: 100 }));
    for (let i = 0; i < 4; i++) w.hub.step(2);
    expect([near.state, far.state]).toEqual(['live', 'behind']);
    expect(w.taken(near)).toEqual(['100:a=98', '101:a=99']);
    expect(readAll(w, far, 2)).toHaveLength(100);
  });

  test('asks for work once, and is done when step says so', () => {
    let asked = 0;
    const w = open({ work: () => asked++ });
    apply(w.machine, put('a'), put('a'));
    w.create(watch('a', { startRevision: 2 }));
    w.create(watch('a', { startRevision: 2 }));
    expect(asked).toBe(1);
    expect(w.hub.slow).toBe(2);
    while (w.hub.step(1));
    expect(w.hub.slow).toBe(0);
    w.create(watch('a', { startRevision: 2 }));
    expect(asked).toBe(2);
  });

  test('that is compacted is created and ends with the compacted revision', () => {
    const w = open();
    apply(w.machine, put('a'), put('a'), put('a'), compact(3));
    const watcher = w.create(watch('a', { startRevision: 2 }));
    expect(watcher).toMatchObject({ state: 'ended', compactRevision: 3 });
    apply(w.machine, put('a'));
    expect(w.taken(watcher)).toEqual([]);
    w.hub.cancel(watcher);
  });

  test('that a compaction overtakes ends after what it had queued', () => {
    const w = open();
    for (let i = 0; i < 9; i++) apply(w.machine, put('a', `${i}`));
    let calls = 0;
    const watcher = w.hub.create(watch('a', { startRevision: 2 }), () => calls++)!;
    w.hub.step(3);
    apply(w.machine, compact(9));
    w.hub.step(3);
    expect(watcher).toMatchObject({ state: 'ended', compactRevision: 9 });
    expect(calls).toBe(2);
    expect(w.taken(watcher)).toEqual(['2:a=0', '3:a=1', '4:a=2']);
  });
});

describe('a revision with many changes', () => {
  const keys = Array.from({ length: 30 }, (_, i) => `k${String(i).padStart(2, '0')}`);

  function fill(machine: KvMachine): void {
    for (const key of keys) apply(machine, put(key));
    apply(machine, remove('k', 'l'));
  }

  test('is read in as many steps as it needs, and told as a whole', () => {
    const w = open({ liveChangesMax: 10 });
    const live = w.create(watch('', EVERYTHING));
    const one = w.create(watch('k29'));
    fill(w.machine);
    // Too much to tell as it is made: the apply is not held up.
    expect([live.state, one.state]).toEqual(['behind', 'behind']);
    expect(w.taken(live)).toHaveLength(30);
    let steps = 1;
    while (w.hub.step(4)) {
      expect(w.hub.take(live, 1, 1)).toBeNull();
      steps++;
    }
    expect(steps).toBe(8);
    expect(w.taken(live)).toEqual([keys.map(key => `32:${key}`).join(' ')]);
    expect(w.taken(one)).toEqual(['31:k29=v', '32:k29']);
  });

  test('does not keep the present from those who know the past', () => {
    const w = open();
    fill(w.machine);
    const behind = w.create(watch('', { ...EVERYTHING, startRevision: 32 }));
    const live = w.create(watch('x'));
    w.hub.step(4);
    apply(w.machine, put('x', '1'));
    expect(w.taken(live)).toEqual(['33:x=1']);
    expect(readAll(w, behind, 4)).toEqual([keys.map(key => `32:${key}`).join(' '), '33:x=1']);
  });

  test.each(['snapshot', 'compaction'])(
    'is not told in part when a %s comes between',
    async what => {
      const w = open();
      fill(w.machine);
      const watcher = w.create(watch('', { ...EVERYTHING, startRevision: 32 }));
      w.hub.step(4);
      apply(w.machine, put('x', '1'), compact(what === 'snapshot' ? 32 : 33));
      while (!w.machine.sweep(100));
      if (what === 'compaction') {
        while (w.hub.step(4));
        expect(watcher).toMatchObject({ state: 'ended', compactRevision: 33 });
        expect(w.taken(watcher)).toEqual([]);
        return;
      }
      const other = open();
      await install(w.machine, other.machine);
      await install(other.machine, w.machine);
      expect(readAll(w, watcher, 4)).toEqual([keys.map(key => `32:${key}`).join(' '), '33:x=1']);
    },
  );
});

describe('etcd once failed here', () => {
  test('W01 slow_watcher_no_loss_17529: who does not take in time reads the rest later', () => {
    const w = open({ queueEventsMax: 4 });
    const watcher = w.create(watch('a'));
    for (let i = 0; i < 50; i++) apply(w.machine, put('a', `${i}`));
    expect(watcher.state).toBe('full');
    // It costs the store nothing more while it takes nothing.
    expect(w.hub.step()).toBe(false);
    const lines = readAll(w, watcher, 3);
    apply(w.machine, put('a', '50'));
    lines.push(...w.taken(watcher));
    expect(lines).toEqual(Array.from({ length: 51 }, (_, i) => `${i + 2}:a=${i}`));
    expect(watcher.state).toBe('live');
  });

  test('W01: bytes bound the queue as well as events', () => {
    const w = open({ queueBytesMax: 3000 });
    const watcher = w.create(watch('a'));
    const value = 'x'.repeat(1000);
    for (let i = 0; i < 5; i++) apply(w.machine, put('a', value));
    expect(watcher.state).toBe('full');
    expect(readAll(w, watcher)).toHaveLength(5);
  });

  test.each([2, 1000])('W02 watch_on_compact_revision_of_delete_18089_19179, sweep %i', budget => {
    const w = open();
    apply(w.machine, put('a'), put('b'));
    apply(w.machine, remove('a'));
    apply(w.machine, compact(4));
    while (!w.machine.sweep(budget));
    const watcher = w.create(watch('a', { startRevision: 4 }));
    expect(readAll(w, watcher)).toEqual(['4:a']);
    const below = w.create(watch('a', { startRevision: 3 }));
    expect(below).toMatchObject({ state: 'ended', compactRevision: 4 });
    // The next compaction takes the tombstone, and with it the right to watch from there.
    apply(w.machine, put('b'), compact(5));
    while (!w.machine.sweep(budget));
    expect(w.create(watch('a', { startRevision: 4 })).state).toBe('ended');
    expect(readAll(w, w.create(watch('b', { startRevision: 5 })))).toEqual(['5:b=v']);
  });

  test('W02: a transaction at the compacted revision is told as a whole', () => {
    const w = open();
    apply(w.machine, put('a'), put('b'), put('c'));
    apply(w.machine, txn(['a', null], ['b', '2'], ['c', null]), put('d'), compact(5));
    while (!w.machine.sweep(1));
    const watcher = w.create(watch('', { ...EVERYTHING, startRevision: 5, prevKv: true }));
    expect(readAll(w, watcher)).toEqual(['5:a 5:b=2 5:c', '6:d=v']);
  });

  test('W03 future_revision_on_lagging_member_20221: nothing is told before it', async () => {
    const ahead = open();
    for (let i = 0; i < 8; i++) apply(ahead.machine, put('a', `${i}`));
    const w = open();
    apply(w.machine, put('a', '0'));
    const watcher = w.create(watch('a', { startRevision: 8 }));
    expect(w.hub.progress([watcher])).toBeNull();
    apply(w.machine, put('a', '1'));
    expect(w.hub.progress([watcher])).toBeNull();
    // It catches up by a snapshot that goes past the revision waited for.
    await install(ahead.machine, w.machine);
    expect(readAll(w, watcher)).toEqual(['8:a=6', '9:a=7']);
    expect(w.hub.progress([watcher])).toBe(9);
  });

  test('W03: a future revision that a snapshot does not reach goes on being waited for', async () => {
    const ahead = open();
    for (let i = 0; i < 5; i++) apply(ahead.machine, put('a', `${i}`));
    const w = open();
    const watcher = w.create(watch('a', { startRevision: 8 }));
    await install(ahead.machine, w.machine);
    expect(readAll(w, watcher)).toEqual([]);
    apply(w.machine, put('a', '5'), put('a', '6'), put('a', '7'));
    expect(w.taken(watcher)).toEqual(['8:a=6', '9:a=7']);
  });

  test('W04 after_snapshot_install_no_time_travel_15271: goes on after what it had', async () => {
    const ahead = open();
    const w = open();
    const live = w.create(watch('a'));
    for (const { machine } of [ahead, w]) apply(machine, put('a', '0'), put('a', '1'));
    expect(w.taken(live)).toEqual(['2:a=0', '3:a=1']);
    const behind = w.create(watch('a', { startRevision: 2 }));
    w.hub.step(1);
    expect(w.taken(behind)).toEqual(['2:a=0']);
    apply(ahead.machine, put('a', '2'), txn(['a', '3'], ['b', 'x']));
    await install(ahead.machine, w.machine);
    expect(w.hub.progress([live])).toBeNull();
    expect(readAll(w, behind)).toEqual(['3:a=1', '4:a=2', '5:a=3']);
    expect(w.taken(live)).toEqual(['4:a=2', '5:a=3']);
    apply(w.machine, put('a', '4'));
    expect([w.taken(live), w.taken(behind)]).toEqual([['6:a=4'], ['6:a=4']]);
  });

  test('W04: what is compacted in the snapshot ends the watches that lack it', async () => {
    const ahead = open();
    for (let i = 0; i < 6; i++) apply(ahead.machine, put('a', `${i}`));
    apply(ahead.machine, compact(6));
    const w = open();
    apply(w.machine, put('a', '0'));
    const live = w.create(watch('a'));
    const later = w.create(watch('a', { startRevision: 6 }));
    await install(ahead.machine, w.machine);
    expect(readAll(w, later)).toEqual(['6:a=4', '7:a=5']);
    expect(live).toMatchObject({ state: 'ended', compactRevision: 6 });
    expect(w.taken(live)).toEqual([]);
  });

  test('W05 progress_notify_synced_15220: progress promises only what has been taken', () => {
    const w = open({ queueEventsMax: 2 });
    const watcher = w.create(watch('a'));
    const other = w.create(watch('b'));
    expect(w.hub.progress([watcher, other])).toBe(1);
    apply(w.machine, put('a'));
    expect(w.hub.progress([watcher])).toBeNull();
    expect(w.hub.progress([other])).toBe(2);
    expect(w.hub.progress([other, watcher])).toBeNull();
    w.taken(watcher);
    expect(w.hub.progress([watcher])).toBe(2);
    apply(w.machine, put('a'), put('a'), put('a'));
    // What did not fit into its queue is not told either.
    while (w.hub.take(watcher, 1, 1) !== null);
    expect(watcher.state).toBe('behind');
    expect(w.hub.progress([watcher])).toBeNull();
    readAll(w, watcher);
    expect(w.hub.progress([watcher, other])).toBe(5);
  });

  test.each([1, 2, 3, 100])('W06 multi_key_txn_not_split, in steps of %i', changesMax => {
    const w = open({ queueEventsMax: 4 });
    const slow = w.create(watch('', EVERYTHING));
    const expected: string[] = [];
    for (let i = 0; i < 12; i++) {
      apply(w.machine, txn(['a', `${i}`], ['b', `${i}`], ['c', `${i}`]));
      expected.push(['a', 'b', 'c'].map(key => `${i + 2}:${key}=${i}`).join(' '));
    }
    const late = w.create(watch('', { ...EVERYTHING, startRevision: 2 }));
    const lines: string[] = [];
    while (lines.length < expected.length) {
      w.hub.step(changesMax);
      lines.push(...w.taken(late));
    }
    expect(lines).toEqual(expected);
    expect(readAll(w, slow, changesMax)).toEqual(expected);
  });

  test('W06: a transaction larger than the queue and the bite is taken as a whole', () => {
    const w = open({ queueEventsMax: 2 });
    const watcher = w.create(watch('', EVERYTHING));
    apply(w.machine, txn(['a', '1'], ['b', '1'], ['c', '1']), put('d'));
    expect(readAll(w, watcher)).toEqual(['2:a=1 2:b=1 2:c=1', '3:d=v']);
  });

  test('W07 resume_after_cancel_and_member_switch: the next revision on another member', () => {
    const [one, two] = [open(), open()];
    const first = one.create(watch('a'));
    for (const { machine } of [one, two]) apply(machine, put('a', '0'), put('a', '1'));
    const seen = one.hub.take(first, 1, 1)!;
    expect(show(seen)).toEqual(['2:a=0']);
    one.hub.cancel(first);
    // The other member is ahead, or it is behind: the watch begins where the first one ended.
    const second = two.create(watch('a', { startRevision: seen.revision + 1 }));
    expect(readAll(two, second)).toEqual(['3:a=1']);
    const lagging = open();
    const third = lagging.create(watch('a', { startRevision: seen.revision + 1 }));
    apply(lagging.machine, put('a', '0'), put('a', '1'), put('a', '2'));
    expect(lagging.taken(third)).toEqual(['3:a=1', '4:a=2']);
  });
});

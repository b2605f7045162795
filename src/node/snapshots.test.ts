import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { LogId, SnapshotMeta } from '../raft/types.ts';
import { LIMITS } from './driver-types.ts';
import { Snapshots } from './snapshots.ts';

const config = { voters: [1], outgoing: [], learners: [], learnersNext: [] };
const metaAt = (last: LogId): SnapshotMeta => ({ last, config, configIndex: 0 });

/** A machine in memory at index 60 and a store whose newest file is the one given. */
function setup(newestAfterwards: number) {
  const removals: (LogId | null)[] = [];
  let newest: SnapshotMeta | null = null;
  const last = { term: 1, index: 60 };
  const machine = {
    applied: last,
    durable: { term: 0, index: 0 },
    flush: async () => ({ term: 0, index: 0 }),
    snapshot: () => ({ last, async *content() {} }),
  };
  const writer = {
    offset: 0,
    write: async () => {},
    abort: async () => {},
    finish: async () => {
      newest = metaAt({ term: 1, index: newestAfterwards });
    },
  };
  const store = {
    get newestSnapshot() {
      return newest;
    },
    createSnapshot: async () => writer,
    compact: async () => {},
    removeSnapshotsExcept: async (keep: LogId | null) => void removals.push(keep),
  };
  const applier = { restoring: false, isMidway: false, metaAt, forgetBefore() {} };
  const parts = { machine, store, applier, limits: { ...LIMITS, snapshotCount: 10 } };
  const snapshots = new Snapshots(
    { ...parts, clock: new VirtualClock(), events: {}, lastIndex: 0 } as never,
    { step() {}, fail: assert.fail, isReceiving: () => false, compactedIndex: () => 0 },
  );
  return { snapshots, removals };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

describe('Snapshots', () => {
  test('of a machine in memory replace the files before', async () => {
    const { snapshots, removals } = setup(60);
    snapshots.appliedTo(60);
    await settled();
    assert.deepEqual(removals, [{ term: 1, index: 60 }]);
  });

  test('leave the file that the log stands on, though a received one is newer', async () => {
    const { snapshots, removals } = setup(100);
    snapshots.appliedTo(60);
    await settled();
    assert.deepEqual(removals, []);
  });
});

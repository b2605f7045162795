// Scenarios S03 and S10: snapshots on their way, and what may happen to either end. The others stand
// elsewhere: docs/SCENARIOS.md.

import { describe, expect, test } from 'vitest';
import { Lab, type LabOptions } from '../lab/harness.ts';

const LOSSES = ['lost', 'torn', 'kept'] as const;

/** Server 2 is away while the others compact what it lacks. */
async function withLaggard(options: Partial<LabOptions> = {}): Promise<Lab> {
  const lab = await Lab.make({ servers: 3, snapshotEvery: 10, patience: 3, ...options });
  await lab.one(lab.value(), 3, true);
  lab.disconnect(2);
  for (let i = 0; i < 25; i++) await lab.one(lab.value(), 2, true);
  await lab.sleep(100);
  return lab;
}

describe('Snapshots', () => {
  test('S03 crash_during_install_each_step', async () => {
    // A run with one operation more each time, until the victim gets through alive.
    for (let operation = 1, died = true; died; operation++) {
      expect(operation, 'an installation ends').toBeLessThan(200);
      const lab = await withLaggard();
      const server = lab.server(2);
      server.deathLoss = LOSSES[operation % 3]!;
      server.disk.mood.dieAt = operation;
      lab.connect(2);
      await lab.cluster.within(1500, () => !server.isUp);
      died = !server.isUp;
      if (died) {
        await lab.start1(2);
        lab.connect(2);
      } else {
        expect(operation, 'there were steps to die at').toBeGreaterThan(10);
        expect(server.snapshotsInstalled).toBe(1);
        server.disk.mood.dieAt = 0;
      }
      await lab.one(lab.value(), 3, true);
      lab.finish();
    }
  });

  test('S10 snapshot_while_leader_changes', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const lab = await withLaggard({ seed, limits: { snapshotChunkBytes: 16 } });
      const leader = await lab.checkOneLeader();
      lab.connect(2);
      // Chunks are on their way now, and the one who sends them goes.
      const { disk } = lab.server(2);
      const begun = disk.operations + 2 * seed;
      await lab.cluster.until(2000, () => disk.operations >= begun);
      expect(lab.server(2).snapshotsInstalled, 'some chunks are missing').toBe(0);
      lab.crash1(leader);
      await lab.one(lab.value(), 2, true);
      expect(lab.server(2).snapshotsInstalled).toBeGreaterThan(0);
      await lab.start1(leader);
      lab.connect(leader);
      await lab.one(lab.value(), 3, true);
      lab.finish();
    }
  });
});

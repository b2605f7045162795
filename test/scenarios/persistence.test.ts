// Scenarios P01, P03, P05 and P07: power cuts anywhere. The others stand elsewhere: docs/SCENARIOS.md.

import { describe, expect, test } from 'vitest';
import type { Loss } from '../../src/sim/sim-file.ts';
import { Lab } from '../lab/harness.ts';
import { KvLab } from '../lab/kv-harness.ts';

const LOSSES: readonly Loss[] = ['lost', 'torn', 'kept'];
const OPTIONS = { servers: 3, snapshotEvery: 10, patience: 5 };
/** Of one server; the three together have more than 200. */
const OPERATIONS_MIN = 66;

/** A leader, 40 commands and four snapshots; the disk operations that the victim needed. */
async function script(lab: Lab): Promise<void> {
  for (let i = 0; i < 40; i++) await lab.one(`c${i}`, 2, true);
  await lab.sleep(50);
}

/** The victim dies at its n-th disk operation; it must come back and agree with the others. */
async function dieAt(victim: number, operation: number, loss: Loss): Promise<boolean> {
  const lab = await Lab.make(OPTIONS);
  const server = lab.server(victim);
  server.deathLoss = loss;
  server.disk.mood.dieAt = operation;
  await script(lab);
  const died = !server.isUp;
  if (died) {
    await lab.start1(victim);
    lab.connect(victim);
  }
  await lab.one('end', 3, true);
  lab.finish();
  return died;
}

describe('Persistence', () => {
  // One of them leads, and the others follow it at different speeds.
  for (const victim of [0, 1, 2]) {
    for (const loss of LOSSES) {
      test(`P01 crash_between_every_two_storage_ops (server ${victim}, ${loss})`, {
        timeout: 60_000,
      }, async () => {
        const clean = await Lab.make(OPTIONS);
        const before = clean.server(victim).disk.operations;
        await script(clean);
        const operations = clean.server(victim).disk.operations - before;
        clean.finish();
        expect(operations).toBeGreaterThan(OPERATIONS_MIN);
        let deaths = 0;
        for (let n = 1; n <= operations; n++) if (await dieAt(victim, n, loss)) deaths += 1;
        expect(deaths).toBe(operations);
      });
    }
  }

  test('P03 all_restart_terms_survive', async () => {
    const lab = await Lab.make({ servers: 3 });
    for (let round = 0; round < 5; round++) {
      await lab.one(lab.value(), 3, true);
      lab.disconnect(await lab.checkOneLeader());
      await lab.checkOneLeader();
      const terms = [0, 1, 2].map(i => lab.getState(i).term);
      for (const i of [0, 1, 2]) lab.crash1(i);
      for (const i of [0, 1, 2]) {
        await lab.start1(i);
        expect(lab.getState(i).term).toBe(terms[i]);
      }
      lab.connect(0, 1, 2);
    }
    await lab.one(lab.value(), 3, true);
    lab.finish();
  });

  test('P05 power_loss_all_nodes_acked_survive', async () => {
    const lab = await KvLab.make({ servers: 3, maxRaftState: 1000 });
    for (let round = 0; round < 10; round++) {
      let stop = false;
      const writer = lab.spawn(async clerk => {
        for (let i = 0; !stop; i++) await clerk.append('k', `${round}.${i} `);
      });
      await lab.cluster.sleep(500 + lab.cluster.below(500));
      for (const server of lab.cluster.servers) lab.cluster.kill(server, 'torn');
      stop = true;
      await lab.cluster.boot(...lab.cluster.servers);
      await lab.cluster.until(20_000, () => writer.done);
      // The history says whether anything that was acknowledged is gone.
      await lab.with(async clerk => {
        expect(await clerk.get('k')).toContain(`${round}.0 `);
      });
    }
    lab.finish();
  });

  test('P07 single_node_lost_write_14370: nothing is applied before it is durable', async () => {
    const lab = await Lab.make({ servers: 1, syncMs: 50, patience: 5 });
    for (let round = 0; round < 30; round++) {
      const [command, server] = [lab.value(), lab.server(0)];
      await lab.cluster.until(5000, () => server.driver?.isLeader === true);
      const { index } = lab.start(0, command);
      await lab.sleep(lab.cluster.below(60));
      const applied = lab.nCommitted(index).value === command;
      lab.cluster.kill(server, 'lost');
      await lab.cluster.boot(server);
      await lab.one(lab.value(), 1, true);
      if (applied) expect(lab.nCommitted(index).value).toBe(command);
    }
    lab.finish();
  });
});

// 2D of the MIT 6.824 labs: log compaction. A snapshot is taken after every ten commands, and the
// log since the snapshot stays below 2000 bytes.

import { describe, expect } from 'vitest';
import type { Lab } from './harness.ts';
import { HARSH, UNRELIABLE } from './network.ts';
import { HARSH_NETWORK, labTest } from './variants.ts';

const SNAPSHOT_EVERY = 10;
const MAX_LOG_SIZE = 2000;

type Trouble = 'none' | 'disconnect' | 'crash';

function sendSome(lab: Lab, sender: number): void {
  const count = SNAPSHOT_EVERY / 2 + lab.cluster.below(SNAPSHOT_EVERY);
  for (let i = 0; i < count; i++) lab.start(sender, lab.value());
}

async function snapCommon(lab: Lab, trouble: Trouble, iterations: number): Promise<void> {
  await lab.one(lab.value(), 3, true);
  let leader = await lab.checkOneLeader();
  for (let iteration = 0; iteration < iterations; iteration++) {
    const swap = iteration % 3 === 1;
    const victim = swap ? leader : (leader + 1) % 3;
    const sender = swap ? (leader + 1) % 3 : leader;
    if (trouble === 'disconnect') lab.disconnect(victim);
    if (trouble === 'crash') lab.crash1(victim);
    if (trouble !== 'none') await lab.one(lab.value(), 2, true);
    sendSome(lab, sender);
    await lab.one(lab.value(), trouble === 'none' ? 3 : 2, true);
    await snapshotsSettle(lab);
    expect(lab.logSize()).toBeLessThan(MAX_LOG_SIZE);
    if (trouble === 'crash') await lab.start1(victim);
    if (trouble === 'none') continue;
    lab.connect(victim);
    await lab.one(lab.value(), 3, true);
    leader = await lab.checkOneLeader();
  }
}

/** A snapshot is written in the background: it takes a few syncs. */
function snapshotsSettle(lab: Lab): Promise<void> {
  return lab.sleep(100);
}

async function installed(lab: Lab): Promise<void> {
  expect(lab.snapshotsInstalled, 'somebody needed a snapshot to catch up').toBeGreaterThan(0);
}

async function allCrash(lab: Lab, iterations: number): Promise<void> {
  await lab.one(lab.value(), 3, true);
  for (let iteration = 0; iteration < iterations; iteration++) {
    const count = SNAPSHOT_EVERY / 2 + lab.cluster.below(SNAPSHOT_EVERY);
    for (let i = 0; i < count; i++) await lab.one(lab.value(), 3, true);
    const before = await lab.one(lab.value(), 3, true);
    await restartAll(lab);
    expect(await lab.one(lab.value(), 3, true)).toBeGreaterThan(before);
  }
}

async function restartAll(lab: Lab): Promise<void> {
  for (let i = 0; i < 3; i++) lab.crash1(i);
  for (let i = 0; i < 3; i++) await lab.start1(i);
  lab.connect(0, 1, 2);
}

/** A snapshot that is only in memory is lost at the first write after a restart. */
async function snapshotInit(lab: Lab): Promise<void> {
  await lab.one(lab.value(), 3, true);
  for (let i = 0; i < SNAPSHOT_EVERY + 1; i++) await lab.one(lab.value(), 3, true);
  await restartAll(lab);
  await lab.one(lab.value(), 3, true);
  await restartAll(lab);
  await lab.one(lab.value(), 3, true);
}

describe('Lab 2D', () => {
  const normal = { servers: 3, snapshotEvery: SNAPSHOT_EVERY };
  const unreliable = { ...normal, rules: UNRELIABLE };
  const harsh = { ...normal, ...HARSH_NETWORK, noop: true };

  labTest(
    'TestSnapshotBasic2D',
    {
      options: normal,
      run: async lab => {
        await snapCommon(lab, 'none', 30);
        expect(lab.snapshotsInstalled, 'nobody needs a snapshot of another').toBe(0);
      },
    },
    { options: harsh, run: lab => snapCommon(lab, 'none', 60) },
  );

  labTest(
    'TestSnapshotInstall2D',
    { options: normal, run: lab => snapCommon(lab, 'disconnect', 30).then(() => installed(lab)) },
    {
      options: { ...normal, syncMs: 20, patience: 4, seed: 5 },
      run: lab => snapCommon(lab, 'disconnect', 60).then(() => installed(lab)),
    },
  );

  labTest(
    'TestSnapshotInstallUnreliable2D',
    {
      options: unreliable,
      run: lab => snapCommon(lab, 'disconnect', 30).then(() => installed(lab)),
    },
    { options: harsh, run: lab => snapCommon(lab, 'disconnect', 60).then(() => installed(lab)) },
  );

  labTest(
    'TestSnapshotInstallCrash2D',
    { options: normal, run: lab => snapCommon(lab, 'crash', 30).then(() => installed(lab)) },
    {
      options: { ...normal, syncMs: 20, patience: 4, seed: 6 },
      run: lab => snapCommon(lab, 'crash', 60).then(() => installed(lab)),
    },
  );

  labTest(
    'TestSnapshotInstallUnCrash2D',
    { options: unreliable, run: lab => snapCommon(lab, 'crash', 30).then(() => installed(lab)) },
    { options: harsh, run: lab => snapCommon(lab, 'crash', 60).then(() => installed(lab)) },
  );

  labTest(
    'TestSnapshotAllCrash2D',
    { options: normal, run: lab => allCrash(lab, 5) },
    {
      options: { ...harsh, rules: { ...HARSH, requestJitterMs: 26 } },
      run: lab => allCrash(lab, 12),
    },
  );

  labTest(
    'TestSnapshotInit2D',
    { options: normal, run: snapshotInit },
    {
      options: harsh,
      run: async lab => {
        for (let round = 0; round < 5; round++) await snapshotInit(lab);
      },
    },
  );
});

// 3B of the MIT 6.824 labs: the key/value service with snapshots. Logs stay below eight times
// maxraftstate, which is 1000 bytes throughout.

import { describe, expect, test } from 'vitest';
import { PRODUCTION_ELECTION_TICKS } from './cluster.ts';
import {
  type GenericOptions,
  genericTest,
  KvLab,
  type KvOptions,
  speedTest,
} from './kv-harness.ts';
import { HARSH, SLOW, UNRELIABLE } from './network.ts';

const MAX_RAFT_STATE = 1000;
const MS_PER_OPERATION_MAX = 33.3;
const SNAPSHOT_BYTES_MAX = 500;

const HARSH_KV = {
  rules: HARSH,
  raft: { electionTicks: PRODUCTION_ELECTION_TICKS },
  syncMs: 5,
  seed: 5,
} satisfies Partial<KvOptions>;

function genericTests(name: string, options: Omit<GenericOptions, 'maxRaftState'>): void {
  const bounded = { ...options, maxRaftState: MAX_RAFT_STATE };
  test(name, () => genericTest(bounded));
  test(`${name} (harsh)`, () => genericTest({ ...bounded, ...HARSH_KV }));
}

/** A server that missed a snapshot must get it from the others: the quorum depends on it. */
async function snapshotRpc(options: KvOptions, puts: number): Promise<void> {
  const lab = await KvLab.make({ ...options, maxRaftState: MAX_RAFT_STATE });
  const { cluster } = lab;
  const [one, two, three] = cluster.servers as [
    (typeof cluster.servers)[0],
    (typeof cluster.servers)[0],
    (typeof cluster.servers)[0],
  ];
  await lab.with(clerk => clerk.put('a', 'A'));
  cluster.network.setSide(three.id, 2);
  await lab.with(async clerk => {
    for (let i = 0; i < puts; i++) await clerk.put(String(i), String(i));
    await clerk.put('b', 'B');
  });
  await cluster.sleep(1000);
  lab.checkSizes();
  // Now the second one is away, and the third is needed.
  cluster.network.setSide(one.id, 1);
  cluster.network.setSide(three.id, 1);
  cluster.network.setSide(two.id, 2);
  await lab.with(async clerk => {
    await clerk.put('c', 'C');
    await clerk.put('d', 'D');
    expect(await clerk.get('a')).toBe('A');
    expect(await clerk.get('b')).toBe('B');
    expect(await clerk.get('1')).toBe('1');
    expect(await clerk.get(String(puts - 1))).toBe(String(puts - 1));
  });
  expect(three.snapshotsInstalled).toBeGreaterThan(0);
  lab.connectAll();
  await lab.with(async clerk => {
    await clerk.put('e', 'E');
    expect(await clerk.get('c')).toBe('C');
    expect(await clerk.get('e')).toBe('E');
    expect(await clerk.get('1')).toBe('1');
  });
  lab.finish();
}

/** A small state has a small snapshot, however long its history is. */
async function snapshotSize(options: KvOptions, rounds: number): Promise<void> {
  const lab = await KvLab.make({ ...options, maxRaftState: MAX_RAFT_STATE });
  await lab.with(async clerk => {
    for (let round = 0; round < rounds; round++) {
      await clerk.put('x', '0');
      expect(await clerk.get('x')).toBe('0');
      await clerk.put('x', '1');
      expect(await clerk.get('x')).toBe('1');
    }
  });
  await lab.cluster.sleep(1000);
  lab.checkSizes();
  expect(lab.snapshotSize()).toBeGreaterThan(0);
  expect(lab.snapshotSize()).toBeLessThanOrEqual(SNAPSHOT_BYTES_MAX);
  lab.finish();
}

describe('Lab 3B', () => {
  test('TestSnapshotRPC3B', () => snapshotRpc({ servers: 3 }, 50));

  test('TestSnapshotRPC3B (harsh)', () => snapshotRpc({ servers: 3, ...HARSH_KV }, 50));

  test('TestSnapshotSize3B', () => snapshotSize({ servers: 3 }, 200));

  test('TestSnapshotSize3B (harsh)', () => {
    return snapshotSize({ servers: 5, rules: SLOW, syncMs: 20, seed: 7 }, 60);
  });

  test('TestSpeed3B', async () => {
    const options = { servers: 3, maxRaftState: MAX_RAFT_STATE };
    expect(await speedTest(options, 1000)).toBeLessThan(MS_PER_OPERATION_MAX);
  });

  test('TestSpeed3B (harsh)', async () => {
    const rules = { ...SLOW, requestJitterMs: 0 };
    const options = { servers: 5, rules, syncMs: 3, maxRaftState: MAX_RAFT_STATE };
    expect(await speedTest(options, 500)).toBeLessThan(MS_PER_OPERATION_MAX);
  });

  genericTests('TestSnapshotRecover3B', { clients: 1, servers: 5, crash: true });

  genericTests('TestSnapshotRecoverManyClients3B', { clients: 20, servers: 5, crash: true });

  genericTests('TestSnapshotUnreliable3B', { clients: 5, servers: 5, rules: UNRELIABLE });

  genericTests('TestSnapshotUnreliableRecover3B', {
    clients: 5,
    servers: 5,
    crash: true,
    rules: UNRELIABLE,
  });

  genericTests('TestSnapshotUnreliableRecoverConcurrentPartition3B', {
    clients: 5,
    servers: 5,
    crash: true,
    partitions: true,
    rules: UNRELIABLE,
  });

  genericTests('TestSnapshotUnreliableRecoverConcurrentPartitionLinearizable3B', {
    clients: 15,
    servers: 7,
    crash: true,
    partitions: true,
    randomKeys: true,
    rules: UNRELIABLE,
  });
});

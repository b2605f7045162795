// 3A of the MIT 6.824 labs: a key/value service without snapshots.

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
import type { LabServer } from './server.ts';

/** 1000 appends, three to each heartbeat of 100 ms. */
const MS_PER_OPERATION_MAX = 33.3;

const HARSH_KV = {
  rules: HARSH,
  raft: { electionTicks: PRODUCTION_ELECTION_TICKS },
  syncMs: 5,
  seed: 2,
} satisfies Partial<KvOptions>;

function genericTests(name: string, options: GenericOptions, harsh: Partial<GenericOptions>): void {
  test(name, () => genericTest(options));
  test(`${name} (harsh)`, () => genericTest({ ...options, ...harsh }));
}

/** Five clients append to one key; all appends of each must be there in order. */
async function oneKey(options: KvOptions, clients: number, appends: number): Promise<void> {
  const lab = await KvLab.make(options);
  await lab.with(clerk => clerk.put('k', ''));
  const programs = Array.from({ length: clients }, (_, me) =>
    lab.spawn(async clerk => {
      for (let i = 0; i < appends; i++) await clerk.append('k', `x ${me} ${i} y`);
    }),
  );
  await lab.cluster.until(120_000, () => programs.every(({ done }) => done));
  await lab.with(async clerk => {
    const found = (await clerk.get('k')).match(/x \d+ \d+ y/g) ?? [];
    expect(found.length).toBe(clients * appends);
    for (let me = 0; me < clients; me++) {
      const own = found.filter(part => part.startsWith(`x ${me} `));
      expect(own).toEqual(Array.from({ length: appends }, (_, i) => `x ${me} ${i} y`));
    }
  });
  // Appends that nobody reads can be ordered in too many ways to search; the text shows the order.
  lab.finish('script');
}

/** A majority goes on, a minority must not answer; what waited there is done after the healing. */
async function onePartition(options: KvOptions, withinMs: number): Promise<void> {
  const lab = await KvLab.make(options);
  const { cluster } = lab;
  await lab.with(clerk => clerk.put('1', '13'));
  const leader = cluster.servers.find(({ driver }) => driver!.isLeader)!;
  const others = cluster.servers.filter(server => server !== leader);
  const minority = [leader, others[0]!];
  const isMinor = (server: LabServer) => minority.includes(server);
  for (const server of cluster.servers) cluster.network.setSide(server.id, isMinor(server) ? 2 : 1);

  const major = lab.spawn(
    async clerk => {
      await clerk.put('1', '14');
      expect(await clerk.get('1')).toBe('14');
    },
    server => !isMinor(server),
  );
  await cluster.until(10_000, () => major.done);

  let healed = false;
  const reaches = (server: LabServer) => healed || isMinor(server);
  const put = lab.spawn(clerk => clerk.put('1', '15'), reaches);
  const get = lab.spawn(async clerk => {
    expect(await clerk.get('1')).toMatch(/^1[456]$/);
  }, reaches);
  await cluster.sleep(1000);
  expect(put.done, 'a put in a minority').toBe(false);
  expect(get.done, 'a get in a minority').toBe(false);
  const second = lab.spawn(
    async clerk => {
      expect(await clerk.get('1')).toBe('14');
      await clerk.put('1', '16');
    },
    server => !isMinor(server),
  );
  await cluster.until(10_000, () => second.done);

  healed = true;
  lab.connectAll();
  await cluster.sleep(1000);
  await cluster.until(withinMs, () => put.done && get.done);
  await lab.with(async clerk => {
    expect(await clerk.get('1')).toBe('15');
  });
  lab.finish();
}

describe('Lab 3A', () => {
  genericTests('TestBasic3A', { clients: 1, servers: 5 }, HARSH_KV);

  test('TestSpeed3A', async () => {
    expect(await speedTest({ servers: 3 }, 1000)).toBeLessThan(MS_PER_OPERATION_MAX);
  });

  test('TestSpeed3A (harsh)', async () => {
    const slow = { servers: 5, rules: { ...SLOW, requestJitterMs: 0 }, syncMs: 5 };
    expect(await speedTest(slow, 500)).toBeLessThan(MS_PER_OPERATION_MAX);
  });

  genericTests('TestConcurrent3A', { clients: 5, servers: 5 }, HARSH_KV);

  genericTests('TestUnreliable3A', { clients: 5, servers: 5, rules: UNRELIABLE }, HARSH_KV);

  test('TestUnreliableOneKey3A', () => oneKey({ servers: 3, rules: UNRELIABLE }, 5, 10));

  test('TestUnreliableOneKey3A (harsh)', () => oneKey({ servers: 3, ...HARSH_KV }, 8, 10));

  test('TestOnePartition3A', () => onePartition({ servers: 5 }, 3000));

  test('TestOnePartition3A (harsh)', () => {
    return onePartition({ servers: 5, rules: SLOW, syncMs: 20, seed: 3 }, 3000);
  });

  genericTests(
    'TestManyPartitionsOneClient3A',
    { clients: 1, servers: 5, partitions: true },
    HARSH_KV,
  );

  genericTests(
    'TestManyPartitionsManyClients3A',
    { clients: 5, servers: 5, partitions: true },
    HARSH_KV,
  );

  genericTests('TestPersistOneClient3A', { clients: 1, servers: 5, crash: true }, HARSH_KV);

  genericTests('TestPersistConcurrent3A', { clients: 5, servers: 5, crash: true }, HARSH_KV);

  genericTests(
    'TestPersistConcurrentUnreliable3A',
    { clients: 5, servers: 5, crash: true, rules: UNRELIABLE },
    HARSH_KV,
  );

  genericTests(
    'TestPersistPartition3A',
    { clients: 5, servers: 5, crash: true, partitions: true },
    HARSH_KV,
  );

  genericTests(
    'TestPersistPartitionUnreliable3A',
    { clients: 5, servers: 5, crash: true, partitions: true, rules: UNRELIABLE },
    HARSH_KV,
  );

  genericTests(
    'TestPersistPartitionUnreliableLinearizable3A',
    {
      clients: 15,
      servers: 7,
      crash: true,
      partitions: true,
      randomKeys: true,
      rules: UNRELIABLE,
    },
    HARSH_KV,
  );
});

// A backup of a data directory is put back under a running cluster. The member that gets it has forgotten
// what it acknowledged; its leader tells it, it stops and says so, and does not start again with that.

import { cpSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../src/client/client.ts';
import { until } from '../support/process-wait.ts';
import { ProcessCluster } from '../support/processes.ts';

/** A leader of another term would have counted nothing: a busy machine must not cause an election. */
const STEADY = ['--heartbeat-interval', '100', '--election-timeout', '3000'];
const LOST = 'STORAGE_LOST: this node has lost data: it acknowledged entries up to';

let cluster: ProcessCluster;
let client: EtcdClient;
let member: number;

beforeAll(async () => {
  cluster = await ProcessCluster.start({ flags: STEADY });
  client = new EtcdClient({ endpoints: cluster.endpoints });
  await client.put('before', 'v');
  member = await cluster.follower();
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

async function ended(): Promise<void> {
  await until('the member has ended', async () => !cluster.member(member).isRunning, 30_000);
}

describe('a member whose old data is put back', () => {
  test('stops when its leader tells it what it acknowledged since', { timeout: 90_000 }, () =>
    cluster.explain(async () => {
      const { dataDir } = cluster.member(member);
      await cluster.kill(member);
      cpSync(dataDir, `${dataDir}.old`, { recursive: true });
      await cluster.restart(member);
      for (let i = 0; i < 5; i++) await client.put(`since/${i}`, 'v');
      await cluster.converged();
      await cluster.kill(member);
      rmSync(dataDir, { recursive: true });
      cpSync(`${dataDir}.old`, dataDir, { recursive: true });
      cluster.spawn(member);
      await ended();
      expect(cluster.member(member).output()).toContain(LOST);
    }),
  );

  test('does not start again with it', { timeout: 60_000 }, () =>
    cluster.explain(async () => {
      cluster.spawn(member);
      await ended();
      expect(cluster.member(member).output()).toMatch(/can't start.*\n.*condemned says: this node/);
    }),
  );

  test('does not keep the others from serving', { timeout: 30_000 }, async () => {
    await client.put('after', 'v');
    expect(await client.get('after')).not.toBeNull();
  });
});

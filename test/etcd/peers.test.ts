// Members that do not belong together: peers of another cluster, a data directory of another member,
// two servers on one directory, and flags that cannot be true. Nobody may vote or write for a cluster
// that is not his, and the message must say which flag or file is wrong.

import { afterEach, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../src/client/client.ts';
import { MemberProcess } from '../support/process-member.ts';
import { freePorts, removeDirectory, temporaryDirectory } from '../support/process-ports.ts';
import { serverCommand } from '../support/process-program.ts';
import { until } from '../support/process-wait.ts';
import { ProcessCluster } from '../support/processes.ts';

const cleanup: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of cleanup.splice(0).reverse()) await close();
});

interface Wishes {
  readonly name?: string;
  readonly dataDir?: string;
  readonly clientUrl?: string;
  readonly peerUrl?: string;
  readonly initialCluster?: string;
  readonly token?: string;
}

/** A member of its own, not started. */
async function member(wishes: Wishes = {}): Promise<MemberProcess> {
  const command = await serverCommand();
  const directory = temporaryDirectory();
  const [clientPort, peerPort] = (await freePorts(2)) as [number, number];
  const peerUrl = wishes.peerUrl ?? `http://127.0.0.1:${peerPort}`;
  const flags = {
    name: 'm1',
    dataDir: `${directory}/m1.etcd`,
    clientUrl: `http://127.0.0.1:${clientPort}`,
    peerUrl,
    initialCluster: `m1=${peerUrl}`,
    token: 'peers-test',
    ...wishes,
  };
  const one = new MemberProcess({ command, flags, extraFlags: [], environment: {} }, directory);
  cleanup.push(async () => {
    await one.kill();
    removeDirectory(directory);
  });
  return one;
}

/** Starts it, waits until it gives up, and gives what it said. */
async function refusal(one: MemberProcess, more: readonly string[] = []): Promise<string> {
  one.spawn(more);
  await until('the member has given up', () => !one.isRunning, 20_000);
  return one.output();
}

describe('members of different clusters', () => {
  test('a peer of a foreign cluster is told so and does no harm', { timeout: 60_000 }, async () => {
    const cluster = await ProcessCluster.start();
    cleanup.push(() => cluster.stop());
    const [n1, n2] = cluster.members as [MemberProcess, MemberProcess, MemberProcess];
    const client = new EtcdClient({ endpoints: cluster.endpoints });
    cleanup.push(() => client.close());
    const before = await client.put('k', 'v');
    // It believes that it forms a cluster with two members that know nothing of it.
    const peerUrl = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    const initialCluster = `stranger=${peerUrl},n1=${n1.peerUrl},n2=${n2.peerUrl}`;
    const stranger = await member({ name: 'stranger', peerUrl, initialCluster });
    stranger.spawn();
    await until('the mix-up is in a log', () =>
      [stranger, n1, n2].some(one => /belongs to cluster \d+/.test(one.output())),
    );
    const asked = new EtcdClient({ endpoints: [stranger.endpoint], deadlineMs: 1500 });
    cleanup.push(() => asked.close());
    await expect(asked.put('k', 'stolen')).rejects.toThrow();
    const after = await client.put('k', 'v2');
    expect(after.header!.raftTerm).toBe(before.header!.raftTerm);
    expect(after.header!.revision).toBe(before.header!.revision + 1);
    for (const one of cluster.members) expect(one.isRunning).toBe(true);
  });

  test('a data directory of another member is refused', { timeout: 60_000 }, async () => {
    const one = await member();
    one.spawn();
    await one.waitForOutput('ready to serve client requests');
    expect(await one.terminate()).toBe(0);
    const peerUrl = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    const moved = await member({ dataDir: one.dataDir, peerUrl });
    expect(await refusal(moved)).toContain(one.dataDir);
  });

  test('a second server on one data directory is refused while the first runs', {
    timeout: 60_000,
  }, async () => {
    const one = await member();
    one.spawn();
    await one.waitForOutput('ready to serve client requests');
    const twin = await member({ dataDir: one.dataDir, peerUrl: one.peerUrl });
    expect(await refusal(twin)).toMatch(/lock|in use|another/i);
    expect(one.isRunning).toBe(true);
    const client = new EtcdClient({ endpoints: [one.endpoint] });
    cleanup.push(() => client.close());
    await client.put('k', 'v');
  });
});

describe('flags that cannot be true', () => {
  test('two names with one peer URL', async () => {
    const one = await member();
    const output = await refusal(one, ['--initial-cluster', `m1=${one.peerUrl},m2=${one.peerUrl}`]);
    expect(output).toContain('--initial-cluster: m1 and m2 have the same URL');
  });

  test('a name that is not in the initial cluster', async () => {
    const one = await member();
    const output = await refusal(one, ['--initial-cluster', `other=${one.peerUrl}`]);
    expect(output).toContain(`--initial-cluster names other`);
  });

  test('an advertised peer URL that is not in the initial cluster', async () => {
    const one = await member();
    const output = await refusal(one, ['--initial-cluster', 'm1=http://127.0.0.1:1']);
    expect(output).toContain('--initial-advertise-peer-urls');
  });

  test.each([
    ['--heartbeat-interval', '500', '--election-timeout[1000ms] should be at least as 5 times'],
    ['--election-timeout', '60000', 'is too long'],
    ['--listen-client-urls', 'nonsense', '--listen-client-urls'],
    ['--max-txn-ops', '0', '--max-txn-ops'],
  ])('%s %s', async (flag, value, expected) => {
    expect(await refusal(await member(), [flag, value])).toContain(expected);
  });

  test('a port that is taken is named, and the server that has it goes on', {
    timeout: 60_000,
  }, async () => {
    const one = await member();
    one.spawn();
    await one.waitForOutput('ready to serve client requests');
    const client = await member({ clientUrl: one.clientUrl });
    expect(await refusal(client)).toContain(one.clientUrl);
    const peer = await member({ peerUrl: one.peerUrl });
    expect(await refusal(peer)).toContain(new URL(one.peerUrl).host);
    expect(one.isRunning).toBe(true);
  });
});

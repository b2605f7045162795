// The embedding API from end to end: real time, but nothing waits for a length of it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MemoryNetwork } from '../transport/memory.ts';
import { createNode } from './create-node.ts';
import { type DevCluster, devCluster } from './dev-cluster.ts';
import { KontikiError } from './errors.ts';
import { fileStorage, memoryStorage } from './system-storage.ts';
import { memoryTransport, tcpTransport } from './system-transport.ts';

class Counter {
  value = 0;

  apply(step: number): number {
    this.value += step;
    return this.value;
  }

  snapshot(): number {
    return this.value;
  }

  restore(value: number): void {
    this.value = value;
  }
}

const counters = { machine: () => new Counter() };

async function inTemporaryDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'kontiki-node-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function killAndRestartAll(cluster: DevCluster<Counter>): Promise<void> {
  const ids = cluster.nodes.map(({ id }) => id);
  for (const id of ids) await cluster.kill(id);
  for (const id of ids) await cluster.restart(id);
}

describe('devCluster', () => {
  test('counts on when its leader is killed', async () => {
    await using cluster = await devCluster(3, counters);
    const leader = await cluster.leader();
    expect(await cluster.propose(1)).toBe(1);
    await cluster.kill(leader);
    expect(await cluster.propose(1)).toBe(2);
    expect((await cluster.leader()).id).not.toBe(leader.id);
    expect(await cluster.read(counter => counter.value)).toBe(2);
    await cluster.restart(leader.id);
    expect(await cluster.node(leader.id).read(counter => counter.value)).toBe(2);
  });

  test('keeps its count when all nodes are killed, in memory and in files', async () => {
    await inTemporaryDir(async dir => {
      for (const options of [counters, { ...counters, dir }]) {
        await using cluster = await devCluster(3, { ...options, snapshotCount: 20 });
        for (let i = 1; i <= 50; i++) expect(await cluster.propose(1)).toBe(i);
        await killAndRestartAll(cluster);
        expect(await cluster.propose(1)).toBe(51);
      }
    });
  });

  test('counts each command once while leaders come and go', async () => {
    await using cluster = await devCluster(3, counters);
    let answered = 0;
    const all = Promise.all(
      Array.from({ length: 60 }, () => cluster.propose(1).then(() => answered++)),
    );
    for (let round = 0; round < 2; round++) {
      const leader = await cluster.leader();
      await cluster.kill(leader);
      await cluster.restart(leader.id);
    }
    await all;
    expect(answered).toBe(60);
    expect(await cluster.read(counter => counter.value)).toBe(60);
  });

  test('names the number of nodes when there is no majority', async () => {
    await using cluster = await devCluster(3, { ...counters, requestTimeoutMs: 300 });
    await cluster.leader();
    await cluster.kill(1);
    await cluster.kill(2);
    await expect(cluster.propose(1)).rejects.toBeInstanceOf(KontikiError);
    const [last] = cluster.nodes;
    await expect(last!.read(counter => counter.value)).rejects.toMatchObject({
      outcome: 'not-applied',
    });
  });

  test('refuses a size that makes no sense', async () => {
    await expect(devCluster(0, counters)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(devCluster(2.5, counters)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('a node', () => {
  test('tells its applied commands in order, with results', async () => {
    await using cluster = await devCluster(1, counters);
    const node = await cluster.leader();
    const changes = node.changes();
    for (const step of [1, 2, 3]) await node.propose(step);
    const seen: unknown[] = [];
    for await (const { command, result } of changes) {
      seen.push([command, result]);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([
      [1, 1],
      [2, 3],
      [3, 6],
    ]);
  });

  test('ends a change stream whose reader is too slow with an error', async () => {
    await using cluster = await devCluster(1, counters);
    const node = await cluster.leader();
    const changes = node.changes({ bufferMax: 2 });
    for (let i = 0; i < 4; i++) await node.propose(1);
    expect((await changes.next()).value?.result).toBe(1);
    expect((await changes.next()).value?.result).toBe(2);
    await expect(changes.next()).rejects.toMatchObject({ code: 'READER_TOO_SLOW' });
  });

  test('answers many commands of one session in order of their numbers', async () => {
    await using cluster = await devCluster(3, counters);
    const node = await cluster.leader();
    const session = node.session();
    const results = await Promise.all(Array.from({ length: 40 }, () => session.propose(1)));
    expect(results).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    await session.close();
    await expect(session.propose(1)).rejects.toMatchObject({ outcome: 'not-applied' });
  });

  test('hands leadership over, tells of it, and removes a member', async () => {
    await using cluster = await devCluster(3, counters);
    const leader = await cluster.leader();
    const other = cluster.nodes.find(({ id }) => id !== leader.id)!;
    const told = new Promise<void>(resolve => {
      leader.onLeaderChange(({ leader: now }) => now === other.id && resolve());
    });
    await leader.transferLeadership(other.id);
    await told;
    const config = await other.changeMembership([{ kind: 'remove', node: leader.id }]);
    expect(config.voters).not.toContain(leader.id);
    expect(await other.propose(5)).toBe(5);
  });

  test('stops with the error of an apply() that throws', async () => {
    const machine = () => ({
      apply(text: string): string {
        if (text === 'bad') throw new Error('no such account');
        return text;
      },
      snapshot: () => null,
      restore() {},
    });
    await using cluster = await devCluster(1, { machine });
    const node = await cluster.leader();
    const failed = node.propose('bad');
    await expect(failed).rejects.toMatchObject({ code: 'STOPPED', outcome: 'unknown' });
    await expect(node.closed).rejects.toMatchObject({ code: 'MACHINE_FAILED' });
    await expect(node.propose('good')).rejects.toMatchObject({ outcome: 'not-applied' });
  });

  test('joins a running cluster, and is found again after a restart of the others', async () => {
    const network = new MemoryNetwork({ schedule: run => setImmediate(run) });
    const transport = memoryTransport(network);
    const first = memoryStorage();
    const timing = { heartbeatMs: 20, electionMs: 100 };
    const one = { id: 1, peers: { 1: 'one' }, transport, storage: first, ...timing };
    const old = await createNode({ ...one, machine: new Counter() });
    expect(await old.propose(1)).toBe(1);
    await using second = await createNode({
      ...timing,
      id: 2,
      peers: { 1: 'one', 2: 'two' },
      join: true,
      transport,
      storage: memoryStorage(),
      machine: new Counter(),
    });
    await old.changeMembership([{ kind: 'addLearner', node: 2, address: 'two' }]);
    expect(await second.propose(1)).toBe(2);
    const config = await old.changeMembership([{ kind: 'addVoter', node: 2 }]);
    expect(config.voters).toEqual([1, 2]);
    await old.close();
    await using again = await createNode({ ...one, machine: new Counter() });
    expect(await again.propose(1)).toBe(3);
    expect(await second.read(counter => counter.value)).toBe(3);
  });

  test('with files and TCP comes back where it was', async () => {
    await inTemporaryDir(async dir => {
      const options = { id: 1, peers: { 1: '127.0.0.1:0' }, heartbeatMs: 20, electionMs: 60 };
      for (let round = 1; round <= 2; round++) {
        const storage = fileStorage(dir);
        const transport = tcpTransport();
        const machine = new Counter();
        await using node = await createNode({ ...options, machine, storage, transport });
        expect(await node.propose(1)).toBe(round);
      }
    });
  });

  test('does not share its directory with a second one', async () => {
    await inTemporaryDir(async dir => {
      const common = { id: 1, peers: { 1: '127.0.0.1:0' }, transport: tcpTransport() };
      const make = () =>
        createNode({ ...common, machine: new Counter(), storage: fileStorage(dir) });
      await using node = await make();
      expect(node.id).toBe(1);
      await expect(make()).rejects.toMatchObject({ code: 'STORAGE_LOCKED' });
    });
  });

  test('refuses settings that can not work', async () => {
    const base = {
      id: 1,
      peers: { 1: '127.0.0.1:0' },
      machine: new Counter(),
      storage: memoryStorage(),
      transport: tcpTransport(),
    };
    const wrong = [
      { peers: { 2: '127.0.0.1:0' } },
      { id: 0 },
      { electionMs: 100 },
      { heartbeatMs: Number.NaN },
      { requestTimeoutMs: -1 },
    ];
    for (const options of wrong) {
      const made = createNode({ ...base, ...options });
      await expect(made).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    }
  });

  test('is closed by its signal', async () => {
    const abort = new AbortController();
    const node = await createNode({
      id: 1,
      peers: { 1: '127.0.0.1:0' },
      machine: new Counter(),
      storage: memoryStorage(),
      transport: tcpTransport(),
      signal: abort.signal,
    });
    abort.abort();
    await node.closed;
    expect(node.report().state).toBe('stopped');
  });
});

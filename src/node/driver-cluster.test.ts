// Drivers with real cores, several nodes, virtual time.

import { describe, expect, test } from 'vitest';
import {
  DriverCluster,
  encode,
  type Member,
  Outcome,
  ReadOutcome,
} from '../../test/support/driver-cluster.ts';

async function session(cluster: DriverCluster, member: Member): Promise<number> {
  const outcome = new Outcome();
  member.driver.openSession(outcome);
  await cluster.clock.until(() => outcome.done);
  return outcome.result as number;
}

async function inSession(
  cluster: DriverCluster,
  member: Member,
  id: number,
  sequence: number,
  text: string,
): Promise<Outcome> {
  const outcome = new Outcome();
  member.driver.proposeInSession(id, sequence, encode(text), outcome);
  await cluster.clock.until(() => outcome.done);
  return outcome;
}

async function read(cluster: DriverCluster, member: Member): Promise<string[]> {
  const outcome = new ReadOutcome();
  let seen: string[] = [];
  outcome.onReady = () => {
    seen = [...member.machine.commands];
  };
  member.driver.read(outcome);
  await cluster.clock.until(() => outcome.done);
  if (outcome.error !== null) throw outcome.error;
  return seen;
}

const converged = (cluster: DriverCluster, texts: string[]) => () =>
  cluster.members.every(({ machine }) => machine.commands.join() === texts.join());

describe('a cluster of drivers', () => {
  test('applies a command on every node', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    const outcome = await cluster.write(leader, 'x');
    expect(outcome).toMatchObject({ result: 'x#1', error: null, answers: 1 });
    await cluster.clock.until(converged(cluster, ['x']));
    await cluster.stop();
  });

  test('makes many proposals of a turn durable in one append', async () => {
    const cluster = await DriverCluster.start(1);
    const leader = await cluster.awaitLeader();
    const before = leader.store.appends.length;
    const outcomes = Array.from({ length: 1000 }, (_, i) => cluster.propose(leader, `${i}`));
    await cluster.clock.settle();
    expect(outcomes.every(({ error, done }) => done && error === null)).toBe(true);
    expect(leader.store.appends.length - before).toBe(1);
    await cluster.stop();
  });

  test('takes proposals on followers, and answers there', async () => {
    const cluster = await DriverCluster.start(3);
    await cluster.awaitLeader();
    const [a, b] = cluster.followers();
    const outcomes = [cluster.propose(a!, 'a'), cluster.propose(b!, 'b')];
    await cluster.clock.until(() => outcomes.every(({ done }) => done));
    expect(outcomes.map(({ error }) => error)).toEqual([null, null]);
    expect(outcomes.map(({ result }) => String(result)[0])).toEqual(['a', 'b']);
    await cluster.stop();
  });

  test('reads the newest state on every node', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    await cluster.write(leader, 'x');
    for (const member of cluster.members) expect(await read(cluster, member)).toEqual(['x']);
    await cluster.stop();
  });

  test('goes on after its leader is killed; proposals wait for the next one', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    await cluster.write(leader, 'a');
    cluster.kill(leader);
    await cluster.clock.settle();
    const [survivor] = cluster.followers();
    const outcome = await cluster.write(survivor!, 'b');
    expect(outcome).toMatchObject({ result: 'b#2', error: null });
    await cluster.stop();
  });

  test('tells a proposer without a majority that its command was not applied or is unknown', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    cluster.network.isolate(leader.id);
    const [early, late] = [cluster.propose(leader, 'early'), new Outcome()];
    await cluster.clock.until(() => !leader.driver.isLeader);
    leader.driver.propose(encode('late'), late);
    await cluster.clock.until(() => early.done && late.done);
    expect(early.error).toMatchObject({ code: 'TIMEOUT', outcome: 'unknown' });
    expect(late.error).toMatchObject({ code: 'NO_LEADER', outcome: 'not-applied' });
    cluster.network.healAll();
    await cluster.awaitLeader();
    await cluster.write(cluster.leader!, 'next');
    for (const { machine } of cluster.members) expect(machine.commands).not.toContain('late');
    await cluster.stop();
  });

  test('tells a deposed leader that its uncommitted command was overwritten', async () => {
    const cluster = await DriverCluster.start(3, { limits: { requestTimeoutMs: 60_000 } });
    const old = await cluster.awaitLeader();
    cluster.network.isolate(old.id);
    const lost = cluster.propose(old, 'lost');
    await cluster.clock.until(() => cluster.leader !== undefined && cluster.leader !== old);
    await cluster.write(cluster.leader!, 'kept');
    cluster.network.healAll();
    await cluster.clock.until(() => lost.done);
    expect(lost.error).toMatchObject({ code: 'LEADER_CHANGED', outcome: 'not-applied' });
    await cluster.clock.until(converged(cluster, ['kept']));
    await cluster.stop();
  });

  test('hands leadership over on request', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    const [to] = cluster.followers();
    const [done, refused] = [new ReadOutcome(), new ReadOutcome()];
    to!.driver.transferLeadership(leader.id === 1 ? 2 : 1, refused);
    leader.driver.transferLeadership(to!.id, done);
    await cluster.clock.until(() => done.done && refused.done);
    expect(done.error).toBe(null);
    expect(to!.driver.isLeader).toBe(true);
    await cluster.stop();
  });

  test('changes its membership', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    const [gone] = cluster.followers();
    const outcome = new Outcome();
    leader.driver.changeMembership([{ kind: 'remove', node: gone!.id }], encode(''), -1, outcome);
    await cluster.clock.until(() => outcome.done);
    expect(outcome.error).toBe(null);
    await cluster.clock.until(() => leader.driver.report().raft.config.voters.length === 2);
    await cluster.stop();
  });
});

describe('a leader whose disk stalls', () => {
  test('steps down, and the others go on', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    leader.store.held = true;
    const stuck = cluster.propose(leader, 'stuck');
    await cluster.clock.until(() => !leader.driver.isLeader);
    await cluster.clock.until(() => cluster.leader !== undefined);
    expect(cluster.leader!.id).not.toBe(leader.id);
    await cluster.write(cluster.leader!, 'next');
    leader.store.held = false;
    leader.store.release();
    // A majority had it before the disk stalled: the answer comes when this node applies it.
    await cluster.clock.until(() => stuck.done && converged(cluster, ['stuck', 'next'])());
    await cluster.stop();
  });
});

describe('a node that starts again', () => {
  for (const durable of [false, true]) {
    const kind = durable ? 'a durable machine' : 'a machine in memory';

    test(`with ${kind} has all that was acknowledged`, async () => {
      const cluster = await DriverCluster.start(3, { durable });
      const leader = await cluster.awaitLeader();
      for (const text of ['a', 'b', 'c']) await cluster.write(leader, text);
      for (const member of [...cluster.members]) cluster.kill(member);
      for (const member of cluster.members) await cluster.restart(member);
      await cluster.awaitLeader();
      expect(await read(cluster, cluster.followers()[0]!)).toEqual(['a', 'b', 'c']);
      await cluster.stop();
    });

    test(`with ${kind} and a compacted log has all that was acknowledged`, async () => {
      const cluster = await DriverCluster.start(1, { durable, limits: { snapshotCount: 10 } });
      const member = await cluster.awaitLeader();
      const texts = Array.from({ length: 35 }, (_, i) => `${i}`);
      for (const text of texts) await cluster.write(member, text);
      await cluster.clock.settle();
      expect(member.store.compactions.length).toBeGreaterThanOrEqual(3);
      expect(member.disk.entries.length).toBeLessThan(12);
      expect(member.disk.files.size).toBe(durable ? 0 : 1);
      cluster.kill(member);
      await cluster.restart(member);
      expect(member.machine.restores).toBe(durable ? 0 : 1);
      await cluster.awaitLeader();
      expect(await read(cluster, member)).toEqual(texts);
      await cluster.stop();
    });

    test(`far behind, with ${kind}, is brought up by a snapshot`, async () => {
      const limits = { snapshotCount: 10, snapshotChunkBytes: 100 };
      const cluster = await DriverCluster.start(3, { durable, limits });
      const leader = await cluster.awaitLeader();
      const [behind] = cluster.followers();
      cluster.kill(behind!);
      const texts = Array.from({ length: 40 }, (_, i) => `${i}`);
      for (const text of texts) await cluster.write(leader, text);
      await cluster.restart(behind!);
      await cluster.clock.until(converged(cluster, texts));
      expect(behind!.machine.restores).toBe(1);
      await cluster.write(leader, 'more');
      await cluster.clock.until(converged(cluster, [...texts, 'more']));
      cluster.kill(behind!);
      await cluster.restart(behind!);
      await cluster.clock.until(converged(cluster, [...texts, 'more']));
      await cluster.stop();
    });
  }

  test('refuses a log that is older than its state', async () => {
    const cluster = await DriverCluster.start(1, { durable: true });
    const member = await cluster.awaitLeader();
    await cluster.write(member, 'a');
    await member.driver.stop();
    member.disk.entries = [];
    await expect(cluster.restart(member)).rejects.toMatchObject({ code: 'STORAGE_LOST' });
  });

  test('refuses a state whose snapshot file is missing', async () => {
    const cluster = await DriverCluster.start(1, { limits: { snapshotCount: 2 } });
    const member = await cluster.awaitLeader();
    for (const text of ['a', 'b', 'c', 'd']) await cluster.write(member, text);
    await cluster.clock.settle();
    cluster.kill(member);
    member.disk.files.clear();
    await expect(cluster.restart(member)).rejects.toMatchObject({ code: 'STORAGE_CORRUPT' });
  });
});

describe('a session', () => {
  test('applies a repeated command once and repeats the first reply, on any node', async () => {
    const cluster = await DriverCluster.start(3);
    const leader = await cluster.awaitLeader();
    const id = await session(cluster, leader);
    const first = await inSession(cluster, leader, id, 1, 'x');
    await cluster.write(leader, 'between');
    const again = await inSession(cluster, cluster.followers()[0]!, id, 1, 'x');
    expect([first.result, again.result]).toEqual(['x#1', 'x#1']);
    await cluster.clock.until(converged(cluster, ['x', 'between']));
    await cluster.stop();
  });

  test('recognizes repeats within one batch', async () => {
    const cluster = await DriverCluster.start(1);
    const leader = await cluster.awaitLeader();
    const id = await session(cluster, leader);
    const outcomes = [new Outcome(), new Outcome(), new Outcome()];
    for (const outcome of outcomes) leader.driver.proposeInSession(id, 1, encode('x'), outcome);
    await cluster.clock.until(() => outcomes.every(({ done }) => done));
    expect(outcomes.map(({ result }) => result)).toEqual(['x#1', 'x#1', 'x#1']);
    expect(leader.machine.commands).toEqual(['x']);
    await cluster.stop();
  });

  for (const durable of [false, true]) {
    test(`survives snapshot and restart (durable: ${durable})`, async () => {
      const cluster = await DriverCluster.start(1, { durable, limits: { snapshotCount: 5 } });
      const member = await cluster.awaitLeader();
      const id = await session(cluster, member);
      await inSession(cluster, member, id, 1, 'x');
      for (let i = 0; i < 12; i++) await cluster.write(member, `${i}`);
      await cluster.clock.settle();
      expect(member.store.compactions.length).toBeGreaterThan(0);
      cluster.kill(member);
      await cluster.restart(member);
      await cluster.awaitLeader();
      const again = await inSession(cluster, member, id, 1, 'x');
      expect(again.result).toBe('x#1');
      expect(member.machine.commands.filter(text => text === 'x')).toEqual(['x']);
      await cluster.stop();
    });
  }

  test('that was evicted gets a definite error on every node', async () => {
    const cluster = await DriverCluster.start(3, { limits: { sessionsMax: 2 } });
    const leader = await cluster.awaitLeader();
    const id = await session(cluster, leader);
    for (let i = 0; i < 2; i++) await session(cluster, leader);
    for (const member of cluster.members) {
      const outcome = await inSession(cluster, member, id, 1, 'x');
      expect(outcome.error).toMatchObject({ code: 'SESSION_EXPIRED', outcome: 'not-applied' });
      expect(member.driver.report().sessions).toBe(2);
    }
    await cluster.stop();
  });

  test('that was closed has expired', async () => {
    const cluster = await DriverCluster.start(1);
    const leader = await cluster.awaitLeader();
    const id = await session(cluster, leader);
    const closed = new Outcome();
    leader.driver.closeSession(id, closed);
    await cluster.clock.until(() => closed.done);
    const outcome = await inSession(cluster, leader, id, 1, 'x');
    expect(outcome.error).toMatchObject({ code: 'SESSION_EXPIRED' });
    await cluster.stop();
  });
});

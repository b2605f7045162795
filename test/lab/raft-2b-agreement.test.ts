// 2B of the MIT 6.824 labs: agreement, with the labs' numbers for indexes, calls and bytes.

import { describe, expect } from 'vitest';
import { type Lab, RAFT_ELECTION_TIMEOUT_MS } from './harness.ts';
import { SLOW } from './network.ts';
import { HARSH_NETWORK, labTest } from './variants.ts';

async function basicAgree(lab: Lab, commands: number): Promise<void> {
  for (let index = 1; index <= commands; index++) {
    expect(lab.nCommitted(index).count, 'nothing is committed before Start()').toBe(0);
    expect(await lab.one(lab.value(), lab.n, false)).toBe(index);
  }
}

/** Each entry goes to each peer once. */
async function rpcBytes(lab: Lab, commands: number): Promise<void> {
  await lab.one('99', lab.n, false);
  const before = lab.rpcBytes();
  let sent = 0;
  for (let index = 2; index < commands + 2; index++) {
    const command = lab.value().padEnd(5000, 'x');
    expect(await lab.one(command, lab.n, false)).toBe(index);
    sent += command.length;
  }
  expect(lab.rpcBytes() - before).toBeLessThanOrEqual(lab.n * sent + 50_000);
}

async function followerFailure(lab: Lab): Promise<void> {
  await lab.one('101', 3, false);
  const leader = await lab.checkOneLeader();
  lab.disconnect((leader + 1) % 3);
  await lab.one('102', 2, false);
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
  await lab.one('103', 2, false);
  const leader2 = await lab.checkOneLeader();
  lab.disconnect((leader2 + 1) % 3, (leader2 + 2) % 3);
  const { index, isLeader } = lab.start(leader2, '104');
  expect(isLeader).toBe(true);
  expect(index).toBe(4);
  await lab.sleep(2 * RAFT_ELECTION_TIMEOUT_MS);
  expect(lab.nCommitted(index).count).toBe(0);
}

async function leaderFailure(lab: Lab): Promise<void> {
  await lab.one('101', 3, false);
  const first = await lab.checkOneLeader();
  lab.disconnect(first);
  await lab.one('102', 2, false);
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
  await lab.one('103', 2, false);
  lab.disconnect(await lab.checkOneLeader());
  for (let i = 0; i < 3; i++) lab.start(i, '104');
  await lab.sleep(2 * RAFT_ELECTION_TIMEOUT_MS);
  expect(lab.nCommitted(4).count).toBe(0);
}

async function failAgree(lab: Lab): Promise<void> {
  await lab.one(lab.value(), 3, false);
  const leader = await lab.checkOneLeader();
  lab.disconnect((leader + 1) % 3);
  await lab.one(lab.value(), 2, lab.patience > 1);
  await lab.one(lab.value(), 2, lab.patience > 1);
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
  await lab.one(lab.value(), 2, lab.patience > 1);
  await lab.one(lab.value(), 2, lab.patience > 1);
  lab.connect((leader + 1) % 3);
  await lab.one(lab.value(), 3, true);
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
  await lab.one(lab.value(), 3, true);
}

async function failNoAgree(lab: Lab): Promise<void> {
  const first = await lab.one(lab.value(), 5, false);
  const leader = await lab.checkOneLeader();
  const cut = [(leader + 1) % 5, (leader + 2) % 5, (leader + 3) % 5];
  lab.disconnect(...cut);
  const { index, isLeader } = lab.start(leader, lab.value());
  expect(isLeader).toBe(true);
  expect(index).toBe(first + 1);
  await lab.sleep(2 * RAFT_ELECTION_TIMEOUT_MS);
  expect(lab.nCommitted(index).count).toBe(0);
  lab.connect(...cut);
  const leader2 = await lab.checkOneLeader();
  const second = lab.start(leader2, lab.value());
  expect(second.isLeader).toBe(true);
  // The entry of the minority is kept or replaced, as the election went.
  expect([index, index + 1]).toContain(second.index);
  await lab.one(lab.value(), 5, true);
}

async function concurrentStarts(lab: Lab, starts: number): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    if (attempt > 0) await lab.sleep(3000);
    const leader = await lab.checkOneLeader();
    const first = lab.start(leader, lab.value());
    if (!first.isLeader) continue;
    const values = Array.from({ length: starts }, () => lab.value());
    const results = values.map(value => lab.start(leader, value));
    if (results.some(({ isLeader, term }) => !isLeader || term !== first.term)) continue;
    const decided: (string | null)[] = [];
    for (const { index } of results) decided.push(await lab.wait(index, lab.n, first.term));
    if (decided.includes(null)) continue;
    expect(decided).toEqual(values);
    return;
  }
  throw new Error('the term changed too often');
}

async function rejoin(lab: Lab): Promise<void> {
  const retry = lab.patience > 1;
  await lab.one(lab.value(), 3, retry);
  const first = await lab.checkOneLeader();
  lab.disconnect(first);
  for (let i = 0; i < 3; i++) lab.start(first, lab.value());
  await lab.one(lab.value(), 2, true);
  const second = await lab.checkOneLeader();
  lab.disconnect(second);
  lab.connect(first);
  await lab.one(lab.value(), 2, true);
  lab.connect(second);
  await lab.one(lab.value(), 3, true);
}

/** Three partitions with long logs that contradict each other: backing up must skip whole terms. */
async function backup(lab: Lab, entries: number): Promise<void> {
  const startMany = (leader: number) => {
    for (let i = 0; i < entries; i++) lab.start(leader, lab.value());
  };
  await lab.one(lab.value(), 5, true);
  const first = await lab.checkOneLeader();
  lab.disconnect((first + 2) % 5, (first + 3) % 5, (first + 4) % 5);
  startMany(first);
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS / 2);
  lab.disconnect(first, (first + 1) % 5);
  lab.connect((first + 2) % 5, (first + 3) % 5, (first + 4) % 5);
  for (let i = 0; i < entries; i++) await lab.one(lab.value(), 3, true);
  const second = await lab.checkOneLeader();
  let other = (first + 2) % 5;
  if (second === other) other = (second + 1) % 5;
  lab.disconnect(other);
  startMany(second);
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS / 2);
  lab.disconnect(...[0, 1, 2, 3, 4]);
  lab.connect(first, (first + 1) % 5, other);
  for (let i = 0; i < entries; i++) await lab.one(lab.value(), 3, true);
  lab.connect(0, 1, 2, 3, 4);
  await lab.one(lab.value(), 5, true);
}

/** Commands in one term, and the calls they cost; null when the term changed meanwhile. */
async function countOneTerm(lab: Lab, commands: number): Promise<number | null> {
  const leader = await lab.checkOneLeader();
  const before = lab.rpcTotal();
  const first = lab.start(leader, lab.value());
  if (!first.isLeader) return null;
  const values = Array.from({ length: commands + 1 }, () => lab.value());
  for (const [i, value] of values.entries()) {
    const { term, index, isLeader } = lab.start(leader, value);
    if (!isLeader || term !== first.term) return null;
    expect(index).toBe(first.index + i + 1);
  }
  for (const [i, value] of values.entries()) {
    const decided = await lab.wait(first.index + i + 1, lab.n, first.term);
    if (decided === null) return null;
    expect(decided).toBe(value);
  }
  return lab.rpcTotal() - before;
}

async function count(lab: Lab, commands: number, rounds: number): Promise<void> {
  await lab.checkOneLeader();
  const election = lab.rpcTotal();
  expect(election).toBeGreaterThanOrEqual(1);
  expect(election).toBeLessThanOrEqual(30);
  for (let round = 0; round < rounds; round++) {
    const calls = await countOneTerm(lab, commands);
    expect(calls, 'a term without faults lasts').not.toBeNull();
    expect(calls).toBeLessThanOrEqual((commands + 1 + 3) * 3);
    const before = lab.rpcTotal();
    await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
    expect(lab.rpcTotal() - before).toBeLessThanOrEqual(3 * 20);
  }
}

describe('Lab 2B', () => {
  labTest(
    'TestBasicAgree2B',
    { options: { servers: 3 }, run: lab => basicAgree(lab, 3) },
    { options: { servers: 7, rules: SLOW }, run: lab => basicAgree(lab, 100) },
  );

  labTest(
    'TestRPCBytes2B',
    { options: { servers: 3 }, run: lab => rpcBytes(lab, 10) },
    {
      options: { servers: 7, rules: { ...SLOW, requestJitterMs: 0 } },
      run: lab => rpcBytes(lab, 50),
    },
  );

  labTest(
    'TestFollowerFailure2B',
    { options: { servers: 3 }, run: followerFailure },
    { options: { servers: 3, rules: SLOW, syncMs: 20 }, run: followerFailure },
  );

  labTest(
    'TestLeaderFailure2B',
    { options: { servers: 3 }, run: leaderFailure },
    { options: { servers: 3, rules: SLOW, syncMs: 20 }, run: leaderFailure },
  );

  labTest(
    'TestFailAgree2B',
    { options: { servers: 3 }, run: failAgree },
    { options: { servers: 3, ...HARSH_NETWORK, noop: true }, run: failAgree },
  );

  labTest(
    'TestFailNoAgree2B',
    { options: { servers: 5 }, run: failNoAgree },
    { options: { servers: 5, rules: SLOW, syncMs: 20 }, run: failNoAgree },
  );

  labTest(
    'TestConcurrentStarts2B',
    { options: { servers: 3 }, run: lab => concurrentStarts(lab, 5) },
    {
      options: { servers: 5, ...HARSH_NETWORK, noop: true },
      run: lab => concurrentStarts(lab, 500),
    },
  );

  labTest(
    'TestRejoin2B',
    { options: { servers: 3 }, run: rejoin },
    { options: { servers: 3, ...HARSH_NETWORK, noop: true }, run: rejoin },
  );

  labTest(
    'TestBackup2B',
    { options: { servers: 5 }, run: lab => backup(lab, 50) },
    { options: { servers: 5, rules: SLOW, syncMs: 5, patience: 3 }, run: lab => backup(lab, 200) },
  );

  labTest(
    'TestCount2B',
    { options: { servers: 3 }, run: lab => count(lab, 10, 1) },
    {
      options: { servers: 3, rules: { ...SLOW, requestJitterMs: 0 } },
      run: lab => count(lab, 10, 20),
    },
  );
});

// 2C of the MIT 6.824 labs: persistence, Figure 8 and churn.

import { describe, expect } from 'vitest';
import type { Program, ProgramClock } from './cluster.ts';
import { type Lab, RAFT_ELECTION_TIMEOUT_MS } from './harness.ts';
import { HARSH, LONG_REORDERING, UNRELIABLE } from './network.ts';
import { HARSH_NETWORK, labTest } from './variants.ts';

async function persist1(lab: Lab): Promise<void> {
  await lab.one(lab.value(), 3, true);
  for (let i = 0; i < 3; i++) await lab.start1(i);
  for (let i = 0; i < 3; i++) {
    lab.disconnect(i);
    lab.connect(i);
  }
  await lab.one(lab.value(), 3, true);

  const first = await lab.checkOneLeader();
  lab.disconnect(first);
  await lab.start1(first);
  lab.connect(first);
  await lab.one(lab.value(), 3, true);

  const second = await lab.checkOneLeader();
  lab.disconnect(second);
  await lab.one(lab.value(), 2, true);
  await lab.start1(second);
  lab.connect(second);
  // It has to catch up before it can be taken out again.
  const term = lab.getState(second).term;
  await lab.wait(await lab.one(lab.value(), 3, true), 3, lab.patience > 1 ? -1 : term);

  const third = ((await lab.checkOneLeader()) + 1) % 3;
  lab.disconnect(third);
  await lab.one(lab.value(), 2, true);
  await lab.start1(third);
  lab.connect(third);
  await lab.one(lab.value(), 3, true);
}

/** Majorities that overlap in one server only, and never for long. */
async function persist2(lab: Lab, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await lab.one(lab.value(), 5, true);
    const leader = await lab.checkOneLeader();
    const [a, b, c, d] = [1, 2, 3, 4].map(k => (leader + k) % 5) as [
      number,
      number,
      number,
      number,
    ];
    lab.disconnect(a, b);
    await lab.one(lab.value(), 3, true);
    lab.disconnect(leader, c, d);
    await lab.start1(a);
    await lab.start1(b);
    lab.connect(a, b);
    await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
    await lab.start1(c);
    lab.connect(c);
    await lab.one(lab.value(), 3, true);
    lab.connect(d, leader);
  }
  await lab.one(lab.value(), 5, true);
}

async function persist3(lab: Lab): Promise<void> {
  await lab.one('101', 3, true);
  const leader = await lab.checkOneLeader();
  lab.disconnect((leader + 2) % 3);
  await lab.one('102', 2, true);
  lab.crash1(leader);
  lab.crash1((leader + 1) % 3);
  lab.connect((leader + 2) % 3);
  await lab.start1(leader);
  lab.connect(leader);
  await lab.one('103', 2, true);
  await lab.start1((leader + 1) % 3);
  lab.connect((leader + 1) % 3);
  await lab.one('104', 3, true);
}

/** Leaders start a command and die; the log must not come apart over it. */
async function figure8(lab: Lab, iterations: number): Promise<void> {
  await lab.one(lab.value(), 1, true);
  let up = 5;
  for (let iteration = 0; iteration < iterations; iteration++) {
    let leader = -1;
    for (let i = 0; i < 5; i++) if (lab.start(i, lab.value()).isLeader) leader = i;
    const isLong = lab.cluster.below(1000) < 100;
    await lab.sleep(lab.cluster.below(isLong ? RAFT_ELECTION_TIMEOUT_MS / 2 : 13));
    if (leader !== -1) {
      lab.crash1(leader);
      up -= 1;
    }
    if (up >= 3) continue;
    const back = lab.cluster.below(5);
    if (lab.server(back).isUp) continue;
    await lab.start1(back);
    lab.connect(back);
    up += 1;
  }
  for (let i = 0; i < 5; i++) {
    if (lab.server(i).isUp) continue;
    await lab.start1(i);
    lab.connect(i);
  }
  await lab.one(lab.value(), 5, true);
}

/** The same with leaders that are cut off, on a network that gets worse after a while. */
async function figure8Unreliable(lab: Lab, iterations: number): Promise<void> {
  await lab.one(lab.value(), 1, true);
  let up = 5;
  for (let iteration = 0; iteration < iterations; iteration++) {
    if (iteration === 200) lab.cluster.network.rules = worse(lab);
    let leader = -1;
    for (let i = 0; i < 5; i++) {
      if (lab.start(i, lab.value()).isLeader && lab.connected(i)) leader = i;
    }
    const isLong = lab.cluster.below(1000) < 100;
    await lab.sleep(lab.cluster.below(isLong ? RAFT_ELECTION_TIMEOUT_MS / 2 : 13));
    if (leader !== -1 && lab.cluster.below(1000) < 500) {
      lab.disconnect(leader);
      up -= 1;
    }
    const back = lab.cluster.below(5);
    if (up >= 3 || lab.connected(back)) continue;
    lab.connect(back);
    up += 1;
  }
  lab.connect(0, 1, 2, 3, 4);
  await lab.one(lab.value(), 5, true);
}

function worse(lab: Lab) {
  const isHarsh = lab.patience > 1;
  return isHarsh ? { ...HARSH, lateReplies: LONG_REORDERING.lateReplies } : LONG_REORDERING;
}

/** Commands from many clients at once; the last one shows that all servers keep up. */
async function unreliableAgree(lab: Lab, rounds: number): Promise<void> {
  const programs: Program[] = [];
  for (let round = 1; round < rounds; round++) {
    for (let j = 0; j < 4; j++) {
      programs.push(lab.cluster.spawn(clock => startUntilCommitted(lab, clock, `${round}.${j}`)));
    }
    await lab.one(`${round}`, 1, true);
  }
  lab.cluster.network.rules = { ...lab.cluster.network.rules, requestLoss: 0, replyLoss: 0 };
  await lab.cluster.until(60_000, () => programs.every(({ done }) => done));
  await lab.one(lab.value(), 5, true);
}

async function startUntilCommitted(lab: Lab, clock: ProgramClock, command: string): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    for (let i = 0; i < lab.n; i++) {
      const { index, isLeader } = lab.start(i, command);
      if (isLeader && (await isCommitted(lab, clock, index, command))) return;
    }
    await clock.sleep(50);
  }
  throw new Error(`${command} is never committed`);
}

async function isCommitted(
  lab: Lab,
  clock: ProgramClock,
  index: number,
  command: string,
): Promise<boolean> {
  for (const pause of [10, 20, 50, 100, 200, 400, 800]) {
    const { count, value } = lab.nCommitted(index);
    if (count > 0) return value === command;
    await clock.sleep(pause);
  }
  return false;
}

/** Notes each value that it saw committed. */
async function churnClient(
  lab: Lab,
  clock: ProgramClock,
  me: number,
  stopped: () => boolean,
  seen: string[],
): Promise<void> {
  while (!stopped()) {
    const command = lab.value();
    let index = -1;
    for (let i = 0; i < lab.n; i++) {
      const result = lab.start(i, command);
      if (result.isLeader) index = result.index;
    }
    if (index === -1) {
      await clock.sleep(79 + me * 17);
      continue;
    }
    if (await isCommitted(lab, clock, index, command)) seen.push(command);
  }
}

async function churn(lab: Lab, rounds: number): Promise<void> {
  let stop = false;
  const seen: string[] = [];
  const clients = [0, 1, 2].map(me =>
    lab.cluster.spawn(clock => churnClient(lab, clock, me, () => stop, seen)),
  );
  for (let round = 0; round < rounds; round++) {
    if (lab.cluster.chance.chance(0.2)) lab.disconnect(lab.cluster.below(5));
    if (lab.cluster.chance.chance(0.5)) {
      const i = lab.cluster.below(5);
      if (!lab.server(i).isUp) await lab.start1(i);
      lab.connect(i);
    }
    if (lab.cluster.chance.chance(0.2)) {
      const i = lab.cluster.below(5);
      if (lab.server(i).isUp) lab.crash1(i);
    }
    // Shorter than an election and its repairs take, but not much.
    await lab.sleep((RAFT_ELECTION_TIMEOUT_MS * 7) / 10);
  }
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
  for (let i = 0; i < 5; i++) {
    if (!lab.server(i).isUp) await lab.start1(i);
    lab.connect(i);
  }
  stop = true;
  await lab.cluster.until(20_000, () => clients.every(({ done }) => done));
  await lab.sleep(RAFT_ELECTION_TIMEOUT_MS);
  const last = await lab.one(lab.value(), 5, true);
  const final = new Set<string>();
  for (let index = 1; index <= last; index++) {
    const { value } = lab.nCommitted(index);
    if (value !== null) final.add(value);
  }
  expect(seen.length, 'clients made progress').toBeGreaterThan(0);
  expect(
    seen.filter(value => !final.has(value)),
    'committed, and lost',
  ).toEqual([]);
}

describe('Lab 2C', () => {
  labTest(
    'TestPersist12C',
    { options: { servers: 3 }, run: persist1 },
    {
      options: { servers: 3, ...HARSH_NETWORK, noop: true },
      run: async lab => {
        for (let round = 0; round < 3; round++) await persist1(lab);
      },
    },
  );

  labTest(
    'TestPersist22C',
    { options: { servers: 5 }, run: lab => persist2(lab, 5) },
    { options: { servers: 5, ...HARSH_NETWORK, noop: true }, run: lab => persist2(lab, 10) },
  );

  labTest(
    'TestPersist32C',
    { options: { servers: 3 }, run: persist3 },
    { options: { servers: 3, ...HARSH_NETWORK, noop: true }, run: persist3 },
  );

  labTest(
    'TestFigure82C',
    { options: { servers: 5 }, run: lab => figure8(lab, 1000) },
    { options: { servers: 5, patience: 5, syncMs: 10, seed: 3 }, run: lab => figure8(lab, 3000) },
  );

  labTest(
    'TestUnreliableAgree2C',
    { options: { servers: 5, rules: UNRELIABLE }, run: lab => unreliableAgree(lab, 50) },
    {
      options: { servers: 5, ...HARSH_NETWORK, noop: true },
      run: lab => unreliableAgree(lab, 50),
    },
  );

  labTest(
    'TestFigure8Unreliable2C',
    { options: { servers: 5, rules: UNRELIABLE }, run: lab => figure8Unreliable(lab, 1000) },
    {
      options: { servers: 5, ...HARSH_NETWORK, noop: true },
      run: lab => figure8Unreliable(lab, 3000),
    },
  );

  labTest(
    'TestReliableChurn2C',
    { options: { servers: 5 }, run: lab => churn(lab, 20) },
    { options: { servers: 5, patience: 2, syncMs: 10, seed: 4 }, run: lab => churn(lab, 100) },
  );

  labTest(
    'TestUnreliableChurn2C',
    { options: { servers: 5, rules: UNRELIABLE }, run: lab => churn(lab, 20) },
    { options: { servers: 5, ...HARSH_NETWORK, noop: true }, run: lab => churn(lab, 100) },
  );
});

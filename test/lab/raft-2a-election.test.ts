// 2A of the MIT 6.824 labs: elections. Numbers as in the labs.

import { describe, expect } from 'vitest';
import { type Lab, RAFT_ELECTION_TIMEOUT_MS } from './harness.ts';
import { HARSH_NETWORK, labTest } from './variants.ts';

/** A term may only change for a reason; there is none on a network without faults. */
async function initialElection(lab: Lab, idleMs: number, isCalm: boolean): Promise<void> {
  await lab.checkOneLeader();
  await lab.sleep(50);
  const term = isCalm ? lab.checkTerms() : 1;
  expect(term).toBeGreaterThanOrEqual(1);
  await lab.sleep(idleMs);
  if (isCalm) expect(lab.checkTerms()).toBe(term);
  await lab.checkOneLeader();
}

async function reElection(lab: Lab): Promise<void> {
  const first = await lab.checkOneLeader();
  lab.disconnect(first);
  await lab.checkOneLeader();
  // The old leader comes back and must not disturb the new one.
  lab.connect(first);
  const second = await lab.checkOneLeader();
  lab.disconnect(second, (second + 1) % 3);
  await lab.sleep(2 * RAFT_ELECTION_TIMEOUT_MS);
  lab.checkNoLeader();
  lab.connect((second + 1) % 3);
  await lab.checkOneLeader();
  lab.connect(second);
  await lab.checkOneLeader();
}

async function manyElections(lab: Lab, rounds: number): Promise<void> {
  await lab.checkOneLeader();
  for (let round = 0; round < rounds; round++) {
    const cut = [lab.cluster.below(7), lab.cluster.below(7), lab.cluster.below(7)];
    lab.disconnect(...cut);
    await lab.checkOneLeader();
    lab.connect(...cut);
  }
  await lab.checkOneLeader();
}

describe('Lab 2A', () => {
  labTest(
    'TestInitialElection2A',
    { options: { servers: 3 }, run: lab => initialElection(lab, 2000, true) },
    {
      options: { servers: 7, ...HARSH_NETWORK },
      run: lab => initialElection(lab, 10_000, false),
    },
  );

  labTest(
    'TestReElection2A',
    { options: { servers: 3 }, run: reElection },
    {
      options: { servers: 3, ...HARSH_NETWORK },
      run: async lab => {
        for (let round = 0; round < 5; round++) await reElection(lab);
      },
    },
  );

  labTest(
    'TestManyElections2A',
    { options: { servers: 7 }, run: lab => manyElections(lab, 9) },
    { options: { servers: 7, ...HARSH_NETWORK }, run: lab => manyElections(lab, 40) },
  );
});

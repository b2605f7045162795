// Leases and pauses of the process: ticks that nobody stepped still count for a lease.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'vitest';
import { DriverCluster, ReadOutcome } from '../../test/support/driver-cluster.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';

const originalAfter = VirtualClock.prototype.after;

/** Holds back a node's tick timer, as a stopped process does; the others go on. */
class Pauses {
  readonly #timers: (() => void)[] = [];
  readonly #paused = new Set<() => void>();
  readonly #held: (() => void)[] = [];

  constructor() {
    const pauses = this;
    VirtualClock.prototype.after = function (delayMs, fire) {
      if (!pauses.#timers.includes(fire)) pauses.#timers.push(fire);
      const maybe = () => (pauses.#paused.has(fire) ? void pauses.#held.push(fire) : fire());
      return originalAfter.call(this, delayMs, maybe);
    };
  }

  pause(nodeIndex: number): void {
    this.#paused.add(this.#timers[nodeIndex]!);
  }

  resume(fireHeld: boolean): void {
    this.#paused.clear();
    if (fireHeld) for (const fire of this.#held) fire();
  }
}

afterEach(() => {
  VirtualClock.prototype.after = originalAfter;
});

describe('A lease', () => {
  test.each([
    { ticksFirst: true, what: 'its timer comes first' },
    { ticksFirst: false, what: 'a read comes before its timer' },
  ])('does not outlive a pause of the process when $what', async ({ ticksFirst }) => {
    const pauses = new Pauses();
    const c = await DriverCluster.start(3, { raft: { leaseReads: true } });
    const leader = await c.awaitLeader();
    await c.write(leader, 'a');
    pauses.pause(leader.id - 1);
    const others = c.members.filter(m => m !== leader);
    for (const { id } of others) {
      c.network.stall(id, leader.id, 'messages');
      c.network.stall(leader.id, id, 'messages');
    }
    await c.clock.until(() => others.some(m => m.driver.isLeader));
    const written = await c.write(others.find(m => m.driver.isLeader)!, 'b');
    await c.clock.advance(60_000);
    pauses.resume(ticksFirst);
    const read = new ReadOutcome();
    let applied = 0;
    read.onReady = () => {
      applied = leader.driver.appliedIndex;
    };
    leader.driver.read(read);
    await c.clock.settle();
    assert.ok(read.answers === 0 || applied >= written.index);
    await c.stop();
  });
});

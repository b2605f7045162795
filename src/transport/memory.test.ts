// What is special to the memory network: its time belongs to the caller.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { Member } from '../../test/conformance/transport.ts';
import { append, command, heartbeat } from '../../test/conformance/transport-messages.ts';
import { MemoryNetwork, type MemoryNetworkOptions, memoryAddress } from './memory.ts';
import type { LinkEvent } from './transport.ts';

class Bench {
  readonly #runs: (() => void)[] = [];
  readonly network: MemoryNetwork;
  readonly members: Member[] = [];

  constructor(options: Partial<MemoryNetworkOptions> = {}) {
    this.network = new MemoryNetwork({ schedule: run => this.#runs.push(run), ...options });
  }

  get scheduled(): number {
    return this.#runs.length;
  }

  settle(): void {
    for (const run of this.#runs.splice(0)) run();
    if (this.#runs.length > 0) this.settle();
  }

  async start(node: number): Promise<Member> {
    const create = (log: (event: LinkEvent) => void) =>
      this.network.transport({ nodeId: node, clusterId: 1, log });
    const member = new Member(node, create);
    await member.transport.start(member);
    this.members.push(member);
    for (const each of this.members) {
      const others = this.members.filter(other => other !== each);
      each.transport.setPeers(others.map(o => ({ id: o.node, address: memoryAddress(o.node) })));
    }
    return member;
  }
}

describe('MemoryNetwork', () => {
  test('nothing moves before the scheduler runs it, and one turn is one delivery', async () => {
    const bench = new Bench();
    const [a, b] = [await bench.start(1), await bench.start(2)];
    bench.settle();
    a.send(heartbeat(1, 2, 1), heartbeat(1, 2, 2));
    a.send(heartbeat(1, 2, 3));
    assert.deepEqual(b.received, []);
    assert.equal(bench.scheduled, 1);
    bench.settle();
    assert.equal(b.received.length, 3);
  });

  test('what waits when the link is cut is lost and counted', async () => {
    const bench = new Bench();
    const [a, b] = [await bench.start(1), await bench.start(2)];
    bench.settle();
    a.send(heartbeat(1, 2, 1), heartbeat(1, 2, 2));
    bench.network.cut(1, 2);
    bench.network.heal(1, 2);
    bench.settle();
    assert.deepEqual(b.received, []);
    assert.equal(a.link(2).droppedMessages, 2);
    assert.deepEqual(a.news, ['connected 2', 'unreachable 2', 'connected 2']);
  });

  test('isolate() cuts a node off from all others, which still reach each other', async () => {
    const bench = new Bench();
    const [a, b, c] = [await bench.start(1), await bench.start(2), await bench.start(3)];
    bench.network.isolate(3);
    a.send(heartbeat(1, 2, 1), heartbeat(1, 3, 2));
    c.send(heartbeat(3, 1, 3));
    bench.settle();
    assert.deepEqual([a.received.length, b.received.length, c.received.length], [0, 1, 0]);
    bench.network.healAll();
    c.send(heartbeat(3, 1, 4));
    bench.settle();
    assert.equal(a.received.length, 1);
  });

  test('a second node at the same address cannot start', async () => {
    const bench = new Bench();
    await bench.start(1);
    await assert.rejects(bench.start(1), { name: 'TransportError', code: 'ADDRESS_IN_USE' });
  });

  test('through the codec, a message that cannot be encoded is dropped with an event', async () => {
    const bench = new Bench({ encode: true });
    const [a, b] = [await bench.start(1), await bench.start(2)];
    bench.settle();
    a.send(append(1, 2, 1, [command(1, 4), command(7, 4)]), heartbeat(1, 2, 2));
    bench.settle();
    assert.equal(b.received.length, 1);
    assert.ok(a.logged('WIRE_ERROR'));
    assert.equal(a.said('unreachable 2'), 1);
  });

  test('links date from the time that the caller gives', async () => {
    let now = 5;
    const bench = new Bench({ now: () => now });
    const [a] = [await bench.start(1), await bench.start(2)];
    now = 9;
    bench.network.cut(1, 2);
    assert.deepEqual([a.link(2).since, a.link(2).problem], [9, 'the link is cut']);
  });
});

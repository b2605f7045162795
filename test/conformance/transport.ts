// What every Transport owes its users, as one suite. A harness builds nodes of one kind and holds
// their wires in its hand; the facts are the same whether the wires are sockets or arrays.
// Nothing here sleeps: each wait ends with an event that the transport must deliver.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'vitest';
import type { Message } from '../../src/raft/messages.ts';
import type { NodeId } from '../../src/raft/types.ts';
import type {
  LinkEvent,
  LinkEventCode,
  PeerLink,
  Transport,
  TransportEvents,
} from '../../src/transport/transport.ts';
import { append, command, everyKind, heartbeat, snapshotChunk } from './transport-messages.ts';

export interface CreateOptions {
  readonly node: NodeId;
  readonly clusterId: number;
  readonly log: (event: LinkEvent) => void;
}

export interface TransportHarness {
  readonly queueMessagesMax: number;
  create(options: CreateOptions): Transport;
  /** How others reach a node that has been started at least once. */
  address(node: NodeId): string;
  cut(from: NodeId, to: NodeId): void;
  heal(from: NodeId, to: NodeId): void;
  /** The receiver stops reading this connection. */
  stall(from: NodeId, to: NodeId, purpose: 'messages' | 'snapshot'): void;
  resume(from: NodeId, to: NodeId, purpose: 'messages' | 'snapshot'): void;
  dispose(): Promise<void>;
}

const CLUSTER = 7;

/** A started transport and all that it said. */
export class Member implements TransportEvents {
  readonly node: NodeId;
  readonly transport: Transport;
  readonly received: Message[] = [];
  readonly news: string[] = [];
  readonly log: LinkEvent[] = [];
  /** True inside send() and setPeers(): no event may come then. */
  #inCall = false;
  #waiters: (() => void)[] = [];

  constructor(node: NodeId, create: (log: (event: LinkEvent) => void) => Transport) {
    this.node = node;
    this.transport = create(event => {
      this.log.push(event);
      this.#changed();
    });
  }

  receive(messages: readonly Message[]): void {
    assert.ok(!this.#inCall && messages.length > 0);
    this.received.push(...messages);
    this.#changed();
  }

  unreachable(peer: NodeId): void {
    assert.ok(!this.#inCall);
    this.news.push(`unreachable ${peer}`);
    this.#changed();
  }

  connected(peer: NodeId): void {
    assert.ok(!this.#inCall);
    this.news.push(`connected ${peer}`);
    this.#changed();
  }

  send(...messages: Message[]): void {
    this.#inCall = true;
    this.transport.send(messages);
    this.#inCall = false;
  }

  link(peer: NodeId): PeerLink {
    const link = this.transport.links().find(each => each.id === peer);
    assert.ok(link !== undefined, `node ${this.node} has a link to ${peer}`);
    return link;
  }

  logged(code: LinkEventCode): boolean {
    return this.log.some(event => event.code === code);
  }

  said(news: string): number {
    return this.news.filter(each => each === news).length;
  }

  /** Resolves when the condition holds after some event; the test's timeout is the only limit. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      const { promise, resolve } = deferred();
      this.#waiters.push(resolve);
      await promise;
    }
  }

  #changed(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>(done => {
    resolve = done;
  });
  return { promise, resolve };
}

/** One event loop turn: sockets are read, scheduled deliveries run. */
function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}

function rounds(messages: readonly Message[]): number[] {
  return messages.map(message => ('round' in message ? message.round : -1));
}

function numbers(count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

export function transportConformance(
  name: string,
  createHarness: () => TransportHarness,
  options: { readonly isolates: boolean },
): void {
  describe(`Transport: ${name}`, () => {
    let harness: TransportHarness;
    let members: Member[] = [];

    beforeEach(() => {
      harness = createHarness();
    });
    afterEach(async () => {
      await Promise.all(members.map(member => member.transport.close()));
      members = [];
      await harness.dispose();
    });

    async function start(node: NodeId, clusterId = CLUSTER): Promise<Member> {
      const member = new Member(node, log => harness.create({ node, clusterId, log }));
      members.push(member);
      await member.transport.start(member);
      return member;
    }

    function introduce(member: Member, ...peers: NodeId[]): void {
      member.transport.setPeers(peers.map(id => ({ id, address: harness.address(id) })));
    }

    async function connected(...all: Member[]): Promise<void> {
      for (const member of all) {
        introduce(member, ...all.filter(other => other !== member).map(other => other.node));
      }
      for (const member of all) {
        const others = all.filter(other => other !== member);
        await member.until(() => others.every(o => member.said(`connected ${o.node}`) > 0));
      }
    }

    async function pair(): Promise<[Member, Member]> {
      const [a, b] = [await start(1), await start(2)];
      await connected(a, b);
      return [a, b];
    }

    test('messages arrive in the order of sending, each once, in both directions', async () => {
      const [a, b] = await pair();
      let round = 0;
      for (let turns = 0; turns < 100; turns++) {
        const batch = Array.from({ length: 10 }, () => ++round);
        a.send(...batch.map(r => heartbeat(1, 2, r)));
        b.send(...batch.map(r => append(2, 1, r, [command(r, 256)])));
        if (turns % 10 === 0) await turn();
      }
      await b.until(() => b.received.length >= round);
      await a.until(() => a.received.length >= round);
      assert.deepEqual(rounds(b.received), numbers(round));
      assert.deepEqual(rounds(a.received), numbers(round));
    });

    test('one send reaches each peer named in it', async () => {
      const [a, b, c] = [await start(1), await start(2), await start(3)];
      await connected(a, b, c);
      a.send(heartbeat(1, 2, 1), heartbeat(1, 3, 2), heartbeat(1, 2, 3));
      await b.until(() => b.received.length === 2);
      await c.until(() => c.received.length === 1);
      assert.deepEqual(rounds(b.received), [1, 3]);
      assert.deepEqual(rounds(c.received), [2]);
    });

    test('every kind of message arrives with all its fields', async () => {
      const [a, b] = await pair();
      const sent = everyKind(1, 2);
      for (const message of sent) a.send(message);
      await b.until(() => b.received.length === sent.length);
      for (const message of sent) {
        assert.deepEqual(
          b.received.find(each => each.kind === message.kind),
          message,
        );
      }
    });

    test.runIf(options.isolates)(
      'a received message shares no memory with the sent one',
      async () => {
        const [a, b] = await pair();
        const entry = command(1, 64);
        const sent = append(1, 2, 1, [entry]);
        a.send(sent);
        await b.until(() => b.received.length === 1);
        const got = b.received[0]!;
        assert.ok(got.kind === 'append' && got !== sent && got.entries[0] !== entry);
        const before = Uint8Array.from(entry.data);
        entry.data.fill(255);
        assert.deepEqual(Uint8Array.from(got.entries[0]!.data), before);
      },
    );

    test('`connected` is told once a link is up, on both sides', async () => {
      const [a, b] = await pair();
      await a.until(() => a.said('connected 2') === 1);
      await b.until(() => b.said('connected 1') === 1);
      assert.equal(a.link(2).problem, null);
      await b.until(() => b.link(1).hears);
    });

    test('a peer that is not there is `connecting`, with a reason; sending tells unreachable', async () => {
      const [a, b] = await pair();
      await b.transport.close();
      await a.until(() => a.link(2).state === 'connecting');
      assert.ok((a.link(2).problem ?? '').length > 0);
      a.news.length = 0;
      a.send(heartbeat(1, 2, 1), heartbeat(1, 2, 2));
      await a.until(() => a.said('unreachable 2') > 0);
      assert.equal(a.said('unreachable 2'), 1, 'once a turn, not once a message');
      assert.ok(a.link(2).droppedMessages >= 2);
    });

    test('a message to a node that is no peer is dropped silently', async () => {
      const [a, b] = await pair();
      a.news.length = 0;
      a.send(heartbeat(1, 9, 1), heartbeat(1, 2, 2));
      await b.until(() => b.received.length === 1);
      assert.deepEqual(a.news, []);
    });

    test('a cut link is told unreachable; healed, it comes up and carries messages again', async () => {
      const [a, b] = await pair();
      harness.cut(1, 2);
      await a.until(() => a.said('unreachable 2') > 0);
      await a.until(() => a.link(2).state === 'connecting');
      a.send(heartbeat(1, 2, 1));
      harness.heal(1, 2);
      await a.until(() => a.link(2).state === 'connected');
      a.send(heartbeat(1, 2, 2));
      await b.until(() => b.received.length > 0);
      assert.deepEqual(rounds(b.received), [2], 'what was sent into the cut is lost for good');
    });

    test('a link cut one way still carries messages the other way', async () => {
      const [a, b] = await pair();
      harness.cut(1, 2);
      await a.until(() => a.link(2).state === 'connecting');
      b.send(heartbeat(2, 1, 5));
      await a.until(() => a.received.length === 1);
      assert.equal(b.link(1).state, 'connected');
    });

    test('a restarted peer is reached again', async () => {
      const [a, b] = await pair();
      await b.transport.close();
      await a.until(() => a.said('unreachable 2') > 0);
      const again = await start(2);
      introduce(again, 1);
      await a.until(() => a.said('connected 2') === 2);
      a.send(heartbeat(1, 2, 11));
      await again.until(() => again.received.length === 1);
      assert.deepEqual(rounds(again.received), [11]);
      assert.equal(b.received.length, 0);
    });

    test('appends of several MiB arrive whole', async () => {
      const [a, b] = await pair();
      const many = append(
        1,
        2,
        1,
        numbers(3000).map(i => command(i, 1024)),
      );
      const large = append(1, 2, 2, [command(1, 3 * 1024 * 1024)]);
      a.send(many, large, heartbeat(1, 2, 3));
      await b.until(() => b.received.length === 3);
      assert.deepEqual(b.received[0], many);
      assert.deepEqual(b.received[1], large);
    });

    test('a full queue drops what comes after, tells unreachable, and never reorders', async () => {
      const [a, b] = await pair();
      harness.stall(1, 2, 'messages');
      const entries = numbers(4).map(i => command(i, 16 * 1024));
      let round = 0;
      while (a.link(2).droppedMessages === 0) {
        assert.ok(round < 20 * harness.queueMessagesMax, 'the queue is bounded');
        a.send(append(1, 2, ++round, entries), append(1, 2, ++round, entries));
        if (round % 64 === 0) await turn();
      }
      await a.until(() => a.said('unreachable 2') === 1);
      assert.ok(a.logged('QUEUE_FULL'));
      const last = round + 1;
      harness.resume(1, 2, 'messages');
      // What fits in the queue arrives; then there is room again.
      const accepted = round - a.link(2).droppedMessages;
      await b.until(() => b.received.length === accepted);
      assert.deepEqual(rounds(b.received), numbers(accepted));
      a.send(heartbeat(1, 2, last));
      await b.until(() => rounds(b.received).at(-1) === last);
    });

    test('heartbeats pass snapshot chunks that the peer does not read', async () => {
      const [a, b] = await pair();
      harness.stall(1, 2, 'snapshot');
      const chunks = numbers(24).map(i => snapshotChunk(1, 2, i, 1024 * 1024));
      a.send(...chunks);
      for (let round = 1; round <= 5; round++) {
        a.send(heartbeat(1, 2, round));
        await b.until(() => b.received.length === round);
      }
      assert.ok(!b.received.some(message => message.kind === 'snapshot'));
      harness.resume(1, 2, 'snapshot');
      await b.until(() => b.received.length === 5 + chunks.length);
      const arrived = b.received.slice(5);
      assert.deepEqual(rounds(arrived), numbers(chunks.length));
      assert.ok(arrived.every(m => m.kind === 'snapshot' && m.data.length === 1024 * 1024));
      assert.equal(a.said('unreachable 2'), 0);
    });

    test('a node of another cluster is refused, and the problem names both clusters', async () => {
      const [a, b] = [await start(1), await start(2, 99)];
      introduce(b, 1);
      introduce(a, 2);
      await a.until(() => a.link(2).state === 'refused' && a.logged('PEER_REFUSED'));
      assert.match(a.link(2).problem ?? '', /cluster 99.*cluster 7/);
      a.send(heartbeat(1, 2, 1));
      await a.until(() => a.said('unreachable 2') > 0);
      assert.equal(b.received.length, 0);
      assert.equal(a.said('connected 2'), 0);
    });

    test('a node that is not known as a peer is refused until it is', async () => {
      const [a, b] = [await start(1), await start(2)];
      introduce(a, 2);
      await a.until(() => a.link(2).state === 'refused' && a.logged('PEER_REFUSED'));
      assert.match(a.link(2).problem ?? '', /node 2 does not know node 1/);
      introduce(b, 1);
      await a.until(() => a.link(2).state === 'connected');
    });

    test('an address where another node of the cluster lives is refused', async () => {
      const [a, b] = [await start(1), await start(2)];
      introduce(b, 1);
      a.transport.setPeers([{ id: 3, address: harness.address(2) }]);
      await a.until(() => a.link(3).state === 'refused');
      assert.match(a.link(3).problem ?? '', /node 2, not node 3/);
    });

    test("a message in another node's name closes the link and is not handed up", async () => {
      const [a, b] = await pair();
      a.send(heartbeat(1, 2, 1), heartbeat(3, 2, 2), heartbeat(1, 2, 3));
      await b.until(() => b.logged('WIRE_ERROR'));
      await a.until(() => a.said('unreachable 2') > 0 && a.said('connected 2') === 2);
      a.send(heartbeat(1, 2, 4));
      await b.until(() => rounds(b.received).at(-1) === 4);
      assert.ok(!rounds(b.received).includes(2) && !rounds(b.received).includes(3));
      const [event] = b.log.filter(each => each.code === 'WIRE_ERROR');
      assert.match(event?.message ?? '', /node 1 .*from node 3/);
    });

    test('a peer left out of setPeers is closed and its messages are not received', async () => {
      const [a, b] = await pair();
      introduce(a);
      assert.deepEqual(a.transport.links(), []);
      await b.until(() => b.link(1).state === 'refused');
      assert.equal(a.received.length, 0);
    });

    test('a peer whose address changes is dialed at the new one', async () => {
      const [a, b] = await pair();
      await start(3);
      a.transport.setPeers([{ id: 2, address: harness.address(3) }]);
      await a.until(() => a.said('unreachable 2') === 1 && a.link(2).state === 'refused');
      introduce(a, 2);
      await a.until(() => a.link(2).state === 'connected');
      a.send(heartbeat(1, 2, 8));
      await b.until(() => rounds(b.received).at(-1) === 8);
    });

    test('after close() nothing is told any more, and closing twice is fine', async () => {
      const [a, b] = await pair();
      b.send(...numbers(50).map(i => heartbeat(2, 1, i)));
      await a.transport.close();
      const told = [a.received.length, a.news.length, a.log.length];
      b.send(heartbeat(2, 1, 51));
      await b.until(() => b.link(1).state === 'connecting');
      await a.transport.close();
      a.send(heartbeat(1, 2, 1));
      introduce(a, 2);
      assert.deepEqual([a.received.length, a.news.length, a.log.length], told);
      await assert.rejects(a.transport.start(a), { name: 'TransportError', code: 'CLOSED' });
    });
  });
}

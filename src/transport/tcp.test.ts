// What is special to TCP: strangers, damaged bytes, dead peers, ports. What all transports have in
// common is in test/conformance/transport.ts.

import assert from 'node:assert/strict';
import net from 'node:net';
import { afterEach, describe, test } from 'vitest';
import { Member } from '../../test/conformance/transport.ts';
import {
  append,
  command,
  heartbeat,
  snapshotChunk,
} from '../../test/conformance/transport-messages.ts';
import {
  helloBytes,
  ManualClock,
  RawEnd,
  RawServer,
} from '../../test/conformance/transport-tools.ts';
import { ByteWriter } from '../wire/bytes.ts';
import { FRAME_HEADER_BYTES } from '../wire/frame.ts';
import { decodeHello, HELLO_BYTES, WIRE_VERSION_MAX, WIRE_VERSION_MIN } from '../wire/handshake.ts';
import { encodeMessages } from '../wire/message.ts';
import { type TcpOptions, TcpTransport } from './tcp.ts';
import { plainSockets } from './tcp-sockets.ts';
import type { Transport } from './transport.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map(each => each.close()));
});

interface Started extends Member {
  readonly address: string;
  readonly clock: ManualClock;
}

/** Node 1 of cluster 7, with time standing still. */
async function start(options: Partial<TcpOptions> = {}): Promise<Started> {
  const clock = new ManualClock();
  const fixed = { clusterId: 7, nodeId: 1, listen: '127.0.0.1:0', clock, random: () => 0 };
  let transport: TcpTransport | undefined;
  const member = new Member(options.nodeId ?? 1, log => {
    transport = new TcpTransport({ ...fixed, log, ...options });
    return transport as Transport;
  });
  opened.push(member.transport);
  await member.transport.start(member);
  return Object.assign(member, { address: transport!.address!, clock });
}

async function rawServer(): Promise<RawServer> {
  const server = await RawServer.listen();
  opened.push(server);
  return server;
}

function frames(...messages: Parameters<typeof encodeMessages>[1]): Uint8Array {
  const writer = new ByteWriter();
  encodeMessages(writer, messages);
  return writer.copy();
}

const emptyFrame = new Uint8Array(FRAME_HEADER_BYTES);

/** A peer 2 that has passed node 1's handshake. */
async function admitted(node: Started): Promise<RawEnd> {
  node.transport.setPeers([{ id: 2, address: '127.0.0.1:1' }]);
  const end = RawEnd.dial(node.address);
  end.send(helloBytes({}));
  assert.equal(decodeHello(await end.hello()).refusal, null);
  return end;
}

/** Lets node 1 dial a raw peer 2 and answers its handshake. */
async function dialedBy(node: Started): Promise<{ server: RawServer; end: RawEnd }> {
  const server = await rawServer();
  node.transport.setPeers([{ id: 2, address: server.address }]);
  const end = await server.connection(1);
  await end.hello();
  end.send(helloBytes({}));
  await node.until(() => node.said('connected 2') === 1);
  return { server, end };
}

describe('listening', () => {
  test('a taken port is told in words, and start() may be tried again', async () => {
    const first = await start();
    const second = new TcpTransport({ clusterId: 7, nodeId: 2, listen: first.address });
    opened.push(second);
    await assert.rejects(second.start(first), {
      name: 'TransportError',
      code: 'ADDRESS_IN_USE',
      message: /EADDRINUSE\): another process.*already uses that port/,
    });
    await first.transport.close();
    await second.start(first);
    assert.equal(second.address, first.address);
  });

  test('an address that this machine does not have is told in words', async () => {
    const node = new TcpTransport({ clusterId: 7, nodeId: 1, listen: '192.0.2.1:0' });
    opened.push(node);
    const news = { receive: () => {}, unreachable: () => {} };
    await assert.rejects(node.start(news), { code: 'CANNOT_LISTEN', message: /192\.0\.2\.1:0/ });
  });

  test('close() while start() is under way leaves nothing open', async () => {
    const node = new TcpTransport({ clusterId: 7, nodeId: 1, listen: 'localhost:0' });
    const starting = node.start({ receive: () => {}, unreachable: () => {} });
    const closing = node.close();
    await assert.rejects(starting, { code: 'CLOSED' });
    await closing;
  });

  test('close() ends sockets, timers and the server', async () => {
    const node = await start();
    const end = await admitted(node);
    const stranger = RawEnd.dial(node.address);
    stranger.send('GET');
    await node.transport.close();
    await Promise.all([end.closed(), stranger.closed()]);
    assert.equal(node.clock.pending, 0);
    const probe = net.connect({ host: '127.0.0.1', port: Number(node.address.split(':')[1]) });
    const error = await new Promise(resolve => probe.once('error', resolve));
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });
});

describe('strangers', () => {
  const refused = [
    { what: 'another cluster', hello: { clusterId: 8 }, refusal: 'cluster' },
    { what: 'an unknown node', hello: { nodeId: 3 }, refusal: 'unknownPeer' },
    { what: "the node's own id", hello: { nodeId: 1 }, refusal: 'unknownPeer' },
    { what: 'a wrong expectation', hello: { expected: 5 }, refusal: 'notMe' },
    {
      what: 'newer versions only',
      hello: { versionMin: 200, versionMax: 201 },
      refusal: 'version',
    },
  ] as const;

  test.each(refused)('a hello with $what is answered with the refusal "$refusal"', async each => {
    const node = await start();
    node.transport.setPeers([{ id: 2, address: '127.0.0.1:1' }]);
    const end = RawEnd.dial(node.address);
    end.send(helloBytes(each.hello));
    const answer = decodeHello(await end.hello());
    assert.equal(answer.refusal, each.refusal);
    assert.deepEqual([answer.clusterId, answer.nodeId], [7, 1]);
    await end.closed();
    await node.until(() => node.logged('PEER_REFUSED'));
  });

  test.each([
    ['an HTTP request', 'GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n and some more'],
    ['zeros', new Uint8Array(64)],
    ['a damaged hello', helloBytes({}).map((byte, i) => (i === 20 ? byte ^ 1 : byte))],
  ])('%s instead of a hello closes the connection with an event', async (_, bytes) => {
    const node = await start();
    const end = RawEnd.dial(node.address);
    end.send(bytes);
    await end.closed();
    assert.equal(end.received.length, 0);
    await node.until(() => node.logged('WIRE_ERROR'));
  });

  test('a connection that never says hello is closed after the handshake timeout', async () => {
    const node = await start();
    const end = RawEnd.dial(node.address);
    end.send(helloBytes({}).subarray(0, HELLO_BYTES - 1));
    // The refusal of a second one shows that the first has been accepted before.
    const other = RawEnd.dial(node.address);
    other.send(helloBytes({ clusterId: 9 }));
    await other.closed();
    node.clock.advance(3000);
    await end.closed();
  });

  test('more connections than peers and a margin account for are closed at once', async () => {
    const node = await start({ limits: { strangersMax: 2 } });
    const ends = [1, 2, 3].map(() => RawEnd.dial(node.address));
    await ends[2]!.closed();
    assert.equal(ends.filter(end => end.socket.destroyed).length, 1);
    for (const end of ends) end.socket.destroy();
  });

  test('a hello cut into single bytes is understood', async () => {
    const node = await start();
    node.transport.setPeers([{ id: 2, address: '127.0.0.1:1' }]);
    const end = RawEnd.dial(node.address);
    for (const byte of helloBytes({})) end.send(Uint8Array.of(byte));
    end.send(frames(heartbeat(2, 1, 4)));
    await node.until(() => node.received.length === 1);
  });
});

describe('an accepted connection', () => {
  test('damaged frames close it with an event; what came whole before is handed up', async () => {
    const node = await start();
    const end = await admitted(node);
    const good = frames(heartbeat(2, 1, 1));
    const bad = frames(append(2, 1, 2, [command(1, 100)]));
    bad[bad.length - 1]! ^= 4;
    end.send(Buffer.concat([good, bad, good]));
    await end.closed();
    await node.until(() => node.logged('WIRE_ERROR'));
    assert.equal(node.received.length, 1);
    assert.match(node.log.find(e => e.code === 'WIRE_ERROR')!.message, /2 127\.0\.0\.1:1: .*check/);
  });

  test('no mutation of one byte brings the process down or passes unseen', async () => {
    const node = await start({ limits: { strangersMax: 1000 } });
    const whole = frames(append(2, 1, 1, [command(1, 20)]));
    for (let i = 0; i < whole.length; i++) {
      // Not the upper length bytes: a longer frame is only waited for, as it must be.
      if (i < 3) continue;
      const end = await admitted(node);
      end.send(Uint8Array.from(whole, (byte, at) => (at === i ? byte ^ 0x41 : byte)));
      await end.closed();
    }
    assert.deepEqual(node.received, []);
  });

  test('a declared length beyond the limit closes it without waiting for the bytes', async () => {
    const node = await start();
    const end = await admitted(node);
    end.send(Uint8Array.of(255, 255, 255, 127, 0, 0, 0, 0));
    await end.closed();
  });

  test('a message for another node closes it', async () => {
    const node = await start();
    const end = await admitted(node);
    end.send(frames(heartbeat(2, 3, 1)));
    await end.closed();
    await node.until(() => node.logged('WIRE_ERROR'));
    assert.deepEqual(node.received, []);
  });

  test('a ping is answered by an empty frame', async () => {
    const node = await start();
    const end = await admitted(node);
    end.send(emptyFrame);
    const answer = await end.bytes(HELLO_BYTES + FRAME_HEADER_BYTES);
    assert.deepEqual(Uint8Array.from(answer.subarray(HELLO_BYTES)), emptyFrame);
  });

  test('a newer connection of the same peer replaces it', async () => {
    const node = await start();
    const old = await admitted(node);
    const end = await admitted(node);
    await old.closed();
    end.send(frames(heartbeat(2, 1, 6)));
    await node.until(() => node.received.length === 1);
    assert.equal(node.link(2).hears, true);
  });

  test('silence for more than the allowed ping intervals closes it; any byte defers that', async () => {
    const node = await start();
    const end = await admitted(node);
    node.clock.advance(3000);
    end.send(frames(heartbeat(2, 1, 1)));
    await node.until(() => node.received.length === 1);
    node.clock.advance(3000);
    assert.equal(node.link(2).hears, true);
    node.clock.advance(1000);
    assert.equal(node.link(2).hears, false);
    await end.closed();
    assert.ok(node.logged('PEER_LOST'));
  });
});

describe('a dialed connection', () => {
  test('answered pings keep it and measure the round trip; unanswered ones end it', async () => {
    const node = await start();
    const { end } = await dialedBy(node);
    node.clock.advance(1000);
    await end.bytes(HELLO_BYTES + FRAME_HEADER_BYTES);
    node.clock.advance(40);
    assert.equal(node.link(2).roundTripMs, null);
    const before = node.link(2).receivedBytes;
    end.send(emptyFrame);
    while (node.link(2).receivedBytes === before) await new Promise(setImmediate);
    assert.equal(node.link(2).roundTripMs, 40);
    node.clock.advance(4000);
    assert.equal(node.link(2).state, 'connected');
    node.clock.advance(1000);
    assert.equal(node.link(2).state, 'connecting');
    assert.match(node.link(2).problem ?? '', /no answer to pings/);
    await node.until(() => node.said('unreachable 2') === 1);
    await end.closed();
  });

  test('bytes with a body in the answering direction end it with an event', async () => {
    const node = await start();
    const { end } = await dialedBy(node);
    end.send(frames(heartbeat(2, 1, 1)));
    await end.closed();
    await node.until(() => node.logged('WIRE_ERROR') && node.said('unreachable 2') === 1);
    assert.deepEqual(node.received, []);
  });

  test('an answer that is no hello is told as a problem', async () => {
    const node = await start();
    const server = await rawServer();
    node.transport.setPeers([{ id: 2, address: server.address }]);
    const end = await server.connection(1);
    end.send('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    await node.until(() => node.logged('PEER_UNREACHABLE'));
    assert.match(node.link(2).problem ?? '', /not a Kontiki peer/);
  });

  test('a peer with other wire versions is refused, naming both ranges', async () => {
    const node = await start();
    const server = await rawServer();
    node.transport.setPeers([{ id: 2, address: server.address }]);
    (await server.connection(1)).send(helloBytes({ versionMin: 90, versionMax: 91 }));
    await node.until(() => node.logged('PEER_REFUSED'));
    assert.equal(node.link(2).state, 'refused');
    const own = `${WIRE_VERSION_MIN}-${WIRE_VERSION_MAX}`;
    assert.ok(node.link(2).problem?.includes(`versions 90-91, this node ${own}`));
  });

  test('a node that dials itself is refused', async () => {
    const node = await start();
    node.transport.setPeers([{ id: 2, address: node.address }]);
    await node.until(() => node.link(2).state === 'refused');
    assert.match(node.link(2).problem ?? '', /this node itself/);
  });

  test('no answer to the hello ends the dial after the handshake timeout', async () => {
    const node = await start();
    const server = await rawServer();
    node.transport.setPeers([{ id: 2, address: server.address }]);
    const end = await server.connection(1);
    await end.hello();
    node.clock.advance(3000);
    assert.match(node.link(2).problem ?? '', /no answer in time/);
    await end.closed();
  });

  test('an address that is none is told as a problem and never dialed', async () => {
    const node = await start();
    node.transport.setPeers([{ id: 2, address: 'no port here' }]);
    assert.equal(node.link(2).state, 'connecting');
    assert.match(
      node.link(2).problem ?? '',
      /"no port here" is not an address of the form host:port/,
    );
    assert.equal(node.clock.pending, 1, 'only the ping timer');
  });
});

describe('redialing', () => {
  test('a peer that is down is logged once in five seconds, with a hint', async () => {
    let dials = 0;
    const dialed: net.Socket[] = [];
    const node = await start({
      nameOf: id => (id === 2 ? 'b' : String(id)),
      sockets: {
        ...plainSockets,
        dial: (target, ready) => {
          dials += 1;
          const socket = plainSockets.dial(target, ready);
          dialed.push(socket);
          return socket;
        },
      },
    });
    const gone = await RawServer.listen();
    const address = gone.address;
    await gone.close();
    node.transport.setPeers([{ id: 2, address }]);
    for (let waitedMs = 0; waitedMs < 5500; waitedMs += 500) {
      const socket = dialed.at(-1)!;
      if (!socket.destroyed) await new Promise(resolve => socket.once('close', resolve));
      node.clock.advance(500);
    }
    assert.ok(dials >= 5, `${dials} dials`);
    const lines = node.log.filter(event => event.code === 'PEER_UNREACHABLE');
    assert.equal(lines.length, 2);
    assert.equal(lines[0]!.message, `PEER_UNREACHABLE b ${address} (ECONNREFUSED): is it running?`);
    assert.match(lines[1]!.message, /\(\d+ more like this\)$/);
  });

  test('a peer that dials us is dialed back without waiting out the backoff', async () => {
    let dials = 0;
    const node = await start({
      limits: { backoff: { minMs: 1000, maxMs: 100_000 }, redialMinMs: 50 },
      sockets: {
        ...plainSockets,
        dial: (target, ready) => {
          dials += 1;
          return plainSockets.dial(target, ready);
        },
      },
    });
    const { server, end } = await dialedBy(node);
    end.socket.destroy();
    await node.until(() => node.said('unreachable 2') === 1);
    const caller = RawEnd.dial(node.address);
    caller.send(helloBytes({}));
    await caller.hello();
    // Not at once either: two sides that fail at once must not wake each other in a loop.
    node.clock.advance(49);
    assert.equal(dials, 1);
    node.clock.advance(1);
    assert.equal(dials, 2);
    // The peer has shown that it is there, so the waits begin anew, at half of the minimum here.
    (await server.connection(2)).socket.destroy();
    await node.until(() => node.logged('PEER_UNREACHABLE'));
    node.clock.advance(500);
    assert.equal(dials, 3);
  });

  test('snapshot chunks have a connection of their own, dialed on demand, closed when idle', async () => {
    const node = await start();
    const { server, end } = await dialedBy(node);
    const chunks = [snapshotChunk(1, 2, 1, 1000), snapshotChunk(1, 2, 2, 1000)];
    node.send(...chunks);
    const bulk = await server.connection(2);
    assert.equal(decodeHello(await bulk.hello()).purpose, 'snapshot');
    bulk.send(helloBytes({ purpose: 'snapshot' }));
    const bulkBytes = HELLO_BYTES + frames(...chunks).length;
    await bulk.bytes(bulkBytes);
    assert.equal(end.received.length, HELLO_BYTES);
    for (let interval = 1; !bulk.socket.destroyed; interval++) {
      assert.ok(interval < 20, 'an idle connection is closed');
      node.clock.advance(1000);
      for (const each of [end, bulk]) {
        const pings = interval * FRAME_HEADER_BYTES;
        await each.bytes(each === bulk ? bulkBytes + pings : HELLO_BYTES + pings);
      }
      const answered = node.link(2).receivedBytes + 2 * FRAME_HEADER_BYTES;
      for (const each of [end, bulk]) if (!each.socket.destroyed) each.send(emptyFrame);
      while (node.link(2).receivedBytes < answered && !bulk.socket.destroyed) {
        await new Promise(setImmediate);
      }
    }
    await bulk.closed();
    assert.equal(end.socket.destroyed, false);
    assert.equal(node.said('unreachable 2'), 0);
    node.send(snapshotChunk(1, 2, 3, 1000));
    await server.connection(3);
  });

  test('chunks whose connection cannot be opened are told unreachable', async () => {
    const node = await start();
    const { server, end } = await dialedBy(node);
    node.send(snapshotChunk(1, 2, 1, 1000));
    (await server.connection(2)).socket.destroy();
    await node.until(() => node.said('unreachable 2') === 1);
    assert.equal(node.link(2).droppedMessages, 1);
    assert.equal(node.link(2).state, 'connected', 'the link for messages stays');
    assert.equal(end.socket.destroyed, false);
  });

  test('a message that cannot be encoded is left out; the others arrive', async () => {
    const node = await start();
    const { end } = await dialedBy(node);
    const gap = append(1, 2, 2, [command(1, 4), command(9, 4)]);
    const rest = frames(heartbeat(1, 2, 1), heartbeat(1, 2, 3));
    node.send(heartbeat(1, 2, 1), gap, heartbeat(1, 2, 3));
    await end.bytes(HELLO_BYTES + rest.length);
    await node.until(() => node.logged('WIRE_ERROR') && node.said('unreachable 2') === 1);
    assert.equal(node.link(2).droppedMessages, 1);
  });
});

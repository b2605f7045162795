// The two transports, each with a harness that holds its wires.

import type net from 'node:net';
import type { NodeId } from '../../src/raft/types.ts';
import { MemoryNetwork, memoryAddress } from '../../src/transport/memory.ts';
import { TcpTransport } from '../../src/transport/tcp.ts';
import { plainSockets, type SocketLayer } from '../../src/transport/tcp-sockets.ts';
import { type CreateOptions, type TransportHarness, transportConformance } from './transport.ts';

/** Large enough for the bursts of the suite, small enough to be filled quickly. */
const QUEUE_MESSAGES_MAX = 512;

function memoryHarness(encode: boolean): TransportHarness {
  const network = new MemoryNetwork({
    schedule: run => setImmediate(run),
    encode,
    queueMessagesMax: QUEUE_MESSAGES_MAX,
  });
  return {
    queueMessagesMax: QUEUE_MESSAGES_MAX,
    create: ({ node, clusterId, log }) => network.transport({ nodeId: node, clusterId, log }),
    address: memoryAddress,
    cut: (from, to) => network.cut(from, to),
    heal: (from, to) => network.heal(from, to),
    stall: (from, to, purpose) => network.stall(from, to, purpose),
    resume: (from, to, purpose) => network.resume(from, to, purpose),
    dispose: async () => {},
  };
}

/**
 * Real sockets on loopback. A cut refuses dials and destroys what is connected; a stall stops the
 * receiving socket from being read, once it has read the handshake.
 */
class TcpHarness implements TransportHarness {
  readonly queueMessagesMax = QUEUE_MESSAGES_MAX;
  readonly #transports = new Map<NodeId, TcpTransport>();
  readonly #addresses = new Map<NodeId, string>();
  readonly #cuts = new Set<string>();
  readonly #stalls = new Set<string>();
  /** Which route a connection belongs to, by the port that it was dialed from. */
  readonly #dialed = new Map<net.Socket, string>();
  readonly #accepted = new Map<net.Socket, { greeted: boolean }>();

  create({ node, clusterId, log }: CreateOptions): TcpTransport {
    const transport = new TcpTransport({
      clusterId,
      nodeId: node,
      listen: this.#addresses.get(node) ?? '127.0.0.1:0',
      log,
      sockets: this.#sockets(node),
      // Nothing may depend on how long a busy machine takes for a test.
      limits: {
        queueMessagesMax: QUEUE_MESSAGES_MAX,
        queueBytesMax: 32 * 1024 * 1024,
        pingIntervalMs: 600_000,
        handshakeTimeoutMs: 600_000,
        redialMinMs: 1,
      },
    });
    this.#transports.set(node, transport);
    return transport;
  }

  address(node: NodeId): string {
    const address = this.#transports.get(node)?.address ?? this.#addresses.get(node);
    if (address === null || address === undefined) throw new Error(`node ${node} is not started`);
    this.#addresses.set(node, address);
    return address;
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`);
    for (const [socket, route] of this.#dialed) {
      if (route.startsWith(`${from}>${to} `)) socket.destroy(lineCut());
    }
  }

  heal(from: NodeId, to: NodeId): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  stall(from: NodeId, to: NodeId, purpose: string): void {
    this.#stalls.add(`${from}>${to} ${purpose}`);
    this.#apply();
  }

  resume(from: NodeId, to: NodeId, purpose: string): void {
    this.#stalls.delete(`${from}>${to} ${purpose}`);
    this.#apply();
  }

  async dispose(): Promise<void> {
    if (this.#dialed.size + this.#accepted.size > 0) throw new Error('a socket was left open');
  }

  #sockets(node: NodeId): SocketLayer {
    return {
      dial: (target, ready) => {
        const socket = plainSockets.dial(target, ready);
        if (this.#cuts.has(`${node}>${target.peer}`)) socket.destroy(lineCut());
        this.#dialed.set(socket, `${node}>${target.peer} ${target.purpose}`);
        socket.once('connect', () => this.#apply());
        socket.once('close', () => this.#dialed.delete(socket));
        return socket;
      },
      createServer: accepted =>
        plainSockets.createServer(socket => {
          const state = { greeted: false };
          this.#accepted.set(socket, state);
          socket.once('close', () => this.#accepted.delete(socket));
          accepted(socket);
          socket.once('data', () => {
            state.greeted = true;
            this.#apply();
          });
        }),
    };
  }

  #apply(): void {
    const routes = new Map<number | undefined, string>();
    for (const [socket, route] of this.#dialed) routes.set(socket.localPort, route);
    for (const [socket, { greeted }] of this.#accepted) {
      const route = routes.get(socket.remotePort);
      if (!greeted || route === undefined) continue;
      if (this.#stalls.has(route)) socket.pause();
      else socket.resume();
    }
  }
}

function lineCut(): Error {
  return Object.assign(new Error('the line is cut'), { code: 'EHOSTUNREACH' });
}

transportConformance('memory', () => memoryHarness(false), { isolates: false });
transportConformance('memory, through the codec', () => memoryHarness(true), { isolates: true });
transportConformance('TCP', () => new TcpHarness(), { isolates: true });

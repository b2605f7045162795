// Peer links over TCP. A node listens once and dials every peer; it sends only on connections that
// it dialed and receives only on those that it accepted. So each direction of a pair is one ordered
// stream with its own fate, and two dials that cross need no tie-break.

import type { AddressInfo, Server, Socket } from 'node:net';
import type { Message } from '../raft/messages.ts';
import { NO_NODE, type NodeId } from '../raft/types.ts';
import { formatAddress, type HostPort, parseAddress } from './address.ts';
import { EventLimiter } from './event-limiter.ts';
import { Notices } from './notices.ts';
import type { Self } from './tcp-handshake.ts';
import { type LinkHost, TCP_LIMITS, type TcpLimits } from './tcp-host.ts';
import { InboundLink } from './tcp-inbound.ts';
import { OutboundLink } from './tcp-outbound.ts';
import { formatProblemOf, listenError, socketProblem } from './tcp-problems.ts';
import { plainSockets, type SocketLayer } from './tcp-sockets.ts';
import {
  type LinkClock,
  type LinkEvent,
  type PeerAddress,
  type PeerLink,
  type Transport,
  TransportError,
  type TransportEvents,
} from './transport.ts';

export interface TcpOptions {
  readonly clusterId: number;
  readonly nodeId: NodeId;
  /** `host:port`; port 0 takes a free one, see TcpTransport.address. */
  readonly listen: string;
  readonly log?: (event: LinkEvent) => void;
  /** How log lines call a peer; its id when left out. */
  readonly nameOf?: (peer: NodeId) => string;
  readonly limits?: Partial<TcpLimits>;
  readonly sockets?: SocketLayer;
  readonly clock?: LinkClock;
  /** For the jitter of redials. */
  readonly random?: () => number;
}

const systemClock: LinkClock = {
  now: () => performance.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

interface Peer {
  readonly address: string;
  readonly messages: OutboundLink;
  readonly snapshot: OutboundLink;
  inboundBytes: number;
}

export class TcpTransport implements Transport {
  readonly #self: Self;
  readonly #listen: HostPort;
  readonly #limits: TcpLimits;
  readonly #host: LinkHost;
  readonly #log: EventLimiter;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #inbound = new Set<InboundLink>();
  /** Every socket that is not closed yet; close() waits for all of them. */
  readonly #sockets = new Set<Socket>();
  readonly #notices: Notices;
  readonly #outboundEvents = {
    up: (link: OutboundLink) => this.#linkUp(link),
    down: (link: OutboundLink) => this.#notices.add('unreachable', link.peer),
  };
  readonly #inboundEvents = {
    accepted: (link: InboundLink) => this.#accepted(link),
    ended: (link: InboundLink) => this.#ended(link),
  };
  #server: Server | null = null;
  /** Settles, without an error, once the server listens or can't; close() must not overtake it. */
  #starting: Promise<unknown> = Promise.resolve();
  #events: TransportEvents | null = null;
  #address: string | null = null;
  #pingTimer: { cancel(): void } | null = null;
  #closing: Promise<void> | null = null;

  /** Throws a TransportError BAD_ADDRESS. */
  constructor(options: TcpOptions) {
    const clock = options.clock ?? systemClock;
    this.#self = { clusterId: options.clusterId, nodeId: options.nodeId };
    this.#listen = parseAddress(options.listen);
    this.#limits = { ...TCP_LIMITS, ...options.limits };
    this.#log = new EventLimiter(options.log, {
      now: () => clock.now(),
      intervalMs: this.#limits.logIntervalMs,
    });
    this.#notices = new Notices(queueMicrotask, () => this.#events);
    const nameOf = options.nameOf ?? String;
    this.#host = {
      self: this.#self,
      limits: this.#limits,
      clock,
      random: options.random ?? Math.random,
      sockets: options.sockets ?? plainSockets,
      log: this.#log,
      describe: id => `${nameOf(id)} ${this.#peers.get(id)?.address ?? ''}`.trimEnd(),
      isPeer: id => this.#peers.has(id),
      track: socket => this.#track(socket),
      receive: messages => this.#events?.receive(messages),
    };
  }

  /** Where this node really listens; null before start(). */
  get address(): string | null {
    return this.#address;
  }

  async start(events: TransportEvents): Promise<void> {
    if (this.#closing !== null) throw new TransportError('CLOSED', 'the transport was closed');
    if (this.#server !== null) throw new TransportError('CANNOT_LISTEN', 'already started');
    const server = this.#host.sockets.createServer(socket => this.#accept(socket));
    this.#server = server;
    const starting = listening(server, this.#listen);
    this.#starting = starting.catch(() => {});
    try {
      await starting;
    } catch (error) {
      this.#server = null;
      throw listenError(error, formatAddress(this.#listen));
    }
    server.on('error', error => {
      this.#log.emit(
        'ACCEPT_FAILED',
        NO_NODE,
        formatProblemOf(`${this.#address}`, socketProblem(error)),
      );
    });
    if (this.#closing !== null) throw new TransportError('CLOSED', 'closed while starting');
    const { address, port } = server.address() as AddressInfo;
    this.#address = formatAddress({ host: address, port });
    this.#events = events;
    this.#log.emit('LISTENING', this.#self.nodeId, `for peers at ${this.#address}`);
    for (const peer of this.#peers.values()) peer.messages.dial();
    this.#schedulePings();
  }

  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#closing !== null) return;
    const wanted = new Map(peers.map(peer => [peer.id, peer.address]));
    wanted.delete(this.#self.nodeId);
    for (const [id, peer] of this.#peers) {
      if (wanted.get(id) === peer.address) continue;
      this.#removePeer(id, peer, wanted.has(id));
    }
    for (const [id, address] of wanted) {
      if (!this.#peers.has(id)) this.#addPeer(id, address);
    }
  }

  send(messages: readonly Message[]): void {
    if (this.#events === null) return;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const peer = this.#peers.get(message.to);
      // Not a peer any more, or not yet: there is no link that could be told unreachable.
      if (peer === undefined) continue;
      const link = message.kind === 'snapshot' ? peer.snapshot : peer.messages;
      if (!link.add(message)) this.#notices.add('unreachable', message.to);
    }
    for (const [id, peer] of this.#peers) {
      if (!peer.messages.flush()) this.#notices.add('unreachable', id);
      if (!peer.snapshot.flush()) this.#notices.add('unreachable', id);
    }
  }

  links(): PeerLink[] {
    return [...this.#peers].map(([id, peer]) => this.#describeLink(id, peer));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#events = null;
    this.#pingTimer?.cancel();
    for (const peer of this.#peers.values()) {
      peer.messages.close();
      peer.snapshot.close();
    }
    for (const link of this.#inbound) link.close();
    await this.#starting;
    const gone = [...this.#sockets].map(closed);
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    if (server !== null) {
      gone.push(closed(server));
      server.close();
    }
    await Promise.all(gone);
  }

  #addPeer(id: NodeId, address: string): void {
    const link = (purpose: 'messages' | 'snapshot') =>
      new OutboundLink(this.#host, this.#outboundEvents, { peer: id, address, purpose });
    const peer = {
      address,
      messages: link('messages'),
      snapshot: link('snapshot'),
      inboundBytes: 0,
    };
    this.#peers.set(id, peer);
    if (this.#events !== null) peer.messages.dial();
  }

  #removePeer(id: NodeId, peer: Peer, moved: boolean): void {
    if (peer.messages.state === 'connected') this.#notices.add('unreachable', id);
    peer.messages.close();
    peer.snapshot.close();
    this.#peers.delete(id);
    // A peer that moved may keep the connections that it dialed: they prove who it is.
    if (moved) return;
    for (const link of this.#inbound) if (link.peer === id) link.close();
  }

  #accept(socket: Socket): void {
    // A peer accounts for four connections, and for as many again while dead ones linger.
    const socketsMax = this.#limits.strangersMax + 8 * this.#peers.size;
    if (this.#closing !== null || this.#sockets.size >= socketsMax) {
      socket.on('error', () => {});
      this.#track(socket);
      socket.destroy();
      return;
    }
    this.#inbound.add(new InboundLink(this.#host, this.#inboundEvents, socket));
  }

  #accepted(link: InboundLink): void {
    for (const other of this.#inbound) {
      // The peer dialed anew, so the older connection is dead even if we have not seen it die.
      const replaced = other.peer === link.peer && other.purpose === link.purpose;
      if (replaced && other !== link) other.close();
    }
    this.#peers.get(link.peer)?.messages.dialSoon();
  }

  #ended(link: InboundLink): void {
    this.#inbound.delete(link);
    const peer = this.#peers.get(link.peer);
    if (peer !== undefined) peer.inboundBytes += link.receivedBytes;
  }

  #linkUp(link: OutboundLink): void {
    if (link.purpose === 'snapshot') return;
    this.#log.emit('PEER_CONNECTED', link.peer, this.#host.describe(link.peer));
    this.#notices.add('connected', link.peer);
  }

  #schedulePings(): void {
    this.#pingTimer = this.#host.clock.after(this.#limits.pingIntervalMs, () => {
      // Missed pings are counted in ticks of this timer, not in milliseconds: after a stall of our
      // own event loop the answers that wait in the sockets are read before the next tick.
      this.#schedulePings();
      for (const peer of this.#peers.values()) {
        peer.messages.tick();
        peer.snapshot.tick();
      }
      for (const link of this.#inbound) link.tick();
    });
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #describeLink(id: NodeId, peer: Peer): PeerLink {
    const { messages, snapshot } = peer;
    let hears = false;
    let receivedBytes = peer.inboundBytes + messages.receivedBytes + snapshot.receivedBytes;
    for (const link of this.#inbound) {
      if (link.peer !== id) continue;
      hears ||= link.purpose === 'messages';
      receivedBytes += link.receivedBytes;
    }
    return {
      id,
      address: peer.address,
      state: messages.state,
      problem: messages.problem,
      since: messages.since,
      hears,
      roundTripMs: messages.roundTripMs,
      sentBytes: messages.sentBytes + snapshot.sentBytes,
      receivedBytes,
      sentMessages: messages.sentMessages + snapshot.sentMessages,
      droppedMessages: messages.droppedMessages + snapshot.droppedMessages,
      queuedBytes: messages.queuedBytes + snapshot.queuedBytes,
    };
  }
}

function listening(server: Server, { host, port }: HostPort): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closed(handle: Server | Socket): Promise<void> {
  return new Promise(resolve => {
    handle.once('close', () => resolve());
  });
}

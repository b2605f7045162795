// Links between nodes of one process: devCluster and tests. Any number of transports hang on one
// MemoryNetwork, which also is the hand that cuts and stalls their links. It keeps the promises of
// transport.ts, loss included: what waits on a link that goes down is gone.
//
// Nothing is delivered from inside send(): deliveries go through the caller's scheduler, so that a
// test or a simulator decides when time goes on.

import type { Message } from '../raft/messages.ts';
import type { NodeId } from '../raft/types.ts';
import { ByteWriter, WireError } from '../wire/bytes.ts';
import { FRAME_HEADER_BYTES } from '../wire/frame.ts';
import type { LinkPurpose } from '../wire/handshake.ts';
import { decodeMessages, encodeMessages } from '../wire/message.ts';
import { Notices } from './notices.ts';
import {
  type LinkEvent,
  type LinkEventCode,
  type PeerAddress,
  type PeerLink,
  type PeerState,
  type Transport,
  TransportError,
  type TransportEvents,
} from './transport.ts';

export interface MemoryNetworkOptions {
  /** Runs the function later, never at once: a microtask, or the end of the clock's turn. */
  readonly schedule: (run: () => void) => void;
  /** Passes each message through the wire codec: real isolation and real limits, at its price. */
  readonly encode?: boolean;
  /** For PeerLink.since; without it every link dates from 0. */
  readonly now?: () => number;
  /** Messages that may wait on one lane of one link; more are dropped. */
  readonly queueMessagesMax?: number;
}

export interface MemoryTransportOptions {
  readonly clusterId: number;
  readonly nodeId: NodeId;
  /** By which peers find it; `memory:<nodeId>` when left out. */
  readonly address?: string;
  readonly log?: (event: LinkEvent) => void;
}

const QUEUE_MESSAGES_MAX = 4096;

export function memoryAddress(nodeId: NodeId): string {
  return `memory:${nodeId}`;
}

/** The wires. Links are one way: cutting both ways takes two calls, or isolate(). */
export class MemoryNetwork {
  readonly options: Required<MemoryNetworkOptions>;
  readonly #byAddress = new Map<string, MemoryTransport>();
  readonly #cuts = new Set<string>();
  readonly #stalls = new Set<string>();

  constructor(options: MemoryNetworkOptions) {
    this.options = {
      encode: false,
      now: () => 0,
      queueMessagesMax: QUEUE_MESSAGES_MAX,
      ...options,
    };
  }

  transport(options: MemoryTransportOptions): Transport {
    return new MemoryTransport(this, options);
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`);
    this.refresh();
  }

  heal(from: NodeId, to: NodeId): void {
    this.#cuts.delete(`${from}>${to}`);
    this.refresh();
  }

  /** Cuts all links of this node with the started ones, both ways. */
  isolate(node: NodeId): void {
    for (const other of this.#byAddress.values()) {
      if (other.nodeId === node) continue;
      this.#cuts.add(`${node}>${other.nodeId}`);
      this.#cuts.add(`${other.nodeId}>${node}`);
    }
    this.refresh();
  }

  healAll(): void {
    this.#cuts.clear();
    this.#stalls.clear();
    this.refresh();
    for (const transport of this.#byAddress.values()) transport.scheduleDelivery();
  }

  /** What is sent waits, as behind a reader that does not read, until resume() or loss. */
  stall(from: NodeId, to: NodeId, lane: LinkPurpose): void {
    this.#stalls.add(`${from}>${to} ${lane}`);
  }

  resume(from: NodeId, to: NodeId, lane: LinkPurpose): void {
    this.#stalls.delete(`${from}>${to} ${lane}`);
    for (const transport of this.#byAddress.values()) {
      if (transport.nodeId === to) transport.scheduleDelivery();
    }
  }

  /** For the transports only. */
  register(transport: MemoryTransport): void {
    if (this.#byAddress.has(transport.address)) {
      throw new TransportError('ADDRESS_IN_USE', `${transport.address} is already in use`);
    }
    this.#byAddress.set(transport.address, transport);
    this.refresh();
  }

  /** For the transports only. */
  unregister(transport: MemoryTransport): void {
    if (this.#byAddress.get(transport.address) === transport) {
      this.#byAddress.delete(transport.address);
    }
    this.refresh();
  }

  /** For the transports only: recomputes which links are up, after any change. */
  refresh(): void {
    for (const transport of this.#byAddress.values()) transport.refreshLinks();
  }

  /** For the transports only. */
  at(address: string): MemoryTransport | undefined {
    return this.#byAddress.get(address);
  }

  started(): Iterable<MemoryTransport> {
    return this.#byAddress.values();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  isStalled(from: NodeId, to: NodeId, lane: LinkPurpose): boolean {
    return this.#stalls.has(`${from}>${to} ${lane}`);
  }
}

/** One node's sending direction to one peer. */
class MemoryLink {
  readonly peer: PeerAddress;
  state: PeerState = 'connecting';
  problem: string | null = 'not started';
  since: number;
  receivedMessages = 0;
  sentMessages = 0;
  droppedMessages = 0;
  readonly lanes: Readonly<Record<LinkPurpose, Message[]>> = { messages: [], snapshot: [] };

  constructor(peer: PeerAddress, since: number) {
    this.peer = peer;
    this.since = since;
  }

  /** What waited is lost; counted, so that nothing vanishes unseen. */
  discard(): number {
    const lost = this.lanes.messages.length + this.lanes.snapshot.length;
    this.lanes.messages.length = 0;
    this.lanes.snapshot.length = 0;
    this.droppedMessages += lost;
    return lost;
  }
}

class MemoryTransport implements Transport {
  readonly nodeId: NodeId;
  readonly clusterId: number;
  readonly address: string;
  readonly #network: MemoryNetwork;
  readonly #log: ((event: LinkEvent) => void) | undefined;
  readonly #links = new Map<NodeId, MemoryLink>();
  #events: TransportEvents | null = null;
  #closed = false;
  readonly #notices: Notices;
  #deliveryScheduled = false;

  constructor(network: MemoryNetwork, options: MemoryTransportOptions) {
    this.#network = network;
    this.nodeId = options.nodeId;
    this.clusterId = options.clusterId;
    this.address = options.address ?? memoryAddress(options.nodeId);
    this.#log = options.log;
    this.#notices = new Notices(network.options.schedule, () => this.#events);
  }

  async start(events: TransportEvents): Promise<void> {
    if (this.#closed) throw new TransportError('CLOSED', 'the transport was closed');
    this.#events = events;
    try {
      this.#network.register(this);
    } catch (error) {
      this.#events = null;
      throw error;
    }
  }

  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#closed) return;
    const wanted = new Map(peers.map(peer => [peer.id, peer]));
    for (const [id, link] of this.#links) {
      if (wanted.get(id)?.address === link.peer.address) continue;
      if (link.state === 'connected') this.#notices.add('unreachable', id);
      link.discard();
      this.#links.delete(id);
    }
    for (const peer of wanted.values()) {
      if (this.#links.has(peer.id)) continue;
      this.#links.set(peer.id, new MemoryLink(peer, this.#network.options.now()));
    }
    this.#network.refresh();
  }

  send(messages: readonly Message[]): void {
    for (let i = 0; i < messages.length; i++) this.#enqueue(messages[i]!);
  }

  links(): PeerLink[] {
    return [...this.#links.values()].map(link => ({
      id: link.peer.id,
      address: link.peer.address,
      state: link.state,
      problem: link.problem,
      since: link.since,
      hears: this.#network.at(link.peer.address)?.linkTo(this.nodeId)?.state === 'connected',
      roundTripMs: null,
      sentBytes: 0,
      receivedBytes: 0,
      sentMessages: link.sentMessages,
      droppedMessages: link.droppedMessages,
      queuedBytes: 0,
    }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = null;
    for (const link of this.#links.values()) link.discard();
    this.#network.unregister(this);
  }

  linkTo(peer: NodeId): MemoryLink | undefined {
    return this.#links.get(peer);
  }

  refreshLinks(): void {
    for (const link of this.#links.values()) {
      const [state, problem] = this.#linkState(link);
      if (state === link.state && problem === link.problem) continue;
      const was = link.state;
      link.problem = problem;
      if (state === was) continue;
      link.state = state;
      link.since = this.#network.options.now();
      if (state === 'connected') this.#notices.add('connected', link.peer.id);
      else this.#linkDown(link, was);
      if (state === 'refused') this.#report('PEER_REFUSED', link.peer.id, problem ?? '');
    }
  }

  scheduleDelivery(): void {
    if (this.#deliveryScheduled || this.#events === null) return;
    this.#deliveryScheduled = true;
    this.#network.options.schedule(() => this.#deliver());
  }

  #linkDown(link: MemoryLink, was: PeerState): void {
    link.discard();
    if (was === 'connected') this.#notices.add('unreachable', link.peer.id);
  }

  /** The handshake: the same questions in the same order as on a TCP link. */
  #linkState(link: MemoryLink): [PeerState, string | null] {
    const { id, address } = link.peer;
    const other = this.#network.at(address);
    if (other === undefined) return ['connecting', `nobody listens at ${address}`];
    if (this.#network.isCut(this.nodeId, id)) return ['connecting', 'the link is cut'];
    if (other === this) return ['refused', `${address} is this node itself`];
    if (other.clusterId !== this.clusterId) {
      const theirs = `${address} belongs to cluster ${other.clusterId}`;
      return ['refused', `${theirs}, this node to cluster ${this.clusterId}`];
    }
    if (other.nodeId !== id)
      return ['refused', `${address} is node ${other.nodeId}, not node ${id}`];
    if (other.linkTo(this.nodeId) === undefined) {
      return ['refused', `node ${id} does not know node ${this.nodeId} as a peer`];
    }
    return ['connected', null];
  }

  #enqueue(message: Message): void {
    const link = this.#links.get(message.to);
    if (link === undefined) return;
    const queue = link.lanes[message.kind === 'snapshot' ? 'snapshot' : 'messages'];
    const target = this.#network.at(link.peer.address);
    const full = queue.length >= this.#network.options.queueMessagesMax;
    if (link.state !== 'connected' || target === undefined || full) {
      if (full) this.#report('QUEUE_FULL', link.peer.id, 'the queue to the peer is full');
      this.#drop(link);
      return;
    }
    const copy = this.#copy(message);
    if (copy === null) {
      this.#drop(link);
      return;
    }
    queue.push(copy);
    link.sentMessages += 1;
    target.scheduleDelivery();
  }

  #copy(message: Message): Message | null {
    if (!this.#network.options.encode) return message;
    try {
      return copyThroughCodec(message);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#report('WIRE_ERROR', message.to, error.message);
      return null;
    }
  }

  #drop(link: MemoryLink): void {
    link.droppedMessages += 1;
    this.#notices.add('unreachable', link.peer.id);
  }

  #deliver(): void {
    this.#deliveryScheduled = false;
    for (const from of [...this.#network.started()]) {
      const link = from.linkTo(this.nodeId);
      if (link === undefined || link.peer.address !== this.address) continue;
      this.#deliverLane(from, link, 'messages');
      this.#deliverLane(from, link, 'snapshot');
    }
  }

  #deliverLane(from: MemoryTransport, link: MemoryLink, lane: LinkPurpose): void {
    const queue = link.lanes[lane];
    if (queue.length === 0 || this.#network.isStalled(from.nodeId, this.nodeId, lane)) return;
    const messages = queue.splice(0);
    const foreign = messages.findIndex(m => m.from !== from.nodeId);
    if (foreign !== -1) {
      const said = `from node ${messages[foreign]!.from} to node ${this.nodeId}`;
      this.#report('WIRE_ERROR', from.nodeId, `node ${from.nodeId} sent a message ${said}`);
      from.#reset(link, messages.length - foreign);
      messages.length = foreign;
    }
    if (messages.length > 0) this.#events?.receive(messages);
  }

  /** The peer hung up on us: what waited is lost, and the link comes up again. */
  #reset(link: MemoryLink, lost: number): void {
    link.droppedMessages += lost;
    link.discard();
    this.#notices.add('unreachable', link.peer.id);
    this.#notices.add('connected', link.peer.id);
  }

  #report(code: LinkEventCode, peer: NodeId, message: string): void {
    this.#log?.({ code, peer, message: `${code} ${message}` });
  }
}

function copyThroughCodec(message: Message): Message {
  const writer = new ByteWriter();
  encodeMessages(writer, [message]);
  return decodeMessages(writer.view().subarray(FRAME_HEADER_BYTES))[0]!;
}

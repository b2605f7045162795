// The wires between the nodes of a run, and what can be wrong with them. By default a link is what
// TCP gives: ordered, never repeating, now and then losing everything that is under way. The
// harsher classes (duplicates, reordering, changed bytes) are beyond it and must be survived too.

import type { Message } from '../raft/messages.ts';
import type { NodeId } from '../raft/types.ts';
import { PayloadSlab } from '../storage/payload-slab.ts';
import type { PeerLink, Transport, TransportEvents } from '../transport/transport.ts';
import { ByteWriter, WireError } from '../wire/bytes.ts';
import { FrameSplitter } from '../wire/frame.ts';
import { decodeMessages, encodeMessages } from '../wire/message.ts';
import { mix32, type Prng } from './prng.ts';
import type { Process } from './process.ts';
import type { World } from './world.ts';

/** How all links behave now. */
export interface NetworkMood {
  /** Mean of the one-way delay, with a heavy tail. */
  delayUs: number;
  lossRate: number;
  duplicateRate: number;
  reorderRate: number;
  corruptRate: number;
  /** Messages under way or held on one link; more are dropped. */
  queueMessagesMax: number;
  /** What was sent to a dead incarnation reaches the next one. */
  holdsOverRestart: boolean;
  /** False: requests for membership changes that nodes hand on are lost. */
  takesChanges: boolean;
  encode: boolean;
}

export interface NetworkWatch {
  /** Every message that leaves a node, before anything happens to it. */
  sent(message: Message, process: Process): void;
  happened(what: 'loss' | 'duplicate' | 'reorder' | 'corrupt' | 'held'): void;
  /** Bytes were changed and nobody noticed. */
  corruptionUnnoticed(message: Message): void;
}

/** How long a sender takes to notice that a link is gone. */
const NOTICE_US = 20_000;

class Link {
  readonly from: NodeId;
  readonly to: NodeId;
  cut = false;
  clogged = false;
  /** Sent while clogged; comes all at once when the link is free again. */
  held: Message[][] = [];
  underWay = 0;
  /** Counts resets: what was sent before the last one does not arrive. */
  connection = 0;
  /** Nothing overtakes: the arrival of the last message, and of the last snapshot chunk. */
  readonly lastArrival = { messages: 0, snapshot: 0 };

  constructor(from: NodeId, to: NodeId) {
    this.from = from;
    this.to = to;
  }
}

export class SimNetwork {
  readonly mood: NetworkMood;
  delivered = 0;
  readonly #world: World;
  readonly #chance: Prng;
  readonly #watch: NetworkWatch;
  readonly #transports = new Map<NodeId, SimTransport>();
  readonly #links = new Map<number, Link>();
  readonly #writer = new ByteWriter();
  /** A view of a small array of its own would make V8 move that one out of its heap first. */
  readonly #slab = new PayloadSlab();

  constructor(world: World, chance: Prng, mood: NetworkMood, watch: NetworkWatch) {
    this.#world = world;
    this.#chance = chance;
    this.mood = mood;
    this.#watch = watch;
  }

  transport(process: Process): Transport {
    return new SimTransport(this, process);
  }

  cut(from: NodeId, to: NodeId): void {
    this.#link(from, to).cut = true;
  }

  heal(from: NodeId, to: NodeId): void {
    this.#link(from, to).cut = false;
  }

  healAll(): void {
    for (const link of this.#links.values()) {
      link.cut = false;
      this.unclog(link.from, link.to);
    }
  }

  clog(from: NodeId, to: NodeId): void {
    this.#link(from, to).clogged = true;
  }

  unclog(from: NodeId, to: NodeId): void {
    const link = this.#link(from, to);
    link.clogged = false;
    const { held } = link;
    link.held = [];
    for (const messages of held) {
      link.underWay -= messages.length;
      this.#dispatch(link, messages);
    }
  }

  /** The connections are reset, in the middle of whatever they carry; senders notice. */
  reset(a: NodeId, b: NodeId): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const link = this.#link(from, to);
      link.connection += 1;
      if (link.underWay > 0) this.#transports.get(from)?.noticeLoss(to, NOTICE_US);
    }
  }

  /** For SimTransport only. */
  register(transport: SimTransport): void {
    this.#transports.set(transport.process.node, transport);
  }

  /** For SimTransport only. */
  unregister(transport: SimTransport): void {
    const { node } = transport.process;
    if (this.#transports.get(node) === transport) this.#transports.delete(node);
  }

  /** For SimTransport only: messages of one turn to one peer. */
  send(sender: SimTransport, to: NodeId, messages: Message[]): void {
    const { process } = sender;
    const link = this.#link(process.node, to);
    for (let i = 0; i < messages.length; i++) {
      this.#watch.sent(messages[i]!, process);
      this.#world.digest(digestOf(messages[i]!));
    }
    const { queueMessagesMax, lossRate } = this.mood;
    if (link.cut || link.underWay + messages.length > queueMessagesMax) {
      sender.noticeLoss(to, NOTICE_US + this.#chance.below(NOTICE_US));
      return;
    }
    if (lossRate > 0 && this.#chance.chance(lossRate)) {
      this.#watch.happened('loss');
      // A stream that breaks is noticed; a message that a full queue dropped may not be.
      if (this.#chance.chance(0.5)) sender.noticeLoss(to, NOTICE_US);
      return;
    }
    this.#dispatch(link, messages);
  }

  #dispatch(link: Link, messages: Message[]): void {
    link.underWay += messages.length;
    if (link.clogged) {
      link.held.push(messages);
      return;
    }
    const { mood } = this;
    const chance = this.#chance;
    const world = this.#world;
    const lane = messages[0]!.kind === 'snapshot' ? 'snapshot' : 'messages';
    let arrival = world.now + Math.round(chance.heavyTail(mood.delayUs));
    if (mood.reorderRate > 0 && chance.chance(mood.reorderRate)) {
      this.#watch.happened('reorder');
      arrival += Math.round(chance.heavyTail(4 * mood.delayUs));
    } else if (mood.reorderRate === 0) {
      arrival = Math.max(arrival, link.lastArrival[lane]);
      link.lastArrival[lane] = arrival;
    }
    const receiver = this.#transports.get(link.to);
    const received = mood.encode ? this.#throughWire(link, messages) : messages;
    const { connection } = link;
    world.after(arrival - world.now, 'deliver', null, () => {
      link.underWay -= messages.length;
      if (received !== null && link.connection === connection) {
        this.#arrive(link, received, receiver);
      }
    });
    if (mood.duplicateRate > 0 && received !== null && chance.chance(mood.duplicateRate)) {
      const later = arrival - world.now + chance.heavyTail(10 * mood.delayUs);
      const again = received.filter(isRepeatable);
      if (again.length === 0) return;
      this.#watch.happened('duplicate');
      world.after(later, 'deliver', null, () => this.#arrive(link, again, receiver));
    }
  }

  #arrive(link: Link, messages: Message[], expected: SimTransport | undefined): void {
    const receiver = this.#transports.get(link.to);
    if (link.cut || receiver === undefined) return;
    if (receiver !== expected) {
      if (!this.mood.holdsOverRestart) return;
      this.#watch.happened('held');
    }
    const { process } = receiver;
    this.delivered += messages.length;
    if (process.admits()) this.#hand(receiver, messages);
    else process.enter(() => this.#hand(receiver, messages), 'deliver');
  }

  #hand(receiver: SimTransport, messages: Message[]): void {
    const { takesChanges } = this.mood;
    receiver.receive(takesChanges ? messages : messages.filter(m => m.kind !== 'forwardChange'));
  }

  /** The messages as the other side decodes them; null when it had to close the connection. */
  #throughWire(link: Link, messages: Message[]): Message[] | null {
    this.#writer.reset();
    encodeMessages(this.#writer, messages);
    const bytes = this.#slab.take(this.#writer.length);
    bytes.set(this.#writer.view());
    const corrupt = this.mood.corruptRate > 0 && this.#chance.chance(this.mood.corruptRate);
    if (corrupt) {
      this.#watch.happened('corrupt');
      const at = this.#chance.below(bytes.length);
      bytes[at] = bytes[at]! ^ (1 << this.#chance.below(8));
    }
    const received: Message[] = [];
    try {
      const splitter = new FrameSplitter();
      splitter.push(bytes, body => {
        for (const message of decodeMessages(body)) received.push(message);
      });
      if (corrupt && splitter.heldBytes === 0) this.#watch.corruptionUnnoticed(messages[0]!);
    } catch (error) {
      if (!(error instanceof WireError) || !corrupt) throw error;
      this.#transports.get(link.from)?.noticeLoss(link.to, NOTICE_US);
    }
    return received.length > 0 ? received : null;
  }

  #link(from: NodeId, to: NodeId): Link {
    const key = from * 1024 + to;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new Link(from, to);
      this.#links.set(key, link);
    }
    return link;
  }
}

/** The consensus itself survives repeats. What is handed on for clients counts on links that don't. */
function isRepeatable({ kind }: Message): boolean {
  return kind !== 'forward' && kind !== 'forwardChange';
}

/** Snapshot chunks have a connection of their own. */
function isSameLane(a: Message, b: Message): boolean {
  return a.to === b.to && (a.kind === 'snapshot') === (b.kind === 'snapshot');
}

/** One incarnation's end of the wires. */
class SimTransport implements Transport {
  readonly process: Process;
  readonly #network: SimNetwork;
  #events: TransportEvents | null = null;
  readonly #noticed = new Set<NodeId>();

  constructor(network: SimNetwork, process: Process) {
    this.#network = network;
    this.process = process;
  }

  async start(events: TransportEvents): Promise<void> {
    this.#events = events;
    this.#network.register(this);
  }

  /** Everybody can reach everybody: who is a member is the core's affair. */
  setPeers(): void {}

  send(messages: readonly Message[]): void {
    if (this.#events === null || this.process.isDead) return;
    if (messages.length === 1) {
      this.#network.send(this, messages[0]!.to, [messages[0]!]);
      return;
    }
    // Lanes are few: looked for one after the other they are found faster than in a map.
    const lanes: Message[][] = [];
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      let at = 0;
      while (at < lanes.length && !isSameLane(lanes[at]![0]!, message)) at += 1;
      if (at === lanes.length) lanes.push([message]);
      else lanes[at]!.push(message);
    }
    for (let i = 0; i < lanes.length; i++) this.#network.send(this, lanes[i]![0]!.to, lanes[i]!);
  }

  links(): PeerLink[] {
    return [];
  }

  async close(): Promise<void> {
    this.#events = null;
    this.#network.unregister(this);
  }

  receive(messages: readonly Message[]): void {
    this.#events?.receive(messages);
  }

  noticeLoss(peer: NodeId, delayUs: number): void {
    if (this.#noticed.has(peer) || this.process.isDead) return;
    this.#noticed.add(peer);
    this.process.world.after(delayUs, 'notice', this.process, () => {
      this.#noticed.delete(peer);
      this.#events?.unreachable(peer);
    });
  }
}

const KIND_DIGESTS = new Map<string, number>();

/** The fields that decide what a message means; entries are named by the last of them. */
function digestOf(m: Message): number {
  let code = KIND_DIGESTS.get(m.kind);
  if (code === undefined) {
    code = mix32(m.kind.length, m.kind.charCodeAt(0) + 256 * m.kind.charCodeAt(m.kind.length - 1));
    KIND_DIGESTS.set(m.kind, code);
  }
  let h = mix32(code, (m.from << 20) ^ (m.to << 10) ^ m.term);
  switch (m.kind) {
    case 'append':
      h = mix32(h, m.prev.index ^ (m.entries.length << 20));
      return mix32(h, m.leaderCommit ^ (m.round << 8));
    case 'appendAccepted':
      return mix32(h, m.match ^ (m.round << 8));
    case 'appendRejected':
      return mix32(h, m.hint.index ^ (m.rejected << 10));
    case 'voteReply':
      return mix32(h, m.granted ? 1 : 2);
    case 'snapshot':
      return mix32(h, m.offset ^ m.meta.last.index);
    default:
      return h;
  }
}

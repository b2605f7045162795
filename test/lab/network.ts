// The network of the MIT 6.824 labs with their numbers: a perfect one, and an unreliable one that
// delays and drops requests and replies one by one, without any order. Production links never
// reorder; the core must not need that.
//
// The labs count calls. Here everything is a message, so a call is counted as its request.

import type { Message } from '../../src/raft/messages.ts';
import type { NodeId } from '../../src/raft/types.ts';
import type { Prng } from '../../src/sim/prng.ts';
import type { Process } from '../../src/sim/process.ts';
import type { World } from '../../src/sim/world.ts';
import type { PeerLink, Transport, TransportEvents } from '../../src/transport/transport.ts';
import { ByteWriter } from '../../src/wire/bytes.ts';
import { encodeMessages } from '../../src/wire/message.ts';

/** What a network does to calls. Times in virtual milliseconds. */
export interface NetworkRules {
  /** One way, for every message. */
  readonly delayMs: number;
  /** On top, uniform from 0, for requests. */
  readonly requestJitterMs: number;
  readonly requestLoss: number;
  readonly replyLoss: number;
  /** The share of replies that come very late, and so out of order. */
  readonly lateReplies: number;
  /** The lab has none; the harsh variants do. */
  readonly duplicates: number;
}

export const RELIABLE: NetworkRules = {
  delayMs: 0.2,
  requestJitterMs: 0,
  requestLoss: 0,
  replyLoss: 0,
  lateReplies: 0,
  duplicates: 0,
};

export const UNRELIABLE: NetworkRules = {
  ...RELIABLE,
  requestJitterMs: 26,
  requestLoss: 0.1,
  replyLoss: 0.1,
};

/** Of surviving replies 600 in 900 come 200 ms to 2.2 s late. */
export const LONG_REORDERING: NetworkRules = { ...UNRELIABLE, lateReplies: 600 / 900 };

/** Loses nothing, but takes its time and keeps no order. */
export const SLOW: NetworkRules = { ...RELIABLE, delayMs: 5, requestJitterMs: 60 };

/** Ten times the delay of the unreliable network, more loss, and what no lab does: repeats. */
export const HARSH: NetworkRules = {
  delayMs: 2,
  requestJitterMs: 260,
  requestLoss: 0.2,
  replyLoss: 0.2,
  lateReplies: 0.05,
  duplicates: 0.1,
};

const LATE_MS = 200;
const LATE_SPREAD_MS = 2000;

export interface NetworkWatch {
  sent(message: Message, process: Process): void;
}

export class LabNetwork {
  rules: NetworkRules;
  /** How long a caller waits for a server that it can't reach, at most: 7 s, or 100 ms for KV. */
  failureMsMax = 7000;
  countsBytes = false;
  bytes = 0;
  readonly world: World;
  readonly chance: Prng;
  readonly #watch: NetworkWatch;
  readonly #ends = new Map<NodeId, LabTransport>();
  /** Servers of one side reach each other; those of side 0 reach nobody. */
  readonly #sides = new Map<NodeId, number>();
  /** Links that are closed although both ends are on one side, one way. */
  readonly #closed = new Set<string>();
  readonly #requests = new Map<NodeId, number>();

  constructor(world: World, chance: Prng, rules: NetworkRules, watch: NetworkWatch) {
    this.world = world;
    this.chance = chance;
    this.rules = rules;
    this.#watch = watch;
  }

  transport(process: Process): Transport {
    return new LabTransport(this, process);
  }

  setSide(id: NodeId, side: number): void {
    this.#sides.set(id, side);
  }

  side(id: NodeId): number {
    return this.#sides.get(id) ?? 0;
  }

  /** One direction; open() undoes it. */
  close(from: NodeId, to: NodeId): void {
    this.#closed.add(`${from}>${to}`);
  }

  open(from: NodeId, to: NodeId): void {
    this.#closed.delete(`${from}>${to}`);
  }

  reaches(from: NodeId, to: NodeId): boolean {
    const side = this.side(from);
    if (this.#closed.size > 0 && this.#closed.has(`${from}>${to}`)) return false;
    return side !== 0 && side === this.side(to);
  }

  /** Requests that were sent to this server. */
  requestsTo(id: NodeId): number {
    return this.#requests.get(id) ?? 0;
  }

  /** For LabTransport only. */
  register(end: LabTransport): void {
    this.#ends.set(end.process.node, end);
  }

  /** For LabTransport only. */
  unregister(end: LabTransport): void {
    if (this.#ends.get(end.process.node) === end) this.#ends.delete(end.process.node);
  }

  /** For LabTransport only: messages of one turn to one peer. */
  send(sender: LabTransport, to: NodeId, messages: readonly Message[]): void {
    for (const message of messages) {
      this.#watch.sent(message, sender.process);
      if (isRequest(message)) this.#requests.set(to, this.requestsTo(to) + 1);
      if (this.countsBytes) this.bytes += encodedBytes(message);
    }
    if (!this.reaches(sender.process.node, to)) {
      sender.noticeLoss(to, this.chance.below(this.failureMsMax));
      return;
    }
    if (this.#isPerfect()) this.#carry(sender, to, messages, this.rules.delayMs);
    else for (const message of messages) this.#callOne(sender, to, message);
  }

  /** The delay of a message under the rules; null when it is lost. */
  delayOf(kind: 'request' | 'reply'): number | null {
    const { rules, chance } = this;
    if (kind === 'request') {
      if (chance.chance(rules.requestLoss)) return null;
      return rules.delayMs + chance.float() * rules.requestJitterMs;
    }
    if (chance.chance(rules.replyLoss)) return null;
    if (!chance.chance(rules.lateReplies)) return rules.delayMs;
    return LATE_MS + chance.below(1 + chance.below(LATE_SPREAD_MS));
  }

  #callOne(sender: LabTransport, to: NodeId, message: Message): void {
    const kind = isRequest(message) ? 'request' : 'reply';
    const copies = this.chance.chance(this.rules.duplicates) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const delay = this.delayOf(kind);
      if (delay !== null) this.#carry(sender, to, [message], delay);
    }
  }

  #carry(sender: LabTransport, to: NodeId, messages: readonly Message[], delayMs: number): void {
    const receiver = this.#ends.get(to);
    if (receiver === undefined) {
      sender.noticeLoss(to, this.chance.below(this.failureMsMax));
      return;
    }
    this.world.after(delayMs * 1000, 'deliver', null, () =>
      this.#arrive(sender, receiver, messages),
    );
  }

  #arrive(sender: LabTransport, receiver: LabTransport, messages: readonly Message[]): void {
    const [from, to] = [sender.process, receiver.process];
    // A killed server's calls come to nothing, in both directions.
    if (from.isDead || this.#ends.get(to.node) !== receiver) return;
    if (!this.reaches(from.node, to.node)) return;
    if (to.pausedUntil > this.world.now) {
      const wait = to.pausedUntil - this.world.now;
      this.world.after(wait, 'deliver', null, () => this.#arrive(sender, receiver, messages));
      return;
    }
    to.enter(() => receiver.receive(messages));
  }

  #isPerfect(): boolean {
    const { requestJitterMs, requestLoss, replyLoss, lateReplies, duplicates } = this.rules;
    return requestJitterMs + requestLoss + replyLoss + lateReplies + duplicates === 0;
  }
}

/** One incarnation's end of the wires. */
class LabTransport implements Transport {
  readonly process: Process;
  readonly #network: LabNetwork;
  #events: TransportEvents | null = null;
  readonly #noticed = new Set<NodeId>();

  constructor(network: LabNetwork, process: Process) {
    this.#network = network;
    this.process = process;
  }

  async start(events: TransportEvents): Promise<void> {
    this.#events = events;
    this.#network.register(this);
  }

  setPeers(): void {}

  send(messages: readonly Message[]): void {
    if (this.#events === null || this.process.isDead) return;
    const lanes = new Map<NodeId, Message[]>();
    for (const message of messages) {
      const lane = lanes.get(message.to);
      if (lane === undefined) lanes.set(message.to, [message]);
      else lane.push(message);
    }
    for (const [to, lane] of lanes) this.#network.send(this, to, lane);
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

  /** A call that can't be made fails some time later: the sender hears of it once. */
  noticeLoss(peer: NodeId, delayMs: number): void {
    if (this.#noticed.has(peer)) return;
    this.#noticed.add(peer);
    this.process.world.after(delayMs * 1000, 'notice', this.process, () => {
      this.#noticed.delete(peer);
      this.#events?.unreachable(peer);
    });
  }
}

function isRequest({ kind }: Message): boolean {
  switch (kind) {
    case 'voteRequest':
    case 'append':
    case 'snapshot':
    case 'timeoutNow':
    case 'forward':
    case 'forwardChange':
    case 'readIndex':
      return true;
    default:
      return false;
  }
}

function encodedBytes(message: Message): number {
  const writer = new ByteWriter();
  encodeMessages(writer, [message]);
  return writer.length;
}

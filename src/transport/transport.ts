// Links between nodes. One ordered stream of messages in each direction while a link is up; a
// message may be lost (link down, queue full), never repeated or changed. Snapshot chunks travel on
// a connection of their own, so that heartbeats never wait behind them.

import type { Message } from '../raft/messages.ts';
import type { NodeId } from '../raft/types.ts';

/** None of these is ever called from inside a method of the transport, so no caller is re-entered. */
export interface TransportEvents {
  /** Messages of one arrival together, in order. Their `from` is the link's proven peer. */
  receive(messages: readonly Message[]): void;
  /** Messages to this peer were dropped or its link went down. At most once a peer and turn. */
  unreachable(peer: NodeId): void;
  /** The link came up, after a successful handshake. */
  connected?(peer: NodeId): void;
}

export interface PeerAddress {
  readonly id: NodeId;
  /** `host:port`, as the peer advertises it. */
  readonly address: string;
}

export type PeerState = 'connecting' | 'connected' | 'refused';

export interface PeerLink {
  readonly id: NodeId;
  readonly address: string;
  /** Of our sending direction. `refused`: the two sides disagree on who they are; still retried. */
  readonly state: PeerState;
  /** Why it isn't connected, in words: refused, timed out, foreign cluster id, ... */
  readonly problem: string | null;
  /** Since the current state began, in the clock's milliseconds. */
  readonly since: number;
  /** True while the peer holds a connection to us: the other direction of the pair. */
  readonly hears: boolean;
  /** Of the last ping of an otherwise idle connection; null before the first answer. */
  readonly roundTripMs: number | null;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentMessages: number;
  readonly droppedMessages: number;
  readonly queuedBytes: number;
}

export interface Transport {
  /** Begins to listen and connect. Rejects when it can't listen. */
  start(events: TransportEvents): Promise<void>;
  /** The whole set of peers, the own node left out; links to others are closed. */
  setPeers(peers: readonly PeerAddress[]): void;
  /**
   * Queues messages for their `to`; never blocks. Called once for all that one turn produced, so
   * each link gets one write a turn. The messages must not change afterwards.
   */
  send(messages: readonly Message[]): void;
  links(): PeerLink[];
  close(): Promise<void>;
}

export type LinkEventCode =
  | 'LISTENING'
  | 'PEER_CONNECTED'
  | 'PEER_LOST'
  | 'PEER_UNREACHABLE'
  | 'PEER_REFUSED'
  | 'WIRE_ERROR'
  | 'QUEUE_FULL'
  | 'ACCEPT_FAILED';

/** For the log of the person who runs the node; limited in rate per peer and code. */
export interface LinkEvent {
  readonly code: LinkEventCode;
  /** NO_NODE when it is not known who was on the other end. */
  readonly peer: NodeId;
  /** One line that names the peer, its address, the cause and, if there is one, the next step. */
  readonly message: string;
}

export type TransportErrorCode = 'ADDRESS_IN_USE' | 'CANNOT_LISTEN' | 'BAD_ADDRESS' | 'CLOSED';

export class TransportError extends Error {
  readonly code: TransportErrorCode;
  constructor(code: TransportErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TransportError';
    this.code = code;
  }
}

/** What a link needs of time; node's Clock fits. */
export interface LinkClock {
  /** Monotonic milliseconds. */
  now(): number;
  after(delayMs: number, fire: () => void): { cancel(): void };
}

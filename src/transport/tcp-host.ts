// What the single links need of the transport that owns them.

import type { Socket } from 'node:net';
import type { Message } from '../raft/messages.ts';
import type { NodeId } from '../raft/types.ts';
import type { BackoffLimits } from './backoff.ts';
import type { EventLimiter } from './event-limiter.ts';
import type { Self } from './tcp-handshake.ts';
import type { SendLimits } from './tcp-send-buffer.ts';
import type { SocketLayer } from './tcp-sockets.ts';
import type { LinkClock } from './transport.ts';

export interface TcpLimits extends SendLimits {
  /** From the first packet of a dial to the end of the handshake, on either side. */
  readonly handshakeTimeoutMs: number;
  /** How often a connection is pinged; pings also measure the round trip. */
  readonly pingIntervalMs: number;
  /** A connection on which nothing came in for so many intervals is closed. */
  readonly missedPingsMax: number;
  /** A snapshot connection without chunks is closed after so many ping intervals. */
  readonly snapshotIdleIntervals: number;
  readonly backoff: BackoffLimits;
  /** A peer that dials us is dialed back at once, but not more often than this. */
  readonly redialMinMs: number;
  /** Connections beside those of the peers: handshakes, strangers. More are closed at once. */
  readonly strangersMax: number;
  /** At most one line per peer and code in this time. */
  readonly logIntervalMs: number;
}

export const TCP_LIMITS: TcpLimits = {
  queueBytesMax: 64 * 1024 * 1024,
  queueMessagesMax: 4096,
  handshakeTimeoutMs: 3000,
  pingIntervalMs: 1000,
  missedPingsMax: 3,
  snapshotIdleIntervals: 10,
  backoff: { minMs: 10, maxMs: 1000 },
  redialMinMs: 50,
  strangersMax: 64,
  logIntervalMs: 5000,
};

export interface LinkHost {
  readonly self: Self;
  readonly limits: TcpLimits;
  readonly clock: LinkClock;
  readonly random: () => number;
  readonly sockets: SocketLayer;
  readonly log: EventLimiter;
  /** For people: `b 127.0.0.1:7002`. */
  describe(peer: NodeId): string;
  isPeer(peer: NodeId): boolean;
  /** Keeps the socket in the set that close() waits for. */
  track(socket: Socket): void;
  receive(messages: readonly Message[]): void;
}

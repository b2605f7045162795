// The settings of a gRPC server and its client, with their defaults and the reason for each bound.
import type { Duplex } from 'node:stream';
import type { Handlers } from './calls.ts';

/** The bounds both sides of a connection keep. */
export interface ConnectionLimits {
  /** A larger message from the peer fails its call with RESOURCE_EXHAUSTED. */
  readonly messageBytesMax: number;
  /** Sum of name + value + 32 over a call's headers; more is answered with HTTP 431. */
  readonly headerListBytesMax: number;
  /** What one connection may hold in unfinished and undelivered messages. */
  readonly heldBytesMax: number;
  /** Flow-control window we give each stream, and the connection as a whole. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** `send` returns false when one stream has this much waiting. */
  readonly sendQueueBytesMax: number;
  /** With this much unsent in the socket we stop reading from it and stop filling it. */
  readonly socketBytesMax: number;
  /** Frames that cost the peer nothing (ping, settings, reset ...): this many at once, and a second. */
  readonly idleFramesMax: number;
}

export interface ServerLimits extends ConnectionLimits {
  readonly concurrentStreamsMax: number;
  /** A socket that has not shown its protocol by then is closed. */
  readonly handshakeMs: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  messageBytesMax: 2_097_152, // etcd's
  concurrentStreamsMax: 100_000,
  headerListBytesMax: 65_536,
  heldBytesMax: 64 * 1024 * 1024,
  streamWindowBytes: 1024 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  sendQueueBytesMax: 1024 * 1024,
  socketBytesMax: 1024 * 1024,
  idleFramesMax: 50_000,
  handshakeMs: 10_000,
};

export interface GrpcServerOptions {
  readonly handlers: Handlers;
  readonly limits?: Partial<ServerLimits>;
  /** Takes sockets that speak HTTP/1.x, their first bytes put back. Without it they are closed. */
  readonly http1?: (socket: Duplex) => void;
  /** A handler threw something that is not a StatusError; the client saw INTERNAL. */
  readonly onHandlerError?: (error: unknown, path: string) => void;
}

export interface ChannelOptions {
  /** Sockets by another road (TLS, a test). Default: TCP to `address`. */
  readonly connect?: (address: { host: string; port: number }) => Duplex;
  /** Tells that the socket of `connect` is usable when this event comes; default `connect`. */
  readonly connectEvent?: 'connect' | 'secureConnect';
  readonly connectMs?: number;
  /** A larger answer fails with RESOURCE_EXHAUSTED. Default 2^31 - 1, as in etcd's Go client. */
  readonly messageBytesMax?: number;
  /** Calls waiting for the connection or for the server's stream limit. */
  readonly pendingCallsMax?: number;
}

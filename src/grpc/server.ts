// A gRPC server over sockets that somebody else accepts (net.Server, tls.Server, a test's pipe).
// It owns the connections: tells their protocol, counts, drains and closes them.
//
//   const grpc = createGrpcServer({ handlers: { '/pkg.Echo/Say': { kind: 'unary', handle(call, m) {
//     call.respond(m);
//   } } } });
//   net.createServer({ noDelay: true }, socket => grpc.accept(socket)).listen(port);
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ServerStats } from './calls.ts';
import { DeadlineTimer, type Timed } from './deadline-wheel.ts';
import { FlushQueue } from './flush-queue.ts';
import { attachSocket, socketLink } from './link.ts';
import { MethodTable } from './methods.ts';
import { DEFAULT_LIMITS, type GrpcServerOptions, type ServerLimits } from './options.ts';
import { ServerConnection, type ServerHost } from './server-connection.ts';
import { type Protocol, sniffProtocol } from './sniff.ts';

const KEEP_ALIVE_MS = 60_000;

export interface AcceptOptions {
  /** Known already, by ALPN; otherwise the first bytes tell. */
  readonly protocol?: Protocol;
  /** `address:port` for handlers and logs; by default the socket's own. */
  readonly peer?: string;
}

export interface GrpcServer {
  /** Takes over an accepted socket. */
  accept(socket: Duplex, options?: AcceptOptions): void;
  /**
   * Asks all clients to leave and waits until their calls have ended, `boundMs` at most; then closes
   * what is left. The caller closes its listener first.
   */
  drain(boundMs: number): Promise<void>;
  /** Ends every call with UNAVAILABLE, as far as the clients still listen, and every connection. */
  close(): void;
  stats(): ServerStats;
}

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  return new SocketServer(options);
}

class SocketServer implements GrpcServer, ServerHost {
  readonly limits: ServerLimits;
  readonly methods: MethodTable;
  readonly flusher = new FlushQueue();
  readonly timer = new DeadlineTimer();
  readonly #options: GrpcServerOptions;
  readonly #connections = new Set<ServerConnection>();
  /** Sockets that have not yet said what they speak. */
  readonly #undecided = new Set<Sniffer>();
  #connectionsTotal = 0;
  /** Bytes of the connections that are gone. */
  #bytesIn = 0;
  #bytesOut = 0;
  #closing: 'no' | 'draining' | 'closed' = 'no';
  #whenEmpty: (() => void) | null = null;
  #drained: Promise<void> | null = null;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.methods = new MethodTable(options.handlers);
  }

  accept(socket: Duplex, options: AcceptOptions = {}): void {
    if (this.#closing !== 'no') return void socket.destroy();
    const tcp = socket as Partial<Socket>;
    tcp.setNoDelay?.(true); // our writes are batches already
    tcp.setKeepAlive?.(true, KEEP_ALIVE_MS); // a client that vanished must not hold its calls for ever
    const peer = options.peer ?? peerName(socket);
    if (options.protocol !== undefined) {
      return this.#decided(socket, options.protocol, EMPTY, peer);
    }
    const sniffer = new Sniffer(socket, (protocol, first) => {
      this.timer.remove(sniffer);
      this.#undecided.delete(sniffer);
      if (protocol !== null) this.#decided(socket, protocol, first, peer);
    });
    this.#undecided.add(sniffer);
    this.timer.add(sniffer, this.limits.handshakeMs);
  }

  #decided(socket: Duplex, protocol: Protocol, first: Uint8Array, peer: string): void {
    if (protocol === 'h2') return this.#serve(socket, first, peer);
    const http1 = this.#options.http1;
    if (http1 === undefined) return void socket.destroy();
    socket.pause();
    if (first.length > 0) socket.unshift(first);
    http1(socket);
    socket.resume();
  }

  #serve(socket: Duplex, first: Uint8Array, peer: string): void {
    const connection = new ServerConnection(socketLink(socket), this, peer);
    this.#connections.add(connection);
    this.#connectionsTotal += 1;
    attachSocket(socket, connection);
    if (first.length > 0) connection.receive(first);
  }

  drain(boundMs: number): Promise<void> {
    this.#drained ??= this.#startDrain(boundMs);
    return this.#drained;
  }

  #startDrain(boundMs: number): Promise<void> {
    if (this.#closing === 'closed') return Promise.resolve();
    this.#closing = 'draining';
    for (const sniffer of [...this.#undecided]) sniffer.expire();
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size === 0) return Promise.resolve(this.close());
    return new Promise(resolve => {
      const bound = setTimeout(() => this.close(), boundMs);
      this.#whenEmpty = () => {
        clearTimeout(bound);
        this.#closing = 'closed';
        resolve();
      };
    });
  }

  close(): void {
    this.#closing = this.#closing === 'no' ? 'closed' : this.#closing;
    for (const sniffer of [...this.#undecided]) sniffer.expire();
    for (const connection of [...this.#connections]) connection.shutDown();
  }

  stats(): ServerStats {
    let activeCalls = 0;
    let bytesIn = this.#bytesIn;
    let bytesOut = this.#bytesOut;
    for (const connection of this.#connections) {
      activeCalls += connection.streams.size;
      bytesIn += connection.bytesIn;
      bytesOut += connection.out.total;
    }
    return {
      connections: this.#connections.size,
      connectionsTotal: this.#connectionsTotal,
      activeCalls,
      bytesIn,
      bytesOut,
      methods: this.methods.stats(),
    };
  }

  connectionClosed(connection: ServerConnection): void {
    if (!this.#connections.delete(connection)) return;
    this.#bytesIn += connection.bytesIn;
    this.#bytesOut += connection.out.total;
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  handlerThrew(error: unknown, path: string): void {
    this.#options.onHandlerError?.(error, path);
  }
}

/** Holds a fresh socket's first bytes until they tell the protocol, for a bounded time. */
class Sniffer implements Timed {
  expiresAtMs = 0;
  wheelPrev: Timed | null = null;
  wheelNext: Timed | null = null;
  wheelSlot = -1;
  readonly #socket: Duplex;
  readonly #decide: (protocol: Protocol | null, first: Uint8Array) => void;
  #first: Uint8Array = EMPTY;
  readonly #onData = (chunk: Uint8Array): void => {
    this.#first = this.#first.length === 0 ? chunk : Buffer.concat([this.#first, chunk]);
    const protocol = sniffProtocol(this.#first);
    if (protocol !== null) this.#end(protocol);
  };
  readonly #onGone = (): void => {
    this.#socket.destroy();
    this.#end(null);
  };

  constructor(socket: Duplex, decide: (protocol: Protocol | null, first: Uint8Array) => void) {
    this.#socket = socket;
    this.#decide = decide;
    socket.on('data', this.#onData);
    for (const event of ['error', 'end', 'close']) socket.on(event, this.#onGone);
  }

  expire(): void {
    this.#onGone();
  }

  #end(protocol: Protocol | null): void {
    this.#socket.off('data', this.#onData);
    for (const event of ['end', 'close']) this.#socket.off(event, this.#onGone);
    if (protocol !== null) this.#socket.off('error', this.#onGone);
    this.#decide(protocol, this.#first);
  }
}

const EMPTY = new Uint8Array(0);

function peerName(socket: Duplex): string {
  const { remoteAddress, remotePort } = socket as Partial<Socket>;
  if (remoteAddress === undefined) return '';
  const host = remoteAddress.includes(':') ? '[' + remoteAddress + ']' : remoteAddress;
  return host + ':' + remotePort;
}

// A gRPC client's connection to one server. It connects once and never again: whether and where to
// try next is a decision of the caller, who knows the other members of the cluster.
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import type { CallOptions, ClientCall, ClientStream } from './calls.ts';
import {
  type Request,
  StreamingClientCall,
  type UnaryCallback,
  UnaryClientCall,
} from './client-calls.ts';
import { ClientConnection, type ClientHost } from './client-connection.ts';
import { DeadlineTimer } from './deadline-wheel.ts';
import { FlushQueue } from './flush-queue.ts';
import { attachSocket, type LinkEvents, socketLink } from './link.ts';
import { type ChannelOptions, DEFAULT_LIMITS } from './options.ts';
import { checkMetadata } from './request-blocks.ts';
import { CallError, Status, StatusError } from './status.ts';

const CONNECT_MS = 5000;
const PENDING_CALLS_MAX = 100_000;

/** One of each for all channels of the process. */
const flusher = new FlushQueue();
const timer = new DeadlineTimer();

export class GrpcChannel implements ClientHost {
  readonly flusher = flusher;
  readonly timer = timer;
  readonly pendingCallsMax: number;
  readonly address: string;
  /** The connection takes no new calls any more; called once, also after `close`. */
  onClosing: ((why: string) => void) | null = null;
  readonly #connection: ClientConnection;
  readonly #ready: Promise<void>;
  #resolveReady!: () => void;
  #rejectReady!: (error: CallError) => void;
  #isReady = false;
  #closing: string | null = null;

  private constructor(address: string, options: ChannelOptions) {
    this.address = address;
    this.pendingCallsMax = options.pendingCallsMax ?? PENDING_CALLS_MAX;
    this.#ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.#ready.catch(() => {}); // heard by those who ask; a caller may as well only look at its calls
    const socket = openSocket(address, options);
    const limits = { ...DEFAULT_LIMITS, messageBytesMax: options.messageBytesMax ?? 0x7fffffff };
    const scheme = options.connectEvent === 'secureConnect' ? 'https' : 'http';
    const link = socketLink(socket);
    this.#connection = new ClientConnection(link, limits, this, address, scheme);
    this.#attach(socket, options);
  }

  /** Starts to connect to `host:port`. Calls may be made at once: they wait for the connection. */
  static connect(address: string, options: ChannelOptions = {}): GrpcChannel {
    return new GrpcChannel(address, options);
  }

  /** Resolves when the server has shown that it speaks HTTP/2; rejects with a CallError if it cannot. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** True until the channel is closed, refused, or told to go away. */
  get usable(): boolean {
    return this.#closing === null;
  }

  /** The fast form: no promise. The callback is called exactly once, possibly before this returns. */
  unary(
    path: string,
    message: Uint8Array,
    options: CallOptions | null,
    callback: UnaryCallback,
  ): ClientCall {
    const call = new UnaryClientCall(this.#connection, requestOf(path, options), message, callback);
    this.#connection.submit(call);
    return call;
  }

  /** The easy form. Rejects with a CallError. */
  request(path: string, message: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.unary(path, message, options, (error, answer) => {
        if (answer === null) reject(error);
        else resolve(answer);
      });
    });
  }

  /** Any kind of streaming call; set its callbacks before the current turn ends. */
  stream(path: string, options: CallOptions = {}): ClientStream {
    const call = new StreamingClientCall(this.#connection, requestOf(path, options));
    this.#connection.submit(call);
    return call;
  }

  /** Takes no more calls; the running ones may end. */
  closeWhenIdle(): void {
    this.#connection.closeWhenIdle('the channel was closed');
  }

  /** Ends everything now; running calls end with UNAVAILABLE. */
  close(): void {
    this.#connection.finish('the channel was closed');
  }

  connectionReady(): void {
    this.#isReady = true;
    this.#resolveReady();
  }

  connectionClosing(why: string): void {
    this.#closing = why;
    this.#rejectReady(new CallError(Status.UNAVAILABLE, why, false));
    this.onClosing?.(why);
  }

  #attach(socket: Duplex, options: ChannelOptions): void {
    const connection = this.#connection;
    const bound = setTimeout(() => {
      socket.destroy(new Error('no answer within ' + (options.connectMs ?? CONNECT_MS) + ' ms'));
    }, options.connectMs ?? CONNECT_MS);
    this.#ready.then(
      () => clearTimeout(bound),
      () => clearTimeout(bound),
    );
    const events: LinkEvents = {
      receive: chunk => connection.receive(chunk),
      drained: () => connection.drained(),
      lost: error => connection.close(this.#describeLoss(error)),
    };
    attachSocket(socket, events);
    if ((socket as { connecting?: boolean }).connecting !== true) return connection.greet();
    socket.once(options.connectEvent ?? 'connect', () => {
      (socket as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
      connection.greet();
    });
  }

  #describeLoss(error: Error | null): string {
    const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
    const what = LOSS_WORDS[code] ?? error?.message ?? 'connection closed by the server';
    if (this.#isReady) return 'lost the connection to ' + this.address + ': ' + what;
    return 'cannot connect to ' + this.address + ': ' + what;
  }
}

const LOSS_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by the server',
  ENOTFOUND: 'no such host',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'connection timed out',
  EPIPE: 'connection closed by the server',
};

function openSocket(address: string, options: ChannelOptions): Duplex {
  const target = parseAddress(address);
  if (options.connect !== undefined) return options.connect(target);
  return connectTcp({ ...target, noDelay: true });
}

/** `host:port`, with brackets around an IPv6 host. Throws INVALID_ARGUMENT for anything else. */
export function parseAddress(address: string): { host: string; port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(address);
  const port = Number(parts?.[3] ?? 0);
  const host = parts?.[1] ?? parts?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new StatusError(Status.INVALID_ARGUMENT, 'not a host:port: ' + JSON.stringify(address));
  }
  return { host, port };
}

function requestOf(path: string, options: CallOptions | null): Request {
  if (!/^\/[!-~]+\/[!-~]+$/.test(path)) {
    throw new StatusError(Status.INVALID_ARGUMENT, 'not a method path: ' + JSON.stringify(path));
  }
  const metadata = options?.metadata ?? null;
  checkMetadata(metadata);
  return { path, deadlineMs: options?.deadlineMs ?? Number.POSITIVE_INFINITY, metadata };
}

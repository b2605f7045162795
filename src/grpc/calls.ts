// What a gRPC server's handlers and a gRPC client's callers see of a call. Messages are raw bytes:
// the codecs belong to the caller. Nothing here allocates a promise or a timer per call, because the
// server is meant to carry more than 40,000 small calls a second on one core.
//
// Bytes and who owns them. A received message belongs to the receiver: it is a copy (or, above
// 4 KiB, the buffer it was assembled in) that this layer never touches again, so it may be kept for
// ever without pinning the socket's 64 KiB chunk. Bytes passed to `respond` or `send` are only read;
// they must not change until the call has ended, as flow control may delay them.
import type { Metadata } from './metadata.ts';
import type { StatusCode } from './status.ts';

/** Writes `value` at `at` in `into` and returns the offset after its last byte. */
export type EncodeInto<T> = (value: T, into: Uint8Array, at: number) => number;

export interface ServerCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly metadata: Metadata;
  /** `address:port` of the client. */
  readonly peer: string;
  /** Milliseconds the client was still ready to wait when the call arrived; Infinity if it set none. */
  readonly deadlineMs: number;
  /** True once nobody waits for the answer: reset by the client, past its deadline, or disconnected. */
  readonly cancelled: boolean;
  /** True once the answer was given or the call cancelled; further answers are then ignored. */
  readonly ended: boolean;
  /** Set it to learn of cancellation; called at most once, and never after the call has ended. */
  onCancel: ((call: ServerCall) => void) | null;
  /** Scratch for the handler: whatever it must find again in `onCancel`. */
  state: unknown;
  /** Ends the call with an error. Ignored once the call has ended. */
  fail(code: StatusCode, message: string): void;
}

/** One request, one answer. Answer now or any time later, from any callback, exactly once. */
export interface UnaryCall extends ServerCall {
  respond(message: Uint8Array): void;
  /**
   * Encodes the answer straight into the output buffer. `bytesMax` is an upper bound (exact is best)
   * on what `encode` writes; more is a bug of the caller and fails the call with INTERNAL.
   */
  respondWith<T>(bytesMax: number, encode: EncodeInto<T>, value: T): void;
}

/** A call whose answer, and maybe request, is a stream of messages. */
export interface StreamCall extends ServerCall {
  /** A message from the client; not called while reading is paused. */
  onMessage: ((message: Uint8Array) => void) | null;
  /** The client will send no more. */
  onHalfClose: (() => void) | null;
  /** The output buffer is below its bound again after `send` returned false. */
  onDrain: (() => void) | null;
  /** Bytes waiting for the client's flow-control window or the socket. */
  readonly queuedBytes: number;
  /** Sends the response headers now, so that the client knows the call was accepted. */
  sendHeaders(): void;
  /** Queues a message; false when the output is over its bound and the sender should wait for onDrain. */
  send(message: Uint8Array): boolean;
  /** Stops delivery; the client is slowed down once its flow-control window is used up. */
  pause(): void;
  resume(): void;
  /** Ends the call, OK or with an error, after everything sent before. */
  end(code?: StatusCode, message?: string): void;
}

export type MethodHandler =
  | { readonly kind: 'unary'; handle(call: UnaryCall, message: Uint8Array): void }
  | { readonly kind: 'serverStream'; handle(call: StreamCall, message: Uint8Array): void }
  | { readonly kind: 'clientStream' | 'bidi'; handle(call: StreamCall): void };

/** By full path, `/package.Service/Method`. */
export type Handlers = Readonly<Record<string, MethodHandler>>;

/** Cheap counters for metrics; they only grow. */
export interface MethodStats {
  readonly path: string;
  readonly kind: MethodHandler['kind'];
  readonly started: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  /** Calls ended, by status code (17 numbers). */
  readonly handled: readonly number[];
}

export interface ServerStats {
  readonly connections: number;
  readonly connectionsTotal: number;
  readonly activeCalls: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly methods: readonly MethodStats[];
}

// ---- client side

export interface CallOptions {
  /** Milliseconds from now; sent as grpc-timeout and enforced here too. */
  readonly deadlineMs?: number;
  /** Lower-case names; `-bin` names take bytes. Reusing one object for many calls is the fast way. */
  readonly metadata?: Readonly<Record<string, string | Uint8Array>>;
}

export interface ClientCall {
  /** Response headers, once they have come. */
  readonly headers: Metadata | null;
  /** Response trailers, once they have come. */
  readonly trailers: Metadata | null;
  /** Gives up; the call ends with CANCELLED, and the server is told. */
  cancel(): void;
}

export interface ClientStream extends ClientCall {
  onHeaders: (() => void) | null;
  onMessage: ((message: Uint8Array) => void) | null;
  /** Called exactly once; null means status OK. The error is a CallError. */
  onEnd: ((error: import('./status.ts').CallError | null) => void) | null;
  onDrain: (() => void) | null;
  readonly queuedBytes: number;
  send(message: Uint8Array): boolean;
  halfClose(): void;
  pause(): void;
  resume(): void;
}

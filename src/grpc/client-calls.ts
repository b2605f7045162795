// The client's side of one call (see calls.ts): sends the request, reads the answer, and ends exactly
// once, with a message or with an error that says whether the server can have seen the request.
import type { ClientCall, ClientStream } from './calls.ts';
import type { ClientConnection } from './client-connection.ts';
import { ErrorCode } from './frames.ts';
import type { Metadata } from './metadata.ts';
import type { ResponseHead } from './response-head.ts';
import { CallError, Status, type StatusCode, type StatusError } from './status.ts';
import { Stream } from './stream.ts';

/** The answer of a unary call: exactly one of the two is not null. */
export type UnaryCallback = (
  error: CallError | null,
  message: Uint8Array | null,
  call: ClientCall,
) => void;

/** What the headers of a request are made of. */
export interface Request {
  readonly path: string;
  readonly deadlineMs: number;
  readonly metadata: Readonly<Record<string, string | Uint8Array>> | null;
}

export abstract class ClientCallStream extends Stream implements ClientCall {
  declare readonly connection: ClientConnection;
  readonly request: Request;
  headers: Metadata | null = null;
  trailers: Metadata | null = null;
  /** The request's headers are in the output. */
  started = false;
  ended = false;

  constructor(connection: ClientConnection, request: Request) {
    super(connection);
    this.request = request;
  }

  /** The result, once; nothing more is said to the caller afterwards. */
  protected abstract finish(error: CallError | null): void;
  protected abstract headersArrived(): void;
  /** Sends what the caller gave before the connection could take it. */
  protected abstract sendRequest(): void;

  /** The connection has a number for this call. */
  start(id: number): void {
    this.id = id;
    this.started = true;
    this.sendWindow = this.connection.peerStreamWindow;
    this.sendRequest();
  }

  cancel(): void {
    this.giveUp(Status.CANCELLED, 'the call was cancelled');
  }

  override expire(): void {
    this.giveUp(Status.DEADLINE_EXCEEDED, 'context deadline exceeded');
  }

  giveUp(code: StatusCode, message: string): void {
    if (this.ended) return;
    const sent = this.started;
    this.ended = true;
    if (sent) this.connection.resetStream(this, ErrorCode.CANCEL);
    else this.connection.forget(this);
    this.finish(new CallError(code, message, sent));
  }

  /** Ends a call that never got a stream, or whose stream the server has not looked at. */
  refused(code: StatusCode, message: string): void {
    if (this.ended) return;
    this.ended = true;
    this.finish(new CallError(code, message, false));
  }

  headReceived(head: ResponseHead, endStream: boolean): void {
    if (this.ended) return;
    if (head.failure !== null) return this.giveUp(head.failure.code, head.failure.message);
    if (endStream) {
      this.trailers = head.metadata;
      this.headers ??= head.metadata;
      this.#status = head;
      return this.receiveEnd();
    }
    if (this.headers !== null) return this.giveUp(Status.INTERNAL, 'headers came twice');
    this.headers = head.metadata;
    this.encoding = head.encoding;
    this.headersArrived();
  }

  #status: ResponseHead | null = null;

  protected override remoteEnded(): void {
    if (this.ended) return;
    this.ended = true;
    const status = this.#status;
    // The server needs no more of a request it has answered.
    if (!this.localClosed) this.connection.resetStream(this, ErrorCode.CANCEL);
    else this.connection.remoteDone(this);
    if (status === null) {
      return this.finish(new CallError(Status.INTERNAL, 'stream ended without a status', true));
    }
    if (status.code === Status.OK) return this.finish(null);
    this.finish(new CallError(status.code, status.message, true));
  }

  protected override receiveFailed(error: StatusError): void {
    this.giveUp(error.code, error.message);
  }

  override wasReset(code: number, byPeer: boolean): void {
    if (this.ended) return;
    this.ended = true;
    const status = byPeer ? statusOfReset(code) : Status.INTERNAL;
    const text = 'stream was reset ' + (byPeer ? 'by the server' : 'for a protocol error');
    const sent = !(byPeer && code === ErrorCode.REFUSED_STREAM);
    this.finish(new CallError(status, text + ' (HTTP/2 code ' + code + ')', sent));
  }

  override connectionLost(why: string): void {
    if (this.ended) return;
    this.ended = true;
    this.finish(new CallError(Status.UNAVAILABLE, why, this.started));
  }

  protected override isOver(): boolean {
    return this.ended || super.isOver();
  }
}

/** The gRPC status an RST_STREAM stands for (gRPC over HTTP/2, "Errors"). */
function statusOfReset(code: number): StatusCode {
  switch (code) {
    case ErrorCode.REFUSED_STREAM:
      return Status.UNAVAILABLE;
    case ErrorCode.CANCEL:
      return Status.CANCELLED;
    case ErrorCode.ENHANCE_YOUR_CALM:
      return Status.RESOURCE_EXHAUSTED;
    case ErrorCode.INADEQUATE_SECURITY:
      return Status.PERMISSION_DENIED;
    default:
      return Status.INTERNAL;
  }
}

export class UnaryClientCall extends ClientCallStream {
  #message: Uint8Array;
  #answer: Uint8Array | null = null;
  readonly #callback: UnaryCallback;

  constructor(
    connection: ClientConnection,
    request: Request,
    message: Uint8Array,
    callback: UnaryCallback,
  ) {
    super(connection, request);
    this.#message = message;
    this.#callback = callback;
  }

  protected override sendRequest(): void {
    const message = this.#message;
    this.#message = EMPTY;
    if (this.connection.sendUnaryFast(this, message)) return;
    this.connection.writeRequestHeaders(this);
    this.sendMessage(message);
    if (!this.localClosed) this.finishSending(null);
  }

  protected override headersArrived(): void {}

  protected override messageReceived(message: Uint8Array): void {
    if (this.#answer !== null) return this.giveUp(Status.INTERNAL, 'two answers to a unary call');
    this.#answer = message;
  }

  protected override finish(error: CallError | null): void {
    if (error !== null) return this.#callback(error, null, this);
    if (this.#answer !== null) return this.#callback(null, this.#answer, this);
    this.#callback(new CallError(Status.INTERNAL, 'OK without a message', true), null, this);
  }
}

export class StreamingClientCall extends ClientCallStream implements ClientStream {
  onHeaders: (() => void) | null = null;
  onMessage: ((message: Uint8Array) => void) | null = null;
  onEnd: ((error: CallError | null) => void) | null = null;
  /** Sent before the connection was ready; bounded by the caller heeding `false`. */
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #halfClosed = false;

  send(message: Uint8Array): boolean {
    if (this.ended || this.#halfClosed) return false;
    if (this.started) return this.sendMessage(message);
    this.#early.push(message);
    this.#earlyBytes += message.length;
    return this.#earlyBytes < this.connection.limits.sendQueueBytesMax;
  }

  halfClose(): void {
    if (this.ended || this.#halfClosed) return;
    this.#halfClosed = true;
    if (this.started && !this.localClosed) this.finishSending(null);
  }

  protected override sendRequest(): void {
    this.connection.writeRequestHeaders(this);
    for (const message of this.#early) {
      if (!this.ended) this.sendMessage(message);
    }
    const full = this.#earlyBytes >= this.connection.limits.sendQueueBytesMax;
    this.#early = [];
    if (this.#halfClosed && !this.localClosed) this.finishSending(null);
    else if (full && this.queuedBytes === 0) this.onDrain?.();
  }

  protected override headersArrived(): void {
    this.onHeaders?.();
  }

  protected override messageReceived(message: Uint8Array): void {
    this.onMessage?.(message);
  }

  protected override finish(error: CallError | null): void {
    this.onEnd?.(error);
  }
}

const EMPTY = new Uint8Array(0);

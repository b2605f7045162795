// The server's side of one call: what handlers hold in their hands (see calls.ts). A call is the
// HTTP/2 stream itself, so a small call costs one object.
import type { EncodeInto, ServerCall, StreamCall, UnaryCall } from './calls.ts';
import { ErrorCode } from './frames.ts';
import type { Metadata } from './metadata.ts';
import type { MethodEntry } from './methods.ts';
import type { RequestHead } from './request-head.ts';
import { plainTrailers, trailersOnly } from './response-blocks.ts';
import type { ServerConnection } from './server-connection.ts';
import { Status, type StatusCode, StatusError } from './status.ts';
import { Stream } from './stream.ts';

export abstract class ServerStream extends Stream implements ServerCall {
  declare readonly connection: ServerConnection;
  readonly method: MethodEntry;
  cancelled = false;
  ended = false;
  onCancel: ((call: ServerCall) => void) | null = null;
  state: unknown = null;
  protected headersSent = false;
  readonly #head: RequestHead;
  #bodyBytes = 0;

  constructor(connection: ServerConnection, id: number, head: RequestHead, method: MethodEntry) {
    super(connection);
    this.id = id;
    this.#head = head;
    this.method = method;
    this.encoding = head.encoding;
  }

  get path(): string {
    return this.#head.path;
  }

  get metadata(): Metadata {
    return this.#head.metadata;
  }

  get peer(): string {
    return this.connection.peer;
  }

  get deadlineMs(): number {
    return this.#head.timeoutMs;
  }

  /** Called once, when the request headers are in. */
  abstract begin(): void;

  fail(code: StatusCode, message: string): void {
    if (this.ended) return;
    this.markEnded(code);
    this.finishSending(
      this.headersSent ? plainTrailers(code, message) : trailersOnly(200, code, message),
    );
  }

  override receiveData(bytes: Uint8Array, start: number, end: number, frameBytes: number): void {
    this.#bodyBytes += end - start;
    super.receiveData(bytes, start, end, frameBytes);
  }

  override receiveEnd(): void {
    const promised = this.#head.contentLength;
    if (promised >= 0 && promised !== this.#bodyBytes) {
      return this.connection.resetStream(this, ErrorCode.PROTOCOL_ERROR);
    }
    super.receiveEnd();
  }

  override expire(): void {
    if (this.ended) return this.connection.resetStream(this, ErrorCode.CANCEL);
    this.breakOff(Status.DEADLINE_EXCEEDED, 'context deadline exceeded');
  }

  /** Ends the call over the handler's head: the client gets the status, the handler `onCancel`. */
  breakOff(code: StatusCode, message: string): void {
    if (this.ended) return;
    const onCancel = this.onCancel;
    this.cancelled = true;
    this.fail(code, message);
    this.#tell(onCancel);
  }

  override wasReset(_code: number, _byPeer: boolean): void {
    this.#cancel();
  }

  override connectionLost(_why: string): void {
    this.#cancel();
  }

  protected override receiveFailed(error: StatusError): void {
    this.breakOff(error.code, error.message);
  }

  protected override drainReached(): void {
    this.guard(() => this.onDrain?.());
  }

  protected override isOver(): boolean {
    return this.ended || super.isOver();
  }

  /** From here on nothing more is said to the handler. */
  protected markEnded(code: StatusCode): void {
    this.ended = true;
    this.onCancel = null;
    this.method.handled[code]! += 1;
  }

  /** Runs handler code; what it throws fails the call, not the connection. */
  protected guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.threw(error);
    }
  }

  protected threw(error: unknown): void {
    if (error instanceof StatusError) return this.fail(error.code, error.message);
    this.connection.handlerThrew(error, this.path);
    this.fail(Status.INTERNAL, 'internal error');
  }

  #cancel(): void {
    if (this.ended) return;
    const onCancel = this.onCancel;
    this.cancelled = true;
    this.markEnded(Status.CANCELLED);
    this.#tell(onCancel);
  }

  #tell(onCancel: ((call: ServerCall) => void) | null): void {
    if (onCancel !== null) this.guard(() => onCancel(this));
  }
}

export class UnaryServerCall extends ServerStream implements UnaryCall {
  #message: Uint8Array | null = null;

  override begin(): void {}

  respond(message: Uint8Array): void {
    if (this.ended) return;
    this.markEnded(Status.OK);
    this.method.messagesSent += 1;
    if (this.connection.respondFast(this, message)) return;
    this.connection.writeResponseHeaders(this.id);
    this.sendMessage(message);
    this.finishSending(plainTrailers(Status.OK, ''));
  }

  respondWith<T>(bytesMax: number, encode: EncodeInto<T>, value: T): void {
    if (this.ended) return;
    try {
      if (this.connection.respondFastWith(this, bytesMax, encode, value)) {
        this.markEnded(Status.OK);
        this.method.messagesSent += 1;
        return;
      }
      const buffer = new Uint8Array(bytesMax);
      const end = encode(value, buffer, 0);
      if (end > bytesMax) throw new RangeError('encode wrote more than it announced');
      this.respond(buffer.subarray(0, end));
    } catch (error) {
      this.threw(error);
    }
  }

  protected override messageReceived(message: Uint8Array): void {
    this.method.messagesReceived += 1;
    if (this.#message !== null) {
      throw new StatusError(Status.INTERNAL, 'a unary call takes one message only');
    }
    this.#message = message;
  }

  /** The request counts once the client has finished it, so that no answer overtakes its end. */
  protected override remoteEnded(): void {
    const message = this.#message;
    this.#message = null;
    if (this.ended) return;
    if (message === null) {
      return this.fail(Status.INTERNAL, 'a unary call needs a message');
    }
    try {
      (this.method.handler as { handle(call: UnaryCall, message: Uint8Array): void }).handle(
        this,
        message,
      );
    } catch (error) {
      this.threw(error);
    }
  }
}

export class StreamServerCall extends ServerStream implements StreamCall {
  onMessage: ((message: Uint8Array) => void) | null = null;
  onHalfClose: (() => void) | null = null;
  #request: Uint8Array | null = null;

  override begin(): void {
    const handler = this.method.handler;
    if (handler.kind === 'unary' || handler.kind === 'serverStream') return;
    this.guard(() => handler.handle(this));
  }

  sendHeaders(): void {
    if (this.headersSent || this.ended) return;
    this.headersSent = true;
    this.connection.writeResponseHeaders(this.id);
  }

  send(message: Uint8Array): boolean {
    if (this.ended) return false;
    this.sendHeaders();
    this.method.messagesSent += 1;
    return this.sendMessage(message);
  }

  end(code: StatusCode = Status.OK, message = ''): void {
    if (this.ended) return;
    if (code !== Status.OK) return this.fail(code, message);
    this.sendHeaders();
    this.markEnded(code);
    this.finishSending(plainTrailers(code, message));
  }

  protected override messageReceived(message: Uint8Array): void {
    this.method.messagesReceived += 1;
    if (this.method.handler.kind === 'serverStream') return this.#keepRequest(message);
    try {
      this.onMessage?.(message);
    } catch (error) {
      this.threw(error);
    }
  }

  #keepRequest(message: Uint8Array): void {
    if (this.#request !== null) {
      throw new StatusError(Status.INTERNAL, 'a server-streaming call takes one message only');
    }
    this.#request = message;
  }

  protected override remoteEnded(): void {
    if (this.ended) return;
    const handler = this.method.handler;
    if (handler.kind !== 'serverStream') return this.guard(() => this.onHalfClose?.());
    const request = this.#request;
    this.#request = null;
    if (request === null) {
      return this.fail(Status.INTERNAL, 'a server-streaming call needs a message');
    }
    this.guard(() => handler.handle(this, request));
  }
}

// The client's side of one connection: numbers the calls, keeps to the server's stream limit, and
// sorts out which calls a dying server has certainly never seen.
import type { ClientCallStream } from './client-calls.ts';
import { Connection } from './connection.ts';
import type { DeadlineTimer } from './deadline-wheel.ts';
import type { Flusher } from './frame-writer.ts';
import {
  ConnectionError,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  PREFACE,
  Setting,
  STREAM_ID_MAX,
  writeFrameHeader,
} from './frames.ts';
import { HeadCache } from './head-cache.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import type { Link } from './link.ts';
import { MESSAGE_PREFIX_BYTES } from './message-reader.ts';
import type { ConnectionLimits } from './options.ts';
import { RequestBlocks } from './request-blocks.ts';
import { type ResponseHead, readResponseHead } from './response-head.ts';
import { type SettingsChange, settingsPayload } from './settings.ts';
import { Status } from './status.ts';
import { type Stream, writeMessage } from './stream.ts';

export interface ClientHost {
  readonly flusher: Flusher;
  readonly timer: DeadlineTimer;
  readonly pendingCallsMax: number;
  /** The server's SETTINGS are in: it speaks HTTP/2, and calls go out. */
  connectionReady(): void;
  /** No new calls: the server is going away, or the connection is gone. */
  connectionClosing(why: string): void;
}

export class ClientConnection extends Connection {
  readonly #host: ClientHost;
  readonly #requests: RequestBlocks;
  readonly #heads: HeadCache<ResponseHead>;
  #nextId = 1;
  #streamsMax = 0;
  #ready = false;
  /** Set once no call may start any more. */
  #closing: string | null = null;
  /** Calls waiting for SETTINGS or for a free stream, oldest first. */
  readonly #pending = new Set<ClientCallStream>();

  constructor(
    link: Link,
    limits: ConnectionLimits,
    host: ClientHost,
    authority: string,
    scheme: string,
  ) {
    super(link, limits, host.flusher);
    this.#host = host;
    this.#requests = new RequestBlocks(authority, scheme);
    const decoder = new HpackDecoder(limits.headerListBytesMax);
    this.#heads = new HeadCache(decoder, readResponseHead);
  }

  /** The preface and our settings; to be called when the socket is connected. */
  greet(): void {
    const at = this.out.reserve(PREFACE.length);
    this.out.bytes.set(PREFACE, at);
    this.out.commit(at + PREFACE.length);
    const settings = settingsPayload([
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, this.limits.streamWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, this.limits.headerListBytesMax],
    ]);
    this.writeFrame(FrameType.SETTINGS, 0, 0, settings);
    const more = this.limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES;
    if (more > 0) this.writeWindowUpdate(0, more);
  }

  // ---- calls

  /** Starts the call now or as soon as the server has room for it. */
  submit(call: ClientCallStream): void {
    const { deadlineMs } = call.request;
    if (deadlineMs !== Number.POSITIVE_INFINITY) this.#host.timer.add(call, deadlineMs);
    if (this.#closing !== null) return this.#refuse(call, this.#closing);
    if (this.#ready && this.#pending.size === 0 && this.streams.size < this.#streamsMax) {
      return this.#start(call);
    }
    if (this.#pending.size >= this.#host.pendingCallsMax) {
      this.#host.timer.remove(call);
      return call.refused(Status.RESOURCE_EXHAUSTED, 'too many calls wait for the connection');
    }
    this.#pending.add(call);
  }

  /** A call given up before it started. */
  forget(call: ClientCallStream): void {
    this.#pending.delete(call);
    if (call.wheelSlot >= 0) this.#host.timer.remove(call);
  }

  #start(call: ClientCallStream): void {
    if (this.#nextId > STREAM_ID_MAX) {
      this.#stopNew('the connection has used up its stream numbers');
      return this.#refuse(call, 'the connection has used up its stream numbers');
    }
    const id = this.#nextId;
    this.#nextId += 2;
    call.id = id;
    this.streams.set(id, call);
    call.start(id);
  }

  #startPending(): void {
    for (const call of this.#pending) {
      if (!this.#ready || this.#closing !== null || this.streams.size >= this.#streamsMax) return;
      this.#pending.delete(call);
      this.#start(call);
    }
  }

  #refuse(call: ClientCallStream, why: string): void {
    this.forget(call);
    call.refused(Status.UNAVAILABLE, why);
  }

  writeRequestHeaders(call: ClientCallStream): void {
    this.writeHeaders(call.id, this.#requests.block(call.request), false);
  }

  /** Headers and the one message, if the windows allow it at once. */
  sendUnaryFast(call: ClientCallStream, message: Uint8Array): boolean {
    const size = message.length + MESSAGE_PREFIX_BYTES;
    if (this.congested || size > this.sendWindow || size > call.sendWindow) return false;
    if (size > this.peerFrameMax) return false;
    const block = this.#requests.block(call.request);
    this.writeHeaders(call.id, block, false);
    const at = this.out.reserve(FRAME_HEADER_BYTES + size);
    const out = this.out.bytes;
    const body = writeFrameHeader(out, at, size, FrameType.DATA, Flag.END_STREAM, call.id);
    this.out.commit(writeMessage(out, body, message));
    this.sendWindow -= size;
    call.sendWindow -= size;
    call.localClosed = true;
    this.touch();
    return true;
  }

  /** The answer is complete. */
  remoteDone(call: ClientCallStream): void {
    this.dropStream(call);
  }

  // ---- what the server says

  protected override headersReceived(
    id: number,
    endStream: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const head = this.#heads.read(bytes, start, end);
    const call = this.streams.get(id) as ClientCallStream | undefined;
    if (call !== undefined) {
      if (!head.informational) call.headReceived(head, endStream);
      return;
    }
    if (this.isIdle(id)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'headers on an idle stream');
    }
  }

  protected override settingsReceived(change: SettingsChange): void {
    if (change.headerTableBytes !== undefined) {
      this.#requests.setPeerTableBytes(change.headerTableBytes);
    }
    if (change.concurrentStreamsMax !== undefined) this.#streamsMax = change.concurrentStreamsMax;
    else if (!this.#ready) this.#streamsMax = Number.POSITIVE_INFINITY;
    if (!this.#ready) {
      this.#ready = true;
      this.#host.connectionReady();
    }
    this.#startPending();
  }

  /** Streams above the last one named were never looked at: their calls may safely be repeated. */
  protected override goawayReceived(lastStreamId: number, code: number, text: string): void {
    const reason = 'the server is going away' + (text === '' ? '' : ': ' + text);
    const why = code === ErrorCode.NO_ERROR ? reason : reason + ' (HTTP/2 code ' + code + ')';
    this.#stopNew(why);
    for (const stream of [...this.streams.values()]) {
      if (stream.id <= lastStreamId) continue;
      this.dropStream(stream);
      (stream as ClientCallStream).refused(Status.UNAVAILABLE, why);
    }
    if (this.streams.size === 0) this.finish(why);
  }

  #stopNew(why: string): void {
    if (this.#closing !== null) return;
    this.#closing = why;
    for (const call of [...this.#pending]) this.#refuse(call, why);
    this.#host.connectionClosing(why);
  }

  /** Lets running calls end, then closes. */
  closeWhenIdle(why: string): void {
    this.#stopNew(why);
    if (this.streams.size === 0) this.finish(why);
  }

  protected override streamRemoved(stream: Stream): void {
    if (stream.wheelSlot >= 0) this.#host.timer.remove(stream);
    if (this.closed) return;
    if (this.#pending.size > 0) this.#startPending();
    if (this.#closing !== null && this.streams.size === 0) this.finish(this.#closing);
  }

  protected override connectionOver(why: string): void {
    this.#stopNew(why);
  }

  protected override isIdle(id: number): boolean {
    return (id & 1) === 0 || id >= this.#nextId;
  }

  /** The server opens no streams. */
  protected override lastPeerStreamId(): number {
    return 0;
  }

  protected override sentBeforeEnd(_stream: Stream): void {
    // The request is complete, the answer is not: nothing to do.
  }

  protected override pingAcked(): void {}

  /** A client that stopped reading because it cannot write could wait for a server doing the same. */
  protected override pausesWhenCongested(): boolean {
    return false;
  }

  protected override reportBug(error: unknown): void {
    // A caller's callback threw. It is the caller's to see, and must not be swallowed here.
    queueMicrotask(() => {
      throw error;
    });
  }
}

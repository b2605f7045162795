// The server's side of one connection: admits requests, answers the small ones in one piece, and
// says goodbye without losing anybody's call.
import type { EncodeInto } from './calls.ts';
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
import { DEFAULT_TABLE_BYTES } from './hpack-table.ts';
import type { Link } from './link.ts';
import { MESSAGE_PREFIX_BYTES } from './message-reader.ts';
import type { MethodTable } from './methods.ts';
import type { ServerLimits } from './options.ts';
import { type RequestHead, readRequestHead } from './request-head.ts';
import * as blocks from './response-blocks.ts';
import { type ServerStream, StreamServerCall, UnaryServerCall } from './server-calls.ts';
import { type SettingsChange, settingsPayload } from './settings.ts';
import { Status } from './status.ts';
import { type Stream, writeMessage, writeMessagePrefix } from './stream.ts';

/** Frame headers and header blocks of a whole response, in the worst case. */
const RESPONSE_OVERHEAD_BYTES = 128;
const DRAIN_PING = new TextEncoder().encode('draining');

/** What a connection needs of its server. */
export interface ServerHost {
  readonly limits: ServerLimits;
  readonly methods: MethodTable;
  readonly flusher: Flusher;
  readonly timer: DeadlineTimer;
  handlerThrew(error: unknown, path: string): void;
  connectionClosed(connection: ServerConnection): void;
}

export class ServerConnection extends Connection {
  readonly peer: string;
  readonly #host: ServerHost;
  readonly #heads: HeadCache<RequestHead>;
  #prefaceBytes = 0;
  #lastId = 0;
  /** The peer's table holds our two fields. Never again once it asked for a small table. */
  #warm = false;
  #mayIndex = true;
  #tableUpdateDue = false;
  /** Not at all; told to stop, and awaiting its last calls; no more calls are taken. */
  #drain: 'no' | 'announced' | 'final' = 'no';

  constructor(link: Link, host: ServerHost, peer: string) {
    super(link, host.limits, host.flusher);
    this.peer = peer;
    this.#host = host;
    const decoder = new HpackDecoder(host.limits.headerListBytesMax);
    this.#heads = new HeadCache(decoder, fields => readRequestHead(fields, host.methods));
    this.#greet();
  }

  /** SETTINGS go out first and unasked: Go clients wait for them before their first call. */
  #greet(): void {
    const limits = this.#host.limits;
    const settings = settingsPayload([
      [Setting.MAX_CONCURRENT_STREAMS, limits.concurrentStreamsMax],
      [Setting.INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, limits.headerListBytesMax],
    ]);
    this.writeFrame(FrameType.SETTINGS, 0, 0, settings);
    const more = limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES;
    if (more > 0) this.writeWindowUpdate(0, more);
  }

  override receive(chunk: Uint8Array): void {
    if (this.#prefaceBytes === PREFACE.length) return super.receive(chunk);
    let at = 0;
    while (this.#prefaceBytes < PREFACE.length && at < chunk.length) {
      if (chunk[at++] !== PREFACE[this.#prefaceBytes++]) {
        this.#prefaceBytes = PREFACE.length;
        return this.abort(ErrorCode.PROTOCOL_ERROR, 'bad connection preface');
      }
    }
    if (at < chunk.length) super.receive(chunk.subarray(at));
  }

  // ---- requests

  protected override headersReceived(
    id: number,
    endStream: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const head = this.#heads.read(bytes, start, end);
    const known = this.streams.get(id);
    if (known !== undefined) return this.#trailers(known, endStream);
    if ((id & 1) === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'even stream number');
    if (id <= this.#lastId) {
      if (this.isForgiven(id)) return;
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, 'HEADERS on a closed stream');
    }
    this.#lastId = id;
    this.#admit(id, endStream, head);
  }

  #trailers(stream: Stream, endStream: boolean): void {
    if (stream.remoteClosed) return this.resetStream(stream, ErrorCode.STREAM_CLOSED);
    if (!endStream) return this.resetStream(stream, ErrorCode.PROTOCOL_ERROR);
    stream.receiveEnd();
  }

  #admit(id: number, endStream: boolean, head: RequestHead): void {
    if (this.#drain === 'final' || this.streams.size >= this.#host.limits.concurrentStreamsMax) {
      return this.#turnAway(id, ErrorCode.REFUSED_STREAM);
    }
    if (head.malformed) return this.#turnAway(id, ErrorCode.PROTOCOL_ERROR);
    const method = head.method;
    if (head.refusal !== null || method === null) return this.#refuse(id, endStream, head);
    const unary = method.handler.kind === 'unary';
    const call: ServerStream = unary
      ? new UnaryServerCall(this, id, head, method)
      : new StreamServerCall(this, id, head, method);
    this.streams.set(id, call);
    method.started += 1;
    if (head.timeoutMs !== Number.POSITIVE_INFINITY) this.#host.timer.add(call, head.timeoutMs);
    if (!unary) call.begin();
    if (endStream && !call.remoteClosed) call.receiveEnd();
  }

  #turnAway(id: number, code: ErrorCode): void {
    this.forgive(id);
    this.writeRst(id, code);
  }

  #refuse(id: number, endStream: boolean, head: RequestHead): void {
    const refusal = head.refusal!;
    const block = blocks.trailersOnly(refusal.httpStatus, refusal.code, refusal.message);
    this.writeHeaders(id, block, true);
    if (head.method !== null) {
      head.method.started += 1;
      head.method.handled[refusal.code]! += 1;
    }
    if (!endStream) this.#turnAway(id, ErrorCode.NO_ERROR);
  }

  protected override isIdle(id: number): boolean {
    return (id & 1) === 0 || id > this.#lastId;
  }

  protected override lastPeerStreamId(): number {
    return this.#lastId;
  }

  // ---- responses

  override writeHeaders(id: number, block: Uint8Array, endStream: boolean): void {
    if (!this.#tableUpdateDue) return super.writeHeaders(id, block, endStream);
    this.#tableUpdateDue = false;
    const prefixed = new Uint8Array(block.length + 1);
    prefixed[0] = 0x20; // the table is empty from here on (RFC 7541 §4.2)
    prefixed.set(block, 1);
    super.writeHeaders(id, prefixed, endStream);
  }

  writeResponseHeaders(id: number): void {
    this.writeHeaders(id, this.#warm ? blocks.WARM_HEADERS : blocks.PLAIN_HEADERS, false);
  }

  /** Headers, message and trailers in one go, if the windows allow it. */
  respondFast(call: ServerStream, message: Uint8Array): boolean {
    const size = message.length + MESSAGE_PREFIX_BYTES;
    if (!this.#fitsNow(call, size)) return false;
    const at = this.out.reserve(size + RESPONSE_OVERHEAD_BYTES);
    const out = this.out.bytes;
    let end = this.#putHeaders(out, at, call.id);
    end = writeFrameHeader(out, end, size, FrameType.DATA, 0, call.id);
    end = writeMessage(out, end, message);
    this.#sendFast(call, size, this.#putTrailers(out, end, call.id));
    return true;
  }

  /** The same, encoding the message where it leaves from. */
  respondFastWith<T>(
    call: ServerStream,
    bytesMax: number,
    encode: EncodeInto<T>,
    value: T,
  ): boolean {
    // The first response of a connection puts its fields into the peer's table the plain way.
    if (!this.#warm || !this.#fitsNow(call, bytesMax + MESSAGE_PREFIX_BYTES)) return false;
    const at = this.out.reserve(bytesMax + RESPONSE_OVERHEAD_BYTES);
    const out = this.out.bytes;
    const data = this.#putHeaders(out, at, call.id);
    const body = data + FRAME_HEADER_BYTES + MESSAGE_PREFIX_BYTES;
    const end = encode(value, out, body);
    if (end > body + bytesMax) throw new RangeError('encode wrote more than it announced');
    const size = end - data - FRAME_HEADER_BYTES;
    writeFrameHeader(out, data, size, FrameType.DATA, 0, call.id);
    writeMessagePrefix(out, data + FRAME_HEADER_BYTES, end - body);
    this.#sendFast(call, size, this.#putTrailers(out, end, call.id));
    return true;
  }

  #fitsNow(call: ServerStream, size: number): boolean {
    return (
      size <= this.sendWindow &&
      size <= call.sendWindow &&
      size <= this.peerFrameMax &&
      this.#mayIndex &&
      !this.congested &&
      !this.closed
    );
  }

  #sendFast(call: ServerStream, size: number, end: number): void {
    this.out.commit(end);
    this.sendWindow -= size;
    this.#warm = true;
    call.localClosed = true;
    this.streamSent(call);
    this.touch();
  }

  #putHeaders(out: Uint8Array, at: number, id: number): number {
    if (!this.#warm) return putBlock(out, at, id, blocks.INSERTING_HEADERS, Flag.END_HEADERS);
    at = writeFrameHeader(out, at, 2, FrameType.HEADERS, Flag.END_HEADERS, id);
    out[at] = blocks.WARM_HEADERS[0]!;
    out[at + 1] = blocks.WARM_HEADERS[1]!;
    return at + 2;
  }

  #putTrailers(out: Uint8Array, at: number, id: number): number {
    const flags = Flag.END_HEADERS | Flag.END_STREAM;
    if (!this.#warm) return putBlock(out, at, id, blocks.INSERTING_TRAILERS, flags);
    at = writeFrameHeader(out, at, 1, FrameType.HEADERS, flags, id);
    out[at] = blocks.WARM_TRAILERS[0]!;
    return at + 1;
  }

  protected override settingsReceived(change: SettingsChange): void {
    if (change.headerTableBytes === undefined) return;
    if (change.headerTableBytes >= DEFAULT_TABLE_BYTES || !this.#mayIndex) return;
    this.#mayIndex = false;
    this.#warm = false;
    this.#tableUpdateDue = true;
  }

  /** The answer was complete before the request: the rest of it is not wanted (RFC 9113 §8.1). */
  protected override sentBeforeEnd(stream: Stream): void {
    this.#turnAway(stream.id, ErrorCode.NO_ERROR);
    this.dropStream(stream);
  }

  // ---- the end

  /**
   * Asks the client to go elsewhere: the first GOAWAY leaves room for requests under way, the second,
   * sent when the PING between them comes back, names the last one served (RFC 9113 §6.8).
   */
  drain(): void {
    if (this.#drain !== 'no' || this.closed) return;
    this.#drain = 'announced';
    this.writeGoaway(STREAM_ID_MAX, ErrorCode.NO_ERROR, 'server is shutting down');
    this.writeFrame(FrameType.PING, 0, 0, DRAIN_PING);
  }

  protected override pingAcked(): void {
    if (this.#drain !== 'announced') return;
    this.#drain = 'final';
    this.writeGoaway(this.#lastId, ErrorCode.NO_ERROR, 'server is shutting down');
    this.#finishIfIdle();
  }

  /** Ends every call with UNAVAILABLE and then the connection. */
  shutDown(): void {
    if (this.closed) return;
    for (const stream of [...this.streams.values()]) {
      (stream as ServerStream).breakOff(Status.UNAVAILABLE, 'server is shutting down');
    }
    this.writeGoaway(this.#lastId, ErrorCode.NO_ERROR, 'server is shutting down');
    this.finish('server is shutting down');
  }

  #finishIfIdle(): void {
    if (this.#drain === 'final' && this.streams.size === 0) this.finish('drained');
  }

  protected override streamRemoved(stream: Stream): void {
    if (stream.wheelSlot >= 0) this.#host.timer.remove(stream);
    if (this.#drain === 'final') this.#finishIfIdle();
  }

  protected override goawayReceived(): void {
    // The client will open no more streams; it closes the connection when its calls are done.
  }

  protected override connectionOver(_why: string): void {
    this.#host.connectionClosed(this);
  }

  protected override pausesWhenCongested(): boolean {
    return true;
  }

  handlerThrew(error: unknown, path: string): void {
    this.#host.handlerThrew(error, path);
  }

  protected override reportBug(error: unknown): void {
    this.#host.handlerThrew(error, '');
  }
}

function putBlock(
  out: Uint8Array,
  at: number,
  id: number,
  block: Uint8Array,
  flags: number,
): number {
  at = writeFrameHeader(out, at, block.length, FrameType.HEADERS, flags, id);
  out.set(block, at);
  return at + block.length;
}

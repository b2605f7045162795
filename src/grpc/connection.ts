// One HTTP/2 connection, the part both sides share (RFC 9113): cuts the byte stream into frames,
// answers the control frames and accounts for both directions' flow control. One `receive` handles
// all frames of a socket read in one loop. A peer that breaks the protocol costs its connection, never the process.

import { FloodGuard } from './flood-guard.ts';
import { type Flusher, FrameWriter } from './frame-writer.ts';
import {
  ConnectionError,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_MAX,
  FrameType,
  readU32,
  STREAM_ID_MAX,
  WINDOW_MAX,
} from './frames.ts';
import { HeaderBlockBuffer } from './header-block-buffer.ts';
import type { Link, LinkEvents } from './link.ts';
import type { ConnectionLimits } from './options.ts';
import { readSettings, type SettingsChange } from './settings.ts';
import type { Stream } from './stream.ts';

/** One stream's share before the next has its turn. */
const PUMP_BYTES = 64 * 1024;
/** Streams we reset or ended early whose late frames are still forgiven. */
const RESET_IDS_MAX = 1024;

export abstract class Connection extends FrameWriter implements LinkEvents {
  readonly streams = new Map<number, Stream>();
  /** What the peer lets us send on the whole connection, and a fresh stream's share. */
  sendWindow = DEFAULT_WINDOW_BYTES;
  peerStreamWindow = DEFAULT_WINDOW_BYTES;
  /** Bytes of unfinished and undelivered messages on all streams. */
  heldBytes = 0;
  bytesIn = 0;

  readonly #flood: FloodGuard;
  #recvWindow: number;
  #uncredited = 0;
  /** The start of a frame whose rest has not come yet. */
  #partial: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES);
  #partialBytes = 0;
  #sawSettings = false;
  /** A header block in pieces: until its END_HEADERS no other frame may come (§6.10). */
  #block: HeaderBlockBuffer | null = null;
  readonly #waiting: Stream[] = [];
  readonly #resetIds = new Set<number>();

  constructor(link: Link, limits: ConnectionLimits, flusher: Flusher) {
    super(link, limits, flusher);
    this.#flood = new FloodGuard(limits.idleFramesMax);
    this.#recvWindow = limits.connectionWindowBytes;
  }

  /** A whole header block arrived: a call, a response, or trailers. */
  protected abstract headersReceived(
    id: number,
    endStream: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void;
  /** True for a stream number that nobody has used yet. */
  protected abstract isIdle(id: number): boolean;
  protected abstract settingsReceived(change: SettingsChange): void;
  protected abstract pingAcked(): void;
  protected abstract goawayReceived(lastStreamId: number, code: number, text: string): void;
  /** The last of the streams has gone, or the connection is over. */
  protected abstract streamRemoved(stream: Stream): void;
  protected abstract connectionOver(why: string): void;

  // ---- input

  receive(chunk: Uint8Array): void {
    if (this.closed) return;
    this.bytesIn += chunk.length;
    try {
      this.#parse(chunk, this.#completePartial(chunk));
    } catch (error) {
      if (error instanceof ConnectionError) this.abort(error.code, error.message);
      else this.abort(ErrorCode.INTERNAL_ERROR, 'internal error');
      if (!(error instanceof ConnectionError)) this.reportBug(error);
    }
  }

  /** An exception that is nobody's protocol error. */
  protected abstract reportBug(error: unknown): void;

  drained(): void {
    if (this.closed || !this.congested) return;
    this.congested = false;
    if (this.pausesWhenCongested()) this.link.resume();
    this.#pumpWaiting();
  }

  lost(error: Error | null): void {
    this.close(error === null ? 'connection closed by the peer' : error.message);
  }

  /** Parses whole frames; what is left becomes the partial frame. */
  #parse(bytes: Uint8Array, at: number): void {
    const end = bytes.length;
    while (end - at >= FRAME_HEADER_BYTES && !this.closed) {
      const size = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      if (size > FRAME_PAYLOAD_MAX) throw frameSize('frame too large');
      const next = at + FRAME_HEADER_BYTES + size;
      if (next > end) break;
      this.#frame(bytes, at, next);
      at = next;
    }
    if (at < end && !this.closed) this.#keepPartial(bytes, at);
  }

  #keepPartial(bytes: Uint8Array, at: number): void {
    this.#ensurePartial(bytes.length - at);
    this.#partial.set(bytes.subarray(at), 0);
    this.#partialBytes = bytes.length - at;
  }

  /** Feeds the chunk to the frame begun before it; returns where the rest of the chunk starts. */
  #completePartial(chunk: Uint8Array): number {
    if (this.#partialBytes === 0) return 0;
    let at = this.#fillPartial(chunk, 0, FRAME_HEADER_BYTES);
    if (this.#partialBytes < FRAME_HEADER_BYTES) return at;
    const size = (this.#partial[0]! << 16) | (this.#partial[1]! << 8) | this.#partial[2]!;
    if (size > FRAME_PAYLOAD_MAX) throw frameSize('frame too large');
    const whole = FRAME_HEADER_BYTES + size;
    at = this.#fillPartial(chunk, at, whole);
    if (this.#partialBytes < whole) return at;
    this.#partialBytes = 0;
    this.#frame(this.#partial, 0, whole);
    return at;
  }

  #fillPartial(chunk: Uint8Array, at: number, upTo: number): number {
    const size = Math.min(chunk.length - at, upTo - this.#partialBytes);
    if (size <= 0) return at;
    this.#ensurePartial(upTo);
    this.#partial.set(chunk.subarray(at, at + size), this.#partialBytes);
    this.#partialBytes += size;
    return at + size;
  }

  #ensurePartial(size: number): void {
    if (size <= this.#partial.length) return;
    const larger = new Uint8Array(Math.min(2 * size, FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX));
    larger.set(this.#partial.subarray(0, this.#partialBytes));
    this.#partial = larger;
  }

  #frame(bytes: Uint8Array, at: number, end: number): void {
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    const id = readU32(bytes, at + 5) & STREAM_ID_MAX;
    const start = at + FRAME_HEADER_BYTES;
    if (type === FrameType.DATA && this.#sawSettings && this.#block === null) {
      return this.#data(id, flags, bytes, start, end);
    }
    if (!this.#sawSettings && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw protocol('the first frame must be SETTINGS');
    }
    if (this.#block !== null && (type !== FrameType.CONTINUATION || id !== this.#block.id)) {
      throw protocol('another frame inside a header block');
    }
    if (type === FrameType.HEADERS) return this.#headers(id, flags, bytes, start, end);
    this.#control(type, id, flags, bytes, start, end);
  }

  #control(
    type: number,
    id: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    switch (type) {
      case FrameType.PRIORITY:
        if (id === 0) throw protocol('PRIORITY on stream 0');
        if (end - start !== 5) this.#resetId(id, ErrorCode.FRAME_SIZE_ERROR);
        return;
      case FrameType.RST_STREAM:
        return this.#rstStream(id, bytes, start, end);
      case FrameType.SETTINGS:
        return this.#settings(id, flags, bytes, start, end);
      case FrameType.PUSH_PROMISE:
        throw protocol('PUSH_PROMISE is not allowed');
      case FrameType.PING:
        return this.#ping(id, flags, bytes, start, end);
      case FrameType.GOAWAY:
        if (id !== 0) throw protocol('GOAWAY on a stream');
        if (end - start < 8) throw frameSize('GOAWAY');
        return this.goawayReceived(
          readU32(bytes, start) & STREAM_ID_MAX,
          readU32(bytes, start + 4),
          Buffer.from(bytes.subarray(start + 8, Math.min(end, start + 264))).toString('latin1'),
        );
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(id, bytes, start, end);
      case FrameType.CONTINUATION:
        return this.#continuation(flags, bytes, start, end);
      default:
        this.#flood.charge(1); // unknown frames are ignored (§4.1)
    }
  }

  #data(id: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    if (id === 0) throw protocol('DATA on stream 0');
    const frameBytes = end - start;
    this.#creditConnection(frameBytes);
    if ((flags & Flag.PADDED) !== 0) {
      if (frameBytes === 0 || bytes[start]! >= frameBytes) throw protocol('padding too long');
      end -= bytes[start]!;
      start += 1;
    }
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if (start === end && !endStream) this.#flood.charge(1);
    const stream = this.streams.get(id);
    if (stream === undefined) return this.#strayFrame(id);
    if (stream.remoteClosed) return this.resetStream(stream, ErrorCode.STREAM_CLOSED);
    stream.recvWindow -= frameBytes;
    if (stream.recvWindow < 0) return this.resetStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    if (start < end) stream.receiveData(bytes, start, end, frameBytes);
    if (endStream && !stream.remoteClosed) stream.receiveEnd();
  }

  /** The connection's window is given back on arrival: one slow stream must not stop the others. */
  #creditConnection(bytes: number): void {
    this.#recvWindow -= bytes;
    if (this.#recvWindow < 0) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'connection window overrun');
    }
    this.#uncredited += bytes;
    if (this.#uncredited * 4 < this.limits.connectionWindowBytes) return;
    this.#recvWindow += this.#uncredited;
    this.writeWindowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }

  /** DATA for a stream that is gone, or never was. */
  #strayFrame(id: number): void {
    if (this.isIdle(id)) throw protocol('frame on an idle stream');
    if (this.#resetIds.has(id)) return;
    this.#flood.charge(1);
    this.writeRst(id, ErrorCode.STREAM_CLOSED);
  }

  #headers(id: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    if (id === 0) throw protocol('HEADERS on stream 0');
    if ((flags & Flag.PADDED) !== 0) {
      if (start === end) throw frameSize('HEADERS');
      end -= bytes[start]!;
      start += 1;
    }
    if ((flags & Flag.PRIORITY) !== 0) start += 5;
    if (start > end) throw protocol('padding too long');
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if ((flags & Flag.END_HEADERS) !== 0) {
      return this.headersReceived(id, endStream, bytes, start, end);
    }
    this.#block = new HeaderBlockBuffer(id, endStream, this.limits.headerListBytesMax);
    this.#block.append(bytes, start, end);
  }

  #continuation(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const block = this.#block;
    if (block === null) throw protocol('CONTINUATION without HEADERS');
    this.#flood.charge(1);
    block.append(bytes, start, end);
    if ((flags & Flag.END_HEADERS) === 0) return;
    this.#block = null;
    this.headersReceived(block.id, block.endStream, block.bytes, 0, block.length);
  }

  #rstStream(id: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) throw frameSize('RST_STREAM');
    if (id === 0 || this.isIdle(id)) throw protocol('RST_STREAM on an idle stream');
    this.#flood.charge(5); // opening and resetting streams is work for us and none for the peer
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    this.#remove(stream);
    stream.wasReset(readU32(bytes, start), true);
  }

  #settings(id: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    if (id !== 0) throw protocol('SETTINGS on a stream');
    if ((flags & Flag.ACK) !== 0) {
      if (start !== end) throw frameSize('SETTINGS ACK');
      return this.#flood.charge(1);
    }
    const change = readSettings(bytes, start, end);
    this.#sawSettings = true;
    // A changed window touches every stream, so it is charged by their number.
    this.#flood.charge(5 + (this.streams.size >> 4));
    if (change.streamWindow !== undefined) this.#changeStreamWindow(change.streamWindow);
    if (change.frameMax !== undefined) this.peerFrameMax = Math.min(change.frameMax, 65_536);
    this.settingsReceived(change);
    this.writeFrame(FrameType.SETTINGS, Flag.ACK, 0, EMPTY);
    this.#pumpWaiting();
  }

  #changeStreamWindow(window: number): void {
    const delta = window - this.peerStreamWindow;
    this.peerStreamWindow = window;
    for (const stream of this.streams.values()) {
      stream.sendWindow += delta;
      if (stream.sendWindow > WINDOW_MAX) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'stream window too large');
      }
      if (stream.queuedBytes > 0) this.await(stream);
    }
  }

  #ping(id: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    if (id !== 0) throw protocol('PING on a stream');
    if (end - start !== 8) throw frameSize('PING');
    if ((flags & Flag.ACK) !== 0) return this.pingAcked();
    this.#flood.charge(1);
    this.writeFrame(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end));
  }

  #windowUpdate(id: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) throw frameSize('WINDOW_UPDATE');
    const increment = readU32(bytes, start) & WINDOW_MAX;
    if (id === 0) {
      if (increment === 0) throw protocol('WINDOW_UPDATE of 0');
      this.sendWindow += increment;
      if (this.sendWindow > WINDOW_MAX) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'connection window too large');
      }
      return this.#pumpWaiting();
    }
    if (this.isIdle(id)) throw protocol('WINDOW_UPDATE on an idle stream');
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (increment === 0) return this.resetStream(stream, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += increment;
    if (stream.sendWindow > WINDOW_MAX) {
      return this.resetStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    }
    if (stream.queuedBytes > 0) stream.pump(Number.POSITIVE_INFINITY);
  }

  // ---- streams

  /** Ends a stream by RST_STREAM; its owner learns of it through `wasReset`. */
  resetStream(stream: Stream, code: ErrorCode): void {
    if (!this.streams.has(stream.id)) return;
    this.#resetId(stream.id, code);
    this.#remove(stream);
    stream.wasReset(code, false);
  }

  /** END_STREAM has left. A request the client has not finished is cut off (§8.1). */
  streamSent(stream: Stream): void {
    if (stream.remoteClosed) this.#remove(stream);
    else this.sentBeforeEnd(stream);
  }

  /** Our side is finished first. */
  protected abstract sentBeforeEnd(stream: Stream): void;

  /** Forgets a stream without another word. */
  protected dropStream(stream: Stream): void {
    this.#remove(stream);
  }

  protected forgive(id: number): void {
    if (this.#resetIds.size >= RESET_IDS_MAX) {
      this.#resetIds.delete(this.#resetIds.values().next().value!);
    }
    this.#resetIds.add(id);
  }

  protected isForgiven(id: number): boolean {
    return this.#resetIds.has(id);
  }

  #resetId(id: number, code: ErrorCode): void {
    this.forgive(id);
    this.writeRst(id, code);
  }

  #remove(stream: Stream): void {
    if (!this.streams.delete(stream.id)) return;
    stream.discard();
    this.streamRemoved(stream);
  }

  /** Puts a stream that the connection holds up on the list which `#pumpWaiting` works off. */
  await(stream: Stream): void {
    if (stream.waiting) return;
    stream.waiting = true;
    this.#waiting.push(stream);
  }

  /** Round robin, one share each; every step moves bytes or takes a stream off the list. */
  #pumpWaiting(): void {
    let next = 0;
    const waiting = this.#waiting;
    while (next < waiting.length && this.sendWindow > 0 && !this.congested && !this.closed) {
      const stream = waiting[next++]!;
      stream.waiting = false;
      if (stream.queuedBytes > 0) stream.pump(PUMP_BYTES);
    }
    if (next > 0) waiting.splice(0, next);
  }

  // ---- the end

  /** Ends the connection because of the peer's fault or ours. */
  protected abort(code: ErrorCode, why: string): void {
    if (this.closed) return;
    this.writeGoaway(this.lastPeerStreamId(), code, why);
    this.finish('connection error: ' + why);
  }

  /** The GOAWAY's last-stream-id: the highest stream of the peer we acted on. */
  protected abstract lastPeerStreamId(): number;

  /** Flushes, closes the socket politely, ends all streams. */
  finish(why: string): void {
    if (this.closed) return;
    this.flush();
    this.link.end();
    this.close(why);
  }

  /** The socket is or counts as gone. */
  close(why: string): void {
    if (this.closed) return;
    this.closed = true;
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.#waiting.length = 0;
    for (const stream of streams) {
      stream.discard();
      this.streamRemoved(stream);
      stream.connectionLost(why);
    }
    this.connectionOver(why);
  }
}

const EMPTY = new Uint8Array(0);

const protocol = (what: string): ConnectionError =>
  new ConnectionError(ErrorCode.PROTOCOL_ERROR, what);

const frameSize = (what: string): ConnectionError =>
  new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'wrong frame size: ' + what);

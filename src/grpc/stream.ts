// One HTTP/2 stream that carries gRPC messages, the same for both sides: cuts what arrives into
// messages, queues what cannot leave yet, and keeps both flow-control windows (RFC 9113 §5.2, §6.9).
import { gunzipSync } from 'node:zlib';
import type { Connection } from './connection.ts';
import type { Timed } from './deadline-wheel.ts';
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType, writeFrameHeader } from './frames.ts';
import { checkMessageBytes, MESSAGE_PREFIX_BYTES, MessageReader } from './message-reader.ts';
import { Status, StatusError } from './status.ts';

/** What an undelivered message costs beside its bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;
/** Smaller messages are joined with their prefix when queued, so that they need one frame, not two. */
const JOIN_BYTES_MAX = 4096;
/** A sender that ignores `false` this far has lost its call: the queue must have an end. */
const BACKLOG_FACTOR = 64;

export abstract class Stream implements Timed {
  id = 0;
  readonly connection: Connection;
  /** What the peer lets us send. May be negative after a SETTINGS change (§6.9.2). */
  sendWindow: number;
  /** What we still let the peer send. */
  recvWindow: number;
  /** END_STREAM or RST_STREAM was sent, or received. */
  localClosed = false;
  remoteClosed = false;
  /** True while the connection's list of streams with unsent bytes holds this one. */
  waiting = false;
  /** Value of grpc-encoding the peer announced. */
  encoding = 'identity';
  queuedBytes = 0;
  onDrain: (() => void) | null = null;

  expiresAtMs = Number.POSITIVE_INFINITY;
  wheelPrev: Timed | null = null;
  wheelNext: Timed | null = null;
  wheelSlot = -1;

  #reader: MessageReader | null = null;
  /** Received, not yet handed over: the reader is paused. */
  #inbox: Uint8Array[] | null = null;
  #inboxBytes = 0;
  #paused = false;
  #delivering = false;
  /** END_STREAM came, but messages before it are still in the inbox. */
  #endHeld = false;
  /** Our share in the connection's held bytes. */
  #heldBytes = 0;
  /** Bytes the peer has sent and may send again; `withheld` ones only after the inbox is empty. */
  #uncredited = 0;
  #withheld = 0;

  #queue: Uint8Array[] | null = null;
  #queueHead = 0;
  #queueOffset = 0;
  #wantsDrain = false;
  /** After the queue: a trailing header block (server), or END_STREAM on the last DATA (client). */
  #endBlock: Uint8Array | null = null;
  #endWithData = false;

  constructor(connection: Connection) {
    this.connection = connection;
    this.sendWindow = connection.peerStreamWindow;
    this.recvWindow = connection.limits.streamWindowBytes;
  }

  /** A whole message, decompressed. */
  protected abstract messageReceived(message: Uint8Array): void;
  /** The peer will send no more messages; all before were delivered. */
  protected abstract remoteEnded(): void;
  /** The peer's message cannot be read: too large, badly framed, unknown compression. */
  protected abstract receiveFailed(error: StatusError): void;
  /** The stream is over before its end, by either side's RST_STREAM. */
  abstract wasReset(code: number, byPeer: boolean): void;
  /** The connection is gone. */
  abstract connectionLost(why: string): void;
  abstract expire(): void;

  // ---- receiving

  /** DATA, `frameBytes` long with its padding; the connection has checked the windows. */
  receiveData(bytes: Uint8Array, start: number, end: number, frameBytes: number): void {
    try {
      if (!this.#receiveWhole(bytes, start, end)) this.#receivePart(bytes, start, end);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      return this.receiveFailed(error);
    }
    if (this.#inbox === null) this.#credit(frameBytes);
    else this.#withheld += frameBytes;
  }

  receiveEnd(): void {
    this.remoteClosed = true;
    if (this.#reader?.partial === true) {
      return this.receiveFailed(new StatusError(Status.INTERNAL, 'stream ended inside a message'));
    }
    if (this.#inbox !== null) this.#endHeld = true;
    else this.remoteEnded();
  }

  pause(): void {
    this.#paused = true;
  }

  /** Delivers what has come meanwhile, unless the receiver pauses again, and opens the window. */
  resume(): void {
    this.#paused = false;
    if (this.#delivering) return; // called from inside a delivery: the loop below goes on
    this.#delivering = true;
    const inbox = this.#inbox ?? [];
    let next = 0;
    while (next < inbox.length && !this.#paused && !this.isOver()) {
      const message = inbox[next++]!;
      this.#inboxBytes -= message.length + MESSAGE_OVERHEAD_BYTES;
      this.messageReceived(message);
    }
    this.#delivering = false;
    if (this.isOver()) return;
    if (next < inbox.length) this.#inbox = inbox.slice(next);
    else this.#inboxEmptied();
    this.#updateHeld();
  }

  /** Nobody will read what arrives from here on. */
  protected isOver(): boolean {
    return this.localClosed && this.remoteClosed;
  }

  /** Keeps bytes the call itself holds (a unary request awaiting its end) on the connection's account. */
  protected holdBytes(bytes: number): void {
    this.#inboxBytes = bytes;
    this.#updateHeld();
  }

  /** The common case: exactly one message in the frame, uncompressed, nobody paused. */
  #receiveWhole(bytes: Uint8Array, start: number, end: number): boolean {
    const size = end - start - MESSAGE_PREFIX_BYTES;
    if (size < 0 || this.#reader !== null || bytes[start] !== 0) return false;
    if (
      bytes[start + 1] !== 0 ||
      ((bytes[start + 2]! << 16) | (bytes[start + 3]! << 8) | bytes[start + 4]!) !== size
    ) {
      return false;
    }
    checkMessageBytes(size, this.connection.limits.messageBytesMax);
    this.#deliver(copyOf(bytes, start + MESSAGE_PREFIX_BYTES, end));
    return true;
  }

  #receivePart(bytes: Uint8Array, start: number, end: number): void {
    this.#reader ??= new MessageReader(this.connection.limits.messageBytesMax);
    const reader = this.#reader;
    for (let at = start; at < end && !this.isOver(); ) {
      at = reader.feed(bytes, at, end);
      const message = reader.take();
      if (message !== null) this.#deliver(this.#plain(message, reader.flag));
    }
    if (!this.isOver()) this.#updateHeld();
  }

  #plain(message: Uint8Array, flag: number): Uint8Array {
    if (flag === 0) return message;
    if (flag !== 1) {
      const text = 'grpc: received unexpected payload format ' + flag;
      throw new StatusError(Status.INTERNAL, text);
    }
    if (this.encoding === 'identity') {
      const text = 'grpc: compressed flag set with identity or empty encoding';
      throw new StatusError(Status.INTERNAL, text);
    }
    return gunzip(message, this.connection.limits.messageBytesMax);
  }

  #deliver(message: Uint8Array): void {
    if (!this.#paused && this.#inbox === null) return this.messageReceived(message);
    this.#inbox ??= [];
    this.#inbox.push(message);
    this.#inboxBytes += message.length + MESSAGE_OVERHEAD_BYTES;
    this.#updateHeld();
  }

  #inboxEmptied(): void {
    this.#inbox = null;
    const withheld = this.#withheld;
    this.#withheld = 0;
    this.#credit(withheld);
    if (!this.#endHeld) return;
    this.#endHeld = false;
    this.remoteEnded();
  }

  #updateHeld(): void {
    const held = this.#inboxBytes + (this.#reader?.heldBytes ?? 0);
    this.connection.heldBytes += held - this.#heldBytes;
    const grown = held > this.#heldBytes;
    this.#heldBytes = held;
    if (grown && this.connection.heldBytes > this.connection.limits.heldBytesMax) {
      const text = 'grpc: connection holds too many bytes of unread messages';
      throw new StatusError(Status.RESOURCE_EXHAUSTED, text);
    }
  }

  #credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.remoteClosed || this.#uncredited * 2 < this.connection.limits.streamWindowBytes)
      return;
    this.recvWindow += this.#uncredited;
    this.connection.writeWindowUpdate(this.id, this.#uncredited);
    this.#uncredited = 0;
  }

  // ---- sending

  /** Sends or queues one message; false when the queue is over its bound. */
  protected sendMessage(message: Uint8Array): boolean {
    const connection = this.connection;
    const size = message.length + MESSAGE_PREFIX_BYTES;
    if (this.queuedBytes === 0 && size <= this.#frameRoom()) {
      const at = connection.out.reserve(FRAME_HEADER_BYTES + size);
      const out = connection.out.bytes;
      const body = writeFrameHeader(out, at, size, FrameType.DATA, 0, this.id);
      connection.out.commit(writeMessage(out, body, message));
      connection.sendWindow -= size;
      this.sendWindow -= size;
      connection.touch();
      return true;
    }
    if (this.queuedBytes > connection.limits.sendQueueBytesMax * BACKLOG_FACTOR) {
      connection.resetStream(this, ErrorCode.ENHANCE_YOUR_CALM);
      return false;
    }
    this.#enqueue(message);
    this.pump(Number.POSITIVE_INFINITY);
    const below = this.queuedBytes < connection.limits.sendQueueBytesMax;
    if (!below) this.#wantsDrain = true;
    return below;
  }

  /** END_STREAM after everything queued: with this header block, or (null) with the last DATA frame. */
  protected finishSending(block: Uint8Array | null): void {
    if (block === null) this.#endWithData = true;
    else this.#endBlock = block;
    if (this.queuedBytes === 0) this.#writeEnd();
  }

  protected drainReached(): void {
    this.onDrain?.();
  }

  /** Moves queued bytes into the output as far as the windows allow; returns how many. */
  pump(bytesMax: number): number {
    let moved = 0;
    while (this.queuedBytes > 0 && moved < bytesMax) {
      const size = Math.min(this.#frameRoom(), this.queuedBytes);
      if (size <= 0) break;
      this.#writeQueued(size);
      moved += size;
    }
    // Held up by its own window only, it waits for its own WINDOW_UPDATE.
    if (this.queuedBytes > 0 && this.sendWindow > 0) this.connection.await(this);
    else if (this.queuedBytes === 0 && moved > 0) this.#emptied();
    return moved;
  }

  /** Forgets all that was not sent or delivered. The stream is off the connection's books. */
  discard(): void {
    this.localClosed = true;
    this.remoteClosed = true;
    this.#queue = null;
    this.queuedBytes = 0;
    this.#inbox = null;
    this.#reader = null;
    this.connection.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
  }

  /** How large a DATA frame may be now. */
  #frameRoom(): number {
    const connection = this.connection;
    if (connection.congested) return 0;
    return Math.min(connection.peerFrameMax, connection.sendWindow, this.sendWindow);
  }

  #enqueue(message: Uint8Array): void {
    this.#queue ??= [];
    this.queuedBytes += message.length + MESSAGE_PREFIX_BYTES;
    if (message.length <= JOIN_BYTES_MAX) {
      const joined = new Uint8Array(message.length + MESSAGE_PREFIX_BYTES);
      writeMessage(joined, 0, message);
      this.#queue.push(joined);
      return;
    }
    const prefix = new Uint8Array(MESSAGE_PREFIX_BYTES);
    writeMessagePrefix(prefix, 0, message.length);
    this.#queue.push(prefix, message);
  }

  #writeQueued(size: number): void {
    const connection = this.connection;
    const ends = this.#endWithData && size === this.queuedBytes;
    const at = connection.out.reserve(FRAME_HEADER_BYTES + size);
    const out = connection.out.bytes;
    const flags = ends ? Flag.END_STREAM : 0;
    this.#fill(out, writeFrameHeader(out, at, size, FrameType.DATA, flags, this.id), size);
    connection.out.commit(at + FRAME_HEADER_BYTES + size);
    connection.sendWindow -= size;
    this.sendWindow -= size;
    this.queuedBytes -= size;
    connection.touch();
    if (ends) this.#closeLocal();
  }

  /** Copies the next `size` queued bytes to `at`. */
  #fill(out: Uint8Array, at: number, size: number): void {
    const queue = this.#queue!;
    while (size > 0) {
      const piece = queue[this.#queueHead]!;
      const n = Math.min(size, piece.length - this.#queueOffset);
      out.set(piece.subarray(this.#queueOffset, this.#queueOffset + n), at);
      at += n;
      size -= n;
      this.#queueOffset += n;
      if (this.#queueOffset === piece.length) {
        this.#queueHead += 1;
        this.#queueOffset = 0;
      }
    }
    if (this.#queueHead < 256) return;
    queue.splice(0, this.#queueHead); // now and then, so that sent pieces are let go
    this.#queueHead = 0;
  }

  #emptied(): void {
    this.#queue = null;
    this.#queueHead = 0;
    if (this.#endBlock !== null && !this.localClosed) this.#writeEnd();
    if (!this.#wantsDrain || this.localClosed) return;
    this.#wantsDrain = false;
    this.drainReached();
  }

  #writeEnd(): void {
    if (this.localClosed) return;
    if (this.#endBlock !== null) this.connection.writeHeaders(this.id, this.#endBlock, true);
    else this.connection.writeFrame(FrameType.DATA, Flag.END_STREAM, this.id, EMPTY);
    this.#closeLocal();
  }

  #closeLocal(): void {
    this.localClosed = true;
    this.connection.streamSent(this);
  }
}

const EMPTY = new Uint8Array(0);

/** Small messages leave the socket's chunk behind, so that keeping one does not keep 64 KiB. */
function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const size = end - start;
  const copy = Buffer.allocUnsafe(size);
  if (size > 64) copy.set(bytes.subarray(start, end));
  else for (let i = 0; i < size; i++) copy[i] = bytes[start + i]!;
  return copy;
}

export function writeMessagePrefix(out: Uint8Array, at: number, size: number): number {
  out[at] = 0;
  out[at + 1] = size >>> 24;
  out[at + 2] = size >>> 16;
  out[at + 3] = size >>> 8;
  out[at + 4] = size;
  return at + MESSAGE_PREFIX_BYTES;
}

export function writeMessage(out: Uint8Array, at: number, message: Uint8Array): number {
  at = writeMessagePrefix(out, at, message.length);
  if (message.length > 64) out.set(message, at);
  else for (let i = 0; i < message.length; i++) out[at + i] = message[i]!;
  return at + message.length;
}

/** A bomb stops at the limit: zlib is never asked for more output than that. */
function gunzip(message: Uint8Array, bytesMax: number): Uint8Array {
  try {
    return gunzipSync(message, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const text = 'grpc: received message after decompression larger than max ' + bytesMax;
      throw new StatusError(Status.RESOURCE_EXHAUSTED, text);
    }
    throw new StatusError(Status.INTERNAL, 'grpc: failed to decompress the received message');
  }
}

// The bounded queue of one connection. A turn's messages gather in an array, are encoded together
// and written at once. While one buffer is on its way into the socket, later turns are encoded into
// a second one; then the two swap roles. So there is one write a turn while the peer keeps up, and
// when it does not, writes grow larger, not more.
//
// A buffer may be reused as soon as `writableLength` is 0: the kernel (or TLS) has copied it then.

import type { Socket } from 'node:net';
import type { Message } from '../raft/messages.ts';
import { ByteWriter, WireError } from '../wire/bytes.ts';
import { beginFrame, endFrame } from '../wire/frame.ts';
import { encodeMessages } from '../wire/message.ts';
import { messageBytes } from './message-size.ts';

export interface SendLimits {
  /** What may wait for the socket; a message beyond either bound is dropped. */
  readonly queueBytesMax: number;
  readonly queueMessagesMax: number;
}

export interface SendObserver {
  /** Bytes that were stuck moved on: the peer, or at least its kernel, is alive. */
  progress(): void;
  /** This message can't be encoded and was left out. */
  unencodable(error: WireError): void;
}

/**
 * One write into the socket. Small enough that a slow but living link shows progress between two
 * pings, and that a large batch does not hold the event loop in one copy.
 */
const WRITE_BYTES_MAX = 256 * 1024;

/** A buffer that a burst has blown up beyond this is not kept. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

export class SendBuffer {
  readonly #limits: SendLimits;
  readonly #observer: SendObserver;
  #socket: Socket | null = null;
  /** Added since the last flush, not encoded yet. */
  #turn: Message[] = [];
  #turnBytes = 0;
  /** Encoded frames that wait until #flying has landed. */
  #filling = new ByteWriter();
  #fillingMessages = 0;
  #spare = new ByteWriter();
  /** What is being written, a view of #spare; null when the socket has taken all of it. */
  #flying: Uint8Array | null = null;
  #flyingMessages = 0;
  /** Bytes of #flying handed to the socket so far. */
  #offset = 0;
  /** True from a write that the kernel could not take at once until it has. */
  #blocked = false;
  readonly #written = (): void => this.#afterWrite();
  sentBytes = 0;
  sentMessages = 0;

  constructor(limits: SendLimits, observer: SendObserver) {
    this.#limits = limits;
    this.#observer = observer;
  }

  get queuedBytes(): number {
    const flying = this.#flying === null ? 0 : this.#flying.length - this.#offset;
    const written = this.#socket?.writableLength ?? 0;
    return flying + written + this.#filling.length + this.#turnBytes;
  }

  /** Nothing waits here; the kernel may still hold what was written. */
  get idle(): boolean {
    return this.#flying === null && this.#filling.length === 0 && this.#turn.length === 0;
  }

  /** The handshake is over: what gathered so far goes out, and from now on flush() writes. */
  attach(socket: Socket): void {
    this.#socket = socket;
    this.#write();
  }

  /** Takes the message for the next flush(); false when the queue is full. */
  add(message: Message): boolean {
    const waiting = this.#turn.length + this.#fillingMessages + this.#flyingMessages;
    if (waiting >= this.#limits.queueMessagesMax) return false;
    const bytes = messageBytes(message);
    const queued = this.queuedBytes;
    // A message larger than the whole queue may pass alone, else it could never be sent.
    if (queued > 0 && queued + bytes > this.#limits.queueBytesMax) return false;
    this.#turn.push(message);
    this.#turnBytes += bytes;
    return true;
  }

  /** Encodes and writes what was added. Returns how many messages could not be encoded. */
  flush(): number {
    if (this.#turn.length === 0) return 0;
    const added = this.#turn.length;
    const taken = this.#encodeTurn();
    this.#fillingMessages += taken;
    this.#turn.length = 0;
    this.#turnBytes = 0;
    this.#write();
    return added - taken;
  }

  /** A frame without a body. It waits in line like a message: frames must not be cut apart. */
  ping(): void {
    endFrame(this.#filling, beginFrame(this.#filling));
    this.#write();
  }

  /** The connection is gone. Returns how many messages went with it, as far as known here. */
  detach(): number {
    const lost = this.#turn.length + this.#fillingMessages + this.#flyingMessages;
    // A socket that is being destroyed may still read the flying bytes: let go of their buffer.
    if (this.#flying !== null) this.#spare = new ByteWriter();
    this.#turn.length = 0;
    this.#turnBytes = 0;
    this.#filling = recycled(this.#filling);
    this.#fillingMessages = 0;
    this.#flying = null;
    this.#flyingMessages = 0;
    this.#blocked = false;
    this.#socket = null;
    return lost;
  }

  #encodeTurn(): number {
    const start = this.#filling.length;
    try {
      encodeMessages(this.#filling, this.#turn);
      return this.#turn.length;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#filling.rewind(start);
      return this.#encodeOneByOne();
    }
  }

  /** One message is at fault; the others must not suffer. */
  #encodeOneByOne(): number {
    let taken = 0;
    for (const message of this.#turn) {
      const start = this.#filling.length;
      try {
        encodeMessages(this.#filling, [message]);
        taken += 1;
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.#filling.rewind(start);
        this.#observer.unencodable(error);
      }
    }
    return taken;
  }

  #write(): void {
    while (this.#flying === null && this.#socket !== null && this.#filling.length > 0) {
      const writer = this.#filling;
      this.#flying = writer.view();
      this.#flyingMessages = this.#fillingMessages;
      this.#offset = 0;
      this.#filling = this.#spare;
      this.#fillingMessages = 0;
      this.#spare = writer;
      this.#pump(this.#socket, this.#flying);
    }
  }

  #pump(socket: Socket, bytes: Uint8Array): void {
    while (this.#offset < bytes.length) {
      const end = Math.min(this.#offset + WRITE_BYTES_MAX, bytes.length);
      const part = bytes.subarray(this.#offset, end);
      this.#offset = end;
      this.sentBytes += part.length;
      socket.write(part, this.#written);
      if (socket.writableLength > 0) {
        this.#blocked = true;
        return;
      }
    }
    this.sentMessages += this.#flyingMessages;
    this.#flyingMessages = 0;
    this.#flying = null;
    this.#spare = recycled(this.#spare);
  }

  /**
   * Node calls this after every write, also after those that were complete at once, when something
   * newer may be under way: only an empty socket says that the flying bytes have left.
   */
  #afterWrite(): void {
    const socket = this.#socket;
    if (!this.#blocked || socket === null || socket.writableLength > 0) return;
    this.#blocked = false;
    this.#observer.progress();
    if (this.#flying !== null) this.#pump(socket, this.#flying);
    this.#write();
  }
}

function recycled(writer: ByteWriter): ByteWriter {
  if (writer.capacity > KEPT_BYTES_MAX) return new ByteWriter();
  writer.reset();
  return writer;
}

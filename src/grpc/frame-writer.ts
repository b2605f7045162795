// The writing half of a connection: puts frames into the output and lets them leave, one write for
// all that a turn of the event loop produced (RFC 9113 §4, §6).
import {
  type ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_MAX,
  FrameType,
  writeFrameHeader,
  writeU32,
} from './frames.ts';
import type { Link } from './link.ts';
import type { ConnectionLimits } from './options.ts';
import { OutputBuffer } from './output-buffer.ts';

/** A turn that has produced this much does not wait for its end. */
const FLUSH_BYTES = 256 * 1024;

/** Flushes its connections when the current turn ends. */
export interface Flusher {
  add(connection: FrameWriter): void;
}

export abstract class FrameWriter {
  readonly limits: ConnectionLimits;
  readonly link: Link;
  readonly out = new OutputBuffer();
  /** The largest frame the peer takes. */
  peerFrameMax = FRAME_PAYLOAD_MAX;
  /** The socket has more unsent than its bound: DATA waits until it has drained. */
  congested = false;
  /** Nothing is sent or understood any more. */
  closed = false;

  readonly #flusher: Flusher;
  readonly #writeLink: (bytes: Uint8Array) => void;
  /** The flusher knows that there is output. */
  #dirty = false;

  constructor(link: Link, limits: ConnectionLimits, flusher: Flusher) {
    this.link = link;
    this.limits = limits;
    this.#flusher = flusher;
    this.#writeLink = bytes => link.write(bytes);
  }

  /** Whether a peer that does not read our output must stop talking, too. */
  protected abstract pausesWhenCongested(): boolean;

  writeFrame(type: number, flags: number, id: number, payload: Uint8Array): void {
    if (this.closed) return;
    const at = this.out.reserve(FRAME_HEADER_BYTES + payload.length);
    const body = writeFrameHeader(this.out.bytes, at, payload.length, type, flags, id);
    this.out.bytes.set(payload, body);
    this.out.commit(body + payload.length);
    this.touch();
  }

  writeRst(id: number, code: ErrorCode): void {
    const payload = new Uint8Array(4);
    writeU32(payload, 0, code);
    this.writeFrame(FrameType.RST_STREAM, 0, id, payload);
  }

  writeWindowUpdate(id: number, increment: number): void {
    const payload = new Uint8Array(4);
    writeU32(payload, 0, increment);
    this.writeFrame(FrameType.WINDOW_UPDATE, 0, id, payload);
  }

  /** A header block, in as many frames as the peer's frame size asks for. */
  writeHeaders(id: number, block: Uint8Array, endStream: boolean): void {
    const endFlag = endStream ? Flag.END_STREAM : 0;
    let at = 0;
    do {
      const end = Math.min(at + this.peerFrameMax, block.length);
      const flags = (end === block.length ? Flag.END_HEADERS : 0) | (at === 0 ? endFlag : 0);
      const type = at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
      this.writeFrame(type, flags, id, block.subarray(at, end));
      at = end;
    } while (at < block.length);
  }

  writeGoaway(lastStreamId: number, code: ErrorCode, text: string): void {
    const debug = new TextEncoder().encode(text);
    const payload = new Uint8Array(8 + debug.length);
    writeU32(payload, 0, lastStreamId);
    writeU32(payload, 4, code);
    payload.set(debug, 8);
    this.writeFrame(FrameType.GOAWAY, 0, 0, payload);
  }

  /** There is output: it leaves when this turn ends. */
  touch(): void {
    if (this.out.length > FLUSH_BYTES) return this.flush();
    if (this.#dirty) return;
    this.#dirty = true;
    this.#flusher.add(this);
  }

  flush(): void {
    this.#dirty = false;
    if (this.closed || this.out.length === 0) return;
    this.link.cork();
    this.out.take(this.#writeLink);
    this.link.uncork();
    if (this.congested || this.link.pendingBytes() <= this.limits.socketBytesMax) return;
    this.congested = true;
    if (this.pausesWhenCongested()) this.link.pause();
  }
}

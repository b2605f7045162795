// Frames cut a byte stream into checked pieces: u32 body length, u32 CRC-32C of the body, body.
// The splitter takes chunks as they arrive from a socket and hands out whole bodies; a body that
// lies within one chunk is a view of it, any other is copied once.

import { type ByteWriter, WireError } from './bytes.ts';
import { crc32c } from './crc32c.ts';

export const FRAME_HEADER_BYTES = 8;
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;

/** What a declared length alone may make us allocate; more only as bytes really arrive. */
const FIRST_BUFFER_BYTES_MAX = 1024 * 1024;

const NOTHING = new Uint8Array(0);

/** Leaves room for the header; endFrame() with the same position fills it in. */
export function beginFrame(writer: ByteWriter): number {
  return writer.reserve(FRAME_HEADER_BYTES);
}

/** Completes the frame that began at `start`. */
export function endFrame(writer: ByteWriter, start: number): void {
  const from = start + FRAME_HEADER_BYTES;
  const length = writer.length - from;
  if (length > FRAME_BYTES_MAX) throw new WireError(`frame of ${length} bytes is too large`);
  writer.patchU32(start, length);
  writer.patchU32(start + 4, crc32c(writer.buffer, from, writer.length));
}

export type OnFrame = (body: Uint8Array) => void;

/** After a WireError the stream has lost its frame boundaries: close the connection. */
export class FrameSplitter {
  readonly #bytesMax: number;
  /** An incomplete frame, header included: the first `#held` bytes of `#buffer`. */
  #buffer: Uint8Array = NOTHING;
  #held = 0;

  constructor(bytesMax: number = FRAME_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of an incomplete frame that wait for more. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Calls `onFrame` for each frame that is complete now; the bodies must not be changed. */
  push(chunk: Uint8Array, onFrame: OnFrame): void {
    let at = this.#held > 0 ? this.#complete(chunk, onFrame) : 0;
    while (chunk.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + this.#bodyLength(chunk, at);
      if (end > chunk.length) break;
      onFrame(checkedBody(chunk, at, end));
      at = end;
    }
    if (at < chunk.length) this.#hold(chunk, at, chunk.length);
  }

  /** Finishes the frame begun by earlier chunks; returns how much of the chunk that took. */
  #complete(chunk: Uint8Array, onFrame: OnFrame): number {
    let at = 0;
    if (this.#held < FRAME_HEADER_BYTES) {
      at = Math.min(chunk.length, FRAME_HEADER_BYTES - this.#held);
      this.#hold(chunk, 0, at);
      if (this.#held < FRAME_HEADER_BYTES) return at;
    }
    const total = FRAME_HEADER_BYTES + this.#bodyLength(this.#buffer, 0);
    const end = Math.min(chunk.length, at + total - this.#held);
    this.#hold(chunk, at, end, total);
    if (this.#held < total) return end;
    const body = checkedBody(this.#buffer, 0, total);
    // The body's owner keeps this buffer; the next frame gets a new one.
    this.#buffer = NOTHING;
    this.#held = 0;
    onFrame(body);
    return end;
  }

  #hold(chunk: Uint8Array, from: number, to: number, total = 0): void {
    const needed = this.#held + to - from;
    if (needed > this.#buffer.length) {
      const wanted = Math.min(total, Math.max(FIRST_BUFFER_BYTES_MAX, this.#buffer.length * 2));
      const larger = new Uint8Array(Math.max(needed, wanted));
      larger.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk.subarray(from, to), this.#held);
    this.#held = needed;
  }

  #bodyLength(bytes: Uint8Array, at: number): number {
    const length = u32(bytes, at);
    if (length > this.#bytesMax) {
      throw new WireError(`frame of ${length} bytes; at most ${this.#bytesMax} are allowed`);
    }
    return length;
  }
}

function checkedBody(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const from = start + FRAME_HEADER_BYTES;
  if (crc32c(bytes, from, end) !== u32(bytes, start + 4)) {
    throw new WireError('frame checksum does not match');
  }
  return bytes.subarray(from, end);
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

// The image of a user's state machine as a stream of bytes: what a snapshot file holds.
//
//     "KMS2"
//     1 length name, 2 length value       for each name of the bookkeeping
//     3 length state                      the state as a whole, or
//     4 length part                       as many parts as it was handed out in
//     0 frames                            the end; frames counts all before it
//
// Lengths and the count are 4 bytes, low byte first. An image is read frame by frame, so that no more
// than a frame of it is in memory, and its end is known to be good before it is reported.

import { KontikiError } from './errors.ts';

const PIECE_BYTES = 64 * 1024;
const MAGIC = Uint8Array.of(0x4b, 0x4d, 0x53, 0x32);
const FRAME_HEADER_BYTES = 5;

export const FrameKind = { END: 0, NAME: 1, VALUE: 2, STATE: 3, PART: 4 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export interface Frame {
  readonly kind: FrameKind;
  readonly bytes: Uint8Array;
}

/** Pieces of at most 64 KiB; a frame is asked for only when the one before it is handed on. */
export async function* writeImage(frames: Iterable<Frame>): AsyncGenerator<Uint8Array, void> {
  const pieces = new PieceWriter();
  pieces.write(MAGIC);
  let count = 0;
  for (const { kind, bytes } of frames) {
    count += 1;
    pieces.write(frameHeader(kind, bytes.length));
    pieces.write(bytes);
    while (pieces.isReady) yield pieces.take();
  }
  pieces.write(frameHeader(FrameKind.END, count));
  while (pieces.isReady) yield pieces.take();
  yield pieces.rest();
}

/** The frames, the END last, and that only once the content is known to be complete. */
export async function* readImage(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Frame, undefined> {
  const received = new ByteQueue();
  let isBegun = false;
  let isEnded = false;
  let count = 0;
  for await (const piece of content) {
    received.push(piece);
    isBegun ||= takeMagic(received);
    for (let frame = takeFrame(received, isBegun); frame !== null; ) {
      if (isEnded) throw foreignImage();
      isEnded = frame.kind === FrameKind.END;
      if (!isEnded) {
        count += 1;
        yield frame;
      } else if (frame.bytes.length !== 0 || frame.count !== count) throw foreignImage();
      frame = takeFrame(received, isBegun);
    }
  }
  if (!isEnded || received.length > 0) throw foreignImage();
  yield { kind: FrameKind.END, bytes: new Uint8Array(0) };
  return undefined;
}

export function foreignImage(): KontikiError {
  const text = 'the snapshot is damaged, or not one of this kind of state machine.';
  return new KontikiError('STORAGE_CORRUPT', 'unknown', text);
}

function frameHeader(kind: FrameKind, length: number): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  header[0] = kind;
  new DataView(header.buffer).setUint32(1, length, true);
  return header;
}

function takeMagic(received: ByteQueue): boolean {
  const magic = received.peek(MAGIC.length);
  if (magic === null) return false;
  if (magic.some((byte, i) => byte !== MAGIC[i])) throw foreignImage();
  received.take(MAGIC.length);
  return true;
}

/** Null while a part of it is missing. `count` is that of an END frame, which has no bytes. */
function takeFrame(received: ByteQueue, isBegun: boolean): (Frame & { count: number }) | null {
  const header = isBegun ? received.peek(FRAME_HEADER_BYTES) : null;
  if (header === null) return null;
  const kind = header[0] as FrameKind;
  if (kind > FrameKind.PART) throw foreignImage();
  const number = new DataView(header.buffer, header.byteOffset).getUint32(1, true);
  const length = kind === FrameKind.END ? 0 : number;
  if (received.length < FRAME_HEADER_BYTES + length) return null;
  received.take(FRAME_HEADER_BYTES);
  return { kind, bytes: received.take(length), count: number };
}

/** Joins what is written and cuts it into pieces of one size. */
class PieceWriter {
  readonly #ready: Uint8Array[] = [];
  #piece = new Uint8Array(PIECE_BYTES);
  #used = 0;

  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.#used);
      this.#piece.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used < PIECE_BYTES) continue;
      this.#ready.push(this.#piece);
      this.#piece = new Uint8Array(PIECE_BYTES);
      this.#used = 0;
    }
  }

  take(): Uint8Array {
    return this.#ready.shift()!;
  }

  rest(): Uint8Array {
    return this.#piece.subarray(0, this.#used);
  }
}

/** Bytes that come in pieces and leave in others. Copies once; what it gives out is the taker's. */
class ByteQueue {
  #pieces: Uint8Array[] = [];
  /** Of the first piece, those that are taken. */
  #taken = 0;
  length = 0;

  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(new Uint8Array(piece));
    this.length += piece.length;
  }

  peek(length: number): Uint8Array | null {
    return this.length < length ? null : this.#copy(length, false);
  }

  take(length: number): Uint8Array {
    return this.#copy(length, true);
  }

  #copy(length: number, takes: boolean): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    let piece = 0;
    let from = this.#taken;
    while (done < length) {
      const part = this.#pieces[piece]!.subarray(from, from + length - done);
      bytes.set(part, done);
      done += part.length;
      from += part.length;
      if (from < this.#pieces[piece]!.length) continue;
      piece += 1;
      from = 0;
    }
    if (!takes) return bytes;
    this.#pieces.splice(0, piece);
    this.#taken = from;
    this.length -= length;
    return bytes;
  }
}

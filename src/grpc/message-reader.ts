// Cuts the bytes of a stream into gRPC messages: one flag byte, four of length, then the message. It
// is used only when a message does not lie whole in one DATA frame, which is rare for small calls.
import { readU32 } from './frames.ts';
import { Status, StatusError } from './status.ts';

export const MESSAGE_PREFIX_BYTES = 5;
const FIRST_ALLOCATION_BYTES = 16 * 1024;

/** Throws the error a peer sees when it sends a message over the limit; the text is gRPC's own. */
export function checkMessageBytes(length: number, bytesMax: number): void {
  if (length <= bytesMax) return;
  const text = 'grpc: received message larger than max (' + length + ' vs. ' + bytesMax + ')';
  throw new StatusError(Status.RESOURCE_EXHAUSTED, text);
}

export class MessageReader {
  /** Flag byte of the message being read or just completed. */
  flag = 0;
  readonly #bytesMax: number;
  readonly #prefix = new Uint8Array(MESSAGE_PREFIX_BYTES);
  #prefixHave = 0;
  #length = 0;
  #have = 0;
  #buffer: Uint8Array = EMPTY;
  #message: Uint8Array | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** In the middle of a message? */
  get partial(): boolean {
    return this.#prefixHave > 0;
  }

  /** Memory taken by the unfinished message. */
  get heldBytes(): number {
    return this.#buffer.length;
  }

  /** Reads on from `at`; stops after each complete message, which `take` then returns. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (this.#prefixHave < MESSAGE_PREFIX_BYTES) {
      if (at === end) return at;
      this.#prefix[this.#prefixHave++] = bytes[at++]!;
      if (this.#prefixHave === MESSAGE_PREFIX_BYTES) this.#begin();
    }
    const size = Math.min(end - at, this.#length - this.#have);
    if (size > 0) {
      this.#makeRoom(size);
      this.#buffer.set(bytes.subarray(at, at + size), this.#have);
      this.#have += size;
    }
    if (this.#have === this.#length) this.#complete();
    return at + size;
  }

  take(): Uint8Array | null {
    const message = this.#message;
    this.#message = null;
    return message;
  }

  #begin(): void {
    this.flag = this.#prefix[0]!;
    this.#length = readU32(this.#prefix, 1);
    checkMessageBytes(this.#length, this.#bytesMax);
    this.#have = 0;
  }

  /** Grows with what has really come: a claimed length alone must not cost memory. */
  #makeRoom(size: number): void {
    const need = this.#have + size;
    if (need <= this.#buffer.length) return;
    const wanted = Math.max(need, this.#buffer.length * 2, FIRST_ALLOCATION_BYTES);
    const buffer = new Uint8Array(Math.min(this.#length, wanted));
    buffer.set(this.#buffer.subarray(0, this.#have));
    this.#buffer = buffer;
  }

  #complete(): void {
    this.#message = this.#buffer;
    this.#buffer = EMPTY;
    this.#prefixHave = 0;
  }
}

const EMPTY = new Uint8Array(0);

// Writes protobuf from the end of a buffer to its front.
//
// A nested message is preceded by its length. Written backwards, the length is known when its turn
// comes, so one pass is enough: no sizing pass, no moving of bytes. The price is that an encoder
// names its fields in falling order, and the elements of a list come last to first:
//
//     [ free ............ | key 1 | key 2 | value 3 | ... ]
//                         ^ #at moves to the left
//
// Methods that take a field number leave out what equals the proto3 default; those for lists and
// nested messages say what they do.

const CAPACITY_BYTES_MIN = 1024;
/** A buffer that one huge message has blown up is not kept longer than that message. */
const RETAINED_BYTES_MAX = 1 << 20;
/** Room for a tag and a length, or a tag and a varint: at most 5 + 10 bytes. */
const FIELD_OVERHEAD_BYTES = 15;
/** Below this size a plain loop beats the call into TypedArray.prototype.set. */
const LOOP_COPY_BYTES_MAX = 24;

const SLAB_BYTES = 8192;
const SLAB_SHARE_BYTES_MAX = 1024;
/** Never written again below `slabUsed`. */
let slab = new Uint8Array(0);
let slabUsed = 0;

const TWO_32 = 0x1_0000_0000;
/** Bigints are taken apart here; shifting them would allocate. */
const halves = new DataView(new ArrayBuffer(8));
const utf8 = new TextEncoder();

/** Encodes one message: the shape of every encodeX function of this folder. */
export type Encode<T> = (message: T, writer: ProtoWriter) => void;

export class ProtoWriter {
  #buffer: Uint8Array;
  /** First written byte; everything from here to the buffer's end is the message so far. */
  #at: number;

  constructor(capacityBytes = CAPACITY_BYTES_MIN) {
    this.#buffer = new Uint8Array(capacityBytes);
    this.#at = capacityBytes;
  }

  /** Forgets what was written. Views given out before become invalid. */
  reset(): void {
    if (this.#buffer.length > RETAINED_BYTES_MAX) this.#buffer = new Uint8Array(CAPACITY_BYTES_MIN);
    this.#at = this.#buffer.length;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#buffer.length - this.#at;
  }

  /**
   * The written bytes, copied. Small results are cut from a common slab, which costs a third of an
   * allocation of their own: do not transfer their ArrayBuffer. One that is kept keeps its slab.
   */
  finish(): Uint8Array {
    const length = this.length;
    if (length > SLAB_SHARE_BYTES_MAX) return this.#buffer.slice(this.#at);
    if (length > slab.length - slabUsed) {
      slab = new Uint8Array(SLAB_BYTES);
      slabUsed = 0;
    }
    const share = new Uint8Array(slab.buffer, slabUsed, length);
    slabUsed += length;
    copy(this.#buffer, this.#at, length, share, 0);
    return share;
  }

  /** The written bytes in place; the next write or reset() spoils them. */
  view(): Uint8Array {
    return this.#buffer.subarray(this.#at);
  }

  /** Puts the written bytes into `target` at `offset`; the caller provides `length` bytes. */
  copyTo(target: Uint8Array, offset: number): void {
    copy(this.#buffer, this.#at, this.length, target, offset);
  }

  /** Bytes as they are: fields that were encoded before. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#at -= bytes.length;
    copy(bytes, 0, bytes.length, this.#buffer, this.#at);
  }

  /** A signed or unsigned integer, or an enum, of at most 53 bits. */
  int(field: number, value: number): void {
    if (value !== 0) this.presentInt(field, value);
  }

  /** An integer of a oneof, where 0 is not the same as absent. */
  presentInt(field: number, value: number): void {
    this.#reserve(FIELD_OVERHEAD_BYTES);
    this.#varint(value);
    this.#varint(field << 3);
  }

  /** An int64 or uint64; the two differ only in how they are read. */
  id(field: number, value: bigint): void {
    if (value !== 0n) this.presentId(field, value);
  }

  /** An id of a oneof, where 0 is not the same as absent. */
  presentId(field: number, value: bigint): void {
    this.#reserve(FIELD_OVERHEAD_BYTES);
    halves.setBigInt64(0, value, true);
    const low = halves.getUint32(0, true);
    const high = halves.getUint32(4, true);
    if (high === 0) this.#varint(low);
    else this.#varint64(high, low);
    this.#varint(field << 3);
  }

  bool(field: number, value: boolean): void {
    if (!value) return;
    this.#reserve(FIELD_OVERHEAD_BYTES);
    this.#buffer[--this.#at] = 1;
    this.#varint(field << 3);
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.embedded(field, value);
  }

  /** A nested message, or an element of a bytes list, that is encoded already; never left out. */
  embedded(field: number, value: Uint8Array): void {
    const length = value.length;
    this.#reserve(length + FIELD_OVERHEAD_BYTES);
    this.#at -= length;
    copy(value, 0, length, this.#buffer, this.#at);
    this.#varint(length);
    this.#varint((field << 3) | 2);
  }

  string(field: number, value: string): void {
    if (value !== '') this.#text(field, value);
  }

  /** A nested message; null is left out, an empty message is not. */
  message<T>(field: number, value: T | null, encode: Encode<T>): void {
    if (value === null) return;
    const before = this.length;
    encode(value, this);
    this.close(field, before);
  }

  /** Makes all that was written since `length` was `before` into a nested message. */
  close(field: number, before: number): void {
    this.#reserve(FIELD_OVERHEAD_BYTES);
    this.#varint(this.length - before);
    this.#varint((field << 3) | 2);
  }

  messages<T>(field: number, list: readonly T[], encode: Encode<T>): void {
    for (let i = list.length - 1; i >= 0; i--) {
      const before = this.length;
      encode(list[i]!, this);
      this.close(field, before);
    }
  }

  embeddedList(field: number, list: readonly Uint8Array[]): void {
    for (let i = list.length - 1; i >= 0; i--) this.embedded(field, list[i]!);
  }

  strings(field: number, list: readonly string[]): void {
    for (let i = list.length - 1; i >= 0; i--) this.#text(field, list[i]!);
  }

  /** A list of integers in the packed form, which is proto3's own choice. */
  packedInts(field: number, list: readonly number[]): void {
    if (list.length === 0) return;
    const before = this.length;
    for (let i = list.length - 1; i >= 0; i--) {
      this.#reserve(FIELD_OVERHEAD_BYTES);
      this.#varint(list[i]!);
    }
    this.close(field, before);
  }

  #text(field: number, value: string): void {
    const length = value.length;
    this.#reserve(length + FIELD_OVERHEAD_BYTES);
    const buffer = this.#buffer;
    const start = this.#at - length;
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i);
      if (unit >= 0x80) {
        this.embedded(field, utf8.encode(value));
        return;
      }
      buffer[start + i] = unit;
    }
    this.#at = start;
    this.#varint(length);
    this.#varint((field << 3) | 2);
  }

  /** Room must have been reserved. */
  #varint(value: number): void {
    if (value >= 0 && value < 0x80) {
      this.#buffer[--this.#at] = value;
    } else if (value >= 0 && value < TWO_32) {
      this.#varint32(value);
    } else {
      if (!Number.isSafeInteger(value)) throw new RangeError('not an integer of 53 bits');
      this.#varint64(Math.floor(value / TWO_32) >>> 0, value >>> 0);
    }
  }

  #varint32(value: number): void {
    const size = value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    const buffer = this.#buffer;
    let at = (this.#at -= size);
    while (value >= 0x80) {
      buffer[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    buffer[at] = value;
  }

  /** Of two unsigned halves, `high` not 0. */
  #varint64(high: number, low: number): void {
    const buffer = this.#buffer;
    // The upper 36 bits follow the four groups of seven that lie wholly in the lower half. They are
    // counted in a number, for bit operations would cut them to 32.
    let rest = high * 16 + (low >>> 28);
    let size = 4;
    for (let left = rest; left >= 1; left /= 128) size++;
    let at = (this.#at -= size);
    buffer[at++] = low | 0x80;
    buffer[at++] = (low >>> 7) | 0x80;
    buffer[at++] = (low >>> 14) | 0x80;
    buffer[at++] = (low >>> 21) | 0x80;
    while (rest >= 0x80) {
      buffer[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    buffer[at] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#at < bytes) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    const old = this.#buffer;
    const written = this.length;
    const grown = new Uint8Array(Math.max(old.length * 2, CAPACITY_BYTES_MIN, written + bytes));
    this.#buffer = grown;
    grown.set(old.subarray(this.#at), grown.length - written);
    this.#at = grown.length - written;
  }
}

/**
 * Puts what `writer` holds at `at` in `into` and returns the offset after it: the form in which an
 * RPC layer lets a caller write straight into its output.
 */
export function copyWritten(writer: ProtoWriter, into: Uint8Array, at: number): number {
  writer.copyTo(into, at);
  return at + writer.length;
}

const scratch = new ProtoWriter();
let scratchBusy = false;

/** Encodes into fresh bytes. For the paths where one allocation more does not matter. */
export function toBytes<T>(encode: Encode<T>, message: T): Uint8Array {
  // An encoder that itself calls toBytes must not write into its caller's half-made message.
  if (scratchBusy) return encodeWith(new ProtoWriter(), encode, message);
  scratchBusy = true;
  try {
    return encodeWith(scratch, encode, message);
  } finally {
    scratchBusy = false;
  }
}

function encodeWith<T>(writer: ProtoWriter, encode: Encode<T>, message: T): Uint8Array {
  writer.reset();
  encode(message, writer);
  return writer.finish();
}

function copy(
  source: Uint8Array,
  from: number,
  length: number,
  target: Uint8Array,
  to: number,
): void {
  if (length > LOOP_COPY_BYTES_MAX) {
    const whole = length === source.length;
    target.set(
      whole ? source : new Uint8Array(source.buffer, source.byteOffset + from, length),
      to,
    );
    return;
  }
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}

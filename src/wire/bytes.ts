// Writing to and reading from byte arrays. The writer grows and is reused, so that a hot path
// allocates nothing; the reader checks every bound, so that no input can make it crash or over-read.
// Numbers are varints (7 bits a byte, low bits first) of safe integers, or fixed little-endian.

/** Bytes from outside that are not what the format says. The connection or file is not usable. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}

const CAPACITY_MAX = 1024 * 1024 * 1024;
/** Below this size a loop is quicker than the call of TypedArray.set(). */
const COPY_LOOP_BYTES = 24;
const TWO_32 = 0x1_0000_0000;

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Bytes written since the last reset(). */
  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#bytes.length;
  }

  /** The array behind the writer. Valid until the next write that grows it. */
  get buffer(): Uint8Array {
    return this.#bytes;
  }

  /** What was written, without a copy; the next reset() and writes change it. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Begins anew in the same memory. */
  reset(): void {
    this.#length = 0;
  }

  /** Drops what was written after `length`. */
  rewind(length: number): void {
    if (length < 0 || length > this.#length) throw new RangeError('rewind() only goes back');
    this.#length = length;
  }

  /** Makes room for `count` bytes of any content and returns where they begin. */
  reserve(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) this.#grow(at + count);
    this.#length = at + count;
    return at;
  }

  /** Appends `count` zero bytes. */
  zeros(count: number): void {
    const at = this.reserve(count);
    this.#bytes.fill(0, at, at + count);
  }

  u8(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(this.#length + 1);
    this.#bytes[this.#length++] = value;
  }

  u32(value: number): void {
    this.patchU32(this.reserve(4), value);
  }

  /** A safe integer in eight bytes. */
  u64(value: number): void {
    checkUnsigned(value);
    const at = this.reserve(8);
    this.patchU32(at, value % TWO_32);
    this.patchU32(at + 4, Math.floor(value / TWO_32));
  }

  /** Overwrites four bytes that are already written. */
  patchU32(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }

  /** A safe integer of at least 0, in one to eight bytes. */
  varint(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow(this.#length + 8);
    const bytes = this.#bytes;
    let at = this.#length;
    // Negative, fractional and large numbers take the careful path.
    if (value < 0 || value !== (value | 0)) {
      checkUnsigned(value);
      while (value > 0x7fff_ffff) {
        bytes[at++] = (value % 128) | 128;
        value = Math.floor(value / 128);
      }
    }
    while (value > 127) {
      bytes[at++] = (value & 127) | 128;
      value >>>= 7;
    }
    bytes[at++] = value;
    this.#length = at;
  }

  /** The bytes alone; the reader has to know how many. */
  raw(data: Uint8Array): void {
    const count = data.length;
    const at = this.reserve(count);
    const bytes = this.#bytes;
    if (count > COPY_LOOP_BYTES) bytes.set(data, at);
    else for (let i = 0; i < count; i++) bytes[at + i] = data[i]!;
  }

  /** A varint length and the bytes. */
  bytes(data: Uint8Array): void {
    this.varint(data.length);
    this.raw(data);
  }

  #grow(needed: number): void {
    if (needed > CAPACITY_MAX) throw new WireError(`message of ${needed} bytes is too large`);
    const larger = new Uint8Array(Math.min(CAPACITY_MAX, Math.max(needed, this.#bytes.length * 2)));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

function checkUnsigned(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new WireError(`${value} is not a safe integer of at least 0`);
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, from = 0, to = bytes.length) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = to;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    if (this.#at >= this.#end) throw tooShort();
    return this.#bytes[this.#at++]!;
  }

  /** A byte that must be 0 or 1. */
  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw new WireError(`${value} is not a boolean`);
    return value === 1;
  }

  u32(): number {
    const at = this.#at;
    if (at + 4 > this.#end) throw tooShort();
    const bytes = this.#bytes;
    this.#at = at + 4;
    return (
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
    );
  }

  u64(): number {
    const low = this.u32();
    const value = this.u32() * TWO_32 + low;
    if (!Number.isSafeInteger(value)) throw new WireError('number exceeds 53 bits');
    return value;
  }

  varint(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let value = 0;
    let scale = 1;
    // Eight groups of seven bits hold any safe integer; a ninth byte is never right.
    for (let group = 0; group < 8; group++) {
      if (at >= this.#end) throw tooShort();
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) throw new WireError('number exceeds 53 bits');
        this.#at = at;
        return value;
      }
      scale *= 128;
    }
    throw new WireError('number has more than eight bytes');
  }

  /**
   * How many items follow, refused when they could not fit into the bytes that are left; so a bad
   * count can't cause an allocation larger than the input.
   */
  count(itemBytesMin: number, max: number): number {
    const count = this.varint();
    if (count > max) throw new WireError(`${count} items, but at most ${max} are allowed`);
    if (count * itemBytesMin > this.remaining) {
      throw new WireError(`${count} items do not fit into the ${this.remaining} bytes left`);
    }
    return count;
  }

  /** A view of the next bytes, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#at;
    if (length > this.#end - at) throw tooShort();
    this.#at = at + length;
    return this.#bytes.subarray(at, at + length);
  }

  /** A varint length and a view of that many bytes. */
  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  /** The format ends here; more bytes are an error. */
  finish(): void {
    if (this.#at !== this.#end) throw new WireError(`${this.remaining} bytes too many`);
  }
}

function tooShort(): WireError {
  return new WireError('the bytes end too early');
}

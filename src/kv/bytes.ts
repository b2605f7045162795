// Byte strings in the store's order, and a writer that packs many small records into few buffers.
// A typed array of its own costs several hundred nanoseconds and a finalizer; a slice of a shared
// one costs a tenth of that, and the apply path makes two for every put.

export const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * V8 answers an allocation outside of its heap with a step of marking, 5 ms and more, when there were
 * many since the last collection; so there are few, and each is for hundreds of records.
 */
const SLAB_BYTES = 64 * 1024;
/** Larger records get a buffer of their own, so that one of them never pins a slab of others. */
const SLAB_RECORD_BYTES_MAX = 1024;

/** Bytewise, a prefix before its extensions: the order of keys everywhere in the store. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Not slice(): a Node Buffer, which may come in from anywhere, makes a view of that. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Where `key` stands in ascending `keys`: its index, or ~index of the first greater one. */
export function searchKeys(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  // Every key between two neighbours shares at least the shorter of the prefixes that `key` has in
  // common with them. Keys under one long directory are compared from where they differ.
  let commonLow = 0;
  let commonHigh = 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = keys[middle]!;
    const shorter = Math.min(key.length, other.length);
    let i = Math.min(commonLow, commonHigh);
    while (i < shorter && key[i] === other[i]) i++;
    const order = i < shorter ? key[i]! - other[i]! : key.length - other.length;
    if (order === 0) return middle;
    if (order > 0) {
      low = middle + 1;
      commonLow = i;
    } else {
      high = middle;
      commonHigh = i;
    }
  }
  return ~low;
}

/** The least key greater than `key`. */
export function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The least key greater than all keys that start with `prefix`; null when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array | null {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return null;
  const end = copyOf(prefix.subarray(0, length));
  end[length - 1]! += 1;
  return end;
}

/** Writes records one after another; each is a slice of a buffer shared with its neighbours. */
export class RecordWriter {
  #slab = new Uint8Array(SLAB_BYTES);
  #slabUsed = 0;
  #buffer = this.#slab;
  #start = 0;
  #at = 0;

  /** Begins a record of at most `bytesMax` bytes. Writing more is a bug and corrupts nothing. */
  begin(bytesMax: number): void {
    if (bytesMax > SLAB_RECORD_BYTES_MAX) {
      this.#buffer = new Uint8Array(bytesMax);
      this.#start = 0;
    } else {
      if (bytesMax > SLAB_BYTES - this.#slabUsed) {
        this.#slab = new Uint8Array(SLAB_BYTES);
        this.#slabUsed = 0;
      }
      this.#buffer = this.#slab;
      this.#start = this.#slabUsed;
    }
    this.#at = this.#start;
  }

  /** Bytes written since begin(). */
  get length(): number {
    return this.#at - this.#start;
  }

  byte(value: number): void {
    this.#buffer[this.#at++] = value;
  }

  /** A non-negative safe integer, 7 bits a byte, low bits first. */
  varint(value: number): void {
    const buffer = this.#buffer;
    let at = this.#at;
    while (value >= 0x8000_0000) {
      buffer[at++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
    while (value >= 0x80) {
      buffer[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    buffer[at++] = value;
    this.#at = at;
  }

  /** An unsigned integer of `bytes` bytes, high byte first: its order is the order of its bytes. */
  ordered(value: number, bytes: number): void {
    for (let i = this.#at + bytes - 1; i >= this.#at; i--) {
      this.#buffer[i] = value % 256;
      value = Math.floor(value / 256);
    }
    this.#at += bytes;
  }

  raw(bytes: Uint8Array): void {
    const at = this.#at;
    const length = bytes.length;
    if (length < 32) {
      const buffer = this.#buffer;
      for (let i = 0; i < length; i++) buffer[at + i] = bytes[i]!;
    } else this.#buffer.set(bytes, at);
    this.#at = at + length;
  }

  /** A record that is a copy of a part of a buffer which is about to be used again. */
  copyOf(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array {
    this.begin(to - from);
    if (to - from >= 32) this.raw(bytes.subarray(from, to));
    else for (let i = from; i < to; i++) this.byte(bytes[i]!);
    return this.end();
  }

  /** The record from its byte `from` on; more can be written behind it before the next begin(). */
  end(from = 0): Uint8Array {
    if (this.#buffer === this.#slab) this.#slabUsed = this.#at;
    return this.#buffer.subarray(this.#start + from, this.#at);
  }

  /** A part of the record as a view of its own. */
  slice(from: number, to: number): Uint8Array {
    return this.#buffer.subarray(this.#start + from, this.#start + to);
  }
}

/** Reads what RecordWriter wrote. The bytes are the store's own, so nothing is checked here. */
export class RecordReader {
  bytes: Uint8Array = EMPTY;
  at = 0;

  reset(bytes: Uint8Array, at = 0): void {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.bytes[this.at++]!;
  }

  varint(): number {
    const bytes = this.bytes;
    let byte = bytes[this.at++]!;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let unit = 128;
    do {
      byte = bytes[this.at++]!;
      value += (byte & 0x7f) * unit;
      unit *= 128;
    } while (byte >= 0x80);
    return value;
  }

  ordered(length: number): number {
    let value = 0;
    for (let i = 0; i < length; i++) value = value * 256 + this.bytes[this.at++]!;
    return value;
  }
}

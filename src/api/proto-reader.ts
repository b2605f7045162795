// Reads protobuf from bytes that anyone may have sent. Every read is bounds-checked, nesting and the
// number of nested messages are bounded, lengths are checked before anything is made of them, and
// the only error is ProtoError.
//
// A decoder loops over next(), which gives the number of each field, and reads or skips the value:
//
//     let field: number;
//     while ((field = r.next()) !== 0) {
//       if (field === 1) m.key = r.bytes();
//       else r.skip();
//     }
//
// A field of a wrong wire type is an error, as in etcd. A singular message that occurs twice is
// replaced rather than merged; no known encoder writes that.

import { ProtoError } from './proto-error.ts';

const DEPTH_MAX = 100;
const TWO_32 = 0x1_0000_0000;
/** Strings up to this length are built by a loop, which beats the call into TextDecoder. */
const LOOP_TEXT_BYTES_MAX = 32;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Two halves become one bigint here; shifting bigints would allocate four. */
const joined = new DataView(new ArrayBuffer(8));

/** What decoders give for bytes that are not there. Shared: it has no content that could change. */
export const EMPTY_BYTES = new Uint8Array(0);

/** Decodes one message: the shape of every decodeX function of this folder. */
export type Decode<T> = (source: Uint8Array | ProtoReader) => T;

/** Decoders take bytes, or a reader that stands inside an outer message. */
export function readerOf(source: Uint8Array | ProtoReader): ProtoReader {
  return source instanceof ProtoReader ? source : new ProtoReader(source);
}

export class ProtoReader {
  #bytes: Uint8Array;
  /** Next byte to read; never beyond `#end`. */
  #at = 0;
  /** Where the message being read ends; never beyond the outer message's end. */
  #end: number;
  /** Wire type of the field that next() gave last. */
  #type = VARINT;
  #depth = 0;
  #messagesLeft: number;
  /** Halves of the varint read last; a pair of fields, because a pair object costs more. */
  #low = 0;
  #high = 0;

  /**
   * `messagesMax` bounds the nested messages, of all levels together. A message of two bytes can
   * become an object of two hundred, so requests that hold lists of messages set it.
   */
  constructor(bytes: Uint8Array, messagesMax: number = Number.MAX_SAFE_INTEGER) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.#messagesLeft = messagesMax;
  }

  /** Starts over with other bytes. */
  reset(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = 0;
    this.#end = bytes.length;
    this.#depth = 0;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  /** The number of the next field of this message; 0 at its end. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    const first = this.#bytes[this.#at]!;
    if (first < 0x80) {
      this.#at++;
      this.#type = first & 7;
      if (first < 8) throw new ProtoError('field number 0');
      return first >>> 3;
    }
    return this.#longTag();
  }

  /** Passes over the value of the current field, whatever it is. */
  skip(): void {
    const type = this.#type;
    if (type === VARINT) this.#varint();
    else if (type === LENGTH_DELIMITED) this.#pass(this.#length());
    else if (type === FIXED64) this.#pass(8);
    else if (type === FIXED32) this.#pass(4);
    else if (type === START_GROUP) this.#skipGroup();
    else throw new ProtoError(`wire type ${type} cannot begin a value`);
  }

  /** An int64 as a number, saturated at the safe integers. */
  int(): number {
    this.#expect(VARINT);
    this.#varint();
    const high = this.#high;
    if (high === 0) return this.#low;
    if (high < 0x20_0000) return high * TWO_32 + this.#low;
    if (high < 0x8000_0000) return Number.MAX_SAFE_INTEGER;
    return Math.max((high - TWO_32) * TWO_32 + this.#low, Number.MIN_SAFE_INTEGER);
  }

  /** A uint64 as a number, saturated at the greatest safe integer. */
  uint(): number {
    this.#expect(VARINT);
    this.#varint();
    const high = this.#high;
    return high < 0x20_0000 ? high * TWO_32 + this.#low : Number.MAX_SAFE_INTEGER;
  }

  /** A uint32; higher bits are dropped, as the format demands. */
  uint32(): number {
    this.#expect(VARINT);
    this.#varint();
    return this.#low;
  }

  /** An enum, known or not: an int32; higher bits are dropped. */
  enum(): number {
    return this.uint32() | 0;
  }

  /** An int64 that is an id. */
  int64(): bigint {
    this.#expect(VARINT);
    this.#varint();
    if (this.#high === 0) return BigInt(this.#low);
    joined.setUint32(0, this.#low, true);
    joined.setUint32(4, this.#high, true);
    return joined.getBigInt64(0, true);
  }

  /** A uint64 that is an id. */
  uint64(): bigint {
    this.#expect(VARINT);
    this.#varint();
    if (this.#high === 0) return BigInt(this.#low);
    joined.setUint32(0, this.#low, true);
    joined.setUint32(4, this.#high, true);
    return joined.getBigUint64(0, true);
  }

  bool(): boolean {
    this.#expect(VARINT);
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** A view on the source, which it keeps alive and whose changes show through. */
  bytes(): Uint8Array {
    this.#expect(LENGTH_DELIMITED);
    const length = this.#length();
    if (length === 0) return EMPTY_BYTES;
    const at = this.#at;
    this.#at = at + length;
    // Half the cost of subarray(), and never a Buffer.
    const source = this.#bytes;
    return new Uint8Array(source.buffer, source.byteOffset + at, length);
  }

  string(): string {
    this.#expect(LENGTH_DELIMITED);
    const length = this.#length();
    const at = this.#at;
    this.#at = at + length;
    if (length <= LOOP_TEXT_BYTES_MAX) {
      let text = '';
      let i = at;
      while (i < this.#at && this.#bytes[i]! < 0x80) text += String.fromCharCode(this.#bytes[i++]!);
      if (i === this.#at) return text;
    }
    try {
      return utf8.decode(this.#bytes.subarray(at, this.#at));
    } catch {
      throw new ProtoError('text is not UTF-8');
    }
  }

  message<T>(decode: Decode<T>): T {
    this.#expect(LENGTH_DELIMITED);
    const length = this.#length();
    if (this.#depth === DEPTH_MAX) throw new ProtoError('messages are nested too deep');
    if (this.#messagesLeft === 0) throw new ProtoError('too many nested messages');
    const outerEnd = this.#end;
    this.#end = this.#at + length;
    this.#depth++;
    this.#messagesLeft--;
    const value = decode(this);
    this.#depth--;
    this.#end = outerEnd;
    return value;
  }

  /** Appends the enums of one occurrence of a repeated field, packed or not. */
  enums(into: number[]): void {
    if (this.#type === VARINT) {
      into.push(this.enum());
      return;
    }
    this.#expect(LENGTH_DELIMITED);
    const length = this.#length();
    const outerEnd = this.#end;
    this.#end = this.#at + length;
    while (this.#at < this.#end) {
      this.#varint();
      into.push(this.#low | 0);
    }
    this.#end = outerEnd;
  }

  #expect(type: number): void {
    if (this.#type !== type) throw new ProtoError(`wire type ${this.#type} where ${type} belongs`);
  }

  #pass(length: number): void {
    if (length > this.#end - this.#at) throw new ProtoError('message is cut short');
    this.#at += length;
  }

  /** A length that fits into this message. */
  #length(): number {
    const first = this.#at < this.#end ? this.#bytes[this.#at]! : 0x80;
    if (first < 0x80) {
      this.#at++;
      this.#low = first;
    } else {
      this.#varint();
      if (this.#high !== 0) throw new ProtoError('length exceeds 32 bits');
    }
    if (this.#low > this.#end - this.#at) throw new ProtoError('message is cut short');
    return this.#low;
  }

  #longTag(): number {
    this.#varint();
    if (this.#high !== 0) throw new ProtoError('field number exceeds 29 bits');
    const field = this.#low >>> 3;
    if (field === 0) throw new ProtoError('field number 0');
    this.#type = this.#low & 7;
    return field;
  }

  /** Reads 1 to 10 bytes into #low and #high, both unsigned. */
  #varint(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    let low = 0;
    let shift = 0;
    this.#high = 0;
    while (shift < 28) {
      if (at >= end) throw new ProtoError('message is cut short');
      const byte = bytes[at++]!;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#at = at;
        this.#low = low;
        return;
      }
      shift += 7;
    }
    this.#longVarint(at, low);
  }

  /** The fifth byte of a varint straddles the halves: 4 bits of it are low, 3 are high. */
  #longVarint(at: number, low: number): void {
    const bytes = this.#bytes;
    if (at >= this.#end) throw new ProtoError('message is cut short');
    let byte = bytes[at++]!;
    this.#low = (low | (byte << 28)) >>> 0;
    let high = (byte & 0x7f) >>> 4;
    for (let shift = 3; byte >= 0x80; shift += 7) {
      if (at >= this.#end) throw new ProtoError('message is cut short');
      if (shift > 31) throw new ProtoError('varint exceeds 10 bytes');
      byte = bytes[at++]!;
      high |= (byte & 0x7f) << shift;
    }
    this.#high = high >>> 0;
    this.#at = at;
  }

  /** A loop with a counter, so that nested groups cannot exhaust the stack. */
  #skipGroup(): void {
    for (let open = 1; open > 0; ) {
      if (this.next() === 0) throw new ProtoError('message is cut short');
      if (this.#type === START_GROUP) open++;
      else if (this.#type === END_GROUP) open--;
      else this.skip();
    }
  }
}

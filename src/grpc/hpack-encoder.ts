// Writes HPACK header blocks (RFC 7541 §6) for the client side, whose headers repeat from call to
// call: a field is put into the peer's table once and costs one byte from then on. Strings go plain,
// without Huffman: it saves the peer's time and ours. Pure.
import {
  DEFAULT_TABLE_BYTES,
  DynamicTable,
  headerField,
  STATIC_COUNT,
  STATIC_FIELDS,
} from './hpack-table.ts';

/** `index`: keep in the table. `never`: a secret, not to be stored by any hop. `plain`: changes each time. */
export type Indexing = 'index' | 'plain' | 'never';

const STATIC_BY_PAIR = new Map<string, number>();
const STATIC_BY_NAME = new Map<string, number>();
for (const [i, field] of STATIC_FIELDS.entries()) {
  STATIC_BY_PAIR.set(field.name + '\0' + field.value, i + 1);
  if (!STATIC_BY_NAME.has(field.name)) STATIC_BY_NAME.set(field.name, i + 1);
}

/** A growing block of bytes. */
export class HeaderBlock {
  bytes: Uint8Array = new Uint8Array(256);
  length = 0;

  push(byte: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = byte;
  }

  append(block: Uint8Array): void {
    if (this.length + block.length > this.bytes.length) this.#grow(block.length);
    this.bytes.set(block, this.length);
    this.length += block.length;
  }

  integer(prefixBits: number, flags: number, value: number): void {
    const mask = (1 << prefixBits) - 1;
    if (value < mask) return this.push(flags | value);
    this.push(flags | mask);
    value -= mask;
    for (; value >= 0x80; value >>>= 7) this.push((value & 0x7f) | 0x80);
    this.push(value);
  }

  /** One byte a character; the caller checked that there are no others. */
  string(text: string): void {
    this.integer(7, 0, text.length);
    for (let i = 0; i < text.length; i++) this.push(text.charCodeAt(i));
  }

  /** A literal that leaves both tables as they are. `flags` is 0x00 plain or 0x10 never indexed. */
  literal(name: string, value: string, flags = 0): void {
    const index = STATIC_BY_NAME.get(name) ?? 0;
    this.integer(4, flags, index);
    if (index === 0) this.string(name);
    this.string(value);
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  #grow(more: number): void {
    const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }
}

export class HpackEncoder {
  readonly #table = new DynamicTable(DEFAULT_TABLE_BYTES);
  /** Insertion number of each pair in the table; stale numbers fall off the table's end. */
  readonly #numbers = new Map<string, number>();
  /** The smallest size set since the last block, or -1: the peer must hear of it (§4.2). */
  #sizeUpdate = -1;

  /** A block without inserts stays good for as long as this number stands still. */
  get generation(): number {
    return this.#table.generation;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. We never use more than the default. */
  setPeerTableBytes(bytes: number): void {
    const size = Math.min(bytes, DEFAULT_TABLE_BYTES);
    if (size === this.#table.bytesMax) return;
    this.#sizeUpdate = this.#sizeUpdate < 0 ? size : Math.min(this.#sizeUpdate, size);
    this.#table.resize(size);
  }

  begin(block: HeaderBlock): void {
    if (this.#sizeUpdate < 0) return;
    if (this.#sizeUpdate < this.#table.bytesMax) block.integer(5, 0x20, this.#sizeUpdate);
    block.integer(5, 0x20, this.#table.bytesMax);
    this.#sizeUpdate = -1;
  }

  field(block: HeaderBlock, name: string, value: string, indexing: Indexing): void {
    const pair = name + '\0' + value;
    const known = STATIC_BY_PAIR.get(pair) ?? this.#dynamicIndex(pair);
    if (known > 0) return block.integer(7, 0x80, known);
    const field = headerField(name, value);
    // A field that would push out most of the others is not worth its place.
    if (indexing !== 'index' || field.size > this.#table.bytesMax / 2) {
      return block.literal(name, value, indexing === 'never' ? 0x10 : 0);
    }
    const index = STATIC_BY_NAME.get(name) ?? 0;
    block.integer(6, 0x40, index);
    if (index === 0) block.string(name);
    block.string(value);
    this.#table.insert(field);
    this.#remember(pair);
  }

  #dynamicIndex(pair: string): number {
    const number = this.#numbers.get(pair);
    if (number === undefined) return 0;
    const distance = this.#table.inserted - number;
    return distance < this.#table.count ? STATIC_COUNT + 1 + distance : 0;
  }

  /** The map is emptied of stale pairs when it holds many, so a long life cannot make it grow. */
  #remember(pair: string): void {
    if (this.#numbers.size > 1024) {
      for (const [key, number] of this.#numbers) {
        if (this.#table.inserted - number >= this.#table.count) this.#numbers.delete(key);
      }
    }
    this.#numbers.set(pair, this.#table.inserted);
  }
}

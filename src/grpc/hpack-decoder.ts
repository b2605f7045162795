// Reads HPACK header blocks (RFC 7541 §3, §6). A broken block breaks the whole connection, because
// the two tables no longer agree; a block that is only too long is still read to its end, so that
// they do. Pure.
import { ConnectionError, ErrorCode } from './frames.ts';
import {
  DEFAULT_TABLE_BYTES,
  DynamicTable,
  type HeaderField,
  headerField,
  STATIC_COUNT,
  STATIC_FIELDS,
} from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';

const broken = (what: string): ConnectionError =>
  new ConnectionError(ErrorCode.COMPRESSION_ERROR, 'header block: ' + what);

export class HpackDecoder {
  readonly #table: DynamicTable;
  /** The table size we told the peer it may use. */
  readonly #tableBytesMax: number;
  readonly #listBytesMax: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  constructor(listBytesMax: number, tableBytesMax: number = DEFAULT_TABLE_BYTES) {
    this.#listBytesMax = listBytesMax;
    this.#tableBytesMax = tableBytesMax;
    this.#table = new DynamicTable(tableBytesMax);
  }

  /** A block read while this number stood still reads the same for as long as it stands still. */
  get generation(): number {
    return this.#table.generation;
  }

  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** The fields of one whole block, or null if the list is longer than allowed. */
  decode(bytes: Uint8Array, start: number, end: number): HeaderField[] | null {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#readSizeUpdates();
    const fields: HeaderField[] = [];
    let listBytes = 0;
    while (this.#at < end) {
      const field = this.#readField();
      listBytes += field.size;
      if (listBytes <= this.#listBytesMax) fields.push(field);
    }
    this.#bytes = EMPTY; // do not keep the socket's chunk alive
    return listBytes <= this.#listBytesMax ? fields : null;
  }

  /** Size updates stand at the start of a block only (§4.2). */
  #readSizeUpdates(): void {
    while (this.#at < this.#end && (this.#bytes[this.#at]! & 0xe0) === 0x20) {
      const size = this.#readInteger(5);
      if (size > this.#tableBytesMax) throw broken('table size update over the limit');
      this.#table.resize(size);
    }
  }

  #readField(): HeaderField {
    const first = this.#bytes[this.#at]!;
    if (first >= 0x80) return this.#indexed(this.#readInteger(7));
    if (first >= 0x40) {
      const field = this.#readLiteral(6);
      this.#table.insert(field);
      return field;
    }
    if (first >= 0x20) throw broken('table size update inside the block');
    return this.#readLiteral(4); // without indexing, or never indexed
  }

  #indexed(index: number): HeaderField {
    if (index >= 1 && index <= STATIC_COUNT) return STATIC_FIELDS[index - 1]!;
    const field = index === 0 ? undefined : this.#table.get(index - STATIC_COUNT - 1);
    if (field === undefined) throw broken('no entry at index ' + index);
    return field;
  }

  #readLiteral(prefixBits: number): HeaderField {
    const index = this.#readInteger(prefixBits);
    const name = index === 0 ? this.#readString() : this.#indexed(index).name;
    return headerField(name, this.#readString());
  }

  #readString(): string {
    if (this.#at >= this.#end) throw broken('ends inside a field');
    const huffman = this.#bytes[this.#at]! >= 0x80;
    const length = this.#readInteger(7);
    const start = this.#at;
    if (length > this.#end - start) throw broken('string runs past the end');
    this.#at += length;
    if (!huffman) return latin1(this.#bytes, start, this.#at);
    const text = decodeHuffman(this.#bytes, start, this.#at);
    if (text === undefined) throw broken('bad Huffman code');
    return text;
  }

  #readInteger(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#bytes[this.#at++]! & mask;
    if (value < mask) return value;
    // Four more bytes hold any number that could be meaningful here, and keep it below 2^31.
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) throw broken('ends inside a number');
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken('number too large');
  }
}

const EMPTY = new Uint8Array(0);

function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

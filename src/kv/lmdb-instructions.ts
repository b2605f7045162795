// A transaction as LMDB's thread takes it: a list of instructions in memory, written here over as many
// turns as it takes, and carried out as one once it is complete. Until then nothing is written at all.
//
// lmdb's own batch() makes the same list, but in one call and with two objects for each change. The
// form of the list is internal to lmdb (src/writer.cpp), so package.json names its exact version:
//
//     flags(4) table(4) keyLength(4) key zeros     and, of a put, valueLength(4) valueAddress(8)
//     3(4) zero(4) address(8)                      the list goes on in another chunk
//     0(4)                                         the end, which LMDB's thread marks
//
// Each begins at a multiple of 8 bytes; numbers are in the machine's order, addresses are doubles.
// Values stand at the end of their chunk, from the back.

import type { RootDatabase } from 'lmdb';
import * as lmdb from 'lmdb';

const PUT = 15;
const REMOVE = 13;
const NEXT_CHUNK = 3;
const END = 0;
const CHUNK_BYTES = 128 * 1024;
/** LMDB's thread also writes into the word before the end, which must not be before a chunk. */
const CHUNK_HEAD_BYTES = 8;
/** Room for the instruction to go on elsewhere. */
const CHUNK_TAIL_BYTES = 16;
const KEY_AT = 12;
const ADDRESS_BYTES = 8;
/** A key is followed by nine zeros at least. */
const KEY_PADDING_BYTES = 16;
/** Larger values are read where they are. */
const COPIED_BYTES_MAX = 4096;
/** Chunks that are kept for the next list. */
const SPARE_CHUNKS_MAX = 64;

interface NativeAddon {
  getBufferAddress(bytes: Uint8Array): number;
  /** Throws the error of this number. */
  lmdbError(status: number): void;
}
interface NativeEnvironment {
  startWriting(address: number, ended: (status: number) => void): void;
}

const { nativeAddon } = lmdb as unknown as { nativeAddon: NativeAddon };

interface Chunk {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly addresses: Float64Array;
  readonly address: number;
}

export class InstructionList {
  #chunks: Chunk[] = [];
  #spare: Chunk[] = [];
  #chunk!: Chunk;
  #at = 0;
  #valuesFrom = 0;
  /** Values that are read where they are, kept until then. */
  #large: Uint8Array[] = [];

  constructor() {
    this.#begin();
  }

  /** `table` is LMDB's number of it. */
  put(table: number, key: Uint8Array, value: Uint8Array): void {
    const isCopied = value.length <= COPIED_BYTES_MAX;
    this.#reserve(key.length, isCopied ? value.length : 0);
    const at = this.#writeKey(PUT, table, key);
    const { words, addresses } = this.#chunk;
    words[(at >>> 2) - 1] = value.length;
    addresses[at >>> 3] = isCopied ? this.#copy(value) : this.#keep(value);
    this.#at = at + ADDRESS_BYTES;
  }

  remove(table: number, key: Uint8Array): void {
    this.#reserve(key.length, 0);
    this.#at = this.#writeKey(REMOVE, table, key);
  }

  /** Resolves when all of it is durable. The list is empty then, and may be used again. */
  async carryOut(root: RootDatabase<Uint8Array, Uint8Array>): Promise<void> {
    const { env } = root as unknown as { env: NativeEnvironment };
    this.#chunk.words[this.#at >>> 2] = END;
    const address = this.#chunks[0]!.address + CHUNK_HEAD_BYTES;
    const status = await new Promise<number>(ended => env.startWriting(address, ended));
    if (status !== 0) nativeAddon.lmdbError(status);
    this.#begin();
  }

  #begin(): void {
    this.#large = [];
    this.#spare.push(...this.#chunks.slice(0, SPARE_CHUNKS_MAX - this.#spare.length));
    this.#chunks = [];
    this.#enterChunk(this.#spare.pop() ?? makeChunk());
  }

  #reserve(keyBytes: number, valueBytes: number): void {
    const bytes = KEY_AT + keyBytes + KEY_PADDING_BYTES + ADDRESS_BYTES + valueBytes;
    if (this.#at + bytes + CHUNK_TAIL_BYTES <= this.#valuesFrom) return;
    const { words, addresses } = this.#chunk;
    const next = this.#spare.pop() ?? makeChunk();
    words[this.#at >>> 2] = NEXT_CHUNK;
    words[(this.#at >>> 2) + 1] = 0;
    addresses[(this.#at >>> 3) + 1] = next.address + CHUNK_HEAD_BYTES;
    this.#enterChunk(next);
  }

  #enterChunk(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.#chunk = chunk;
    this.#at = CHUNK_HEAD_BYTES;
    this.#valuesFrom = CHUNK_BYTES;
  }

  /** Returns where it goes on. */
  #writeKey(flags: number, table: number, key: Uint8Array): number {
    const { bytes, words } = this.#chunk;
    const at = this.#at;
    words[at >>> 2] = flags;
    words[(at >>> 2) + 1] = table;
    words[(at >>> 2) + 2] = key.length;
    copyInto(bytes, at + KEY_AT, key);
    const keyEnd = at + KEY_AT + key.length;
    const next = (keyEnd + KEY_PADDING_BYTES) & ~7;
    for (let i = keyEnd; i < next; i++) bytes[i] = 0;
    return next;
  }

  #copy(value: Uint8Array): number {
    this.#valuesFrom -= value.length;
    copyInto(this.#chunk.bytes, this.#valuesFrom, value);
    return this.#chunk.address + this.#valuesFrom;
  }

  #keep(value: Uint8Array): number {
    this.#large.push(value);
    return nativeAddon.getBufferAddress(value);
  }
}

function makeChunk(): Chunk {
  const bytes = new Uint8Array(CHUNK_BYTES);
  const words = new Uint32Array(bytes.buffer);
  const addresses = new Float64Array(bytes.buffer);
  return { bytes, words, addresses, address: nativeAddon.getBufferAddress(bytes) };
}

/** A call of set() costs more than a few bytes. */
function copyInto(to: Uint8Array, at: number, from: Uint8Array): void {
  if (from.length >= 32) to.set(from, at);
  else for (let i = 0; i < from.length; i++) to[at + i] = from[i]!;
}

// Remembers what recent header blocks meant. The calls of a warm connection carry the same few bytes
// of table indices again and again; comparing them is far cheaper than decoding and checking them.
// An entry is good only while the HPACK table stands as it stood when the block was read.
import type { HpackDecoder } from './hpack-decoder.ts';
import type { HeaderField } from './hpack-table.ts';

const ENTRIES = 16;
const BLOCK_BYTES_MAX = 1024;

interface Entry<T> {
  readonly block: Uint8Array;
  readonly generation: number;
  readonly head: T;
}

export class HeadCache<T> {
  readonly #decoder: HpackDecoder;
  readonly #build: (fields: readonly HeaderField[] | null) => T;
  readonly #entries: Entry<T>[] = [];
  #next = 0;

  /** `build` makes a head of the fields; null means that the list was over its limit. */
  constructor(decoder: HpackDecoder, build: (fields: readonly HeaderField[] | null) => T) {
    this.#decoder = decoder;
    this.#build = build;
  }

  /** Heads are shared between calls: nobody may change one. */
  read(bytes: Uint8Array, start: number, end: number): T {
    const generation = this.#decoder.generation;
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.generation === generation && sameBytes(entry.block, bytes, start, end)) {
        return entry.head;
      }
    }
    const head = this.#build(this.#decoder.decode(bytes, start, end));
    if (this.#decoder.generation === generation && end - start <= BLOCK_BYTES_MAX) {
      this.#entries[this.#next] = { block: bytes.slice(start, end), generation, head };
      this.#next = (this.#next + 1) % ENTRIES;
    }
    return head;
  }
}

function sameBytes(block: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (block.length !== end - start) return false;
  for (let i = 0; i < block.length; i++) {
    if (block[i] !== bytes[start + i]) return false;
  }
  return true;
}

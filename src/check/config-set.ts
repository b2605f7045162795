// The memory of the search: which configurations were explored already and led nowhere. A
// configuration is the set of operations placed so far and the state they lead to.
//
// Sets are stored as the bit words between the first operation not yet placed and the last one
// placed: everything before the window is implied, so a key is a few words however long the
// history is. Keys are compared word by word. A collision of hashes costs time and can never
// cost a verdict.

const ENTRY_HEADER_WORDS = 5;
const CHAIN_PROBES_MAX = 64;

/** The window of a set of placed operations; `words` is read between the two word indexes. */
export interface BitWindow {
  readonly words: Int32Array;
  /** The word of the first operation not placed. */
  firstWord: number;
  /** The word of the last operation placed; below `firstWord` if the window is empty. */
  lastWord: number;
}

export interface ConfigSetOptions {
  /** Words of the sets of optional operations, 0 if there are none. */
  readonly optionalWords: number;
  /** Stop remembering at this size; the search stays right and gets slower. */
  readonly wordsMax: number;
  /** For tests: keep only these bits of each hash. */
  readonly hashMask?: number | undefined;
}

export class ConfigSet {
  // Entry: hash, state, firstWord, number of words, head of its chain of optional sets, words.
  #pool = new Int32Array(1 << 12);
  #poolUsed = 1;
  // Chain link: next link, then the words of one set of optional operations.
  #chains = new Int32Array(1 << 8);
  #chainsUsed = 1;
  #table = new Int32Array(1 << 10);
  #entries = 0;
  readonly #optionalWords: number;
  readonly #wordsMax: number;
  readonly #hashMask: number;

  constructor(options: ConfigSetOptions) {
    this.#optionalWords = options.optionalWords;
    this.#wordsMax = options.wordsMax;
    this.#hashMask = options.hashMask ?? -1;
  }

  /**
   * Adds a configuration and returns true, or returns false if it cannot lead further than one
   * added before. `optional` holds the operations of unknown outcome that were used up: with the
   * rest equal, a configuration that has used more of them can do no more.
   */
  add(window: BitWindow, state: number, optional: Int32Array): boolean {
    const hash = this.#hash(window, state);
    const mask = this.#table.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.#table[slot]!;
      if (entry === 0) break;
      if (this.#equals(entry, hash, window, state)) {
        return this.#optionalWords > 0 && this.#addOptional(entry, optional);
      }
      slot = (slot + 1) & mask;
    }
    this.#insert(slot, hash, window, state, optional);
    return true;
  }

  get size(): number {
    return this.#entries;
  }

  #hash(window: BitWindow, state: number): number {
    let h = Math.imul(state ^ 0x2545f491, 0x9e3779b1) ^ Math.imul(window.firstWord, 0x85ebca6b);
    for (let w = window.firstWord; w <= window.lastWord; w++) {
      h = Math.imul(h ^ window.words[w]!, 0xc2b2ae35);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
    return (h ^ (h >>> 13)) & this.#hashMask;
  }

  #equals(entry: number, hash: number, window: BitWindow, state: number): boolean {
    const pool = this.#pool;
    if (pool[entry] !== hash || pool[entry + 1] !== state) return false;
    if (pool[entry + 2] !== window.firstWord) return false;
    const count = window.lastWord - window.firstWord + 1;
    if (pool[entry + 3] !== count) return false;
    const at = entry + ENTRY_HEADER_WORDS;
    for (let w = 0; w < count; w++) {
      if (pool[at + w] !== window.words[window.firstWord + w]) return false;
    }
    return true;
  }

  #insert(slot: number, hash: number, window: BitWindow, state: number, optional: Int32Array) {
    const count = window.lastWord - window.firstWord + 1;
    if (this.#poolUsed + this.#chainsUsed > this.#wordsMax) return;
    const at = this.#poolUsed;
    this.#pool = withRoom(this.#pool, at + ENTRY_HEADER_WORDS + count);
    const pool = this.#pool;
    pool[at] = hash;
    pool[at + 1] = state;
    pool[at + 2] = window.firstWord;
    pool[at + 3] = count;
    pool[at + 4] = 0;
    for (let w = 0; w < count; w++) {
      pool[at + ENTRY_HEADER_WORDS + w] = window.words[window.firstWord + w]!;
    }
    this.#poolUsed = at + ENTRY_HEADER_WORDS + count;
    this.#table[slot] = at;
    if (this.#optionalWords > 0) this.#link(at, optional);
    this.#entries += 1;
    if (this.#entries * 2 > this.#table.length) this.#rehash();
  }

  #addOptional(entry: number, optional: Int32Array): boolean {
    let link = this.#pool[entry + 4]!;
    // Probing is bounded: a miss means exploring again, which is slow but not wrong.
    for (let probes = 0; link !== 0 && probes < CHAIN_PROBES_MAX; probes++) {
      if (this.#isSubset(link + 1, optional)) return false;
      link = this.#chains[link]!;
    }
    if (this.#poolUsed + this.#chainsUsed <= this.#wordsMax) this.#link(entry, optional);
    return true;
  }

  #isSubset(at: number, optional: Int32Array): boolean {
    for (let w = 0; w < this.#optionalWords; w++) {
      if ((this.#chains[at + w]! & ~optional[w]!) !== 0) return false;
    }
    return true;
  }

  #link(entry: number, optional: Int32Array): void {
    const at = this.#chainsUsed;
    this.#chains = withRoom(this.#chains, at + 1 + this.#optionalWords);
    this.#chains[at] = this.#pool[entry + 4]!;
    for (let w = 0; w < this.#optionalWords; w++) this.#chains[at + 1 + w] = optional[w]!;
    this.#pool[entry + 4] = at;
    this.#chainsUsed = at + 1 + this.#optionalWords;
  }

  #rehash(): void {
    const table = new Int32Array(this.#table.length * 2);
    const mask = table.length - 1;
    for (const entry of this.#table) {
      if (entry === 0) continue;
      let slot = this.#pool[entry]! & mask;
      while (table[slot] !== 0) slot = (slot + 1) & mask;
      table[slot] = entry;
    }
    this.#table = table;
  }
}

/** The same array, or a copy at least twice as long that has room for `length` words. */
export function withRoom(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  if (length <= array.length) return array;
  const larger = new Int32Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}

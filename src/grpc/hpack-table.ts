// The header tables of HPACK (RFC 7541 §2.3, Appendix A): the 61 fields every peer knows, and the
// dynamic table that a sender fills and a receiver follows. Pure.

export interface HeaderField {
  readonly name: string;
  readonly value: string;
  /** Name + value + 32, the size by which tables and header lists are bounded (RFC 7541 §4.1). */
  readonly size: number;
}

/** HPACK counts bytes; our strings hold one byte a character, so their lengths are the byte counts. */
export function headerField(name: string, value: string): HeaderField {
  return { name, value, size: name.length + value.length + 32 };
}

// biome-ignore format: name and value pairs, in the order of Appendix A
const STATIC_PAIRS: readonly string[] = [
  ':authority', '', ':method', 'GET', ':method', 'POST', ':path', '/', ':path', '/index.html',
  ':scheme', 'http', ':scheme', 'https', ':status', '200', ':status', '204', ':status', '206',
  ':status', '304', ':status', '400', ':status', '404', ':status', '500', 'accept-charset', '',
  'accept-encoding', 'gzip, deflate', 'accept-language', '', 'accept-ranges', '', 'accept', '',
  'access-control-allow-origin', '', 'age', '', 'allow', '', 'authorization', '',
  'cache-control', '', 'content-disposition', '', 'content-encoding', '', 'content-language', '',
  'content-length', '', 'content-location', '', 'content-range', '', 'content-type', '',
  'cookie', '', 'date', '', 'etag', '', 'expect', '', 'expires', '', 'from', '', 'host', '',
  'if-match', '', 'if-modified-since', '', 'if-none-match', '', 'if-range', '',
  'if-unmodified-since', '', 'last-modified', '', 'link', '', 'location', '', 'max-forwards', '',
  'proxy-authenticate', '', 'proxy-authorization', '', 'range', '', 'referer', '', 'refresh', '',
  'retry-after', '', 'server', '', 'set-cookie', '', 'strict-transport-security', '',
  'transfer-encoding', '', 'user-agent', '', 'vary', '', 'via', '', 'www-authenticate', '',
];

export const STATIC_FIELDS: readonly HeaderField[] = Array.from(
  { length: STATIC_PAIRS.length / 2 },
  (_, i) => headerField(STATIC_PAIRS[2 * i]!, STATIC_PAIRS[2 * i + 1]!),
);

/** Indices 1..61 are static; 62 is the newest dynamic entry. */
export const STATIC_COUNT = STATIC_FIELDS.length;
export const DEFAULT_TABLE_BYTES = 4096;

/** Newest first for readers; a ring inside, so that insertion moves nothing. */
export class DynamicTable {
  /** Moves with every change, so that a cache over the table knows when it is stale. */
  generation = 0;
  /** How many entries were ever inserted; entry number n is at distance `inserted - n` from the end. */
  inserted = 0;
  bytes = 0;
  bytesMax: number;
  #ring: (HeaderField | undefined)[] = new Array(16);
  #count = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  /** The field at distance `i` from the newest, or undefined. */
  get(i: number): HeaderField | undefined {
    if (i >= this.#count) return undefined;
    return this.#ring[(this.inserted - 1 - i) & (this.#ring.length - 1)];
  }

  /** A field larger than the table empties it, which is not an error (RFC 7541 §4.4). */
  insert(field: HeaderField): void {
    this.generation += 1;
    this.#evictTo(this.bytesMax - field.size);
    if (field.size > this.bytesMax) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[this.inserted & (this.#ring.length - 1)] = field;
    this.inserted += 1;
    this.#count += 1;
    this.bytes += field.size;
  }

  resize(bytesMax: number): void {
    this.generation += 1;
    this.bytesMax = bytesMax;
    this.#evictTo(bytesMax);
  }

  #evictTo(bytesMax: number): void {
    while (this.#count > 0 && this.bytes > bytesMax) {
      const at = (this.inserted - this.#count) & (this.#ring.length - 1);
      this.bytes -= this.#ring[at]!.size;
      this.#ring[at] = undefined;
      this.#count -= 1;
    }
  }

  #grow(): void {
    const old = this.#ring;
    const ring: (HeaderField | undefined)[] = new Array(old.length * 2);
    for (let n = this.inserted - this.#count; n < this.inserted; n++) {
      ring[n & (ring.length - 1)] = old[n & (old.length - 1)];
    }
    this.#ring = ring;
  }
}

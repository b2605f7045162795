// A store as a stream of bytes: what a snapshot file and a transfer to another member hold. The form
// is that of the tables, not of a backend, so an image taken from memory restores into LMDB and the
// other way round.
//
//     "KTKV" version(1)  term index                       varints
//     table(1) keyLength key valueLength value            for each entry, in order of table and key
//     255 entries hash(4)                                 the end; hash over all keys and values

import { type Backend, type Position, type Snapshot, TABLE_COUNT, type Table } from './backend.ts';
import { EMPTY, RecordWriter, successor } from './bytes.ts';
import { hashBytes } from './hash.ts';

const MAGIC = [0x4b, 0x54, 0x4b, 0x56, 1];
const END = 0xff;
const CHUNK_BYTES = 64 * 1024;
const HEADER_BYTES_MAX = 24;
/** Far above any request; a length beyond it is damage, and must not make us buffer for ever. */
const ENTRY_BYTES_MAX = 1024 ** 3;
/** How much a restore gathers before the backend may write. */
const DRAIN_BYTES = 1024 * 1024;

/** An image that is damaged, cut short, of another format or of another position. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** Streams a snapshot and releases it at the end, also when the reader stops early. */
export async function* writeImage(
  snapshot: Snapshot,
  at: Position,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = new ChunkWriter();
  const head = new RecordWriter();
  let entries = 0;
  let hash = 0;
  try {
    head.begin(HEADER_BYTES_MAX);
    for (const byte of MAGIC) head.byte(byte);
    head.varint(at.term);
    head.varint(at.index);
    chunks.write(head.end());
    for (let table = 0; table < TABLE_COUNT; table++) {
      let next: Uint8Array | null = EMPTY;
      while (next !== null) {
        // The cursor is closed before each pause: it must not outlive the snapshot.
        const cursor = snapshot.scan(table as Table, next, null);
        next = null;
        while (cursor.next()) {
          writeEntry(chunks, head, table, cursor.key, cursor.value);
          hash = hashEntry(hash, cursor.key, cursor.value);
          entries++;
          if (!chunks.isReady) continue;
          next = successor(cursor.key);
          break;
        }
        cursor.close();
        yield* chunks.take();
      }
    }
    head.begin(HEADER_BYTES_MAX);
    head.byte(END);
    head.varint(entries);
    head.ordered(hash >>> 0, 4);
    chunks.write(head.end());
    chunks.finish();
    yield* chunks.take();
  } finally {
    snapshot.release();
  }
}

/**
 * Replaces a backend's content by an image. On any error the old content stays. `switched` is called
 * in the turn in which the new one takes its place.
 */
export async function readImage(
  backend: Backend,
  at: Position,
  content: AsyncIterable<Uint8Array>,
  switched: () => void,
): Promise<void> {
  const replacement = await backend.replace();
  let isFinished = false;
  try {
    const parser = new ImageParser(at, (table, key, value) => replacement.put(table, key, value));
    let undrained = 0;
    for await (const chunk of content) {
      parser.push(chunk);
      undrained += chunk.length;
      if (undrained < DRAIN_BYTES) continue;
      undrained = 0;
      await replacement.drain();
    }
    parser.finish();
    isFinished = true;
    await replacement.finish(at, switched);
  } finally {
    if (!isFinished) await replacement.abandon();
  }
}

function writeEntry(
  chunks: ChunkWriter,
  head: RecordWriter,
  table: number,
  key: Uint8Array,
  value: Uint8Array,
): void {
  head.begin(HEADER_BYTES_MAX);
  head.byte(table);
  head.varint(key.length);
  chunks.write(head.end());
  chunks.write(key);
  head.begin(HEADER_BYTES_MAX);
  head.varint(value.length);
  chunks.write(head.end());
  chunks.write(value);
}

function hashEntry(hash: number, key: Uint8Array, value: Uint8Array): number {
  return hashBytes(value, hashBytes(key, hash));
}

/** Cuts what is written into chunks of equal size. */
class ChunkWriter {
  #ready: Uint8Array[] = [];
  #chunk = new Uint8Array(CHUNK_BYTES);
  #used = 0;

  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  write(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const part = bytes.subarray(at, at + CHUNK_BYTES - this.#used);
      this.#chunk.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used === CHUNK_BYTES) this.finish();
    }
  }

  finish(): void {
    if (this.#used > 0) this.#ready.push(this.#chunk.subarray(0, this.#used));
    this.#chunk = new Uint8Array(CHUNK_BYTES);
    this.#used = 0;
  }

  take(): Uint8Array[] {
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }
}

const copies = new RecordWriter();

type PutEntry = (table: Table, key: Uint8Array, value: Uint8Array) => void;

/** Takes an image in pieces of any size. */
class ImageParser {
  readonly #expected: Position;
  readonly #put: PutEntry;
  /** Received, not yet understood; begins at #at. */
  #bytes: Uint8Array = EMPTY;
  #at = 0;
  #isHeaderRead = false;
  #isEnded = false;
  #entries = 0;
  #hash = 0;

  constructor(expected: Position, put: PutEntry) {
    this.#expected = expected;
    this.#put = put;
  }

  push(chunk: Uint8Array): void {
    const rest = this.#bytes.length - this.#at;
    const joined = new Uint8Array(rest + chunk.length);
    joined.set(this.#bytes.subarray(this.#at));
    joined.set(chunk, rest);
    this.#bytes = joined;
    this.#at = 0;
    if (!this.#isHeaderRead) this.#isHeaderRead = this.#readHeader();
    if (this.#isHeaderRead) while (!this.#isEnded && this.#readEntry());
    if (joined.length - this.#at > ENTRY_BYTES_MAX) throw new ImageError('an entry is too long');
  }

  finish(): void {
    if (!this.#isEnded) throw new ImageError('the image is cut short');
    if (this.#at !== this.#bytes.length) throw new ImageError('bytes follow the end of the image');
  }

  /** Each of these gives false, and moves nothing, while a part is missing. */
  #readHeader(): boolean {
    const bytes = this.#bytes;
    for (let i = 0; i < Math.min(MAGIC.length, bytes.length); i++) {
      if (bytes[i] !== MAGIC[i]) throw new ImageError('not an image, or of an unknown version');
    }
    const scan = new Scan(bytes, MAGIC.length);
    const term = scan.varint();
    const index = scan.varint();
    if (scan.isShort) return false;
    if (term !== this.#expected.term || index !== this.#expected.index) {
      throw new ImageError('the image is of another position in the log');
    }
    this.#at = scan.at;
    return true;
  }

  #readEntry(): boolean {
    const scan = new Scan(this.#bytes, this.#at);
    const table = scan.byte();
    if (scan.isShort) return false;
    if (table === END) return this.#readEnd(scan);
    if (table >= TABLE_COUNT) throw new ImageError(`unknown table ${table}`);
    const key = scan.block();
    const value = scan.block();
    if (scan.isShort) return false;
    // The chunk may be reused or be much larger than what stays of it.
    this.#put(table as Table, copies.copyOf(key), copies.copyOf(value));
    this.#hash = hashEntry(this.#hash, key, value);
    this.#entries++;
    this.#at = scan.at;
    return true;
  }

  #readEnd(scan: Scan): boolean {
    const entries = scan.varint();
    let hash = 0;
    for (let i = 0; i < 4; i++) hash = hash * 256 + scan.byte();
    if (scan.isShort) return false;
    if (entries !== this.#entries || hash !== this.#hash >>> 0) {
      throw new ImageError('the image is damaged');
    }
    this.#at = scan.at;
    this.#isEnded = true;
    return true;
  }
}

/** Reads ahead in bytes that may end too early; afterwards `isShort` says whether they did. */
class Scan {
  at: number;
  isShort = false;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    if (this.at >= this.#bytes.length) this.isShort = true;
    return this.#bytes[this.at++] ?? 0;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
      unit *= 128;
      if (unit > Number.MAX_SAFE_INTEGER) throw new ImageError('a number is too long');
    }
  }

  /** Bytes after their length. */
  block(): Uint8Array {
    const length = this.varint();
    if (length > ENTRY_BYTES_MAX) throw new ImageError('an entry is too long');
    if (length > this.#bytes.length - this.at) this.isShort = true;
    if (this.isShort) return EMPTY;
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}

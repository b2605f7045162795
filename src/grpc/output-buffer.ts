// Collects everything a connection says within one turn of the event loop, so that it leaves in one
// write. A chunk is filled from front to back and never rewritten: what was handed to the socket
// stays as it is while the next turn fills the rest of the same chunk.

const CHUNK_BYTES_MIN = 2 * 1024;
const CHUNK_BYTES_MAX = 64 * 1024;

export class OutputBuffer {
  /** The chunk being filled; `reserve` says where, `commit` says how far. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Bytes waiting to be taken. */
  length = 0;
  /** Bytes ever committed. */
  total = 0;
  #end = 0;
  #start = 0;
  #chunkBytes = CHUNK_BYTES_MIN;
  readonly #full: Uint8Array[] = [];

  /** Room for `size` bytes in a row; returns their offset in `bytes`. */
  reserve(size: number): number {
    if (this.bytes.length - this.#end < size) this.#nextChunk(size);
    return this.#end;
  }

  /** The reserved bytes up to the offset `end` are written. */
  commit(end: number): void {
    const size = end - this.#end;
    this.length += size;
    this.total += size;
    this.#end = end;
  }

  /** Hands over all that waits, in order. */
  take(write: (bytes: Uint8Array) => void): void {
    for (const piece of this.#full) write(piece);
    this.#full.length = 0;
    if (this.#end > this.#start) write(this.bytes.subarray(this.#start, this.#end));
    this.#start = this.#end;
    this.length = 0;
  }

  #nextChunk(size: number): void {
    if (this.#end > this.#start) this.#full.push(this.bytes.subarray(this.#start, this.#end));
    this.bytes = Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, size));
    this.#chunkBytes = Math.min(this.#chunkBytes * 2, CHUNK_BYTES_MAX);
    this.#start = 0;
    this.#end = 0;
  }
}

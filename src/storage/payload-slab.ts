// Memory for payloads that are kept for a while, as by recovery. Most are small, and a typed array with
// a buffer of its own costs more than reading one: many share one buffer. Their entries leave the log in
// order, so a buffer is not held for long by the last of them.

const SLAB_BYTES = 16 * 1024;
/** Larger payloads get a buffer of their own. */
const SHARED_BYTES_MAX = 1024;

export class PayloadSlab {
  #slab: Uint8Array | null = null;
  #used = 0;

  /** `length` zero bytes that nobody else uses. */
  take(length: number): Uint8Array {
    if (length > SHARED_BYTES_MAX) return new Uint8Array(length);
    if (this.#slab === null || this.#used + length > SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const from = this.#used;
    this.#used = from + length;
    return this.#slab.subarray(from, this.#used);
  }
}

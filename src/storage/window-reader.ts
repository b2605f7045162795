// Reads a file front to back through one window, so that recovery of a large log costs few reads
// and little memory.

import type { DiskFile } from './disk.ts';

const WINDOW_BYTES = 1024 * 1024;

export class WindowReader {
  readonly size: number;
  readonly #file: DiskFile;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: DiskFile, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** A view of `length` bytes at `at`, fewer at the end of the file; valid until the next call. */
  async view(at: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.size - at));
    const inside = at >= this.#start && at + wanted <= this.#start + this.#window.length;
    if (!inside) {
      this.#window = await this.#file.read(at, Math.max(wanted, WINDOW_BYTES));
      this.#start = at;
    }
    return this.#window.subarray(at - this.#start, at - this.#start + wanted);
  }
}

// Reads a file front to back through one window, so that recovery of a large log costs few reads
// and little memory. What is inside of the window is had without a promise: recovery looks at every
// sector, and a chain of ten thousand promises is slow and holds up whoever waits for a quiet moment.

import { SECTOR_BYTES } from './batch.ts';
import type { DiskFile } from './disk.ts';
import { StorageError } from './log-store.ts';

const WINDOW_BYTES = 1024 * 1024;

export class WindowReader {
  readonly size: number;
  readonly #file: DiskFile;
  #window: Uint8Array;
  #start = 0;

  private constructor(file: DiskFile, size: number, window: Uint8Array) {
    this.#file = file;
    this.size = size;
    this.#window = window;
  }

  /** Most files end within their first window, which then tells how large they are. */
  static async open(file: DiskFile): Promise<WindowReader> {
    const window = await file.read(0, WINDOW_BYTES);
    const isWhole = window.length < WINDOW_BYTES;
    return new WindowReader(file, isWhole ? window.length : await file.size(), window);
  }

  /** What the window holds now, from `start` in the file on. */
  get window(): Uint8Array {
    return this.#window;
  }

  get start(): number {
    return this.#start;
  }

  /** Whether the window holds `length` bytes at `at`, or what the file has of them: else load(). */
  holds(at: number, length: number): boolean {
    const from = at - this.#start;
    return from >= 0 && from + this.#available(at, length) <= this.#window.length;
  }

  /** Moves the window to `at`. */
  async load(at: number, length: number): Promise<void> {
    const wanted = this.#available(at, length);
    this.#window = await this.#file.read(at, Math.max(wanted, WINDOW_BYTES));
    this.#start = at;
    // Only a file that somebody else cuts while we read it.
    if (this.#window.length < wanted) throw new StorageError('IO', 'a file ended too early');
  }

  /** The sectors from `at` on that the window has, at least one; only the file's last may be short. */
  async sectors(at: number): Promise<Uint8Array> {
    if (!this.holds(at, SECTOR_BYTES)) await this.load(at, SECTOR_BYTES);
    const bytes = this.#window.subarray(at - this.#start);
    if (at + bytes.length >= this.size) return bytes;
    return bytes.subarray(0, bytes.length - (bytes.length % SECTOR_BYTES));
  }

  #available(at: number, length: number): number {
    return Math.max(0, Math.min(length, this.size - at));
  }
}

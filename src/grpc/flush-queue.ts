// Lets every connection that has something to say write once at the end of the current turn of the
// event loop, however many calls were answered in it. Writes are what a small call costs most.
import type { Flusher, FrameWriter } from './frame-writer.ts';

export class FlushQueue implements Flusher {
  #dirty: FrameWriter[] = [];
  readonly #run = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (let i = 0; i < dirty.length; i++) dirty[i]!.flush();
  };

  add(connection: FrameWriter): void {
    if (this.#dirty.length === 0) setImmediate(this.#run);
    this.#dirty.push(connection);
  }
}

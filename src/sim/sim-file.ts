// One file of the simulated disk: the durable bytes, and the changes that a power loss may take
// back. Reads are rare (recovery, snapshots), writes are the log's hot path, so what programs see is
// put together only when somebody reads.

import type { Prng } from './prng.ts';

export const SECTOR_BYTES = 512;
const SIZE_MAX = 256 * 1024 * 1024;
const FIRST_BYTES = 8192;
const NOTHING = new Uint8Array(0);

/** A write, or a new size. */
type Change = { readonly offset: number; readonly bytes: Uint8Array } | number;

/** What a power loss does to a change that was not synced. `torn`: any subset of its sectors. */
export type Loss = 'lost' | 'kept' | 'torn';

/** Bytes beyond the array up to `size` are zeros, so that preallocation costs nothing. */
class Image {
  size = 0;
  #bytes: Uint8Array = NOTHING;
  /** Another image has the same bytes: whoever writes first makes a copy. */
  #isShared = false;

  get written(): Uint8Array {
    return this.#bytes;
  }

  /** No copy if it can be had without: whoever writes next makes one. */
  read(offset: number, length: number): Uint8Array {
    const end = Math.max(offset, Math.min(this.size, offset + length));
    if (end <= this.#bytes.length) {
      this.#isShared = true;
      return this.#bytes.subarray(offset, end);
    }
    const result = new Uint8Array(end - offset);
    if (offset < this.#bytes.length) result.set(this.#bytes.subarray(offset));
    return result;
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (this.#isShared || end > this.#bytes.length) this.#reserve(end);
    this.#bytes.set(bytes, offset);
    if (end > this.size) this.size = end;
  }

  resize(size: number): void {
    if (size < this.#bytes.length) {
      if (this.#isShared) this.#own(this.#bytes.slice(0, size));
      else this.#bytes.fill(0, size);
    }
    this.size = size;
  }

  apply(change: Change): void {
    if (typeof change === 'number') this.resize(change);
    else this.write(change.offset, change.bytes);
  }

  clone(): Image {
    const copy = new Image();
    copy.size = this.size;
    copy.#bytes = this.#bytes;
    copy.#isShared = true;
    this.#isShared = true;
    return copy;
  }

  /** Bytes of its own, at least up to `end`. */
  #reserve(end: number): void {
    if (end > SIZE_MAX) throw new RangeError('a simulated file has grown beyond all reason');
    const { length } = this.#bytes;
    const own = new Uint8Array(end <= length ? length : Math.max(end, 2 * length, FIRST_BYTES));
    own.set(this.#bytes);
    this.#own(own);
  }

  #own(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#isShared = false;
  }
}

export class SimFile {
  #durable = new Image();
  #pending: Change[] = [];
  /** Changes that became durable so far; pending ones are numbered on from here. */
  #settled = 0;
  #size = 0;
  /** What programs see, while somebody reads and something is pending. */
  #seen: Image | null = null;

  get size(): number {
    return this.#size;
  }

  read(offset: number, length: number): Uint8Array {
    if (this.#pending.length === 0) return this.#durable.read(offset, length);
    if (this.#seen === null) {
      this.#seen = this.#durable.clone();
      for (const change of this.#pending) this.#seen.apply(change);
    }
    return this.#seen.read(offset, length);
  }

  /** The caller never changes the bytes before they are durable. */
  write(offset: number, bytes: Uint8Array): void {
    this.#pending.push({ offset, bytes });
    this.#size = Math.max(this.#size, offset + bytes.length);
    this.#seen = null;
  }

  resize(size: number): void {
    this.#pending.push(size);
    this.#size = size;
    this.#seen = null;
  }

  /** Names the changes made so far, for settle(). */
  mark(): number {
    return this.#settled + this.#pending.length;
  }

  /** Makes all changes up to the mark durable. */
  settle(mark: number): void {
    const count = mark - this.#settled;
    if (count <= 0) return;
    for (let i = 0; i < count; i++) this.#durable.apply(this.#pending[i]!);
    if (count === this.#pending.length) this.#pending = [];
    else this.#pending.splice(0, count);
    this.#settled = mark;
    this.#seen = null;
  }

  crash(loss: Loss, chance: Prng): void {
    for (const change of this.#pending) {
      if (loss === 'kept') this.#durable.apply(change);
      else if (loss === 'torn') this.#applySome(change, chance);
    }
    this.#settled += this.#pending.length;
    this.#pending = [];
    this.#seen = null;
    this.#size = this.#durable.size;
  }

  /** A dead process may have handed over buffers that its ghosts still write to. */
  detach(): void {
    this.#pending = this.#pending.map(change =>
      typeof change === 'number' ? change : { offset: change.offset, bytes: change.bytes.slice() },
    );
  }

  /** Damage behind everyone's back. */
  poke(offset: number, bytes: Uint8Array): void {
    this.#durable.write(offset, bytes);
    this.#seen = null;
  }

  /** Where there is anything to damage: offsets of durable bytes that are not zero. */
  usedOffsets(): number[] {
    const used: number[] = [];
    const { written } = this.#durable;
    for (let i = 0; i < Math.min(written.length, this.#durable.size); i++) {
      if (written[i] !== 0) used.push(i);
    }
    return used;
  }

  /** A copy. */
  peekDurable(offset: number, length: number): Uint8Array {
    return this.#durable.read(offset, length).slice();
  }

  /** A copy without what is not durable. */
  cloneDurable(): SimFile {
    const copy = new SimFile();
    copy.#durable = this.#durable.clone();
    copy.#size = this.#durable.size;
    return copy;
  }

  #applySome(change: Change, chance: Prng): void {
    if (typeof change === 'number') {
      if (chance.chance(0.5)) this.#durable.resize(change);
      return;
    }
    // Nothing, everything and anything between are equally worth a try.
    const kept = chance.pick([0, 0.5, 0.9, 1]);
    const end = change.offset + change.bytes.length;
    for (let from = change.offset; from < end; ) {
      const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES);
      if (chance.chance(kept)) {
        const cut = chance.chance(0.1) ? from + chance.below(to - from) : to;
        const part = change.bytes.subarray(from - change.offset, cut - change.offset);
        this.#durable.write(from, part);
      }
      from = to;
    }
  }
}

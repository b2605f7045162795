// One file of the memory disk: the image that programs see, the image that is durable, and the
// changes between the two, of which a crash keeps what its loss model says.

/**
 * What a power loss does to unsynced changes. `tornTail`: all are kept but the last write of each
 * file, of which only a prefix of random length is. `random`: see memory-disk.ts.
 */
export type LossModel =
  | { readonly unsynced: 'lost' | 'kept' }
  | { readonly unsynced: 'random' | 'tornTail'; readonly random: () => number };

const SECTOR_BYTES = 512;
const SIZE_MAX = 1024 * 1024 * 1024;

interface Write {
  offset: number;
  bytes: Uint8Array;
}
/** A write, or a new size. */
type Change = Write | number;

/** Bytes beyond the array up to `size` are zeros, so that preallocation costs nothing here. */
class Image {
  size = 0;
  #bytes = new Uint8Array(0);

  read(offset: number, length: number): Uint8Array {
    const end = Math.max(offset, Math.min(this.size, offset + length));
    const result = new Uint8Array(end - offset);
    if (offset < this.#bytes.length) result.set(this.#bytes.subarray(offset, end));
    return result;
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > SIZE_MAX) throw new RangeError('a memory disk has no room for files this large');
    if (end > this.#bytes.length) this.#reserve(end);
    this.#bytes.set(bytes, offset);
    if (end > this.size) this.size = end;
  }

  resize(size: number): void {
    if (size < this.#bytes.length) this.#bytes.fill(0, size);
    this.size = size;
  }

  clone(): Image {
    const copy = new Image();
    copy.size = this.size;
    copy.#bytes = this.#bytes.slice();
    return copy;
  }

  #reserve(end: number): void {
    const larger = new Uint8Array(Math.max(end, Math.min(SIZE_MAX, this.#bytes.length * 2)));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

export class MemoryInode {
  #seen = new Image();
  #durable = new Image();
  #pending: Change[] = [];
  /** Changes that became durable so far; pending ones are numbered on from here. */
  #settled = 0;

  get size(): number {
    return this.#seen.size;
  }

  content(): Uint8Array {
    return this.#seen.read(0, this.#seen.size);
  }

  read(offset: number, length: number): Uint8Array {
    return this.#seen.read(offset, length);
  }

  write(offset: number, bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.#seen.write(offset, copy);
    this.#pending.push({ offset, bytes: copy });
  }

  resize(size: number): void {
    this.#seen.resize(size);
    this.#pending.push(size);
  }

  /** Names the changes made so far, for settle(). */
  mark(): number {
    return this.#settled + this.#pending.length;
  }

  /** Makes all changes up to the mark durable. */
  settle(mark: number): void {
    const count = mark - this.#settled;
    if (count <= 0) return;
    for (let i = 0; i < count; i++) apply(this.#durable, this.#pending[i]!);
    this.#pending.splice(0, count);
    this.#settled = mark;
  }

  crash(loss: LossModel): void {
    const last = this.#pending.findLastIndex(change => typeof change !== 'number');
    for (let i = 0; i < this.#pending.length; i++) {
      const change = this.#pending[i]!;
      if (loss.unsynced === 'kept') apply(this.#durable, change);
      else if (loss.unsynced === 'random') applySome(this.#durable, change, loss.random);
      else if (loss.unsynced === 'tornTail') {
        if (i === last) applyPrefix(this.#durable, change as Write, loss.random);
        else apply(this.#durable, change);
      }
    }
    this.#settled += this.#pending.length;
    this.#pending = [];
    this.#seen = this.#durable.clone();
  }

  poke(offset: number, bytes: Uint8Array): void {
    this.#seen.write(offset, bytes);
    this.#durable.write(offset, bytes);
  }

  clone(): MemoryInode {
    const copy = new MemoryInode();
    copy.#seen = this.#seen.clone();
    copy.#durable = this.#durable.clone();
    copy.#pending = [...this.#pending];
    copy.#settled = this.#settled;
    return copy;
  }
}

function apply(image: Image, change: Change): void {
  if (typeof change === 'number') image.resize(change);
  else image.write(change.offset, change.bytes);
}

function applyPrefix(image: Image, write: Write, random: () => number): void {
  const length = Math.floor(random() * (write.bytes.length + 1));
  image.write(write.offset, write.bytes.subarray(0, length));
}

function applySome(image: Image, change: Change, random: () => number): void {
  if (typeof change === 'number') {
    if (random() < 0.5) image.resize(change);
    return;
  }
  // Nothing, everything and anything between are equally worth a try.
  const chance = [0, 0.5, 0.9, 1][Math.floor(random() * 4)]!;
  const end = change.offset + change.bytes.length;
  for (let from = change.offset; from < end; ) {
    const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    if (random() < chance) {
      const cut = random() < 0.1 ? from + Math.floor(random() * (to - from)) : to;
      image.write(from, change.bytes.subarray(from - change.offset, cut - change.offset));
    }
    from = to;
  }
}

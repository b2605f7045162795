// All chance of a simulation. One seed gives a tree of generators: a stream is named, not drawn, so
// a new draw in one subsystem never shifts another. Integer arithmetic only, and no function of
// Math whose last bit an engine may choose, so a seed means the same on every release of Node.

/** Small Fast Counter, 32 bit: 128 bits of state, one addition chain a draw. */
const TAIL_DOUBLINGS = 10;
/** No draw of a heavy tail is longer than so many times its mean. */
export const HEAVY_TAIL_MAX = 2 ** (TAIL_DOUBLINGS + 1) / 9;

export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #name: number;

  constructor(seed: number, name: string | number = 0) {
    const low = seed >>> 0;
    const high = Math.floor(seed / 2 ** 32) >>> 0;
    this.#name = typeof name === 'number' ? name >>> 0 : hashText(name);
    this.#a = low;
    this.#b = high ^ 0x9e3779b9;
    this.#c = this.#name;
    for (let i = 0; i < 15; i++) this.u32();
  }

  /** A generator of its own: the same for the same name, whatever was drawn here before. */
  static stream(seed: number, ...names: (string | number)[]): Prng {
    let name = 0x811c9dc5;
    for (const part of names) {
      name = mix32(name, typeof part === 'number' ? part >>> 0 : hashText(part));
    }
    return new Prng(seed, name);
  }

  /** Uniform in 0 to 2^32 - 1. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  float(): number {
    return this.u32() / 2 ** 32;
  }

  /** Uniform in 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.float() * n);
  }

  /** Uniform, both ends included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** A new array in random order. */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  /** Every doubling between the bounds is as likely as any other; not rounded. */
  logUniform(min: number, max: number): number {
    let doublings = 0;
    for (let top = min; top * 2 <= max; top *= 2) doublings += 1;
    const base = min * 2 ** this.below(doublings + 1);
    return Math.min(max, base * (1 + this.float()));
  }

  /** Mean about `mean`, heavy tail: each further doubling is half as likely, up to 2^10. */
  heavyTail(mean: number): number {
    // 22 leading zeros at most, so that the tail is bounded.
    const doublings = Math.min(TAIL_DOUBLINGS, Math.clz32(this.u32()));
    return (mean / 9) * (1 + this.float()) * 2 ** doublings;
  }
}

/** A mixing step on 32 bits; also the step of all digests of this folder. */
export function mix32(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x85ebca6b);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

/** `from` is the hash of what comes before the text. */
export function hashText(text: string, from = 0x811c9dc5): number {
  let h = from;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

export function hashBytes(hash: number, bytes: Uint8Array): number {
  let h = hash ^ bytes.length;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193);
  return h | 0;
}

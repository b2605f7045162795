// How long to wait before the next dial: doubling with jitter, so that a cluster whose node comes
// back is whole again within a second, and a hundred dialers do not knock in step.

export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

export class Backoff {
  readonly #limits: BackoffLimits;
  /** Uniform in [0, 1). */
  readonly #random: () => number;
  /** The ceiling of the next wait; doubles with each failure up to maxMs. */
  #nextMs: number;

  constructor(limits: BackoffLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
    this.#nextMs = limits.minMs;
  }

  /** Between half of the ceiling and the ceiling: never zero, or a dead peer costs a busy loop. */
  next(): number {
    const ceiling = this.#nextMs;
    this.#nextMs = Math.min(ceiling * 2, this.#limits.maxMs);
    return ceiling * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#nextMs = this.#limits.minMs;
  }
}

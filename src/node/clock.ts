// The driver's only time. Production uses the monotonic clock; the simulator its virtual one.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds from an arbitrary start; fractions allowed. */
  now(): number;
  /** Calls `fire` once, not before `delayMs` from now. */
  after(delayMs: number, fire: () => void): Timer;
  /** Calls `run` once all input that has already arrived was handed in: the end of this turn. */
  endOfTurn(run: () => void): void;
}

/** Uniform in [0, 1). */
export type Random = () => number;

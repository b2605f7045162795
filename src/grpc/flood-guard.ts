// Bounds the frames that cost a peer nothing and us something: pings, settings, resets, empty frames
// (RFC 9113 §10.5; the "rapid reset" attack). A budget refilled once a second; who overdraws it loses
// the connection. An honest client stays far below: a BDP-probing one sends some thousand pings a second.
import { ConnectionError, ErrorCode } from './frames.ts';

const REFILL_MS = 1000;

export class FloodGuard {
  readonly #max: number;
  readonly #nowMs: () => number;
  #left: number;
  #refilledAtMs: number;

  constructor(max: number, nowMs: () => number = () => performance.now()) {
    this.#max = max;
    this.#nowMs = nowMs;
    this.#left = max;
    this.#refilledAtMs = nowMs();
  }

  /** The clock is read only when the budget is used up. */
  charge(cost: number): void {
    this.#left -= cost;
    if (this.#left >= 0) return;
    const now = this.#nowMs();
    if (now - this.#refilledAtMs < REFILL_MS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many frames without work');
    }
    this.#refilledAtMs = now;
    this.#left = this.#max;
  }
}

// Deadlines for any number of calls on one coarse timer. A wheel of slots, each a doubly linked list
// threaded through the calls themselves: to add or remove a call costs a few assignments, and a
// sweep looks only at the slots whose time has come. Pure; `DeadlineTimer` below gives it a clock.

export const WHEEL_TICK_MS = 10;
const SLOTS = 1024;

/** Something with a deadline. The link fields belong to the wheel. */
export interface Timed {
  expiresAtMs: number;
  wheelPrev: Timed | null;
  wheelNext: Timed | null;
  /** The slot it hangs in, or -1. */
  wheelSlot: number;
  expire(): void;
}

export class DeadlineWheel {
  readonly #slots: (Timed | null)[] = new Array<Timed | null>(SLOTS).fill(null);
  #size = 0;
  /** The last tick that was swept. */
  #tick: number;

  constructor(nowMs: number) {
    this.#tick = Math.floor(nowMs / WHEEL_TICK_MS);
  }

  get size(): number {
    return this.#size;
  }

  add(timed: Timed): void {
    // Rounded up, so that nothing expires early; never into a slot that was swept already.
    const tick = Math.max(Math.ceil(timed.expiresAtMs / WHEEL_TICK_MS), this.#tick + 1);
    const slot = tick % SLOTS;
    const first = this.#slots[slot]!;
    timed.wheelSlot = slot;
    timed.wheelPrev = null;
    timed.wheelNext = first;
    if (first !== null) first.wheelPrev = timed;
    this.#slots[slot] = timed;
    this.#size += 1;
  }

  remove(timed: Timed): void {
    if (timed.wheelSlot < 0) return;
    if (timed.wheelPrev === null) this.#slots[timed.wheelSlot] = timed.wheelNext;
    else timed.wheelPrev.wheelNext = timed.wheelNext;
    if (timed.wheelNext !== null) timed.wheelNext.wheelPrev = timed.wheelPrev;
    timed.wheelSlot = -1;
    timed.wheelPrev = null;
    timed.wheelNext = null;
    this.#size -= 1;
  }

  /** Expires all that is due. With nothing in the wheel it only moves the hand. */
  advance(nowMs: number): void {
    const now = Math.floor(nowMs / WHEEL_TICK_MS);
    if (this.#size > 0) {
      const from = Math.max(this.#tick + 1, now - SLOTS + 1);
      for (let tick = from; tick <= now; tick++) this.#sweep(tick % SLOTS, now);
    }
    this.#tick = Math.max(now, this.#tick);
  }

  #sweep(slot: number, now: number): void {
    // Collected first: an expiring call may add or remove others in the same slot.
    const due: Timed[] = [];
    for (let t = this.#slots[slot] ?? null; t !== null; t = t.wheelNext) {
      if (Math.ceil(t.expiresAtMs / WHEEL_TICK_MS) <= now) due.push(t);
    }
    for (const timed of due) {
      if (timed.wheelSlot !== slot) continue;
      this.remove(timed);
      timed.expire();
    }
  }
}

/** The wheel on the machine's clock; its timer runs only while something waits. */
export class DeadlineTimer {
  readonly #wheel = new DeadlineWheel(performance.now());
  #timer: NodeJS.Timeout | null = null;

  add(timed: Timed, ms: number): void {
    const now = performance.now();
    if (this.#timer === null) {
      this.#wheel.advance(now); // it stood still while it was empty
      this.#timer = setInterval(() => this.#run(), WHEEL_TICK_MS);
      this.#timer.unref();
    }
    timed.expiresAtMs = now + ms;
    this.#wheel.add(timed);
  }

  remove(timed: Timed): void {
    this.#wheel.remove(timed);
  }

  #run(): void {
    this.#wheel.advance(performance.now());
    if (this.#wheel.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

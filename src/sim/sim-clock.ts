// A node's own idea of time: it runs a little fast or slow, and steps now and then. The driver
// promises to need nothing of it but that it never goes back.

import type { Clock, Timer } from '../node/clock.ts';
import type { SimEvent } from './event-queue.ts';
import type { Process } from './process.ts';

class SimTimer implements Timer {
  readonly #event: SimEvent;

  constructor(event: SimEvent) {
    this.#event = event;
  }

  cancel(): void {
    this.#event.run = null;
  }
}

export class SimClock implements Clock {
  readonly #process: Process;
  /** Local time passes this much faster, in parts per million. */
  readonly #driftPpm: number;
  #stepMs = 0;

  constructor(process: Process, driftPpm: number) {
    this.#process = process;
    this.#driftPpm = driftPpm;
  }

  now(): number {
    const { now } = this.#process.world;
    return now / 1000 + (now / 1e9) * this.#driftPpm + this.#stepMs;
  }

  after(delayMs: number, fire: () => void): Timer {
    const { world } = this.#process;
    const us = Math.ceil((delayMs * 1e9) / (1e6 + this.#driftPpm));
    // At least a moment: with fractions of milliseconds, time that is due may look due just not yet,
    // and a clock that stands still would be asked for ever.
    return new SimTimer(world.after(Math.max(us, 1), 'timer', this.#process, fire));
  }

  endOfTurn(run: () => void): void {
    this.#process.world.activity += 1;
    this.#process.endOfTurn(run);
  }

  /** A monotonic clock may jump ahead (a suspended machine), never back. */
  step(ms: number): void {
    this.#stepMs += ms;
  }
}

// The last steps of all cores: what a failure report shows.

import type { TraceEvent } from '../raft/trace.ts';

export interface TimedEvent {
  readonly timeMs: number;
  readonly event: TraceEvent;
}

export class TraceRing {
  readonly #max: number;
  #events: TimedEvent[] = [];
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  push(timeMs: number, event: TraceEvent): void {
    if (this.#max === 0) return;
    this.#events[this.#next % this.#max] = { timeMs, event };
    this.#next += 1;
  }

  /** Oldest first. */
  events(): TimedEvent[] {
    if (this.#next <= this.#max) return [...this.#events];
    const start = this.#next % this.#max;
    return [...this.#events.slice(start), ...this.#events.slice(0, start)];
  }
}

// The last steps of all cores: what a failure report shows.

import type { TraceEvent } from '../raft/trace.ts';

export interface TimedEvent {
  readonly timeMs: number;
  readonly event: TraceEvent;
}

export class TraceRing {
  readonly #max: number;
  readonly #events: TraceEvent[] = [];
  readonly #times: number[] = [];
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  push(timeMs: number, event: TraceEvent): void {
    if (this.#max === 0) return;
    const slot = this.#next % this.#max;
    this.#times[slot] = timeMs;
    this.#events[slot] = event;
    this.#next += 1;
  }

  /** Oldest first. */
  events(): TimedEvent[] {
    const all = this.#events.map((event, slot) => ({ timeMs: this.#times[slot]!, event }));
    if (this.#next <= this.#max) return all;
    const start = this.#next % this.#max;
    return [...all.slice(start), ...all.slice(0, start)];
  }
}

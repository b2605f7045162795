// Virtual time's to-do list: a binary heap in a total order. Two events at the same time run in the
// order in which they were put in, so a run never depends on how the heap happens to be shaped.

import type { Process } from './process.ts';

export interface SimEvent {
  /** Virtual microseconds since the run began; an integer. */
  time: number;
  sequence: number;
  /** Which way it comes: an event loop that wakes up serves them in any order. */
  readonly kind: EventKind;
  /** Whose turn it is: dropped when that process is dead, put off while it is paused. */
  readonly owner: Process | null;
  /** Null once cancelled. */
  run: (() => void) | null;
}

export type EventKind =
  | 'timer'
  | 'turn'
  | 'deliver'
  | 'notice'
  | 'written'
  | 'disk'
  | 'flush'
  | 'client'
  | 'fault'
  | 'check';

export class EventQueue {
  readonly #heap: SimEvent[] = [];
  #sequence = 0;

  push(time: number, kind: EventKind, owner: Process | null, run: () => void): SimEvent {
    this.#sequence += 1;
    const event = { time, sequence: this.#sequence, kind, owner, run };
    this.#heap.push(event);
    this.#up(this.#heap.length - 1);
    return event;
  }

  /** Puts a popped event in again for later, behind all that stands there. */
  postpone(event: SimEvent, time: number): void {
    this.#sequence += 1;
    event.time = time;
    event.sequence = this.#sequence;
    this.#heap.push(event);
    this.#up(this.#heap.length - 1);
  }

  /** The time of the next event; Infinity when there is none. */
  get nextTime(): number {
    return this.#heap[0]?.time ?? Number.POSITIVE_INFINITY;
  }

  pop(): SimEvent | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    this.#down(0);
    return top;
  }

  #up(at: number): void {
    const heap = this.#heap;
    const event = heap[at]!;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = heap[parent]!;
      if (!isBefore(event, other)) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = event;
  }

  #down(at: number): void {
    const heap = this.#heap;
    const event = heap[at]!;
    const { length } = heap;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, event)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence);
}

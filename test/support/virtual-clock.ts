// Time for tests: it stands still until a test moves it on. Promises of the code under test are let
// run between events, so asynchronous storage works in virtual time as well.

import type { Clock, Timer } from '../../src/node/clock.ts';

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  #timers: Waiting[] = [];
  #turns: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, fire: () => void): Timer {
    const waiting = { at: this.#now + delayMs, order: this.#order++, fire };
    this.#timers.push(waiting);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter(timer => timer !== waiting);
      },
    };
  }

  endOfTurn(run: () => void): void {
    this.#turns.push(run);
  }

  /** Time passes without anybody noticing: the event loop is held. */
  skip(ms: number): void {
    this.#now += ms;
  }

  /** Runs turns, and what they lead to, until all is quiet. Time stands still. */
  async settle(): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < 3; quiet++) {
      await new Promise(setImmediate);
      const due = this.#turns;
      this.#turns = [];
      for (const run of due) run();
      if (due.length > 0) quiet = -1;
      if (++turns > 10_000) throw new Error('the turns do not come to an end');
    }
  }

  /** Runs the turns that are due, once. */
  async turn(): Promise<void> {
    await new Promise(setImmediate);
    const due = this.#turns;
    this.#turns = [];
    for (const run of due) run();
  }

  /** Time passes, event by event. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await this.settle();
    for (let next = this.#next(); next !== undefined && next.at <= until; next = this.#next()) {
      this.#timers = this.#timers.filter(timer => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      await this.settle();
    }
    this.#now = until;
  }

  /** Lets time pass until the condition holds; fails when it does not within `withinMs`. */
  async until(condition: () => boolean, withinMs = 20_000): Promise<void> {
    const end = this.#now + withinMs;
    await this.settle();
    while (!condition()) {
      if (this.#now >= end) throw new Error(`not within ${withinMs} virtual ms: ${condition}`);
      await this.advance(5);
    }
  }

  #next(): Waiting | undefined {
    let next: Waiting | undefined;
    for (const timer of this.#timers) {
      const sooner = next === undefined || timer.at < next.at;
      if (sooner || (timer.at === next!.at && timer.order < next!.order)) next = timer;
    }
    return next;
  }
}

/** Uniform in [0, 1), the same sequence for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

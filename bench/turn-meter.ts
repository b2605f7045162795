// Measures the turns of the event loop of the process into which it is loaded (`node --import`), for
// bench/turns.ts. SIGUSR2 starts a measurement; the next one ends it and writes it to a file.
//
// While it measures, an immediate runs in every turn, which keeps the loop from sleeping. Between two
// of them lies one whole turn: timers, sockets, immediates, microtasks, collected garbage. On Linux a
// turn counts by the processor time of the main thread, so that neither the other processes of the
// machine nor work on other threads is blamed on it; elsewhere by elapsed time. Some kernels bring that
// clock up to date every few milliseconds only, so a turn never counts for more than it took.

import { openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Shorter turns are those of an idle loop; they would drown the others in a percentile. */
const BUSY_MS = 0.2;

export interface TurnReport {
  /** Processor time of the longest turn. */
  readonly longestMs: number;
  /** Over turns of more than BUSY_MS. */
  readonly p999Ms: number;
  readonly busyTurns: number;
  /** From start to end of the longest turn, other processes' time included. */
  readonly longestElapsedMs: number;
  readonly busyMs: number;
}

export class Turns {
  readonly #clock = ownClock();
  #turns: number[] = [];
  #longestElapsedMs = 0;
  #isOn = false;
  #before = 0;
  #elapsedBefore = 0;
  readonly #tick = () => this.#turned();

  start(): void {
    this.#turns = [];
    this.#longestElapsedMs = 0;
    this.#isOn = true;
    this.#before = this.#clock();
    this.#elapsedBefore = performance.now();
    setImmediate(this.#tick);
  }

  /** The turn in which it is called counts as well. */
  stop(): TurnReport {
    this.#note();
    this.#isOn = false;
    const turns = this.#turns.sort((a, b) => a - b);
    return {
      longestMs: turns.at(-1) ?? 0,
      p999Ms: turns[Math.floor(0.999 * (turns.length - 1))] ?? 0,
      busyTurns: turns.length,
      longestElapsedMs: this.#longestElapsedMs,
      busyMs: turns.reduce((sum, turn) => sum + turn, 0),
    };
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  #turned(): void {
    if (!this.#isOn) return;
    this.#note();
    setImmediate(this.#tick);
  }

  #note(): void {
    const now = this.#clock();
    const elapsed = performance.now();
    const elapsedMs = elapsed - this.#elapsedBefore;
    const turnMs = Math.min(now - this.#before, elapsedMs);
    if (turnMs > BUSY_MS) this.#turns.push(turnMs);
    this.#longestElapsedMs = Math.max(this.#longestElapsedMs, elapsedMs);
    this.#before = now;
    this.#elapsedBefore = elapsed;
  }
}

/** Milliseconds that this thread has worked. */
function ownClock(): () => number {
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
    const buffer = Buffer.alloc(64);
    return () => {
      const length = readSync(file, buffer, 0, buffer.length, 0);
      return Number.parseInt(buffer.toString('latin1', 0, length), 10) / 1e6;
    };
  } catch {
    return () => performance.now();
  }
}

const directory = process.env['TURN_METER_DIRECTORY'];
if (directory !== undefined) {
  const meter = new Turns();
  process.on('SIGUSR2', () => {
    if (meter.isOn) {
      const file = join(directory, `turns-${process.pid}.json`);
      writeFileSync(file, JSON.stringify(meter.stop()));
    } else meter.start();
  });
}

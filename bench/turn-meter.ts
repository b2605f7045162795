// Measures the turns of the event loop of the process into which it is loaded (`node --import`), for
// bench/turns.ts. SIGUSR2 starts a measurement; the next one ends it and writes it to a file.
//
// While it measures, an immediate runs in every turn, which keeps the loop from sleeping. Between two
// of them lies one whole turn: timers, sockets, immediates, microtasks, collected garbage. On Linux the
// time in which the main thread waited for a processor does not count, for the other processes of the
// machine are not to blame on a turn. (The thread's processor time would be simpler; but virtual
// machines bring that clock up to date every few milliseconds only.) What the host of a virtual machine
// takes away is not told, so a single long turn may be nobody's: several runs, or the percentile, tell.
//
// What a turn took besides the collections of garbage that Node reports in it is its own. Steps of
// incremental marking are not reported, so they count as its own.

import { openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';

/** What "a few milliseconds" means here. */
export const BOUND_MS = 5;
/** Shorter turns are those of an idle loop; they would drown the others in a percentile. */
const BUSY_MS = 0.2;
/** Node hands a collection to its observers within that many turns. */
const ENTRY_DELAY_TURNS = 3;

export interface TurnReport {
  /** Of the longest turn, as all but `longestElapsedMs` without waiting for a processor. */
  readonly longestMs: number;
  /** What garbage collection took of that turn. */
  readonly longestGcMs: number;
  /** Over turns of more than BUSY_MS. */
  readonly p999Ms: number;
  /** The same of each turn without its garbage collection. */
  readonly longestOwnMs: number;
  readonly p999OwnMs: number;
  /** Turns of which more than BOUND_MS was their own. */
  readonly longTurns: number;
  readonly busyTurns: number;
  /** From start to end, waiting included. */
  readonly longestElapsedMs: number;
  readonly busyMs: number;
  readonly gcMs: number;
}

interface Turn {
  readonly from: number;
  readonly to: number;
  readonly workedMs: number;
  ownMs: number;
}

export class Turns {
  readonly #waitedMs = waitedForProcessor();
  readonly #collections: PerformanceEntry[] = [];
  readonly #observer = new PerformanceObserver(list => this.#collected(list.getEntries()));
  #turns: Turn[] = [];
  #longestElapsedMs = 0;
  #isOn = false;
  #before = 0;
  #waitedBefore = 0;
  readonly #tick = () => this.#turned();

  start(): void {
    this.#turns = [];
    this.#collections.length = 0;
    this.#longestElapsedMs = 0;
    this.#isOn = true;
    this.#observer.observe({ entryTypes: ['gc'] });
    [this.#before, this.#waitedBefore] = this.#clock();
    setImmediate(this.#tick);
  }

  /** The turn in which it is called counts as well. */
  async stop(): Promise<TurnReport> {
    this.#note();
    this.#isOn = false;
    for (let i = 0; i < ENTRY_DELAY_TURNS; i++) await new Promise(setImmediate);
    this.#collected(this.#observer.takeRecords());
    this.#observer.disconnect();
    return this.#report();
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  #report(): TurnReport {
    const turns = this.#turns;
    for (const turn of turns) turn.ownMs = this.#own(turn);
    const own = turns.map(({ ownMs }) => ownMs).sort((a, b) => a - b);
    turns.sort((a, b) => a.workedMs - b.workedMs);
    const longest = turns.at(-1);
    const p999 = Math.floor(0.999 * (turns.length - 1));
    return {
      longestMs: longest?.workedMs ?? 0,
      longestGcMs: longest === undefined ? 0 : longest.workedMs - longest.ownMs,
      p999Ms: turns[p999]?.workedMs ?? 0,
      longestOwnMs: own.at(-1) ?? 0,
      p999OwnMs: own[p999] ?? 0,
      longTurns: own.filter(ms => ms > BOUND_MS).length,
      busyTurns: turns.length,
      longestElapsedMs: this.#longestElapsedMs,
      busyMs: turns.reduce((sum, { workedMs }) => sum + workedMs, 0),
      gcMs: this.#collections.reduce((sum, { duration }) => sum + duration, 0),
    };
  }

  #own({ from, to, workedMs }: Turn): number {
    let gcMs = 0;
    for (const { startTime, duration } of this.#collections) {
      gcMs += Math.max(0, Math.min(to, startTime + duration) - Math.max(from, startTime));
    }
    return Math.min(workedMs, to - from - gcMs);
  }

  #collected(entries: readonly PerformanceEntry[]): void {
    this.#collections.push(...entries);
  }

  /**
   * The time, and what the thread had waited until then. It may have to wait in between, for the end of
   * a system call is where a thread loses its processor: then the two would not belong together.
   */
  #clock(): [now: number, waitedMs: number] {
    for (let waited = this.#waitedMs(); ; ) {
      const now = performance.now();
      const after = this.#waitedMs();
      if (after === waited) return [now, waited];
      waited = after;
    }
  }

  #turned(): void {
    if (!this.#isOn) return;
    this.#note();
    setImmediate(this.#tick);
  }

  #note(): void {
    const [to, waited] = this.#clock();
    const from = this.#before;
    const workedMs = to - from - (waited - this.#waitedBefore);
    if (workedMs > BUSY_MS) this.#turns.push({ from, to, workedMs, ownMs: workedMs });
    this.#longestElapsedMs = Math.max(this.#longestElapsedMs, to - from);
    this.#before = to;
    this.#waitedBefore = waited;
  }
}

/** Milliseconds for which this thread could have run and had no processor. */
function waitedForProcessor(): () => number {
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
    const buffer = Buffer.alloc(64);
    return () => {
      const length = readSync(file, buffer, 0, buffer.length, 0);
      return Number(buffer.toString('latin1', 0, length).split(' ')[1]) / 1e6;
    };
  } catch {
    return () => 0;
  }
}

const directory = process.env['TURN_METER_DIRECTORY'];
if (directory !== undefined) {
  const meter = new Turns();
  const file = join(directory, `turns-${process.pid}.json`);
  const report = (turns: TurnReport) => writeFileSync(file, JSON.stringify(turns));
  process.on('SIGUSR2', () => {
    if (meter.isOn) void meter.stop().then(report);
    else meter.start();
  });
}

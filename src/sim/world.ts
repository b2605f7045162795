// Virtual time. Events run one after the other in a total order, and each leaves its mark in a
// rolling hash, by which two runs of a seed are compared.
//
// Production code under simulation is asynchronous in places: a disk operation resolves a promise,
// and what waits for it runs in microtasks, at no time at all. Time must not pass before they have.
// There is no way to ask an engine whether its queue of microtasks is empty, and a macrotask for
// each event would cost more than the event. So processes count what they have under way:
//
// - most events resolve no promise: the next event follows in the same synchronous loop;
// - an append to the log is written one microtask later: `shallow`, one or two rounds;
// - whatever resolved a promise or began an asynchronous call gets rounds until nothing that the
//   world can see (disk, clock, store) has happened for as many of them as its `patience`.
//
// The order of microtasks is part of the language, so this is as deterministic as the rest.

import { type EventKind, EventQueue, type SimEvent } from './event-queue.ts';
import { mix32 } from './prng.ts';
import type { Process } from './process.ts';

/** Recovery goes through what it has read in steps that nobody sees: it is waited for longer. */
const BUSY_TURNS = 1000;
const SHALLOW_ROUNDS = 3;
const TURNS_MAX = 100_000;

const PEERS: readonly EventKind[] = ['deliver', 'notice'];
const CLIENTS: readonly EventKind[] = ['client'];
const OWN: readonly EventKind[] = ['timer', 'turn', 'written', 'disk', 'flush', 'fault', 'check'];
const WAKING_ORDERS = [
  [OWN, PEERS, CLIENTS],
  [OWN, CLIENTS, PEERS],
  [PEERS, OWN, CLIENTS],
  [PEERS, CLIENTS, OWN],
  [CLIENTS, OWN, PEERS],
  [CLIENTS, PEERS, OWN],
] as const;

export class World {
  /** Virtual microseconds. */
  now = 0;
  events = 0;
  /** Raised by everything that production code does to its surroundings. */
  activity = 0;
  /** Ends the run after the current event: a broken invariant. */
  halted = false;
  readonly #queue = new EventQueue();
  /** The first `#dirtyCount` are to be looked at after the running event. */
  readonly #dirty: Process[] = [];
  #dirtyCount = 0;
  #low = 0x243f6a88;
  #high = 0x13198a2e;

  get nowMs(): number {
    return this.now / 1000;
  }

  /** What has happened so far, as 16 hexadecimal digits. */
  get hash(): string {
    const part = (value: number) => (value >>> 0).toString(16).padStart(8, '0');
    return part(this.#high) + part(this.#low);
  }

  /** `run` is called `delayUs` from now, unless the owner is dead by then. */
  after(delayUs: number, kind: EventKind, owner: Process | null, run: () => void): SimEvent {
    this.activity += 1;
    const time = this.now + Math.max(0, Math.round(delayUs));
    if (!Number.isSafeInteger(time)) throw new RangeError(`no event can be ${delayUs} us from now`);
    return this.#queue.push(time, kind, owner, run);
  }

  cancel(event: SimEvent): void {
    event.run = null;
  }

  /** For processes only: code of this one runs in this event. */
  lookAt(process: Process): void {
    this.#dirty[this.#dirtyCount] = process;
    this.#dirtyCount += 1;
  }

  /** Stops a process until then, or lets a stopped one go on earlier. */
  pause(process: Process, untilUs: number): void {
    process.pausedUntil = untilUs;
    if (untilUs <= this.now) this.#resume(process);
    else this.after(untilUs - this.now, 'check', null, () => this.#resume(process));
  }

  /** Mixes what an event is about into the rolling hash. */
  digest(value: number): void {
    this.#low = mix32(this.#low, value);
    this.#high = (Math.imul(this.#high, 0x9e3779b1) + this.#low) | 0;
  }

  /** Runs events up to this time, or until `done` holds; then it is that time. */
  async runUntil(timeUs: number, done: () => boolean = never): Promise<void> {
    await this.settle();
    const queue = this.#queue;
    while (!this.halted && queue.nextTime <= timeUs) {
      this.#run(queue.pop()!);
      if (this.#isUnsettled()) await this.settle();
      if (done()) return;
    }
    if (!this.halted && this.now < timeUs) this.now = timeUs;
  }

  /** Lets everything that is ready run. Time stands still. */
  async settle(): Promise<void> {
    let inVain = 0;
    for (let turns = 0; this.#isUnsettled(); turns++) {
      if (turns > TURNS_MAX) throw new Error('promises lead to promises without end');
      const before = this.activity;
      const deep = this.#readiness() === 'deep';
      for (let left = deep ? this.#deepRounds() : SHALLOW_ROUNDS; left > 0; left--) {
        await undefined;
        if (this.activity !== before) break;
      }
      this.#runTurns();
      inVain = this.activity === before ? inVain + 1 : 0;
      if (inVain === 0) continue;
      if (!deep) this.#stir();
      else if (inVain >= BUSY_TURNS || !this.#isBusy()) this.#calm();
    }
  }

  #run(event: SimEvent): void {
    const { run, owner } = event;
    if (run === null) return;
    if (owner !== null) {
      if (owner.isDead) return;
      if (owner.pausedUntil > event.time) {
        owner.waiting.push(event);
        return;
      }
    }
    this.now = event.time;
    this.events += 1;
    this.digest(event.time ^ ((owner?.node ?? 0) << 24));
    owner?.touch();
    run();
    this.#runTurns();
  }

  #resume(process: Process): void {
    if (process.pausedUntil > this.now || process.isDead) return;
    const { waiting } = process;
    process.waiting = [];
    // An event loop that wakes up serves its timers, its disk and its sockets in any order; only
    // what came the same way stays in order.
    const order = WAKING_ORDERS[this.now % WAKING_ORDERS.length]!;
    for (const kinds of order) {
      for (const event of waiting) {
        if (kinds.includes(event.kind)) this.#queue.postpone(event, this.now);
      }
    }
  }

  #runTurns(): void {
    // The list may grow while it is walked.
    for (let i = 0; i < this.#dirtyCount; i++) this.#dirty[i]!.runTurns();
  }

  /** False once every touched process has come to rest; then the list is empty. */
  #isUnsettled(): boolean {
    if (this.#dirtyCount === 0) return false;
    if (this.#readiness() !== 'none') return true;
    for (let i = 0; i < this.#dirtyCount; i++) this.#dirty[i]!.clean();
    this.#dirtyCount = 0;
    return false;
  }

  #readiness(): 'none' | 'shallow' | 'deep' {
    let result: 'none' | 'shallow' = 'none';
    for (let i = 0; i < this.#dirtyCount; i++) {
      const { readiness } = this.#dirty[i]!;
      if (readiness === 'deep') return 'deep';
      if (readiness === 'shallow') result = 'shallow';
    }
    return result;
  }

  #deepRounds(): number {
    let rounds = 0;
    for (let i = 0; i < this.#dirtyCount; i++) rounds = Math.max(rounds, this.#dirty[i]!.patience);
    return rounds;
  }

  #isBusy(): boolean {
    for (let i = 0; i < this.#dirtyCount; i++) if (this.#dirty[i]!.isBusy) return true;
    return false;
  }

  /** The log does more than hand a batch to the disk: it begins a new segment. */
  #stir(): void {
    for (let i = 0; i < this.#dirtyCount; i++) {
      const process = this.#dirty[i]!;
      process.stirred ||= process.readiness === 'shallow';
    }
  }

  #calm(): void {
    for (let i = 0; i < this.#dirtyCount; i++) this.#dirty[i]!.calm();
  }
}

function never(): boolean {
  return false;
}

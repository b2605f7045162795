// One incarnation of a node: what a kill takes away. It keeps the turns that its driver asked for,
// and counts the promises under way in it, so that the world knows whether code is ready to run
// although no event is due (see world.ts).

import type { NodeId } from '../raft/types.ts';
import type { EventKind, SimEvent } from './event-queue.ts';
import type { World } from './world.ts';

/** A turn leads to a turn; more than this without an event is a loop that never ends. */
const TURNS_MAX = 10_000;
/** Chains of awaits that end without touching disk, clock or store are shorter than this. */
const QUIET_ROUNDS = 24;
/** Enough for what a call does beside the operation that it waits for. */
const AT_DISK_ROUNDS = 4;

export class Process {
  readonly node: NodeId;
  readonly world: World;
  /** Events until then wait here; then they all come at once. Set by the world. */
  pausedUntil = 0;
  waiting: SimEvent[] = [];
  /** Appends that the log has not completed. */
  appends = 0;
  /** Writes of the log that are with the disk. */
  logWrites = 0;
  /** Disk operations with a promise that are with the disk. */
  diskOperations = 0;
  /** Calls with a promise (of storage, of the machine, of starting) that are not settled. */
  calls = 0;
  /** A promise was settled, or an asynchronous call begun, since the world last let them run. */
  stirred = false;
  /** The world has waited for it in vain: it does not wait again before the next touch. */
  #rested = false;
  #dead = false;
  #dirty = false;
  /** The first `#turnCount` of them are due. Arrays that shrink and grow again cost memory anew. */
  #turns: (() => void)[] = [];
  #turnCount = 0;
  #spareTurns: (() => void)[] = [];
  readonly #turnUs: number;
  #turnScheduled = false;
  readonly #runScheduled = () => {
    this.#turnScheduled = false;
    this.#runTurns();
  };

  constructor(world: World, node: NodeId, turnUs: number) {
    this.world = world;
    this.node = node;
    this.#turnUs = turnUs;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  die(): void {
    this.#dead = true;
    this.#turnCount = 0;
    this.waiting = [];
    this.stirred = true;
    this.touch();
  }

  /**
   * Runs code of this process outside of its own events: a client's call, a message. A stopped
   * process takes it when it goes on.
   */
  enter(run: () => void, kind: EventKind = 'client'): void {
    if (this.admits()) run();
    else if (!this.#dead) this.world.after(0, kind, this, run);
  }

  /** Code of this process may run now; it is looked at after the event. */
  admits(): boolean {
    if (this.#dead || this.pausedUntil > this.world.now) return false;
    this.touch();
    return true;
  }

  endOfTurn(run: () => void): void {
    if (this.#dead) return;
    this.touch();
    if (this.calls > 0) this.stirred = true;
    this.#turns[this.#turnCount] = run;
    this.#turnCount += 1;
    if (this.#turnUs === 0 || this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.world.after(this.#turnUs, 'turn', this, this.#runScheduled);
  }

  /** The world looks at it after the event that is running. */
  touch(): void {
    this.#rested = false;
    if (this.#dirty) return;
    this.#dirty = true;
    this.world.lookAt(this);
  }

  /** Called by the world after each event and each round of promises. */
  runTurns(): void {
    if (this.#turnUs === 0 && this.#turnCount > 0) this.#runTurns();
  }

  /** Nothing more came of what was under way. */
  calm(): void {
    this.stirred = false;
    this.#rested = true;
  }

  /** The world has seen it; it is not looked at again before the next touch. */
  clean(): void {
    this.#dirty = false;
  }

  /**
   * - `deep`: promises may be ready whose chains are of unknown length;
   * - `shallow`: the log has something to write and has not handed it to the disk yet;
   * - `none`: no code of this process can run before the next event.
   */
  get readiness(): 'none' | 'shallow' | 'deep' {
    if (this.stirred) return 'deep';
    if (this.#rested || this.#dead) return 'none';
    return this.appends > 0 && this.logWrites === 0 && this.diskOperations === 0
      ? 'shallow'
      : 'none';
  }

  /** A call is under way and waits for nothing: its code must be running. */
  get isBusy(): boolean {
    return !this.#dead && this.calls > 0 && this.diskOperations === 0 && this.logWrites === 0;
  }

  /** Rounds of promises in which nothing shows, after which nothing more is expected of it. */
  get patience(): number {
    const isAtDisk = this.diskOperations + this.logWrites > 0 && this.appends === 0;
    return this.calls === 1 && isAtDisk ? AT_DISK_ROUNDS : QUIET_ROUNDS;
  }

  #runTurns(): void {
    for (let turns = 0; this.#turnCount > 0 && !this.#dead; turns++) {
      if (turns > TURNS_MAX) throw new Error(`node ${this.node} takes turns without end`);
      const due = this.#turns;
      const count = this.#turnCount;
      this.#turns = this.#spareTurns;
      this.#turnCount = 0;
      for (let i = 0; i < count && !this.#dead; i++) due[i]!();
      this.#spareTurns = due;
    }
  }
}

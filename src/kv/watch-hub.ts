// All watches of a store. Each is told every change of its keys from its first revision on, in order,
// once, and never a part of a revision; however slow its consumer is, and whether the changes are
// made now or were made long ago.
//
//             restored, or too much at once
//      live -----------------------------------> behind ----> ended
//       |  <------------------------------------   ^  |     (compacted)
//       |        has read everything               |  |
//       |                       consumer has taken |  | queue is full
//       `------- queue is full -----------------> full
//
// The store is never held up by a watcher: who can't keep up reads the rest from the history later,
// in steps that the owner takes in turns of its own.

import { compareBytes } from './bytes.ts';
import type { Change } from './changes.ts';
import type { KvMachine } from './kv-machine.ts';
import type { Revision } from './record.ts';
import { rangeBound } from './version-reader.ts';
import { WatchIndex } from './watch-index.ts';
import { type QueueLimits, Watcher, type WatchOptions } from './watcher.ts';

const QUEUE_EVENTS_MAX = 4096;
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;
/** Changes that a step reads: about a millisecond. */
const STEP_CHANGES = 512;
/** More than this at a time is not told as it is made, but read in steps by all watchers. */
const LIVE_CHANGES_MAX = 8192;
const FIRST_KEY = Uint8Array.of(0);

export interface WatchEvent {
  /** An EventType. */
  readonly type: number;
  readonly encodedKv: Uint8Array;
  /** Null: not asked for, there was none, or it was compacted. */
  readonly encodedPrevKv: Uint8Array | null;
}

export interface WatchBatch {
  /** That of the last event: everything up to it has now been taken. */
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

export interface WatchHubOptions extends Partial<QueueLimits> {
  readonly liveChangesMax?: number;
  /** Called when step() has something to do again. Must only take note of it. */
  readonly work?: () => void;
}

/** Watchers that read on together. A revision with many changes takes them several steps. */
interface Reading {
  readonly watchers: readonly Watcher[];
  readonly from: Revision;
  /** Those who have gathered something of the revision at hand. */
  readonly touched: Watcher[];
}

export class WatchHub {
  readonly #machine: KvMachine;
  readonly #limits: QueueLimits;
  readonly #liveChangesMax: number;
  readonly #work: () => void;
  readonly #index = new WatchIndex();
  readonly #watchers = new Set<Watcher>();
  /** In the order in which they get their turn. */
  readonly #behind = new Set<Watcher>();
  #reading: Reading | null = null;
  /**
   * The revision up to which live watchers know everything. Not the store's: that one moves on
   * inside of a batch, before its changes are told.
   */
  #revision: number;
  #hasWork = false;
  /** Used again for every change and revision. */
  readonly #found: Watcher[] = [];
  readonly #touched: Watcher[] = [];

  /** The one listener of the machine from now on. */
  constructor(machine: KvMachine, options: WatchHubOptions = {}) {
    this.#machine = machine;
    this.#limits = {
      queueEventsMax: options.queueEventsMax ?? QUEUE_EVENTS_MAX,
      queueBytesMax: options.queueBytesMax ?? QUEUE_BYTES_MAX,
    };
    this.#liveChangesMax = options.liveChangesMax ?? LIVE_CHANGES_MAX;
    this.#work = options.work ?? nothing;
    this.#revision = machine.store.revision;
    machine.changes(
      changes => this.#changed(changes),
      () => this.#restored(),
    );
  }

  /** A new watch `from now on` begins after it. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** Watchers that have not been told everything yet. */
  get slow(): number {
    let count = 0;
    for (const { state } of this.#watchers) if (state !== 'live') count++;
    return count;
  }

  /** Null when the range is empty. A watch whose beginning is compacted is created, and has ended. */
  create(options: WatchOptions, ready: (watcher: Watcher) => void): Watcher | null {
    const { key, rangeEnd, startRevision } = options;
    const from = key.length === 0 ? FIRST_KEY : key;
    const to = rangeBound(from, rangeEnd);
    if (to !== null && compareBytes(from, to) >= 0) return null;
    const next = startRevision === 0 ? this.#revision + 1 : startRevision;
    const createdAt = Math.min(this.#revision, next - 1);
    const watcher = new Watcher({
      options,
      from,
      to,
      next,
      createdAt,
      limits: this.#limits,
      ready,
    });
    this.#watchers.add(watcher);
    this.#index.add(watcher);
    if (next <= this.#revision && !this.#isOver(watcher)) this.#fallBehind(watcher);
    return watcher;
  }

  cancel(watcher: Watcher): void {
    watcher.state = 'ended';
    this.#watchers.delete(watcher);
    this.#behind.delete(watcher);
    this.#index.remove(watcher);
  }

  /** Whole revisions from the watcher's queue, at least one if there is any; null when it is empty. */
  take(watcher: Watcher, eventsMax: number, bytesMax: number): WatchBatch | null {
    const taken = watcher.dequeue(eventsMax, bytesMax);
    if (watcher.state === 'full' && watcher.hasRoom) this.#fallBehind(watcher);
    if (taken === null) return null;
    const { prevKv } = watcher.options;
    const events = taken.changes.map(change => ({
      type: change.type,
      encodedKv: change.encodedKv,
      encodedPrevKv: prevKv ? this.#machine.previousKv(change) : null,
    }));
    return { revision: taken.revision, events };
  }

  /**
   * The revision up to which these watchers have taken everything; null when one of them has not, or
   * has not come to its beginning yet.
   */
  progress(watchers: Iterable<Watcher>): number | null {
    for (const { state, isDrained, options } of watchers) {
      if (state !== 'live' || !isDrained) return null;
      if (options.startRevision > this.#revision) return null;
    }
    return this.#revision;
  }

  /** Reads so many changes for those who are behind; true when it should be called again. */
  step(changesMax: number = STEP_CHANGES): boolean {
    const reading = this.#reading ?? this.#begin();
    if (reading !== null) this.#readOn(reading, changesMax);
    this.#hasWork = this.#behind.size > 0;
    return this.#hasWork;
  }

  close(): void {
    this.#machine.changes(null);
  }

  // -------------------------------------------------------------------------- the present

  #changed(changes: readonly Change[]): void {
    const last = changes[changes.length - 1]!.revision.main;
    if (changes.length > this.#liveChangesMax) return this.#skipTo(last);
    this.#tell(changes, 'live', this.#touched);
    this.#endRevision(last, this.#touched);
    this.#revision = last;
  }

  /** The store's content is another one, of a later time; where its changes begin, nobody knows. */
  #restored(): void {
    if (this.#reading !== null) this.#breakOff(this.#reading);
    this.#skipTo(this.#machine.store.revision);
  }

  /** Live watchers were told nothing of what lies between: they go on after what they had. */
  #skipTo(revision: number): void {
    const before = this.#revision;
    this.#revision = revision;
    for (const watcher of this.#watchers) {
      if (watcher.state !== 'live') continue;
      watcher.next = Math.max(watcher.next, before + 1);
      if (watcher.next <= revision) this.#fallBehind(watcher);
    }
  }

  /**
   * Hands changes, in order, to watchers in this state who ask for them, and ends each revision but
   * the last one.
   */
  #tell(changes: readonly Change[], state: 'live' | 'reading', touched: Watcher[]): void {
    const found = this.#found;
    for (let i = 0; i < changes.length; i++) {
      const change = changes[i]!;
      const before = changes[i - 1];
      if (before !== undefined && before.revision.main !== change.revision.main) {
        this.#endRevision(before.revision.main, touched);
      }
      this.#index.find(change.key, found);
      for (let j = 0; j < found.length; j++) {
        const watcher = found[j]!;
        if (watcher.state !== state || !watcher.wants(change)) continue;
        if (watcher.gather(change)) touched.push(watcher);
      }
      found.length = 0;
    }
  }

  #endRevision(revision: number, touched: Watcher[]): void {
    for (let i = 0; i < touched.length; i++) {
      const watcher = touched[i]!;
      // Cancelled between two steps.
      if (watcher.state === 'ended') continue;
      if (watcher.enqueue(revision)) continue;
      watcher.state = 'full';
      watcher.next = revision;
      this.#behind.delete(watcher);
    }
    touched.length = 0;
  }

  // -------------------------------------------------------------------------- the past

  #fallBehind(watcher: Watcher): void {
    watcher.state = 'behind';
    this.#behind.add(watcher);
    if (this.#hasWork) return;
    this.#hasWork = true;
    this.#work();
  }

  /** Whose turn it is; the last in line from now on. */
  #takeTurn(): Watcher | undefined {
    for (const watcher of this.#behind) {
      this.#behind.delete(watcher);
      if (!this.#isOver(watcher)) {
        this.#behind.add(watcher);
        return watcher;
      }
      watcher.ready(watcher);
    }
    return undefined;
  }

  /** All who lack nothing before it read together with the one whose turn it is. */
  #begin(): Reading | null {
    const first = this.#takeTurn();
    if (first === undefined) return null;
    const watchers = [...this.#behind].filter(watcher => watcher.next >= first.next);
    for (const watcher of watchers) watcher.state = 'reading';
    return { watchers, from: { main: first.next, sub: 0 }, touched: [] };
  }

  #readOn(reading: Reading, changesMax: number): void {
    const { watchers, from, touched } = reading;
    if (from.main < this.#machine.store.compactRevision) return this.#breakOff(reading);
    const { changes, next } = this.#machine.history(from, this.#revision, changesMax);
    this.#tell(changes, 'reading', touched);
    const last = changes.at(-1)?.revision.main;
    if (next !== null && next.main === last) {
      this.#reading = { watchers, from: next, touched };
      return;
    }
    if (last !== undefined) this.#endRevision(last, touched);
    this.#finish(watchers, next === null ? this.#revision : next.main - 1);
  }

  /** They have been told everything up to there, but for those whose queue was full before. */
  #finish(watchers: readonly Watcher[], upTo: number): void {
    this.#reading = null;
    for (const watcher of watchers) {
      if (watcher.state !== 'reading') continue;
      watcher.next = Math.max(watcher.next, upTo + 1);
      watcher.state = watcher.next > this.#revision ? 'live' : 'behind';
      if (watcher.state === 'live') this.#behind.delete(watcher);
    }
  }

  /** In the middle of a revision, of which the rest may be gone. */
  #breakOff({ watchers, from }: Reading): void {
    for (const watcher of watchers) watcher.forget();
    this.#finish(watchers, from.main - 1);
  }

  /** Ends a watch that lacks compacted changes. The compacted revision itself can still be read. */
  #isOver(watcher: Watcher): boolean {
    const { compactRevision } = this.#machine.store;
    if (watcher.next >= compactRevision) return false;
    watcher.state = 'ended';
    watcher.compactRevision = compactRevision;
    this.#index.remove(watcher);
    return true;
  }
}

function nothing(): void {}

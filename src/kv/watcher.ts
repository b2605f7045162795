// One watch: the changes it asks for, and those that wait until its consumer takes them.

import { EventType } from '../api/common.ts';
import type { Change } from './changes.ts';

export interface WatchOptions {
  readonly key: Uint8Array;
  /** Empty: one key. One zero byte: every key from `key` on. Else exclusive. */
  readonly rangeEnd: Uint8Array;
  /** The first revision to tell of, past or future; 0: the next one. */
  readonly startRevision: number;
  /** With each change, what the key was before. */
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

export interface QueueLimits {
  readonly queueEventsMax: number;
  readonly queueBytesMax: number;
}

/**
 * - `live`: told of every change as it is made;
 * - `behind`: is to read the changes that it lacks from the history;
 * - `reading`: does so now, be it for several steps;
 * - `full`: the same, once its consumer has taken what is queued;
 * - `ended`: what it lacks was compacted.
 */
export type WatcherState = 'live' | 'behind' | 'reading' | 'full' | 'ended';

/** Changes of one revision; they are never parted. */
interface Group {
  readonly revision: number;
  readonly changes: readonly Change[];
  readonly bytes: number;
}

/** What a change costs beside its bytes. */
const CHANGE_BYTES = 128;

export class Watcher {
  readonly options: WatchOptions;
  /** Called when there is something to take, or the watch has ended. Must only take note of it. */
  readonly ready: (watcher: Watcher) => void;
  readonly from: Uint8Array;
  /** Exclusive; null: to the end. */
  readonly to: Uint8Array | null;
  state: WatcherState = 'live';
  /** No change below it is queued any more. Of a live watcher, it may lag behind the hub's own. */
  next: number;
  /**
   * For the header of the answer to its creation. Not past its beginning, for there are clients that
   * go on after the last header that they saw, whatever it came with.
   */
  readonly createdAt: number;
  /** The compaction that has ended it; -1 while none has. */
  compactRevision = -1;
  #gathered: Change[] = [];
  readonly #limits: QueueLimits;
  readonly #queue: Group[] = [];
  #events = 0;
  #bytes = 0;

  constructor(parts: {
    readonly options: WatchOptions;
    readonly from: Uint8Array;
    readonly to: Uint8Array | null;
    readonly next: number;
    readonly createdAt: number;
    readonly limits: QueueLimits;
    readonly ready: (watcher: Watcher) => void;
  }) {
    this.options = parts.options;
    this.from = parts.from;
    this.to = parts.to;
    this.next = parts.next;
    this.createdAt = parts.createdAt;
    this.#limits = parts.limits;
    this.ready = parts.ready;
  }

  get isDrained(): boolean {
    return this.#queue.length === 0;
  }

  /** Half of the queue is free: less, and it would fall behind again at once. */
  get hasRoom(): boolean {
    const { queueEventsMax, queueBytesMax } = this.#limits;
    return this.#events * 2 <= queueEventsMax && this.#bytes * 2 <= queueBytesMax;
  }

  /** Whether it asks for this change of one of its keys. */
  wants(change: Change): boolean {
    if (change.revision.main < this.next) return false;
    const { noPut, noDelete } = this.options;
    return change.type === EventType.PUT ? !noPut : !noDelete;
  }

  /** Notes a change of the revision at hand; true for the first one. */
  gather(change: Change): boolean {
    return this.#gathered.push(change) === 1;
  }

  /** Of the revision at hand; it will be read again. */
  forget(): void {
    this.#gathered = [];
  }

  /** Queues what was gathered, or forgets it and returns false because the queue is full. */
  enqueue(revision: number): boolean {
    const changes = this.#gathered;
    this.#gathered = [];
    const bytes = bytesOf(changes);
    if (!this.#fits(changes.length, bytes)) return false;
    this.#queue.push({ revision, changes, bytes });
    this.#events += changes.length;
    this.#bytes += bytes;
    if (this.#queue.length === 1) this.ready(this);
    return true;
  }

  /** Takes whole revisions, at least one if there is one, up to about this many changes. */
  dequeue(eventsMax: number, bytesMax: number): { revision: number; changes: Change[] } | null {
    const changes: Change[] = [];
    let bytes = 0;
    let revision = 0;
    for (let group = this.#queue[0]; group !== undefined; group = this.#queue[0]) {
      const isOver = changes.length + group.changes.length > eventsMax;
      if (revision > 0 && (isOver || bytes + group.bytes > bytesMax)) break;
      this.#queue.shift();
      bytes += group.bytes;
      revision = group.revision;
      for (const change of group.changes) changes.push(change);
    }
    this.#events -= changes.length;
    this.#bytes -= bytes;
    return revision === 0 ? null : { revision, changes };
  }

  /** One revision always fits into an empty queue, or it could never be told. */
  #fits(events: number, bytes: number): boolean {
    if (this.#queue.length === 0) return true;
    const { queueEventsMax, queueBytesMax } = this.#limits;
    return this.#events + events <= queueEventsMax && this.#bytes + bytes <= queueBytesMax;
  }
}

function bytesOf(changes: readonly Change[]): number {
  let bytes = 0;
  for (let i = 0; i < changes.length; i++) bytes += CHANGE_BYTES + changes[i]!.encodedKv.length;
  return bytes;
}

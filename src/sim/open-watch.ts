// One watch of a client on one node, from its creation to its end, and all that was told in it.

import type { WatchEvent, WatchResponse, WatchStream } from '../check/watch-types.ts';
import type { WatchBatch, WatchHub } from '../kv/watch-hub.ts';
import type { Watcher, WatcherState } from '../kv/watcher.ts';
import type { NodeId } from '../raft/types.ts';
import type { HeardKvMachine } from './heard-kv-machine.ts';
import type { Judge } from './judge.ts';
import { decodeKeyValue } from './kv-protocol.ts';
import type { Incarnation, Member } from './member.ts';
import type { World } from './world.ts';

export interface WatchQuery {
  readonly key: string;
  readonly rangeEnd: string;
  readonly startRevision: number;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  /** Everything up to there was told by another watch, which this one continues. */
  readonly resumedAfter: number | null;
  /** Where that one was; 0 for none. */
  readonly lastNode: NodeId;
}

/** A node that does not answer for so long is given up. */
const ANSWER_US = 3_000_000;
const BYTES_MAX = 1_000_000;
const encoder = new TextEncoder();

export class OpenWatch {
  readonly query: WatchQuery;
  readonly member: Member;
  /** The client knows everything up to here; -1 as long as it can't say. */
  reached: number;
  heardAt: number;
  isEnded = false;
  compactRevision = 0;
  readonly #incarnation: Incarnation;
  readonly #hub: WatchHub;
  readonly #world: World;
  readonly #judge: Judge;
  readonly #onReady: () => void;
  readonly #responses: WatchResponse[] = [];
  #watcher: Watcher | null = null;
  /** Asked at, and not answered yet; 0: nothing is asked. */
  #askedAt = 0;
  #isClosed = false;
  /** The node's revision when the watch was created there. */
  #began = 0;
  /** When the client last looked. */
  #state: WatcherState = 'live';

  constructor(parts: {
    readonly query: WatchQuery;
    readonly member: Member;
    readonly world: World;
    readonly judge: Judge;
    readonly onReady: () => void;
  }) {
    this.query = parts.query;
    this.member = parts.member;
    this.#incarnation = parts.member.incarnation!;
    this.#hub = (parts.member.machine as HeardKvMachine).hub;
    this.#world = parts.world;
    this.#judge = parts.judge;
    this.#onReady = parts.onReady;
    this.heardAt = parts.world.now;
    this.reached = parts.query.startRevision - 1;
  }

  get isCreated(): boolean {
    return this.#watcher !== null;
  }

  get hasMore(): boolean {
    return this.#watcher?.isDrained === false;
  }

  /** Its process is dead, or has not answered for too long. */
  isBroken(now: number): boolean {
    if (this.#incarnation.process.isDead) return true;
    return this.#askedAt > 0 && now - this.#askedAt > ANSWER_US;
  }

  open(): void {
    const { key, rangeEnd, ...rest } = this.query;
    const wanted = { ...rest, key: encoder.encode(key), rangeEnd: encoder.encode(rangeEnd) };
    this.#ask(() => {
      const { revision } = this.#hub;
      const watcher = this.#hub.create(wanted, this.#onReady)!;
      this.#watcher = watcher;
      this.#responses.push({ kind: 'created', revision: watcher.createdAt });
      if (wanted.startRevision === 0) this.reached = watcher.createdAt;
      this.#began = revision;
      this.#state = watcher.state;
      if (watcher.state !== 'ended') return;
      this.#end(watcher);
      this.#onReady();
    });
  }

  /** The client goes away; the server notices, if it is still there. */
  close(): void {
    this.#isClosed = true;
    this.#incarnation.process.enter(() => {
      if (this.#watcher !== null) this.#hub.cancel(this.#watcher);
    });
  }

  take(how: { eventsMax: number; asksProgress: boolean; onTaken: () => void }): void {
    if (this.#askedAt > 0) return;
    this.#ask(() => {
      this.#take(how.eventsMax, how.asksProgress);
      how.onTaken();
    });
  }

  /** The same for the node that the client goes to next. */
  continued(): WatchQuery {
    if (!this.isCreated && this.query.startRevision === 0) return this.query;
    const lastNode = this.member.id;
    return {
      ...this.query,
      startRevision: this.reached + 1,
      resumedAfter: this.reached,
      lastNode,
    };
  }

  stream(): WatchStream {
    const { key, rangeEnd, startRevision, prevKv, noPut, noDelete, resumedAfter } = this.query;
    return {
      request: { key, rangeEnd, startRevision, prevKv, noPut, noDelete },
      responses: this.#responses,
      resumedAfter: resumedAfter ?? undefined,
    };
  }

  #ask(answer: () => void): void {
    this.#askedAt = this.#world.now;
    this.#incarnation.process.enter(() => {
      if (this.#isClosed) return;
      this.#askedAt = 0;
      answer();
    });
  }

  #take(eventsMax: number, asksProgress: boolean): void {
    const watcher = this.#watcher;
    if (watcher === null || this.isEnded) return;
    const batch = this.#hub.take(watcher, eventsMax, BYTES_MAX);
    if (batch !== null) this.#told(batch);
    if (asksProgress) this.#progress(watcher);
    if (watcher.state === 'ended' && watcher.isDrained) this.#end(watcher);
    this.#note(watcher);
  }

  #told(batch: WatchBatch): void {
    const { revision } = batch;
    const events = batch.events.map(toEvent);
    this.#responses.push({ kind: 'events', revision, events });
    this.reached = revision;
    this.heardAt = this.#world.now;
    this.#markTold(events);
  }

  #progress(watcher: Watcher): void {
    const revision = this.#hub.progress([watcher]);
    if (revision === null) return;
    this.#judge.mark('watchProgress');
    this.heardAt = this.#world.now;
    this.#responses.push({ kind: 'progress', revision });
    this.reached = Math.max(this.reached, revision);
  }

  #end({ compactRevision }: Watcher): void {
    this.isEnded = true;
    this.compactRevision = compactRevision;
    this.#judge.mark('watchCompacted');
    this.#responses.push({ kind: 'canceled', revision: 0, compactRevision });
  }

  // -------------------------------------------------------------------------- what was seen

  #markTold(events: readonly WatchEvent[]): void {
    const { startRevision, lastNode } = this.query;
    const mark = (name: string, holds: boolean) => {
      if (holds) this.#judge.mark(name);
    };
    mark('watchResumedElsewhere', lastNode !== 0 && lastNode !== this.member.id);
    mark('watchFuture', startRevision > this.#began + 1);
    const second = events.findIndex(
      (e, i) => i > 0 && e.modRevision === events[i - 1]!.modRevision,
    );
    mark('watchSeveralKeys', second > 0 && startRevision > 0 && startRevision <= this.#began);
    const [first] = events;
    const { compactRevision } = this.member.machine as HeardKvMachine;
    const isAtCompact = first?.modRevision === startRevision && startRevision === compactRevision;
    mark('watchAtCompact', isAtCompact);
    mark('watchDeleteAtCompact', isAtCompact && first?.kind === 'delete');
  }

  #note({ state }: Watcher): void {
    if (state === 'live' && this.#state === 'behind') this.#judge.mark('watchCaughtUp');
    if (state === 'full' || (state === 'behind' && this.#state === 'live')) {
      this.#judge.mark('watchFellBehind');
    }
    this.#state = state;
  }
}

function toEvent(event: WatchBatch['events'][number]): WatchEvent {
  const { key, value, createRevision, modRevision, version } = decodeKeyValue(event.encodedKv);
  const { encodedPrevKv } = event;
  const prevKv = encodedPrevKv === null ? null : decodeKeyValue(encodedPrevKv);
  const kind = event.type === 0 ? 'put' : 'delete';
  const isCreate = kind === 'put' && createRevision === modRevision;
  return { key, value, createRevision, modRevision, version, kind, prevKv, isCreate };
}

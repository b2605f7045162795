// The leader's view of one follower: what it has, what it was sent, and how much may be under way.
//
// - probe: one append at a time until the follower's log is found to agree at prev;
// - replicate: appends follow each other without waiting, within the inflight bounds (§10.2);
// - snapshot: the entries it needs are compacted; it gets chunks, no appends.

import { assert } from './assert.ts';
import type { ProgressReport, ProgressState } from './report.ts';
import type { LogIndex, NodeId, SnapshotMeta } from './types.ts';

/** Freed entries at the front of the window are cut off once there are this many. */
const INFLIGHT_CUT = 256;

interface InflightAppend {
  readonly last: LogIndex;
  readonly bytes: number;
}

/** A snapshot on its way to the follower. */
export interface SnapshotTransfer {
  /** Null until the driver has said which snapshot it reads from. */
  meta: SnapshotMeta | null;
  /** The follower has everything before this offset. */
  offset: number;
  /** Ticks since a chunk was asked for or sent; at an election timeout it is sent again. */
  idleTicks: number;
}

export class Progress {
  readonly id: NodeId;
  /** Highest index known to be durable on the follower. Never decreases within a term. */
  matchIndex: LogIndex = 0;
  /** Index of the next entry to send; always above matchIndex. Optimistic in replicate. */
  nextIndex: LogIndex;
  state: ProgressState = 'probe';
  /** In probe: an append is out, wait for its reply or the next heartbeat. */
  probing = false;
  transfer: SnapshotTransfer | null = null;
  ticksSinceContact = 0;
  /** Highest round that this follower has echoed in this term. */
  ackedRound = 0;
  /** Highest round sent to it. */
  sentRound = 0;
  /** Highest leaderCommit sent to it. */
  sentCommit: LogIndex = 0;
  #inflight: InflightAppend[] = [];
  #inflightHead = 0;
  #inflightBytes = 0;

  constructor(id: NodeId, nextIndex: LogIndex) {
    this.id = id;
    this.nextIndex = nextIndex;
  }

  get inflightMessages(): number {
    return this.#inflight.length - this.#inflightHead;
  }

  get inflightBytes(): number {
    return this.#inflightBytes;
  }

  becomeProbe(nextIndex: LogIndex): void {
    this.#enter('probe');
    this.nextIndex = Math.max(nextIndex, this.matchIndex + 1);
  }

  becomeReplicate(): void {
    this.#enter('replicate');
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1);
  }

  becomeSnapshot(): void {
    this.#enter('snapshot');
    this.transfer = { meta: null, offset: 0, idleTicks: 0 };
  }

  /** Returns true when the match moved. An old or repeated ack changes nothing. */
  maybeAdvance(match: LogIndex): boolean {
    this.#freeTo(match);
    if (match <= this.matchIndex) return false;
    this.matchIndex = match;
    this.nextIndex = Math.max(this.nextIndex, match + 1);
    return true;
  }

  sentAppend(last: LogIndex, bytes: number): void {
    if (this.state === 'probe') {
      this.probing = true;
      return;
    }
    assert(last >= this.nextIndex, 'an append in replicate moves nextIndex forward');
    this.nextIndex = last + 1;
    this.#inflight.push({ last, bytes });
    this.#inflightBytes += bytes;
  }

  isPaused(messagesMax: number, bytesMax: number): boolean {
    if (this.state === 'probe') return this.probing;
    if (this.state === 'snapshot') return true;
    return this.inflightMessages >= messagesMax || this.#inflightBytes >= bytesMax;
  }

  report(learner: boolean): ProgressReport {
    return {
      id: this.id,
      state: this.state,
      matchIndex: this.matchIndex,
      nextIndex: this.nextIndex,
      inflightMessages: this.inflightMessages,
      inflightBytes: this.#inflightBytes,
      ticksSinceContact: this.ticksSinceContact,
      learner,
    };
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.probing = false;
    this.transfer = null;
    this.#inflight = [];
    this.#inflightHead = 0;
    this.#inflightBytes = 0;
  }

  #freeTo(match: LogIndex): void {
    while (this.#inflightHead < this.#inflight.length) {
      const append = this.#inflight[this.#inflightHead]!;
      if (append.last > match) break;
      this.#inflightBytes -= append.bytes;
      this.#inflightHead += 1;
    }
    if (this.#inflightHead === 0) return;
    // Under steady load the window never empties, so the freed front is cut off in larger pieces.
    if (this.#inflightHead === this.#inflight.length || this.#inflightHead >= INFLIGHT_CUT) {
      this.#inflight = this.#inflight.slice(this.#inflightHead);
      this.#inflightHead = 0;
    }
  }
}

// A hash over all that is readable up to a revision, equal on every member and backend. Members
// sweep compacted versions away at different times, so each record is hashed by itself and the
// hashes are added up: what is hidden but still there can then be subtracted when it is met.

import { type Snapshot, Table } from './backend.ts';
import { EMPTY, successor } from './bytes.ts';
import {
  decodeRecord,
  type LogRecord,
  type Revision,
  readRevisionKey,
  revisionKey,
  revisionLookup,
} from './record.ts';
import type { StoreState } from './store-state.ts';

export interface HashResult {
  readonly hash: number;
  readonly compactRevision: number;
  /** The revision that was hashed. */
  readonly hashRevision: number;
}

/** Hashes in slices, over a snapshot that it releases at the end. */
export class HashJob {
  readonly #snapshot: Snapshot;
  readonly #state: StoreState;
  readonly #revision: number;
  #next: Uint8Array | null = EMPTY;
  #sum = 0;

  /** `state` is that of the snapshot; `revision` is readable in it. */
  constructor(snapshot: Snapshot, state: StoreState, revision: number) {
    this.#snapshot = snapshot;
    this.#state = state;
    this.#revision = revision;
  }

  /** Hashes about `budget` records; the result when all are done, null before. */
  step(budget: number): HashResult | null {
    if (this.#next !== null) this.#hashFrom(this.#next, budget);
    if (this.#next !== null) return null;
    this.abandon();
    return {
      hash: this.#sum >>> 0,
      compactRevision: this.#state.compactRevision,
      hashRevision: this.#revision,
    };
  }

  abandon(): void {
    this.#snapshot.release();
    this.#next = null;
  }

  #hashFrom(from: Uint8Array, budget: number): void {
    const cursor = this.#snapshot.scan(Table.LOG, from, revisionKey(this.#revision + 1, 0));
    this.#next = null;
    for (let left = budget; cursor.next(); left--) {
      this.#add(readRevisionKey(cursor.key), decodeRecord(cursor.value));
      if (left > 1) continue;
      this.#next = successor(cursor.key);
      break;
    }
    cursor.close();
  }

  #add(revision: Revision, record: LogRecord): void {
    const { compactRevision, sweptTo } = this.#state;
    const isHidden = record.isTombstone && revision.main < compactRevision;
    if (!isHidden) this.#sum = (this.#sum + hashRecord(revision, record)) | 0;
    const isSwept =
      revision.main < sweptTo.main ||
      (revision.main === sweptTo.main && revision.sub < sweptTo.sub);
    if (revision.main <= compactRevision && !isSwept) this.#subtract(record.previous);
  }

  /** A hidden version that the sweep has not reached. Tombstones were never added. */
  #subtract(place: Revision): void {
    if (place.main === 0) return;
    const bytes = this.#snapshot.get(Table.LOG, revisionLookup(place.main, place.sub));
    if (bytes === undefined) return;
    const record = decodeRecord(bytes);
    if (!record.isTombstone) this.#sum = (this.#sum - hashRecord(place, record)) | 0;
  }
}

function hashRecord(revision: Revision, record: LogRecord): number {
  let hash = record.isTombstone ? 0x9747b28c : 0x1b873593;
  hash = mix(hash, revision.main | 0);
  hash = mix(hash, Math.floor(revision.main / 0x1_0000_0000));
  hash = mix(hash, revision.sub);
  // Not to be seen in any answer, and yet part of the state: members must agree in it as well.
  hash = mix(hash, record.previous.main | 0);
  hash = mix(hash, record.previous.sub);
  return hashBytes(record.encodedKv, hash);
}

/** MurmurHash3's 32-bit function (Austin Appleby, public domain): quick, and spreads well. */
export function hashBytes(bytes: Uint8Array, seed: number): number {
  const end = bytes.length & ~3;
  let hash = seed;
  for (let i = 0; i < end; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    hash = mix(hash, word);
  }
  let tail = 0;
  for (let i = bytes.length - 1; i >= end; i--) tail = (tail << 8) | bytes[i]!;
  if (end < bytes.length) hash = mix(hash, tail);
  return finish(hash ^ bytes.length);
}

function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  hash ^= k;
  hash = (hash << 13) | (hash >>> 19);
  return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

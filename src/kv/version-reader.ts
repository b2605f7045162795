// Finds versions: of one key or of a range, as they were at a revision.

import { Table, type View } from './backend.ts';
import { compareBytes, EMPTY, successor } from './bytes.ts';
import type { Cursor } from './cursor.ts';
import {
  decodeEntry,
  decodeRecord,
  IndexEntry,
  kvOfRecord,
  type Revision,
  revisionLookup,
  stepBack,
} from './record.ts';

// One entry for all: it is never held across a call.
const entry = new IndexEntry();

/** The end of a range as the tables know it: exclusive, null for none. Undefined: one key only. */
export function rangeBound(key: Uint8Array, rangeEnd: Uint8Array): Uint8Array | null {
  if (rangeEnd.length === 0) return successor(key);
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return null;
  return rangeEnd;
}

/** The newest version of a key that exists now. */
export function currentKv(view: View, key: Uint8Array): Uint8Array | undefined {
  const found = view.peek(Table.LIVE, key);
  return found === undefined ? undefined : newestKv(view, found);
}

/** The version of a key that was in force at `revision`, as an encoded KeyValue. */
export function kvAt(view: View, key: Uint8Array, revision: number): Uint8Array | undefined {
  const found = view.peek(Table.LIVE, key) ?? view.peek(Table.DEAD, key);
  return found === undefined ? undefined : kvOfEntryAt(view, found, revision);
}

/** The version that an index entry names. */
export function newestKv(view: View, entryBytes: Uint8Array): Uint8Array {
  decodeEntry(entryBytes, entry);
  const record = view.get(Table.LOG, revisionLookup(entry.main, entry.sub));
  return record === undefined ? EMPTY : kvOfRecord(record);
}

/** Walks the chain of an index entry back to what was in force at `revision`. */
export function kvOfEntryAt(
  view: View,
  entryBytes: Uint8Array,
  revision: number,
): Uint8Array | undefined {
  decodeEntry(entryBytes, entry);
  const head = { main: entry.main, sub: entry.sub };
  return walk(
    view,
    entry.main > revision ? stepBack(head, entry.anchors, revision) : head,
    revision,
  );
}

/** The version before the one at `previous`, unless that was a deletion or is compacted. */
export function kvAtRevision(view: View, place: Revision): Uint8Array | undefined {
  return walk(view, place, place.main);
}

/**
 * Only records above `revision` are walked over, and those are all there. The one at or below it
 * may be gone, when it was a tombstone that compaction has removed.
 */
function walk(view: View, start: Revision, revision: number): Uint8Array | undefined {
  let place = start;
  while (place.main !== 0) {
    const bytes = view.get(Table.LOG, revisionLookup(place.main, place.sub));
    if (bytes === undefined) return undefined;
    const record = decodeRecord(bytes);
    if (place.main <= revision) return record.isTombstone ? undefined : record.encodedKv;
    place = stepBack(record.previous, record.anchors, revision);
  }
  return undefined;
}

/** Index entries of all keys that may have existed at some time: live and dead ones, in order. */
export class EveryKeyCursor implements Cursor {
  key!: Uint8Array;
  value!: Uint8Array;
  readonly #live: Cursor;
  readonly #dead: Cursor;
  #isLiveThere: boolean;
  #isDeadThere: boolean;

  constructor(view: View, from: Uint8Array, to: Uint8Array | null) {
    this.#live = view.scan(Table.LIVE, from, to);
    this.#dead = view.scan(Table.DEAD, from, to);
    this.#isLiveThere = this.#live.next();
    this.#isDeadThere = this.#dead.next();
  }

  next(): boolean {
    if (!this.#isLiveThere && !this.#isDeadThere) return false;
    if (this.#isLiveFirst()) {
      this.key = this.#live.key;
      this.value = this.#live.value;
      this.#isLiveThere = this.#live.next();
    } else {
      this.key = this.#dead.key;
      this.value = this.#dead.value;
      this.#isDeadThere = this.#dead.next();
    }
    return true;
  }

  close(): void {
    this.#live.close();
    this.#dead.close();
  }

  #isLiveFirst(): boolean {
    if (!this.#isDeadThere) return true;
    return this.#isLiveThere && compareBytes(this.#live.key, this.#dead.key) < 0;
  }
}

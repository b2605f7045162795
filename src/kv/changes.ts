// What a batch of commands has changed, for watchers; and the same read back from the log for those
// that lag behind.

import { EventType } from '../api/common.ts';
import { readKey } from '../api/stored-key-value.ts';
import { Table, type View } from './backend.ts';
import { decodeRecord, type Revision, readRevisionKey, revisionKey } from './record.ts';
import { kvAtRevision } from './version-reader.ts';

export interface Change {
  /** An EventType. */
  readonly type: number;
  readonly revision: Revision;
  readonly key: Uint8Array;
  /** Of a deletion, with key and modRevision only. */
  readonly encodedKv: Uint8Array;
  /** The key's record before this change; main is 0 when there was none. See previousKv(). */
  readonly previous: Revision;
}

/** Called after each batch that changed something, in order, before its results are handed out. */
export type ChangeListener = (changes: readonly Change[]) => void;

export interface History {
  readonly changes: Change[];
  /** The first change not looked at; null when there is none. */
  readonly next: Revision | null;
}

/** A change as its log record tells it. */
export function changeOf(revision: Revision, logValue: Uint8Array): Change {
  const record = decodeRecord(logValue);
  return {
    type: record.isTombstone ? EventType.DELETE : EventType.PUT,
    revision,
    key: readKey(record.encodedKv),
    encodedKv: record.encodedKv,
    previous: record.previous,
  };
}

/** The version that a change replaced; null for a created key, and when compaction hides it. */
export function previousKv(view: View, change: Change, compactRevision: number): Uint8Array | null {
  if (change.revision.main <= compactRevision) return null;
  return kvAtRevision(view, change.previous) ?? null;
}

/** Up to `max` changes from `from` on, to the end of revision `to`. */
export function readHistory(view: View, from: Revision, to: number, max: number): History {
  const changes: Change[] = [];
  const cursor = view.scan(Table.LOG, revisionKey(from.main, from.sub), revisionKey(to + 1, 0));
  let next: Revision | null = null;
  while (next === null && cursor.next()) {
    const revision = readRevisionKey(cursor.key);
    if (changes.length < max) changes.push(changeOf(revision, cursor.value));
    else next = revision;
  }
  cursor.close();
  return { changes, next };
}

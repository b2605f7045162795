// Removes what compaction has hidden, a few records at a time, in the order of the log. Nothing that
// can be seen depends on how far it has come.
//
// A record at or below the compacted revision C proves that the record before it in its key's chain
// is superseded. A tombstone below C is itself not needed. The tombstone of revision C stays until
// the next compaction, because C can still be watched from; so the next sweep begins at C again.

import { readKey } from '../api/stored-key-value.ts';
import { Table } from './backend.ts';
import {
  decodeEntry,
  decodeRecord,
  IndexEntry,
  type LogRecord,
  type Revision,
  readRevisionKey,
  revisionKey,
  revisionLookup,
} from './record.ts';
import type { Store } from './store.ts';

const entry = new IndexEntry();

/** Whether there is anything left to remove. */
export function isSwept(store: Store): boolean {
  return store.state.sweptRevision === store.state.compactRevision;
}

/**
 * Looks at up to `budget` records of the log; returns whether that was the last of them. The caller
 * ends the batch and commits.
 */
export function sweep(store: Store, budget: number): boolean {
  if (isSwept(store)) return true;
  const { compactRevision, sweptTo } = store.state;
  const { records, isLast } = readRecords(store, sweptTo, compactRevision, budget);
  let { deadCount } = store.state;
  for (const { revision, record } of records) {
    removeRecord(store, record.previous);
    if (!record.isTombstone || revision.main >= compactRevision) continue;
    removeRecord(store, revision);
    if (removeDead(store, readKey(record.encodedKv), revision)) deadCount--;
  }
  const last = records.at(-1)?.revision ?? sweptTo;
  store.recordSweep({
    sweptTo: isLast ? { main: compactRevision, sub: 0 } : { main: last.main, sub: last.sub + 1 },
    sweptRevision: isLast ? compactRevision : store.state.sweptRevision,
    deadCount,
  });
  return isLast;
}

interface Found {
  readonly revision: Revision;
  readonly record: LogRecord;
}

/** Collected first, because a write ends the life of a cursor. */
function readRecords(store: Store, from: Revision, compactRevision: number, budget: number) {
  const records: Found[] = [];
  const end = revisionKey(compactRevision + 1, 0);
  const cursor = store.backend.scan(Table.LOG, revisionKey(from.main, from.sub), end);
  let isLast = true;
  while (cursor.next()) {
    if (records.length === budget) {
      isLast = false;
      break;
    }
    records.push({ revision: readRevisionKey(cursor.key), record: decodeRecord(cursor.value) });
  }
  cursor.close();
  return { records, isLast };
}

function removeRecord(store: Store, place: Revision): void {
  if (place.main === 0) return;
  if (store.backend.peek(Table.LOG, revisionLookup(place.main, place.sub)) === undefined) return;
  store.backend.remove(Table.LOG, revisionKey(place.main, place.sub));
}

/** The key may have been written again since, and deleted again. */
function removeDead(store: Store, key: Uint8Array, tombstone: Revision): boolean {
  const found = store.backend.peek(Table.DEAD, key);
  if (found === undefined) return false;
  decodeEntry(found, entry);
  if (entry.main !== tombstone.main || entry.sub !== tombstone.sub) return false;
  store.backend.remove(Table.DEAD, key);
  return true;
}

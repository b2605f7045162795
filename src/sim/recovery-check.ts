// after a start the snapshot file, the log and the state machine tell one story, the committed one.

import type { LogId, LogIndex, PersistentState, SnapshotMeta } from '../raft/types.ts';
import type { ShadowLog } from './shadow-log.ts';

export interface Recovery {
  readonly state: PersistentState;
  /** The newest complete snapshot file; null when there is none. */
  readonly file: SnapshotMeta | null;
  /** Where the state machine stands. */
  readonly applied: LogIndex;
}

/** What does not fit together; null when all does. */
export function recoveryFault(
  { state, file, applied }: Recovery,
  committed: ShadowLog,
): string | null {
  const { snapshot, entries } = state;
  const last = entries.at(-1) ?? snapshot.last;
  const first = entries[0];
  if (!isCommitted(snapshot.last, committed)) return `the log begins at ${text(snapshot.last)}`;
  if (file !== null && !isCommitted(file.last, committed)) return `a file holds ${text(file.last)}`;
  if (first !== undefined && first.index > snapshot.last.index + 1) {
    return `there is a gap between ${text(snapshot.last)} and ${text(first)}`;
  }
  if (first !== undefined && last.index < snapshot.last.index) {
    return `the log ends at ${text(last)}, before its snapshot at ${text(snapshot.last)}`;
  }
  const own = entries[snapshot.last.index - (first?.index ?? 0)];
  if (own !== undefined && own.term !== snapshot.last.term) {
    return `the log has ${text(own)}, its snapshot ${text(snapshot.last)}`;
  }
  if (applied < snapshot.last.index) return `the state is that of ${applied}: entries are missing`;
  const end = Math.min(last.index, committed.lastIndex);
  if (applied > end) return `the state is that of ${applied}, the committed log ends at ${end}`;
  return null;
}

function isCommitted({ index, term }: LogId, committed: ShadowLog): boolean {
  return committed.termAt(index) === term;
}

function text({ index, term }: LogId): string {
  return `${index}/${term} (index/term)`;
}

// Bugs of the key-value store, which its clients and watches find.

import type { Mutant } from './mutant.ts';

/** One replacement in a file of the store. */
export function kv(
  name: string,
  trap: string,
  file: string,
  find: string,
  replace: string,
): Mutant {
  return { name, trap, edits: [{ file: `src/kv/${file}`, find, replace }], stack: 'kv' };
}

export const STORE_MUTANTS: readonly Mutant[] = [
  kv(
    'sweep-takes-live',
    'A-33: compaction removes what is still to be read',
    'sweep.ts',
    'removeRecord(store, record.previous);',
    'removeRecord(store, revision);',
  ),
  kv(
    'tombstone-lost',
    'etcd 18089, 19179: the deletion at the compacted revision is dropped',
    'sweep.ts',
    'revision.main >= compactRevision) continue;',
    'revision.main > compactRevision) continue;',
  ),
  kv(
    'sweep-can-be-seen',
    'etcd 18667: what is answered depends on how far a member has swept',
    'store.ts',
    'if (found === undefined || entry.main < this.compactRevision) {',
    'if (found === undefined) {',
  ),
  kv(
    'compacted-is-readable',
    'etcd 18667: a transaction reads a compacted revision',
    'store-reads.ts',
    'return revision < this.compactRevision ? etcdErrors.compacted : null;',
    'return null;',
  ),
  kv(
    'noop-takes-a-revision',
    'A-32: a command that changes nothing raises the revision',
    'store.ts',
    'if (this.#changesMade === 0) return;',
    '',
  ),
  kv(
    'compare-off-by-one',
    'A-32: a comparison of a transaction is wrong at its edge',
    'txn.ts',
    'return order > 0;',
    'return order >= 0;',
  ),
  kv(
    'create-revision-kept',
    'A-32: a key that comes back has its old creation',
    'store.ts',
    'if (isNew) entry.createRevision = main;',
    'if (isNew && !wasDead) entry.createRevision = main;',
  ),
  kv(
    'counters-not-restored',
    'trap 23: the revision is not taken from the snapshot',
    'kv-machine.ts',
    'this.store.reload();',
    '',
  ),
  kv(
    'slow-watch-loses',
    'etcd 17529: a slow watch loses events',
    'watch-hub.ts',
    "watcher.state = 'full';\n      watcher.next = revision;",
    "watcher.state = 'full';\n      watcher.next = revision + 1;",
  ),
  kv(
    'watch-event-twice',
    'etcd 17247: an event is told again',
    'watch-hub.ts',
    'watcher.next = Math.max(watcher.next, upTo + 1);',
    'watcher.next = Math.max(watcher.next, upTo);',
  ),
  kv(
    'watch-lost-by-restore',
    'etcd 15271: a watch is not taken up again after a snapshot',
    'watch-hub.ts',
    'watcher.next = Math.max(watcher.next, before + 1);',
    'watcher.next = this.#revision + 1;',
  ),
  kv(
    'progress-too-early',
    'etcd 15220: progress is told before the events',
    'watch-hub.ts',
    "if (state !== 'live' || !isDrained) return null;",
    "if (state !== 'live') return null;",
  ),
  kv(
    'watch-before-its-start',
    'etcd 20221: a watch of the future hears of the past',
    'watcher.ts',
    'if (change.revision.main < this.next) return false;',
    '',
  ),
];

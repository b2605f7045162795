// More bugs of watches, several of them etcd's own; the numbers are those of its issues.

import type { Mutant } from './mutant.ts';
import { kv } from './store-mutants.ts';

export const WATCH_MUTANTS: readonly Mutant[] = [
  kv(
    'watch-loses-rest-of-txn',
    'one event of a transaction is told, the others are not',
    'watcher.ts',
    'return this.#gathered.push(change) === 1;',
    'return this.#gathered.length === 0 && this.#gathered.push(change) === 1;',
  ),
  kv(
    'watch-splits-revision',
    'a bite of the history ends inside of a transaction',
    'watch-hub.ts',
    'if (next !== null && next.main === last) {',
    'if (next !== null && next.main < 0) {',
  ),
  kv(
    'watch-hears-present-while-behind',
    'present and past are told at the same time',
    'watch-hub.ts',
    'watcher.state !== state || ',
    '',
  ),
  kv(
    'watch-joins-in-the-middle',
    'who is far behind reads on where another one stands',
    'watch-hub.ts',
    '.filter(watcher => watcher.next >= first.next)',
    '',
  ),
  kv(
    'watch-progress-unsynced',
    'etcd 15220: progress for a watcher that is behind',
    'watch-hub.ts',
    "if (state !== 'live' || !isDrained) return null;",
    "if (state === 'ended') return null;",
  ),
  kv(
    'watch-ends-at-compacted-revision',
    'the compacted revision itself is refused',
    'watch-hub.ts',
    'if (watcher.next >= compactRevision) return false;',
    'if (watcher.next > compactRevision) return false;',
  ),
  kv(
    'watch-overtaken-by-compaction',
    'who lacks compacted changes goes on without them',
    'watch-hub.ts',
    'if (watcher.next >= compactRevision) return false;',
    'if (watcher.next >= 0) return false;',
  ),
  kv(
    'watch-back-in-time',
    'etcd 15271: after a snapshot the watch begins again',
    'watch-hub.ts',
    'watcher.next = Math.max(watcher.next, before + 1);',
    'watcher.next = Math.min(watcher.next, before + 1);',
  ),
  kv(
    'watch-early-after-snapshot',
    'etcd 20221: a future revision is forgotten when the member catches up',
    'watch-hub.ts',
    'watcher.next = Math.max(watcher.next, before + 1);',
    'watcher.next = before + 1;',
  ),
];

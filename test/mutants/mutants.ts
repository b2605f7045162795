// Bugs to plant, one at a time, into a copy of the production code that the simulator then runs: proof
// that it would notice. Each is a replacement of source text that must occur exactly once, made while
// a bundle is built (scripts/mutants.ts), so that the code itself knows nothing of them. The numbers
// in `trap` are those of the collected traps of other systems and of the students' guide.

import { LOSS_MUTANTS } from './loss-mutants.ts';
import type { Edit, Mutant } from './mutant.ts';
import { STORE_MUTANTS } from './store-mutants.ts';
import { WATCH_MUTANTS } from './watch-mutants.ts';

function mutant(name: string, trap: string, ...edits: Edit[]): Mutant {
  return { name, trap, edits, stack: 'core' };
}

const raft = (name: string, trap: string, file: string, find: string, replace: string): Mutant =>
  mutant(name, trap, { file: `src/raft/${file}`, find, replace });

/** Writes under way still count for entries that were truncated since. */
const FORGETS_NO_WRITES: Edit = {
  file: 'src/raft/core.ts',
  find: 'for (const ready of this.inflight) {',
  replace: 'for (const ready of [] as InflightReady[]) {',
};

export const MUTANTS: readonly Mutant[] = [
  // ---- terms and votes
  raft(
    'vote-twice',
    'two votes in a term',
    'election.ts',
    'return core.votedFor === NO_NODE || core.votedFor === m.from;',
    'return true;',
  ),
  raft(
    'vote-any-log',
    'guide 10: no up-to-date check',
    'election.ts',
    'const upToDate = core.log.isUpToDate(m.last);',
    'const upToDate = true;',
  ),
  raft(
    'vote-by-length',
    'guide 10: longer log wins over newer term',
    'log.ts',
    'if (candidate.term !== own.term) return candidate.term > own.term;',
    '',
  ),
  raft(
    'vote-before-durable',
    'trap 10: vote told before it is stored',
    'election.ts',
    '  if (core.isVoteDurable) core.send(reply);\n  else core.sendAfterPersist(reply);',
    '  core.send(reply);',
  ),
  raft(
    'own-vote-before-durable',
    'trap 10: own vote counted before it is stored',
    'core.ts',
    'return this.durable.currentTerm === this.currentTerm && this.durable.votedFor === this.votedFor;',
    'return true;',
  ),
  raft(
    'vote-request-before-durable',
    'request speaks of entries that a crash takes back',
    'election.ts',
    'if (how.preVote) core.send(request);\n    else core.sendAfterPersist(request);',
    'core.send(request);',
  ),
  raft(
    'old-vote-replies',
    'guide 16: replies of an older term are counted',
    'raft.ts',
    'if (m.term >= core.currentTerm) this.#receiveCurrent(m);',
    'this.#receiveCurrent(m);',
  ),
  raft(
    'half-is-a-quorum',
    'n/2 instead of n/2 + 1',
    'quorum.ts',
    'return Math.floor(count / 2) + 1;',
    'return Math.max(1, Math.ceil(count / 2));',
  ),
  raft(
    'term-not-adopted',
    'guide 5: a higher term is not adopted',
    'raft.ts',
    'core.becomeFollower(m.term, NO_NODE);\n    return true;',
    'return true;',
  ),
  raft(
    'vote-kept-over-terms',
    'votedFor not reset with the term',
    'core.ts',
    '      this.votedFor = NO_NODE;\n',
    '',
  ),
  raft(
    'prevote-raises-term',
    '§9.6: pre-vote changes the term',
    'raft.ts',
    'if (m.preVote) return true;',
    '',
  ),
  raft(
    'hard-state-not-written',
    'trap 10: the vote is never persisted (PySyncObj 202)',
    'raft.ts',
    'if (!voteChanged && handed.commitIndex === next.commitIndex) return null;',
    'if (handed.commitIndex === next.commitIndex) return null;',
  ),
  raft(
    'election-timer-never-fires',
    'liveness: followers never campaign',
    'raft.ts',
    'if (core.ticksSinceContact < core.electionTimeoutTicks) return;',
    'return;',
  ),
  raft(
    'no-random-timeout',
    'split votes for ever',
    'core.ts',
    'electionTicks + Math.floor(random() * electionTicks)',
    'electionTicks + 0 * Math.floor(random())',
  ),

  raft(
    'vote-not-in-record',
    'hashicorp/raft 661: term and vote are two writes, and a crash parts them',
    'raft.ts',
    '      hardState,\n      entries,\n      committed,',
    '      hardState: hardState && { ...hardState, votedFor: NO_NODE },\n      entries,\n      committed,',
  ),
  // ---- appending
  raft(
    'no-consistency-check',
    'guide 7: prev is not checked',
    'replication.ts',
    'if (!log.matches(m.prev)) {',
    'if (m.prev.index > log.lastIndex) {',
  ),
  raft(
    'heartbeat-not-checked',
    'guide 1, 8: heartbeats skip the check',
    'replication.ts',
    'if (!log.matches(m.prev)) {',
    'if (m.entries.length > 0 && !log.matches(m.prev)) {',
  ),
  raft(
    'old-term-append',
    'AE1 missing',
    'replication.ts',
    "  if (m.term < core.currentTerm) {\n    core.cite('AE1'",
    "  if (m.term < 0) {\n    core.cite('AE1'",
  ),
  raft(
    'truncate-always',
    'trap 12, guide 2: truncation without a conflict',
    'replication.ts',
    'while (fresh < entries.length && log.matches(entries[fresh]!)) fresh += 1;',
    'while (fresh < entries.length && entries[fresh]!.index <= log.commitIndex) fresh += 1;',
  ),
  raft(
    'conflict-kept',
    'AE3 missing: a conflicting suffix stays',
    'replication.ts',
    '    log.truncate(first.index);\n',
    '    return;\n',
  ),
  raft(
    'commit-leader-index',
    'trap 13, guide 9: leaderCommit without min(last new)',
    'replication.ts',
    'const commit = Math.min(m.leaderCommit, lastNew);',
    'const commit = Math.min(m.leaderCommit, core.log.lastIndex);',
  ),
  raft(
    'ack-before-durable',
    'ack told before the entries are stored',
    'replication.ts',
    'else sendAckAfterPersist(core, ack);',
    'else core.send(ack);',
  ),
  raft(
    'heartbeat-acks-unstable',
    'an immediate ack speaks of entries still in flight',
    'replication.ts',
    'match: isDurable ? durableMatch : agreed,',
    'match: agreed,',
  ),
  raft(
    'ack-whole-log',
    'guide 15: match from the log, not from the request',
    'replication.ts',
    'const lastNew = m.prev.index + m.entries.length;',
    'const lastNew = log.lastIndex;',
  ),
  raft(
    'match-from-next',
    'guide 15: match from what was sent',
    'replication.ts',
    '  progress.maybeAdvance(m.match);\n',
    '  progress.maybeAdvance(progress.nextIndex - 1);\n',
  ),
  mutant(
    'aba-confirmation',
    'trap 15: confirmation of a rewritten index',
    {
      file: 'src/raft/log.ts',
      find: 'if (id.index <= this.#stableIndex || !this.matches(id)) return;',
      replace: 'if (id.index <= this.#stableIndex || id.index > this.lastIndex) return;',
    },
    FORGETS_NO_WRITES,
  ),
  mutant(
    'aba-same-term',
    'etcd raft, asynchronous writes: index and term of a confirmation are not enough',
    FORGETS_NO_WRITES,
  ),
  raft(
    'stale-nack-lowers-match',
    'CCF 5324, 5991: a stale rejection is believed',
    'replication.ts',
    'if (m.rejected <= progress.matchIndex) return true;',
    'progress.matchIndex = Math.min(progress.matchIndex, m.rejected);',
  ),
  raft(
    'next-never-backs-up',
    'liveness: nextIndex stays after a rejection',
    'replication.ts',
    'const next = Math.min(nextAfterConflict(core, m), m.rejected);',
    'const next = m.rejected + 1;',
  ),

  raft(
    'nack-of-own-end',
    'CCF 2835: a rejection names another index than the one rejected',
    'replication.ts',
    'rejected: m.prev.index,',
    'rejected: core.log.lastIndex,',
  ),
  raft(
    'window-leaks',
    'trap 35: appends under way are not all taken off the window',
    'progress.ts',
    'if (append.last > match) break;',
    'if (append.last >= match) break;',
  ),
  // ---- committing and applying
  raft(
    'commit-old-terms',
    'trap 11, LogCabin 44: Figure 8',
    'replication.ts',
    'if (log.term(n) !== core.currentTerm) {',
    'if (log.term(n) === undefined) {',
  ),
  raft(
    'self-ack-before-fsync',
    'trap 14, etcd 14370: own match counted before the own fsync',
    'replication.ts',
    'id === core.id ? core.log.stableIndex : ',
    'id === core.id ? core.log.lastIndex : ',
  ),
  raft(
    'apply-before-durable',
    'state machine ahead of its log',
    'log.ts',
    '    const upTo = Math.min(this.#commitIndex, this.#stableIndex);\n    if (upTo <= this.#applyingIndex) return NO',
    '    const upTo = this.#commitIndex;\n    if (upTo <= this.#applyingIndex) return NO',
  ),
  raft(
    'apply-twice',
    'trap 29: entries are applied again',
    'log.ts',
    'const first = this.#applyingIndex - this.#base.index;',
    'const first = Math.max(0, this.#applyingIndex - this.#base.index - 1);',
  ),
  raft(
    'learners-counted',
    'A-20: a learner counts in the quorum',
    'quorum.ts',
    'const incoming = majorityValue(config.voters, valueAt);',
    'const incoming = majorityValue([...config.voters, ...config.learners], valueAt);',
  ),
  raft(
    'no-noop',
    'RedisRaft 19: no entry opens the term',
    'election.ts',
    "if (core.config.noop) appendOwn(core, role, 'noop');",
    '',
  ),

  // ---- reads
  raft(
    'read-before-term-commit',
    'trap 16, etcd 7331: ReadIndex before the first commit of the term',
    'read-index.ts',
    'if (core.log.commitIndex < role.termStart) {',
    'if (core.log.commitIndex < 0) {',
  ),
  raft(
    'read-without-quorum',
    'etcd 0.4.1 (Jepsen 2014): leader answers without asking',
    'read-index.ts',
    'if (round > confirmed) break;',
    '',
  ),
  raft(
    'read-old-round',
    'trap 17: an older confirmation counts',
    'read-index.ts',
    'if (round > confirmed) break;',
    'if (round > confirmed + 3) break;',
  ),
  raft(
    'read-at-applied',
    'read at a stale index',
    'read-index.ts',
    'const index = core.log.commitIndex;\n  if (core.config.leaseReads',
    'const index = core.log.snapshot.last.index;\n  if (core.config.leaseReads',
  ),
  raft(
    'lease-for-ever',
    'trap 19, Consul (Jepsen 2014): a lease without an end',
    'read-index.ts',
    'return core.tick - confirmedTick < leaseTicks - 1;',
    'return true;',
  ),

  raft(
    'lease-over-transfer',
    'TiKV 1593, etcd 12704: the lease is kept after TimeoutNow',
    'read-index.ts',
    'if (isTransferring(role) || role.timeoutNowSent) return false;',
    '',
  ),
  raft(
    'lease-promise-ignored',
    'trap 8, trap 19: voters do not wait for the end of the lease (TiKV 964)',
    'election.ts',
    'if (!checkQuorum) return false;',
    'return false;',
  ),
  raft(
    'round-of-another-term',
    'TiKV 9239: an old confirmation counts in a newer term',
    'core.ts',
    'return m.term === this.currentTerm ? m.round : 0;',
    'return m.round;',
  ),
  // ---- membership
  raft(
    'change-before-term-commit',
    'trap 1: the single-server bug of 2015 (Ongaro, raft-dev)',
    'membership.ts',
    "if (core.log.commitIndex < role.termStart) return 'notReady';",
    '',
  ),
  raft(
    'two-changes-at-once',
    'trap 1: a second change before the first is committed',
    'membership.ts',
    "if (core.log.configIndex > core.log.commitIndex) return 'changeInProgress';",
    '',
  ),
  raft(
    'joint-by-one-half',
    '§4.3: the outgoing half is not asked',
    'quorum.ts',
    'return Math.min(incoming, majorityValue(config.outgoing, valueAt));',
    'return incoming;',
  ),
  raft(
    'config-not-rolled-back',
    'a truncated configuration stays in force',
    'log.ts',
    'while (this.#configs.at(-1)!.index >= index) this.#configs.pop();',
    '',
  ),
  raft(
    'joint-never-left',
    'trap 3: stuck in the joint configuration',
    'membership.ts',
    'if (!isJoint(membership) || !committed) return false;',
    'return !committed && false;',
  ),

  raft(
    'auto-leave-lost',
    'etcd 12136: a new leader does not leave the joint configuration of the one before',
    'membership.ts',
    'const committed = log.configIndex <= log.commitIndex && log.commitIndex >= role.termStart;',
    'const committed = log.configIndex <= log.commitIndex && log.configIndex >= role.termStart;',
  ),
  raft(
    'outgoing-never-campaigns',
    'etcd 10618 (Scylla): who leaves does not count, even while only its log can win',
    'election.ts',
    'if (!core.isVoter && !isVoter(core.log.committedConfig, core.id)) return false;',
    'if (!core.membership.voters.includes(core.id)) return false;',
  ),
  raft(
    'learner-never-votes',
    'trap 6: a learner whose promotion it has not heard of refuses its vote',
    'election.ts',
    '  const free = isFree(core, m);\n',
    '  const free = isFree(core, m) && core.isVoter;\n',
  ),
  // ---- snapshots
  raft(
    'snapshot-keeps-conflict',
    'IS7 missing: the old log stays',
    'log.ts',
    'const suffix = this.matches(meta.last)\n      ? this.slice(meta.last.index + 1, Infinity, Infinity)\n      : [];',
    'const suffix = this.lastIndex > meta.last.index ? this.slice(meta.last.index + 1, Infinity, Infinity) : [];',
  ),
  mutant(
    'old-snapshot-installed',
    'trap 22, etcd 18055: an older snapshot takes the state back',
    {
      file: 'src/raft/snapshot.ts',
      find: 'if (m.meta.last.index <= core.log.commitIndex) return reply(core, m, INSTALLED);',
      replace: '',
    },
    {
      file: 'src/raft/snapshot.ts',
      find: '  if (meta.last.index <= core.log.commitIndex) return;\n',
      replace: '',
    },
    {
      file: 'src/raft/log.ts',
      find: "    assert(meta.last.index > this.#commitIndex, 'a snapshot only moves the commit forward');\n",
      replace: '',
    },
  ),
  raft(
    'snapshot-config-lost',
    'trap 23: the configuration is not in the snapshot',
    'log.ts',
    'this.#configs = configsOf(meta, suffix);',
    'this.#configs = configsOf({ ...meta, config: this.#configs[0]!.config }, suffix);',
  ),

  // ---- driver and disk
  mutant(
    'fsync-error-ignored',
    'trap 27: fsyncgate (PostgreSQL 2018)',
    {
      file: 'src/node/persister.ts',
      find: 'if (error !== null) return this.#failed(error);',
      replace: '',
    },
    {
      file: 'src/node/persister.ts',
      find: '    store.onFailure = failed;\n',
      replace: '',
    },
  ),
  mutant(
    'after-persist-at-once',
    'trap 18 of the pains: the driver sends before it has persisted',
    {
      file: 'src/node/persister.ts',
      find: '    this.#store.append({ hardState, entries, snapshot }, error => this.#written(pending, error));',
      replace:
        '    this.#finish(number, afterPersist, true);\n    this.#store.append({ hardState, entries, snapshot }, error => error && this.#written(pending, error));',
    },
  ),
  mutant(
    'error-says-not-applied',
    'trap 33: an error is taken for "not committed" (RedisRaft 23)',
    {
      file: 'src/node/proposals.ts',
      find: "const text = 'the command was not committed in time; it may still be.';\n  return new KontikiError('TIMEOUT', 'unknown',",
      replace:
        "const text = 'the command was not committed in time; it may still be.';\n  return new KontikiError('TIMEOUT', 'not-applied',",
    },
  ),
  mutant('leader-change-says-not-applied', 'trap 33: an error is taken for "not committed"', {
    file: 'src/node/proposals.ts',
    find: "const text = 'the leader that had the command is gone, and with it the answer.';\n  return new KontikiError('LEADER_CHANGED', 'unknown',",
    replace:
      "const text = 'the leader that had the command is gone, and with it the answer.';\n  return new KontikiError('LEADER_CHANGED', 'not-applied',",
  }),
  mutant('wrong-client-answered', 'guide 18: the index is reused by another leader', {
    file: 'src/node/proposals.ts',
    find: 'if (batch.term === term) return sink;',
    replace: 'if (batch.term > 0) return sink;',
  }),
  mutant('session-forgets', 'guide 20: a repeat is taken for a new command', {
    file: 'src/node/sessions.ts',
    find: 'if (known !== undefined) return known;',
    replace: '',
  }),
  mutant('sessions-not-stored', 'guide 19, trap 23: the session table is not part of the state', {
    file: 'src/node/sessions.ts',
    find: 'puts.set(sessionName(id), session === undefined ? null : encodeSession(session));',
    replace:
      'puts.set(sessionName(id), session === undefined ? null : encodeSession({ ...session, slots: [] }));',
  }),
  mutant('read-not-waited', 'a read is served before the state has reached its index', {
    file: 'src/node/reads.ts',
    find: 'const due = this.#untilApplied.filter(group => group.index <= index);',
    replace: 'const due = this.#untilApplied.filter(group => group.index >= 0 || index > 0);',
  }),
  mutant('written-is-not-synced', 'etcd 14370, NATS 7564: acknowledged before the sync', {
    file: 'src/storage/wal.ts',
    find: 'active.file.writeAndSync(active.usedBytes, writer.view(), this.#onWritten);',
    replace:
      'void active.file.write(active.usedBytes, writer.view()).then(() => this.#onWritten(null), this.#onWritten);',
  }),
  mutant('log-checksum-ignored', 'trap 25: a damaged batch is believed', {
    file: 'src/storage/batch.ts',
    find: 'return bodyCrc(bytes, at, free, total) === header.bodyCrc ? payload : null;',
    replace: 'return payload;',
  }),
  mutant('damage-is-cut', 'trap 25: acknowledged data is cut like a torn tail (NATS 7549)', {
    file: 'src/storage/recovery.ts',
    find: 'if (isStamped(bytes, 0, total)) {',
    replace: 'if (total < 0) {',
  }),
  mutant('applied-index-ahead', 'etcd 13766: the applied index is ahead of the state', {
    file: 'src/node/driver.ts',
    find: 'this.#appliedIndex = machine.applied.index;\n    this.#core',
    replace:
      'this.#appliedIndex = Math.min(state.entries.at(-1)?.index ?? 0, machine.applied.index + 1);\n    this.#core',
  }),
  mutant('read-number-reused', 'trap 17, etcd 20418: a repeated question keeps its number', {
    file: 'src/node/reads.ts',
    find: 'this.#number = this.#nextNumber++;',
    replace: 'this.#number = overdue ? this.#number : this.#nextNumber++;',
  }),
  mutant('proposal-sent-twice', 'trap 34: a proposal is handed on again on behalf of its client', {
    file: 'src/raft/proposals.ts',
    find: "    core.send({ kind: 'forward', from, to, term, batch, proposals });\n",
    replace:
      "    core.send({ kind: 'forward', from, to, term, batch, proposals });\n    core.send({ kind: 'forward', from, to, term, batch, proposals });\n",
  }),
  mutant('segment-name-not-synced', 'trap 28, NATS 6888: a new file is forgotten by a power loss', {
    file: 'src/storage/log-segments.ts',
    find: '      await file.sync();\n      await this.#disk.syncDir(LOG_DIR);\n',
    replace: '      await file.sync();\n',
  }),
  mutant('snapshot-name-not-synced', 'trap 24, trap 28: rename without a sync of the directory', {
    file: 'src/storage/snapshot-files.ts',
    find: '    await this.#disk.rename(pathOf(name), pathOf(final));\n    await this.#disk.syncDir(SNAPSHOT_DIR);\n',
    replace: '    await this.#disk.rename(pathOf(name), pathOf(final));\n',
  }),
  ...LOSS_MUTANTS,
  ...STORE_MUTANTS,
  ...WATCH_MUTANTS,
];

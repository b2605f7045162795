// Messages for the transport tests: one of every kind, and the few that the tests count with.

import type { Message } from '../../src/raft/messages.ts';
import type { Configuration, Entry, NodeId, SnapshotMeta } from '../../src/raft/types.ts';

const config: Configuration = {
  voters: [1, 2, 3],
  outgoing: [1, 2],
  learners: [4],
  learnersNext: [],
};
const meta: SnapshotMeta = { last: { term: 3, index: 900 }, config, configIndex: 12 };

export function command(index: number, size: number): Entry {
  const data = new Uint8Array(size).fill(index);
  return { term: 3, index, kind: 'command', data, session: 0, sequence: 0, config: null };
}

export function append(from: NodeId, to: NodeId, round: number, entries: Entry[]): Message {
  const prev = { term: 3, index: (entries[0]?.index ?? 1) - 1 };
  const rest = { leaderCommit: 0, acknowledged: 0, round };
  return { kind: 'append', from, to, term: 3, prev, entries, ...rest };
}

export function heartbeat(from: NodeId, to: NodeId, round: number): Message {
  return append(from, to, round, []);
}

export function snapshotChunk(from: NodeId, to: NodeId, round: number, size: number): Message {
  const data = new Uint8Array(size).fill(round);
  return { kind: 'snapshot', from, to, term: 3, meta, offset: 0, data, done: false, round };
}

export function everyKind(from: NodeId, to: NodeId): Message[] {
  const envelope = { from, to, term: 3 };
  const data = Uint8Array.of(1, 2, 3);
  const entries: Entry[] = [
    command(5, 40),
    { ...command(6, 0), kind: 'noop', term: 4 },
    { ...command(7, 3), kind: 'config', term: 4, config },
    { ...command(8, 9), kind: 'command', term: 4, session: 7, sequence: 2 },
  ];
  const last = { term: 2, index: 6 };
  return [
    { ...envelope, kind: 'voteRequest', preVote: true, transfer: false, last },
    { ...envelope, kind: 'voteReply', preVote: false, granted: true },
    { ...append(from, to, 9, entries), term: 4 },
    { ...envelope, kind: 'appendAccepted', match: 2 ** 40, round: 3 },
    { ...envelope, kind: 'appendRejected', rejected: 8, hint: last, round: 4 },
    { ...envelope, kind: 'snapshot', meta, offset: 65_536, data, done: true, round: 5 },
    { ...envelope, kind: 'snapshotReply', lastIndex: 900, next: -1, round: 6 },
    { ...envelope, kind: 'timeoutNow' },
    {
      ...envelope,
      kind: 'forward',
      batch: 17,
      proposals: [{ kind: 'command', data, session: 1, sequence: 2 }],
    },
    { ...envelope, kind: 'forwardReceipt', batch: 17, first: last, refusal: 'overloaded' },
    {
      ...envelope,
      kind: 'forwardChange',
      batch: 18,
      changes: [{ kind: 'addLearner', node: 4 }],
      data,
      expectedConfigIndex: -1,
    },
    { ...envelope, kind: 'readIndex', read: 21 },
    { ...envelope, kind: 'readIndexReply', read: 21, index: -1 },
  ];
}

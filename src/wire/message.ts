// Messages between nodes as bytes. A frame body is the codec version, then messages one after the
// other, each a kind byte, from, to, term and the fields of its kind in the order of messages.ts.
// Fields that may be -1 are written plus one.

import type { AppendRequest, Message, RefusalReason } from '../raft/messages.ts';
import type { ConfigChange, LogId, Proposal } from '../raft/types.ts';
import { NO_DATA } from '../raft/types.ts';
import { ByteReader, type ByteWriter, WireError } from './bytes.ts';
import { decodeEntries, decodeSnapshotMeta, encodeEntries, encodeSnapshotMeta } from './entry.ts';
import { beginFrame, endFrame } from './frame.ts';

/** 2: an append says how far acknowledgements were counted. */
export const WIRE_VERSION = 2;
export const MESSAGES_PER_FRAME_MAX = 16_384;
/** `next` of a snapshot reply is an offset, or one of two answers below zero. */
const SNAPSHOT_NEXT_BIAS = 2;
const PROPOSALS_PER_MESSAGE_MAX = 65_536;
const CHANGES_PER_MESSAGE_MAX = 4096;

/** A frame is closed once it is this large, so that a receiver can begin before all has arrived. */
const FRAME_BYTES_TARGET = 1024 * 1024;

const MESSAGE_BYTES_MIN = 4;
const CODE = {
  voteRequest: 1,
  voteReply: 2,
  append: 3,
  appendAccepted: 4,
  appendRejected: 5,
  snapshot: 6,
  snapshotReply: 7,
  timeoutNow: 8,
  forward: 9,
  forwardReceipt: 10,
  readIndex: 11,
  readIndexReply: 12,
  forwardChange: 13,
} as const satisfies Record<Message['kind'], number>;

const PROPOSAL_KINDS: readonly Proposal['kind'][] = ['command', 'openSession', 'closeSession'];
const CHANGE_KINDS: readonly ConfigChange['kind'][] = ['addVoter', 'addLearner', 'remove'];
/** The order is the format: append only. */
const REFUSALS: readonly RefusalReason[] = [
  'noLeader',
  'notLeader',
  'overloaded',
  'transferring',
  'tooLarge',
  'changeInProgress',
  'notReady',
  'configMismatch',
  'invalidChange',
  'learnerBehind',
  'stopped',
];

/** Appends the messages to the writer as one or more frames. */
export function encodeMessages(writer: ByteWriter, messages: readonly Message[]): void {
  let i = 0;
  while (i < messages.length) {
    const start = beginFrame(writer);
    const end = Math.min(messages.length, i + MESSAGES_PER_FRAME_MAX);
    writer.u8(WIRE_VERSION);
    do encodeMessage(writer, messages[i++]!);
    while (i < end && writer.length - start < FRAME_BYTES_TARGET);
    endFrame(writer, start);
  }
}

/** Decodes a frame's body. Entry data and chunks are views of it. */
export function decodeMessages(body: Uint8Array): Message[] {
  const reader = new ByteReader(body);
  const version = reader.u8();
  if (version !== WIRE_VERSION) throw new WireError(`unsupported message version ${version}`);
  const messages: Message[] = [];
  while (reader.remaining > 0) {
    if (messages.length === MESSAGES_PER_FRAME_MAX) throw new WireError('too many messages');
    messages.push(decodeMessage(reader));
  }
  return messages;
}

function encodeMessage(w: ByteWriter, m: Message): void {
  w.u8(CODE[m.kind]);
  w.varint(m.from);
  w.varint(m.to);
  w.varint(m.term);
  switch (m.kind) {
    case 'append':
      encodeLogId(w, m.prev);
      w.varint(m.leaderCommit);
      w.varint(m.acknowledged);
      w.varint(m.round);
      encodeEntries(w, m.entries);
      break;
    case 'appendAccepted':
      w.varint(m.match);
      w.varint(m.round);
      break;
    case 'appendRejected':
      w.varint(m.rejected);
      encodeLogId(w, m.hint);
      w.varint(m.round);
      break;
    case 'voteRequest':
      w.u8((m.preVote ? 1 : 0) | (m.transfer ? 2 : 0));
      encodeLogId(w, m.last);
      break;
    case 'voteReply':
      w.u8((m.preVote ? 1 : 0) | (m.granted ? 2 : 0));
      break;
    case 'snapshot':
      encodeSnapshotMeta(w, m.meta);
      w.varint(m.offset);
      w.varint(m.round);
      w.u8(m.done ? 1 : 0);
      w.bytes(m.data);
      break;
    case 'snapshotReply':
      w.varint(m.lastIndex);
      w.varint(m.next + SNAPSHOT_NEXT_BIAS);
      w.varint(m.round);
      break;
    case 'timeoutNow':
      break;
    case 'forward':
      w.varint(m.batch);
      encodeProposals(w, m.proposals);
      break;
    case 'forwardReceipt':
      w.varint(m.batch);
      encodeLogId(w, m.first);
      w.u8(m.refusal === null ? 0 : 1 + REFUSALS.indexOf(m.refusal));
      break;
    case 'readIndex':
      w.varint(m.read);
      break;
    case 'readIndexReply':
      w.varint(m.read);
      w.varint(m.index + 1);
      break;
    case 'forwardChange':
      w.varint(m.batch);
      w.varint(m.expectedConfigIndex + 1);
      encodeChanges(w, m.changes);
      w.bytes(m.data);
      break;
  }
}

function decodeMessage(r: ByteReader): Message {
  if (r.remaining < MESSAGE_BYTES_MIN) throw new WireError('the bytes end too early');
  const code = r.u8();
  const from = r.varint();
  const to = r.varint();
  const term = r.varint();
  switch (code) {
    case CODE.append:
      return decodeAppend(r, from, to, term);
    case CODE.appendAccepted:
      return { kind: 'appendAccepted', from, to, term, match: r.varint(), round: r.varint() };
    case CODE.appendRejected: {
      const rejected = r.varint();
      const hint = decodeLogId(r);
      return { kind: 'appendRejected', from, to, term, rejected, hint, round: r.varint() };
    }
    case CODE.voteRequest: {
      const flags = decodeFlags(r);
      const last = decodeLogId(r);
      const [preVote, transfer] = [(flags & 1) !== 0, (flags & 2) !== 0];
      return { kind: 'voteRequest', from, to, term, preVote, transfer, last };
    }
    case CODE.voteReply: {
      const flags = decodeFlags(r);
      const [preVote, granted] = [(flags & 1) !== 0, (flags & 2) !== 0];
      return { kind: 'voteReply', from, to, term, preVote, granted };
    }
    case CODE.timeoutNow:
      return { kind: 'timeoutNow', from, to, term };
    case CODE.readIndex:
      return { kind: 'readIndex', from, to, term, read: r.varint() };
    case CODE.readIndexReply:
      return { kind: 'readIndexReply', from, to, term, read: r.varint(), index: r.varint() - 1 };
    default:
      return decodeRareMessage(r, code, from, to, term);
  }
}

function decodeAppend(r: ByteReader, from: number, to: number, term: number): AppendRequest {
  const prev = decodeLogId(r);
  const leaderCommit = r.varint();
  const acknowledged = r.varint();
  const round = r.varint();
  const entries = decodeEntries(r);
  if (entries.length > 0 && entries[0]!.index !== prev.index + 1) {
    throw new WireError('entries do not follow prev');
  }
  // In the order in which the core makes them: then the core sees objects of one shape only.
  return {
    kind: 'append',
    from,
    to,
    term,
    prev,
    entries,
    leaderCommit,
    acknowledged,
    round,
  };
}

function decodeRareMessage(
  r: ByteReader,
  code: number,
  from: number,
  to: number,
  term: number,
): Message {
  switch (code) {
    case CODE.snapshot: {
      const meta = decodeSnapshotMeta(r);
      const offset = r.varint();
      const round = r.varint();
      const done = r.bool();
      return { kind: 'snapshot', from, to, term, meta, offset, data: r.bytes(), done, round };
    }
    case CODE.snapshotReply: {
      const lastIndex = r.varint();
      const next = r.varint() - SNAPSHOT_NEXT_BIAS;
      return { kind: 'snapshotReply', from, to, term, lastIndex, next, round: r.varint() };
    }
    case CODE.forward: {
      const batch = r.varint();
      return { kind: 'forward', from, to, term, batch, proposals: decodeProposals(r) };
    }
    case CODE.forwardReceipt: {
      const batch = r.varint();
      const first = decodeLogId(r);
      return { kind: 'forwardReceipt', from, to, term, batch, first, refusal: decodeRefusal(r) };
    }
    case CODE.forwardChange: {
      const batch = r.varint();
      const expectedConfigIndex = r.varint() - 1;
      const changes = decodeChanges(r);
      const data = r.bytes();
      const fields = { batch, changes, data, expectedConfigIndex };
      return { kind: 'forwardChange', from, to, term, ...fields };
    }
    default:
      throw new WireError(`unknown kind of message ${code}`);
  }
}

function encodeLogId(w: ByteWriter, id: LogId): void {
  w.varint(id.term);
  w.varint(id.index);
}

function decodeLogId(r: ByteReader): LogId {
  return { term: r.varint(), index: r.varint() };
}

function decodeFlags(r: ByteReader): number {
  const flags = r.u8();
  if (flags > 3) throw new WireError(`unknown flags ${flags}`);
  return flags;
}

function decodeRefusal(r: ByteReader): RefusalReason | null {
  const code = r.u8();
  if (code === 0) return null;
  const refusal = REFUSALS[code - 1];
  if (refusal === undefined) throw new WireError(`unknown refusal ${code}`);
  return refusal;
}

function encodeProposals(w: ByteWriter, proposals: readonly Proposal[]): void {
  if (proposals.length > PROPOSALS_PER_MESSAGE_MAX) throw new WireError('too many proposals');
  w.varint(proposals.length);
  for (let i = 0; i < proposals.length; i++) {
    const proposal = proposals[i]!;
    w.u8(PROPOSAL_KINDS.indexOf(proposal.kind));
    w.varint(proposal.session);
    w.varint(proposal.sequence);
    w.bytes(proposal.data);
  }
}

function decodeProposals(r: ByteReader): Proposal[] {
  const count = r.count(4, PROPOSALS_PER_MESSAGE_MAX);
  const proposals: Proposal[] = [];
  for (let i = 0; i < count; i++) {
    const kind = PROPOSAL_KINDS[r.u8()];
    if (kind === undefined) throw new WireError('unknown kind of proposal');
    const session = r.varint();
    const sequence = r.varint();
    const bytes = r.bytes();
    const data = bytes.length === 0 ? NO_DATA : bytes;
    proposals.push({ kind, data, session, sequence });
  }
  return proposals;
}

function encodeChanges(w: ByteWriter, changes: readonly ConfigChange[]): void {
  if (changes.length > CHANGES_PER_MESSAGE_MAX) throw new WireError('too many changes');
  w.varint(changes.length);
  for (const change of changes) {
    w.u8(CHANGE_KINDS.indexOf(change.kind));
    w.varint(change.node);
  }
}

function decodeChanges(r: ByteReader): ConfigChange[] {
  const count = r.count(2, CHANGES_PER_MESSAGE_MAX);
  const changes: ConfigChange[] = [];
  for (let i = 0; i < count; i++) {
    const kind = CHANGE_KINDS[r.u8()];
    if (kind === undefined) throw new WireError('unknown kind of change');
    changes.push({ kind, node: r.varint() });
  }
  return changes;
}

// What the specification (raft-model.ts) hears: messages, writes, and what a server says of itself.
// The names are those of Figure 2. An implementation's own data fits where it has these fields.

import type { ServerId, SpecEntry, SpecPlace, SpecSnapshot } from './raft-spec-log.ts';

export type SpecRole = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** What a server says of itself after a step. */
export interface SpecState {
  readonly role: SpecRole;
  readonly term: number;
  /** 0: nobody. */
  readonly votedFor: ServerId;
  readonly commitIndex: number;
  /** It takes its log for durable up to here. */
  readonly stableIndex: number;
  readonly last: SpecPlace;
}

export interface Mail {
  readonly from: ServerId;
  readonly to: ServerId;
  readonly term: number;
}

export interface VoteRequest extends Mail {
  readonly kind: 'voteRequest';
  readonly preVote: boolean;
  readonly last: SpecPlace;
}

export interface VoteReply extends Mail {
  readonly kind: 'voteReply';
  readonly preVote: boolean;
  readonly granted: boolean;
}

export interface Append extends Mail {
  readonly kind: 'append';
  readonly prev: SpecPlace;
  readonly entries: readonly SpecEntry[];
  readonly leaderCommit: number;
  /** Up to here the sender has counted the receiver's acknowledgements in this term [loss]. */
  readonly acknowledged: number;
}

export interface AppendAccepted extends Mail {
  readonly kind: 'appendAccepted';
  readonly match: number;
}

/** `next` -1: the snapshot up to lastIndex is installed. */
interface SnapshotReply extends Mail {
  readonly kind: 'snapshotReply';
  readonly lastIndex: number;
  readonly next: number;
}

/** What says nothing but a term, or serves clients. */
interface Other extends Mail {
  readonly kind:
    | 'appendRejected'
    | 'timeoutNow'
    | 'forward'
    | 'forwardChange'
    | 'forwardReceipt'
    | 'readIndex'
    | 'readIndexReply';
}

interface Snapshot extends Mail {
  readonly kind: 'snapshot';
  readonly meta: SpecSnapshot;
}

export type SpecMessage =
  | VoteRequest
  | VoteReply
  | Append
  | AppendAccepted
  | Snapshot
  | SnapshotReply
  | Other;

/** What a server hands to its disk at once. */
export interface SpecWrite {
  readonly hardState: { readonly currentTerm: number; readonly votedFor: ServerId } | null;
  readonly entries: readonly SpecEntry[];
  readonly snapshot: SpecSnapshot | null;
}

export interface SpecViolation {
  readonly server: ServerId;
  /** The action of the specification, or the safety property, that forbids the step. */
  readonly rule: string;
  readonly message: string;
}

export const INSTALLED = -1;

/** A pre-vote and its grant speak of a term that nobody is in yet. */
export function isQuestion(m: SpecMessage): boolean {
  return (
    (m.kind === 'voteRequest' && m.preVote) || (m.kind === 'voteReply' && m.preVote && m.granted)
  );
}

/** A number for what a message says; an invented one has a sent one's by bad luck only. */
export function keyOf(m: SpecMessage): number {
  let h = mix(m.kind.length + (m.kind.charCodeAt(0) << 8), m.from);
  h = mix(mix(h, m.to), m.term);
  switch (m.kind) {
    case 'voteRequest':
      return mix(mix(h, m.last.index), m.last.term) >>> 2;
    case 'voteReply':
      return mix(h, m.granted ? 1 : 2) >>> 2;
    case 'append':
      h = mix(mix(mix(h, m.prev.index), m.prev.term), m.leaderCommit);
      return mix(mix(h, m.entries.length), m.acknowledged) >>> 2;
    case 'appendAccepted':
      return mix(h, m.match) >>> 2;
    case 'snapshotReply':
      return mix(mix(h, m.lastIndex), m.next) >>> 2;
    case 'snapshot':
      return mix(mix(h, m.meta.last.index), m.meta.last.term) >>> 2;
    default:
      return h >>> 2;
  }
}

function mix(h: number, value: number): number {
  const x = Math.imul((h ^ value) + 0x9e3779b9, 0x85ebca6b);
  return x ^ (x >>> 15);
}

// Every message between two nodes. One union, one shape a kind: a field never changes its meaning
// with the kind. The codec in wire/ covers exactly these.

import type {
  ConfigChange,
  Entry,
  LogId,
  LogIndex,
  NodeId,
  Proposal,
  SnapshotMeta,
  Term,
} from './types.ts';

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's currentTerm, except in a pre-vote request and its grant: the term asked about. */
  readonly term: Term;
}

/** RequestVote (Figure 2), and the same question asked before raising the term (§9.6). */
export interface VoteRequest extends Envelope {
  readonly kind: 'voteRequest';
  readonly preVote: boolean;
  /** Set by a leadership transfer: the receiver answers although it hears a leader (§4.2.3). */
  readonly transfer: boolean;
  readonly last: LogId;
}

export interface VoteReply extends Envelope {
  readonly kind: 'voteReply';
  readonly preVote: boolean;
  readonly granted: boolean;
}

/** AppendEntries (Figure 2). Without entries it is a heartbeat and a probe at once. */
export interface AppendRequest extends Envelope {
  readonly kind: 'append';
  readonly prev: LogId;
  readonly entries: readonly Entry[];
  readonly leaderCommit: LogIndex;
  /**
   * Up to here the sender has counted the receiver's acknowledgements in this term; 0: none. A receiver
   * that holds less has lost what it promised to keep (evidence.ts).
   */
  readonly acknowledged: LogIndex;
  /** Echoed by the reply. Confirms leadership for reads that began before it was sent (§6.4). */
  readonly round: number;
}

export interface AppendAccepted extends Envelope {
  readonly kind: 'appendAccepted';
  /** The sender's log is durable and equal to the leader's up to and including this index. */
  readonly match: LogIndex;
  readonly round: number;
}

export interface AppendRejected extends Envelope {
  readonly kind: 'appendRejected';
  /** prev.index of the request that is answered, so that an old rejection can be told. */
  readonly rejected: LogIndex;
  /**
   * Where to go on: the term of the conflicting entry and the first index of that term; term 0 and
   * the index after the last entry when the log is too short (§5.3).
   */
  readonly hint: LogId;
  readonly round: number;
}

/** InstallSnapshot (Figure 13), one chunk. */
export interface SnapshotRequest extends Envelope {
  readonly kind: 'snapshot';
  readonly meta: SnapshotMeta;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly done: boolean;
  readonly round: number;
}

export interface SnapshotReply extends Envelope {
  readonly kind: 'snapshotReply';
  readonly lastIndex: LogIndex;
  /** The offset of the next byte that the follower wants; or INSTALLED, or DAMAGED (snapshot.ts). */
  readonly next: number;
  readonly round: number;
}

/** The leader asks its successor to campaign at once (§3.10). */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeoutNow';
}

/** Proposals handed on by a follower, once. */
export interface ForwardProposals extends Envelope {
  readonly kind: 'forward';
  /** Chosen by the sender; names the batch in the receipt. */
  readonly batch: number;
  readonly proposals: readonly Proposal[];
}

/**
 * What became of a forwarded batch. Sent before the entries themselves, on the same ordered link.
 * `first.index` 0 says that nothing was appended and nothing ever will be.
 */
export interface ForwardReceipt extends Envelope {
  readonly kind: 'forwardReceipt';
  readonly batch: number;
  readonly first: LogId;
  readonly refusal: RefusalReason | null;
}

/** A follower asks for the leader's commit index (§6.4). */
export interface ReadIndexRequest extends Envelope {
  readonly kind: 'readIndex';
  readonly read: number;
}

/** `index` -1: the leader can't tell, ask again with a fresh number. */
export interface ReadIndexReply extends Envelope {
  readonly kind: 'readIndexReply';
  readonly read: number;
  readonly index: LogIndex;
}

/** A follower hands an operator's membership change to the leader. */
export interface ForwardChange extends Envelope {
  readonly kind: 'forwardChange';
  readonly batch: number;
  readonly changes: readonly ConfigChange[];
  readonly data: Uint8Array;
  /** Compare-and-set on the configuration; -1 takes any. */
  readonly expectedConfigIndex: LogIndex;
}

export type Message =
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendAccepted
  | AppendRejected
  | SnapshotRequest
  | SnapshotReply
  | TimeoutNow
  | ForwardProposals
  | ForwardReceipt
  | ForwardChange
  | ReadIndexRequest
  | ReadIndexReply;

/** Why a proposal, a change or a transfer was refused: nothing was appended, nothing will be. */
export type RefusalReason =
  | 'noLeader'
  | 'notLeader'
  | 'overloaded'
  | 'transferring'
  | 'tooLarge'
  | 'changeInProgress'
  | 'notReady'
  | 'configMismatch'
  | 'invalidChange'
  | 'learnerBehind'
  | 'stopped';

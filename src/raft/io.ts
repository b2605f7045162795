// The contract between the core and its driver: inputs go in through step(), a Ready comes out.
//
//   loop: step(inputs that are here) ... while (ready = raft.ready())
//     1. make ready.entries, ready.hardState and ready.snapshot durable, in the order of the Readys
//     2. send ready.messages at once, without waiting for 1
//     3. send ready.afterPersist once 1 is done for this Ready and all before it,
//        and step({kind: 'persisted', ready: number})
//     4. apply ready.committed in order, answer the clients, step({kind: 'applied', index})
//     5. if ready.halt says so, stop for good: nothing else is in that Ready, and none follows
//
// Several Readys may be in flight. A failed write stops the node: `persisted` never comes.

import type { Message, RefusalReason } from './messages.ts';
import type {
  ConfigChange,
  Entry,
  HardState,
  LogId,
  LogIndex,
  NodeId,
  Proposal,
  SnapshotMeta,
  Term,
} from './types.ts';

export type Input =
  /**
   * `missed`: ticks that passed before this one while the process stood still. They count for what
   * must not outlive real time, a lease, and not for election timeouts, whose news is as old.
   */
  | { readonly kind: 'tick'; readonly missed?: number }
  | { readonly kind: 'receive'; readonly message: Message }
  | { readonly kind: 'propose'; readonly batch: number; readonly proposals: readonly Proposal[] }
  | {
      readonly kind: 'changeMembership';
      readonly batch: number;
      readonly changes: readonly ConfigChange[];
      readonly data: Uint8Array;
      readonly expectedConfigIndex: LogIndex;
    }
  | { readonly kind: 'transfer'; readonly to: NodeId }
  /** `read` is fresh at each attempt; a retry under an old number could see an old answer. */
  | { readonly kind: 'readIndex'; readonly read: number }
  | { readonly kind: 'campaign' }
  | { readonly kind: 'persisted'; readonly ready: number }
  | { readonly kind: 'applied'; readonly index: LogIndex }
  /** The state machine's state at `meta.last` is safe: the log before it may be compacted. */
  | { readonly kind: 'snapshotTaken'; readonly meta: SnapshotMeta }
  /** Bytes for a `snapshotReads` request. */
  | {
      readonly kind: 'snapshotChunk';
      readonly to: NodeId;
      readonly meta: SnapshotMeta;
      readonly offset: number;
      readonly data: Uint8Array;
      readonly done: boolean;
    }
  /**
   * A `snapshotWrites` chunk is in its file. With `done` the file is complete, durable and its
   * checksum right; `ok` false: it could not be used, the transfer starts again.
   */
  | {
      readonly kind: 'snapshotWritten';
      readonly from: NodeId;
      readonly meta: SnapshotMeta;
      /** Offset after the chunk. */
      readonly next: number;
      readonly done: boolean;
      readonly ok: boolean;
    }
  /** The driver could not send to or has lost the link to this peer. */
  | { readonly kind: 'unreachable'; readonly peer: NodeId };

/** The answer to a proposal: where it stands in the log, or that it stands nowhere. */
export interface Receipt {
  readonly batch: number;
  /** The place of the batch's first entry; the others follow it. Null when refused. */
  readonly first: LogId | null;
  readonly refusal: RefusalReason | null;
}

/** A read may be served once the state machine has applied `index`; null: ask again. */
export interface ReadState {
  readonly read: number;
  readonly index: LogIndex | null;
}

/** The driver shall read a chunk of its newest snapshot and step it in as `snapshotChunk`. */
export interface SnapshotRead {
  readonly to: NodeId;
  /** The snapshot being sent; null asks for the newest there is. */
  readonly meta: SnapshotMeta | null;
  readonly offset: number;
  /** The follower found the file damaged on its way: make a new one of the same state. */
  readonly afresh: boolean;
}

/**
 * The driver shall write a received chunk into the partial snapshot file of this sender (offset 0
 * begins it anew) and step `snapshotWritten`. Not part of what `persisted` reports.
 */
export interface SnapshotWrite {
  readonly from: NodeId;
  readonly meta: SnapshotMeta;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly done: boolean;
}

/**
 * Evidence that a promise was broken on which Raft rests. The replica does nothing more: it neither
 * votes nor acknowledges.
 * - `lostEntries`: it acknowledged entries up to `acknowledged` to `leader`, and has not got them all;
 * - `lostTerm`: it acknowledged something in `term`, and came back from before that term;
 * - `twoLeaders`: `leader` and `other` both lead `term`, so a vote was given twice.
 */
export type Halt =
  | {
      readonly kind: 'lostEntries';
      readonly leader: NodeId;
      readonly term: Term;
      readonly acknowledged: LogIndex;
      /** Where the own log ends; not below `acknowledged` if it holds other entries there. */
      readonly last: LogId;
    }
  | {
      readonly kind: 'lostTerm';
      readonly leader: NodeId;
      readonly term: Term;
      readonly acknowledged: LogIndex;
      readonly ownTerm: Term;
    }
  | {
      readonly kind: 'twoLeaders';
      readonly leader: NodeId;
      readonly other: NodeId;
      readonly term: Term;
    };

export interface Ready {
  /** 1, 2, 3, ...; named again in `persisted`. */
  readonly number: number;
  /** Null when unchanged. */
  readonly hardState: HardState | null;
  /** To append; the first one may overwrite a conflicting suffix of the stored log. */
  readonly entries: readonly Entry[];
  /** Chunks to write, in order. */
  readonly snapshotWrites: readonly SnapshotWrite[];
  /**
   * A received snapshot whose file is complete takes effect: record it in the log, which it
   * replaces (IS6, IS7), restore the state machine from it (IS8), step `applied` with its index,
   * and only then apply what follows. Null when there is none.
   */
  readonly snapshot: SnapshotMeta | null;
  readonly messages: readonly Message[];
  readonly afterPersist: readonly Message[];
  /** Durable here and committed: to apply, in order. */
  readonly committed: readonly Entry[];
  readonly receipts: readonly Receipt[];
  readonly reads: readonly ReadState[];
  readonly snapshotReads: readonly SnapshotRead[];
  /** True when any of hardState, entries, snapshot is to be made durable. */
  readonly mustPersist: boolean;
  /** Null for a replica in good order. */
  readonly halt: Halt | null;
}

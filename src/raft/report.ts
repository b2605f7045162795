// A frozen picture of one replica, for status pages, tests and the driver's own decisions. Readers
// never see live state.

import type { Configuration, LogId, LogIndex, NodeId, Term } from './types.ts';

export type RoleName = 'follower' | 'preCandidate' | 'candidate' | 'leader';
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface ProgressReport {
  readonly id: NodeId;
  readonly state: ProgressState;
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  readonly ticksSinceContact: number;
  readonly learner: boolean;
}

export interface RaftReport {
  readonly id: NodeId;
  readonly role: RoleName;
  readonly currentTerm: Term;
  readonly votedFor: NodeId;
  /** NO_NODE while none is known. */
  readonly leader: NodeId;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** Durable here. */
  readonly stableIndex: LogIndex;
  readonly last: LogId;
  /** The log before and including this index is compacted. */
  readonly compacted: LogId;
  readonly snapshotIndex: LogIndex;
  readonly config: Configuration;
  readonly configIndex: LogIndex;
  readonly uncommittedBytes: number;
  readonly pendingReads: number;
  readonly transferTarget: NodeId;
  /** Present on a leader only. */
  readonly progress: readonly ProgressReport[];
}

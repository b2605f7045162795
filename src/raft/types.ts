// The nouns of the core: ids, entries, configurations, and what is durable. Plain data, so that
// every layer (disk, wire, simulator, playground) can hold them without touching the algorithm.

/** Safe integers; 64-bit ids of the outside world are narrowed before they come here. */
export type Term = number;
export type LogIndex = number;
export type NodeId = number;
/** The log index of the entry that opened the session (dissertation §6.3); 0 means no session. */
export type SessionId = number;

/** A position in the log together with the term of the entry that stands there. */
export interface LogId {
  readonly term: Term;
  readonly index: LogIndex;
}

export const NO_NODE: NodeId = 0;
export const ORIGIN: LogId = { term: 0, index: 0 };
export const NO_DATA: Uint8Array = new Uint8Array(0);

/**
 * - `command`: a client's bytes, given to the state machine.
 * - `noop`: opens a term (dissertation §6.4).
 * - `config`: carries a whole configuration, in force as soon as it is in the log (§4.1).
 * - `openSession`, `closeSession`: begin and end a client session (§6.3).
 */
export type EntryKind = 'command' | 'noop' | 'config' | 'openSession' | 'closeSession';

/** One log entry. All fields are always present, so that every entry has the same hidden class. */
export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
  /** The session that repeats of this command are recognized by; 0 when there is none. */
  readonly session: SessionId;
  /** The command's number in its session, counted from 1; 0 when there is no session. */
  readonly sequence: number;
  /** Only entries of kind `config` have one. */
  readonly config: Configuration | null;
}

/** What a client hands in before the leader gives it a place in the log. */
export interface Proposal {
  readonly kind: 'command' | 'openSession' | 'closeSession';
  readonly data: Uint8Array;
  readonly session: SessionId;
  readonly sequence: number;
}

/**
 * Who counts. `voters` is the incoming half; `outgoing` is empty unless the configuration is joint
 * (§4.3), and then every decision needs a majority of both halves.
 */
export interface Configuration {
  readonly voters: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  /** Receive the log, never counted. Disjoint from both halves. */
  readonly learners: readonly NodeId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
}

/** One wish of a membership change. `addVoter` of a learner promotes it. */
export type ConfigChange =
  | { readonly kind: 'addVoter'; readonly node: NodeId }
  | { readonly kind: 'addLearner'; readonly node: NodeId }
  | { readonly kind: 'remove'; readonly node: NodeId };

/** Persisted before any message that depends on it (Figure 2, persistent state). */
export interface HardState {
  readonly currentTerm: Term;
  /** NO_NODE while this term's vote is not given. */
  readonly votedFor: NodeId;
  /** A hint that shortens recovery; losing it is harmless. */
  readonly commitIndex: LogIndex;
}

/** Which prefix of the log a snapshot replaces, and the configuration at that point. */
export interface SnapshotMeta {
  readonly last: LogId;
  readonly config: Configuration;
  /** The index of the configuration entry in force at `last`. */
  readonly configIndex: LogIndex;
}

/** All that a restarted node knows: what its storage recovered. */
export interface PersistentState {
  readonly hardState: HardState;
  /** The newest durable snapshot, or at a first start the initial configuration at index 0. */
  readonly snapshot: SnapshotMeta;
  /** Consecutive, the first one right after or within the snapshot's prefix. */
  readonly entries: readonly Entry[];
}

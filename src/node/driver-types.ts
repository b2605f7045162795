// What a driver is made of, and how others talk to it. Types only, so that the etcd layer, the
// simulator and the embedding API can be read without the loop itself.

import type { RaftConfig } from '../raft/config.ts';
import type { Input, Ready } from '../raft/io.ts';
import type { RaftReport, RoleName } from '../raft/report.ts';
import type {
  Configuration,
  Entry,
  LogIndex,
  NodeId,
  PersistentState,
  SnapshotMeta,
  Term,
} from '../raft/types.ts';
import type { LogStore } from '../storage/log-store.ts';
import type { PeerLink, Transport } from '../transport/transport.ts';
import type { Clock } from './clock.ts';
import type { KontikiError } from './errors.ts';
import type { Machine } from './machine.ts';

/** Gets exactly one of the two calls, once. An object, so that the hot path needs no closure. */
export interface ProposalSink {
  /** `result` is the machine's; the session's id for openSession; null for closeSession. */
  applied(result: unknown, index: LogIndex, term: Term): void;
  failed(error: KontikiError): void;
}

/** Gets exactly one of the two calls, once. */
export interface ReadSink {
  /** The state machine now includes all that was committed when the read was asked for. */
  ready(): void;
  failed(error: KontikiError): void;
}

/** The core as the driver needs it. Tests put a scripted one in its place. */
export interface Core {
  step(input: Input): void;
  ready(): Ready | null;
  /** Whether ready() would give anything. */
  readonly hasReady: boolean;
  report(): RaftReport;
  /** NO_NODE while none is known. */
  readonly leader: NodeId;
  readonly isLeader: boolean;
  readonly currentTerm: Term;
}

export type CreateCore = (
  config: RaftConfig,
  state: PersistentState,
  appliedIndex: LogIndex,
) => Core;

/** Replies of session commands are kept as bytes. The same on every node. */
export interface ReplyCodec {
  encode(result: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export interface DriverLimits {
  /** A proposal or read that waits longer fails. */
  readonly requestTimeoutMs: number;
  /** Proposals and reads without an answer, each; more fail as OVERLOADED. */
  readonly pendingMax: number;
  readonly pendingBytesMax: number;
  /** Applied entries since the last snapshot that make a new one due. */
  readonly snapshotCount: number;
  readonly snapshotChunkBytes: number;
  /** Applying goes on in the next turn once it took this long in one. */
  readonly applySliceMs: number;
  readonly applyEntriesMax: number;
  /** Nothing is applied while more than this waits in memory for the machine's own disk. */
  readonly machineBacklogBytesMax: number;
  /** Must be equal on all nodes: they evict the same session at the same log index. */
  readonly sessionsMax: number;
}

export const LIMITS: DriverLimits = {
  requestTimeoutMs: 5000,
  pendingMax: 50_000,
  pendingBytesMax: 128 * 1024 * 1024,
  snapshotCount: 100_000,
  snapshotChunkBytes: 256 * 1024,
  applySliceMs: 2,
  applyEntriesMax: 128,
  machineBacklogBytesMax: 512 * 1024 * 1024,
  sessionsMax: 1024,
};

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What a driver tells while it runs. All optional; all called synchronously, so keep them short. */
export interface DriverEvents {
  /** NO_NODE while none is known. Noticed at ticks. */
  leaderChanged?(leader: NodeId, term: Term, role: RoleName): void;
  /** A configuration entry entered this node's log; it counts from now on, but may yet go. */
  configAppended?(entry: Entry): void;
  configApplied?(entry: Entry): void;
  /** The state was replaced by a snapshot. */
  restored?(meta: SnapshotMeta): void;
  /** Commands that were applied, with their results, in order. */
  applied?(commands: readonly Entry[], results: readonly unknown[]): void;
  /** Once, at the end; null after stop(). */
  stopped?(error: KontikiError | null): void;
  log?(level: LogLevel, message: string): void;
}

export interface DriverOptions {
  readonly raft: RaftConfig;
  readonly tickMs: number;
  readonly clock: Clock;
  readonly store: LogStore;
  readonly transport: Transport;
  readonly machine: Machine;
  /** Used once, in an empty store. No voters: the node waits until a leader adds it. */
  readonly initialConfig: Configuration;
  readonly limits?: Partial<DriverLimits>;
  readonly replies?: ReplyCodec;
  readonly events?: DriverEvents;
  readonly createCore?: CreateCore;
}

export type DriverState = 'new' | 'running' | 'stopped' | 'failed';

/** A frozen picture; see RaftReport for the core's part. */
export interface DriverReport {
  readonly state: DriverState;
  readonly error: KontikiError | null;
  readonly raft: RaftReport;
  readonly pendingProposals: number;
  readonly pendingBytes: number;
  readonly pendingReads: number;
  /** Readys that are being made durable. */
  readonly persistsInFlight: number;
  /** How long the oldest of them has waited. */
  readonly persistOldestMs: number;
  /** True while this leader is silent because its disk does not answer. */
  readonly stalled: boolean;
  readonly applyBacklog: number;
  readonly sessions: number;
  readonly newestSnapshot: SnapshotMeta | null;
  readonly logBytes: number;
  /** Ticks left out because the event loop was late. */
  readonly ticksSkipped: number;
  readonly links: readonly PeerLink[];
}

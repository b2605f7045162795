// What goes into a simulation and what comes out. Plain data: a plan can be printed, changed and
// replayed, and a result can cross a thread.

import type { Explanation } from '../check/explain.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type { NodeId } from '../raft/types.ts';
import type { Theme } from './themes.ts';

/**
 * Kinds of trouble. A seed draws a subset (swarm testing: leaving some out finds more).
 * - links that only lose: `loss`, `delay`, `partition`, `flap`, `clog`, `reset` (all under way);
 * - links worse than TCP can be: `duplicate`, `reorder`; bytes that change on the way: `corrupt`;
 * - processes: `crash`, `crashAtOperation`, `pause`, `starve`, and `clock` (drift and steps);
 * - disks: `tornWrites` (a crash keeps any subset), `slowDisk`, `fsyncError`, `fullDisk`, `bitRot`,
 *   `staleSector`, `misdirected`, `lostDisk`; and those that forget what they confirmed (amnesia.ts):
 *   `oldImage`, `fsyncLie`;
 * - `ambush`: one of these, at the moment at which it does most harm (ambush.ts);
 * - operators: `membership`, `transfer`, `snapshot` (frequent ones), `campaign`.
 */
export const FAULT_CLASSES = [
  'loss',
  'delay',
  'partition',
  'flap',
  'clog',
  'reset',
  'duplicate',
  'reorder',
  'corrupt',
  'held',
  'crash',
  'crashAtOperation',
  'pause',
  'starve',
  'clock',
  'tornWrites',
  'slowDisk',
  'fsyncError',
  'fullDisk',
  'bitRot',
  'staleSector',
  'misdirected',
  'lostDisk',
  'oldImage',
  'fsyncLie',
  'ambush',
  'membership',
  'transfer',
  'snapshot',
  'campaign',
] as const;
export type FaultClass = (typeof FAULT_CLASSES)[number];

/** `core`: a small register machine over the whole node. `kv`: the multi-version store. */
export type Stack = 'core' | 'kv' | 'own';

/** Everything that a seed decides before the run begins. Times in virtual milliseconds. */
export interface Plan {
  /** The corner that this plan goes to; null for most (themes.ts). */
  readonly theme: Theme | null;
  readonly nodes: number;
  readonly durationMs: number;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly appendEntriesMax: number;
  readonly inflightMessagesMax: number;
  readonly trailingEntries: number;
  readonly leaseReads: boolean;
  readonly snapshotCount: number;
  readonly snapshotChunkBytes: number;
  readonly requestTimeoutMs: number;
  readonly segmentBytes: number;
  readonly alignBytes: number;
  readonly durableMachine: boolean;
  /** Messages pass through the wire codec, byte by byte. */
  readonly encode: boolean;
  /** The end of a turn comes this much after its first input; 0: at once. */
  readonly turnUs: number;
  readonly delayMs: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly reorderRate: number;
  readonly corruptRate: number;
  readonly queueMessagesMax: number;
  readonly syncMs: number;
  readonly driftPpm: number;
  /** Mean time between two faults. */
  readonly faultEveryMs: number;
  readonly classes: readonly FaultClass[];
  /**
   * Damage spares nothing: no quorum of whole disks need be left. The cluster may stop then, and is
   * not asked to live; what was acknowledged must not change or vanish all the same.
   */
  readonly beyondAtlas: boolean;
  readonly clients: number;
  /** All clients together. */
  readonly operationsPerSecond: number;
  readonly sessionShare: number;
  readonly readShare: number;
  readonly keys: number;
  readonly clientTimeoutMs: number;
  /** Mean time between two looks at the durable image of a disk. */
  readonly probeEveryMs: number;
  readonly liveness: boolean;
}

export interface SimulateOptions {
  readonly seed: number;
  readonly stack?: Stack;
  /** Replaces what the seed would have drawn. */
  readonly plan?: Partial<Plan>;
  /** Only the faults and operations of these numbers: how the shrinker makes a run smaller. */
  readonly only?: {
    readonly faults?: readonly number[];
    readonly operations?: readonly number[];
  };
  /** Only these properties count: what would one check alone have found? */
  readonly properties?: readonly string[];
  /** Called with every step of every core. */
  readonly onTrace?: (timeMs: number, event: TraceEvent) => void;
  /** Steps of the trace kept for the report. */
  readonly traceMax?: number;
}

/** A fact that must hold and did not. */
export interface Violation {
  /** The property's id: `A-01` and the like, see properties.ts. */
  readonly property: string;
  readonly message: string;
  readonly timeMs: number;
  readonly node: NodeId;
  /** Of a history that no order explains: what clients saw, the contradiction marked. */
  readonly explanation?: Explanation;
}

export interface FaultRecord {
  readonly number: number;
  readonly timeMs: number;
  readonly class: FaultClass;
  readonly what: string;
}

export interface SimStats {
  readonly simulatedMs: number;
  readonly events: number;
  readonly steps: number;
  readonly messages: number;
  readonly committed: number;
  readonly elections: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly unknown: number;
  readonly restarts: number;
  readonly snapshotsTaken: number;
  readonly snapshotsInstalled: number;
  readonly membershipChanges: number;
  /** Times each invariant was looked at. */
  readonly checks: Readonly<Record<string, number>>;
  /** Times each class of fault really happened. */
  readonly faults: Readonly<Partial<Record<FaultClass, number>>>;
  /** What should happen now and then in a sweep; a mark that never does makes it fail. */
  readonly marks: Readonly<Record<string, number>>;
}

export interface SimResult {
  readonly ok: boolean;
  readonly seed: number;
  readonly stack: Stack;
  readonly plan: Plan;
  readonly violation: Violation | null;
  /** The rolling hash over every event: equal for equal seeds. */
  readonly hash: string;
  readonly stats: SimStats;
  /** The faults that happened, in order. */
  readonly faults: readonly FaultRecord[];
  /** The numbers of the operations that clients called. */
  readonly operations: readonly number[];
  /** The last steps of all cores, oldest first. */
  readonly trace: readonly { readonly timeMs: number; readonly event: TraceEvent }[];
}

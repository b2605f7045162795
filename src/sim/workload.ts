// What clients do to a cluster and how their history is judged. The cluster around it does not know
// which state machine it runs: the register machine, the key-value store, or a user's own.

import type { ReplyCodec } from '../node/driver-types.ts';
import type { Machine } from '../node/machine.ts';
import type { NodeId } from '../raft/types.ts';
import type { AppliedTable } from './applied.ts';
import type { Cluster } from './cluster.ts';
import type { Judge } from './judge.ts';
import type { Prng } from './prng.ts';
import type { Process } from './process.ts';
import type { Plan } from './types.ts';
import type { World } from './world.ts';

/** What survives a crash of a machine that keeps its state on a disk of its own. */
export interface MachineCell {
  bytes: Uint8Array | null;
}

export interface Operation {
  /** Unique in the run, from 1. */
  readonly number: number;
  readonly isRead: boolean;
  /** The command; empty for a read. */
  readonly data: Uint8Array;
  /** The workload's own. */
  readonly input: unknown;
}

export interface WorkloadParts {
  readonly seed: number;
  readonly judge: Judge;
  readonly applied: AppliedTable;
  readonly keys: number;
  readonly readShare: number;
}

/** For what goes on beside the clients' calls. */
export interface Surroundings {
  readonly world: World;
  readonly seed: number;
  readonly plan: Plan;
  readonly cluster: Cluster;
}

export interface Workload {
  readonly replies: ReplyCodec;
  /** `cell` is null for a machine in memory. */
  createMachine(process: Process, node: NodeId, cell: MachineCell | null): Machine;
  /** The next thing that a client does. */
  next(number: number, client: number, chance: Prng): Operation;
  /** Reads from a machine that is up to date. */
  read(machine: Machine, operation: Operation): unknown;
  /** Client `process` calls; the result names the call. */
  called(process: number, operation: Operation): number;
  ok(call: number, result: unknown): void;
  failed(call: number): void;
  unknown(call: number): void;
  /** Before the first node starts. */
  begin?(surroundings: Surroundings): void;
  /** Whether everything has arrived that these nodes owe, from now on the only ones that count. */
  caughtUp?(nodes: ReadonlySet<NodeId>): boolean;
  /** Judges the history, at the end of a run. */
  finish(): void;
}

export type CreateWorkload = (parts: WorkloadParts) => Workload;

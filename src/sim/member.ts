// One node of the simulated cluster: what lives as long as its disk, and what one incarnation of its
// process has. Everything that runs in it is production code but clock, disk, wires and chance.

import type { Driver } from '../node/driver.ts';
import type { KontikiError } from '../node/errors.ts';
import type { Machine } from '../node/machine.ts';
import type { NodeId } from '../raft/types.ts';
import type { Transport } from '../transport/transport.ts';
import type { NodeShadow } from './node-shadow.ts';
import type { Process } from './process.ts';
import type { SimClock } from './sim-clock.ts';
import type { SimDisk } from './sim-disk.ts';
import type { MachineCell } from './workload.ts';

/**
 * - `down`: no process; may be started.
 * - `starting`, `running`: has a process.
 * - `broken`: its data is damaged and it refuses to start; it is replaced, never started again.
 * - `gone`: removed, or its disk is lost.
 */
export type MemberState = 'down' | 'starting' | 'running' | 'broken' | 'gone';

/** What one start of a node brings into being, and a kill takes away. */
export interface Incarnation {
  readonly process: Process;
  readonly clock: SimClock;
  readonly transport: Transport;
  machine: Machine | null;
  driver: Driver | null;
}

export class Member {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly shadow: NodeShadow;
  readonly driftPpm: number;
  /** Null for a state machine in memory. */
  readonly cell: MachineCell | null;
  /** One of the first nodes: an empty disk means the cluster's beginning. */
  readonly isFounder: boolean;
  state: MemberState = 'down';
  incarnation: Incarnation | null = null;
  starts = 0;
  /** Why it stopped by itself, last time it did. */
  error: KontikiError | null = null;
  /** Started again at this time, in microseconds; 0: not planned. */
  restartAt = 0;

  constructor(
    id: NodeId,
    disk: SimDisk,
    shadow: NodeShadow,
    options: { driftPpm: number; cell: MachineCell | null; isFounder: boolean },
  ) {
    this.id = id;
    this.disk = disk;
    this.shadow = shadow;
    this.driftPpm = options.driftPpm;
    this.cell = options.cell;
    this.isFounder = options.isFounder;
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }

  get driver(): Driver | null {
    return this.state === 'running' ? (this.incarnation?.driver ?? null) : null;
  }

  get machine(): Machine | null {
    return this.incarnation?.machine ?? null;
  }

  /** Has a disk with its data on it, though perhaps no process. */
  get isUsable(): boolean {
    return this.state !== 'broken' && this.state !== 'gone';
  }

  isPaused(now: number): boolean {
    return (this.incarnation?.process.pausedUntil ?? 0) > now;
  }
}

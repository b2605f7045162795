// The settings of one replica. Times are in ticks; the driver decides how long a tick is.

import type { NodeId } from './types.ts';

export interface RaftConfig {
  readonly id: NodeId;
  /** A follower campaigns after this many to twice as many ticks without a leader. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Uniform in [0, 1); drawn only for election timeouts. */
  readonly random: () => number;
  /** Ask before raising the term (§9.6). Off only to show the paper's figures as printed. */
  readonly preVote: boolean;
  /** A leader that hears no quorum for an election timeout steps down; followers that hear a
   * leader refuse votes (§4.2.3, §6.2). */
  readonly checkQuorum: boolean;
  /** A leader opens its term with an empty entry (§6.4). Off only for the paper's figures. */
  readonly noop: boolean;
  /** Reads without a round of heartbeats while the lease holds (§6.4.1). Needs checkQuorum. */
  readonly leaseReads: boolean;
  /** How much faster another clock may run than this one, in percent of the lease. */
  readonly leaseDriftPercent: number;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Bytes of entries that a leader holds uncommitted before it refuses proposals. */
  readonly uncommittedBytesMax: number;
  readonly entryBytesMax: number;
  /** Entries kept before a snapshot's last index for followers that are a little behind. */
  readonly trailingEntries: number;
  /** A learner may be promoted when it lacks at most this many entries. */
  readonly promoteLagMax: number;
}

export const DEFAULTS: Omit<RaftConfig, 'id' | 'random'> = {
  electionTicks: 10,
  heartbeatTicks: 1,
  preVote: true,
  checkQuorum: true,
  noop: true,
  leaseReads: false,
  leaseDriftPercent: 10,
  appendEntriesMax: 4096,
  appendBytesMax: 1024 * 1024,
  inflightMessagesMax: 256,
  inflightBytesMax: 16 * 1024 * 1024,
  uncommittedBytesMax: 256 * 1024 * 1024,
  entryBytesMax: 16 * 1024 * 1024,
  trailingEntries: 5000,
  promoteLagMax: 1000,
};

// The state machine as the driver sees it, below the typed one that users write. Batches, bytes and
// indexes only: a batch is all that became applicable in one turn.

import type { Entry, LogId } from '../raft/types.ts';

/** The driver's own replicated bookkeeping, kept inside the machine's state and snapshots. */
export interface Bookkeeping {
  /**
   * Names to bytes; a null value removes the name. Applied atomically with the batch. Complete only
   * after settle(): replies of session commands are part of it.
   */
  readonly puts: ReadonlyMap<string, Uint8Array | null>;
  /**
   * The machine calls this once, with one result a command, after it computed them and before it
   * reads `puts`. A machine that never calls it can't take commands of sessions.
   */
  settle(results: readonly unknown[]): void;
}

export interface ApplyBatch {
  /** The last entry of the batch; afterwards `machine.applied` equals it. */
  readonly last: LogId;
  /** Commands to apply, in log order; entries of other kinds and repeats are left out. */
  readonly commands: readonly Entry[];
  readonly bookkeeping: Bookkeeping;
}

export interface Machine {
  /** What the state includes. A durable machine starts above 0 after a restart. */
  readonly applied: LogId;
  /** The newest applied index whose state survives a crash; 0 for a machine in memory. */
  readonly durable: LogId;
  /** Bytes of applied changes that wait in memory for the machine's own disk; none when left out. */
  readonly backlogBytes?: number;
  /**
   * Applies a batch and returns one result a command, in order. Deterministic: no clock, no chance,
   * nothing but the state and the batch. Never throws for a command's content: a refusal is a
   * result. What it throws stops the node; a `diskProblem` of 'full' or 'failed' on the error says
   * that the machine's own disk is to blame.
   */
  apply(batch: ApplyBatch): unknown[];
  /**
   * For a machine that knows commands which take long: as apply(), or null when it is not done. Then
   * resume() is called, in later turns and once a turn, until it gives the results. In between the
   * machine is still at its former index for all that ask: reads see no part of the command, close()
   * gives it up, snapshot() and restore() are not called. Both methods or none.
   */
  begin?(batch: ApplyBatch): unknown[] | null;
  resume?(): unknown[] | null;
  /** Makes the state durable up to some index at or after the one given; resolves to it. */
  flush(): Promise<LogId>;
  /** The bookkeeping names that start with `prefix`, in order. */
  bookkeeping(prefix: string): Iterable<[name: string, value: Uint8Array]>;
  /**
   * A consistent image of the state at `applied`, fixed now, streamed later in pieces of at most
   * 64 KiB while apply() goes on. Includes the bookkeeping.
   */
  snapshot(): { readonly last: LogId; content(): AsyncIterable<Uint8Array> };
  /** Replaces the whole state by an image; atomic, also across a crash. */
  restore(last: LogId, content: AsyncIterable<Uint8Array>): Promise<void>;
  close(): Promise<void>;
}

// What the exit code of a command tells a script.

export const ExitCode = {
  OK: 0,
  /** Failed for a reason that no other code names; for `status`: the cluster is degraded. */
  FAILED: 1,
  /** The cluster can't serve. A write that ends so had no effect. */
  UNAVAILABLE: 2,
  /** `status` could ask nobody. */
  UNDETERMINED: 3,
  NOT_FOUND: 4,
  /** The condition of a conditional write did not hold; nothing was written. */
  CONFLICT: 5,
  /** The write may have been applied, or may still be. */
  OUTCOME_UNKNOWN: 6,
  USAGE: 64,
  INTERRUPTED: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

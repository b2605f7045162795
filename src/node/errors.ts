// The one error type that callers of a node see. Every failed write says whether it can still take
// effect, because that decides if the caller may simply try again.

import type { RefusalReason } from '../raft/messages.ts';
import { StorageError } from '../storage/log-store.ts';
import { TransportError } from '../transport/transport.ts';

/**
 * - `not-applied`: the command did not take effect and never will; trying again is safe.
 * - `unknown`: it may have taken effect, or may still do; only a session can repeat it safely.
 */
export type Outcome = 'not-applied' | 'unknown';

export type ErrorCode =
  | 'NOT_LEADER'
  | 'NO_LEADER'
  | 'OVERLOADED'
  | 'TOO_LARGE'
  | 'TIMEOUT'
  | 'STOPPED'
  | 'ABORTED'
  | 'LEADER_CHANGED'
  | 'RESULT_LOST'
  | 'SESSION_EXPIRED'
  | 'SEQUENCE_TOO_OLD'
  | 'TRANSFER_IN_PROGRESS'
  | 'TRANSFER_FAILED'
  | 'MEMBERSHIP_IN_PROGRESS'
  | 'MEMBERSHIP_NOT_READY'
  | 'MEMBERSHIP_CONFLICT'
  | 'MEMBERSHIP_INVALID'
  | 'MEMBERSHIP_LEARNER_BEHIND'
  | 'STORAGE_STALLED'
  | 'STORAGE_FULL'
  | 'STORAGE_FAILED'
  | 'STORAGE_CORRUPT'
  | 'STORAGE_LOCKED'
  | 'STORAGE_MISMATCH'
  | 'STORAGE_VERSION'
  | 'STORAGE_LOST'
  | 'TWO_LEADERS'
  | 'TRANSPORT_FAILED'
  | 'MACHINE_FAILED'
  | 'INTERNAL'
  | 'INVALID_OPTION'
  | 'INVALID_COMMAND'
  | 'READER_TOO_SLOW'
  /** Reserved for the check that compares the states of the nodes. */
  | 'NON_DETERMINISTIC_APPLY';

export class KontikiError extends Error {
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  /** The message without the code. */
  readonly text: string;

  /** `text` says what happened and what to do next. */
  constructor(code: ErrorCode, outcome: Outcome, text: string, options?: { cause?: unknown }) {
    super(`${code}: ${text}`, options);
    this.name = 'KontikiError';
    this.code = code;
    this.outcome = outcome;
    this.text = text;
  }

  /** The same reason for a caller whose own command fares differently. */
  withOutcome(outcome: Outcome): KontikiError {
    if (outcome === this.outcome) return this;
    return new KontikiError(this.code, outcome, this.text, { cause: this });
  }
}

const REFUSALS: Record<RefusalReason, readonly [ErrorCode, string]> = {
  noLeader: ['NO_LEADER', 'no leader is known. Try again; if it lasts, check that a quorum runs'],
  notLeader: ['NOT_LEADER', 'this node does not lead. Try again, or ask the leader'],
  overloaded: ['OVERLOADED', 'too much is waiting to be committed. Try again after a short pause'],
  transferring: ['TRANSFER_IN_PROGRESS', 'leadership is being handed over. Try again at once'],
  tooLarge: ['TOO_LARGE', 'the command exceeds the largest entry. Split it'],
  changeInProgress: [
    'MEMBERSHIP_IN_PROGRESS',
    'another membership change is under way. Try again once it is done',
  ],
  notReady: [
    'MEMBERSHIP_NOT_READY',
    'the leader has not committed an entry of its own term yet. Try again in a moment',
  ],
  configMismatch: [
    'MEMBERSHIP_CONFLICT',
    'the configuration changed since you read it. Read report() again and decide anew',
  ],
  invalidChange: [
    'MEMBERSHIP_INVALID',
    'the change makes no valid configuration (empty, or it says two things of one node)',
  ],
  learnerBehind: [
    'MEMBERSHIP_LEARNER_BEHIND',
    'the learner lacks too many entries to vote. Try again when it has caught up',
  ],
  stopped: ['STOPPED', 'the node is stopped'],
};

/** Refusals are definite: nothing was appended and nothing will be. */
export function refusalError(reason: RefusalReason): KontikiError {
  const [code, text] = REFUSALS[reason];
  return new KontikiError(code, 'not-applied', `${text}.`);
}

const STORAGE_CODES: Record<StorageError['code'], ErrorCode> = {
  LOCKED: 'STORAGE_LOCKED',
  IDENTITY_MISMATCH: 'STORAGE_MISMATCH',
  CORRUPT: 'STORAGE_CORRUPT',
  UNSUPPORTED_VERSION: 'STORAGE_VERSION',
  LOST: 'STORAGE_LOST',
  FULL: 'STORAGE_FULL',
  IO: 'STORAGE_FAILED',
};

/** What storage threw, as a KontikiError that keeps the original as its cause. */
export function storageError(error: unknown): KontikiError {
  if (error instanceof KontikiError) return error;
  const code = error instanceof StorageError ? STORAGE_CODES[error.code] : machineDiskCode(error);
  return new KontikiError(code, 'unknown', messageOf(error), { cause: error });
}

/** Why a node could not start. */
export function startError(error: unknown): KontikiError {
  if (error instanceof KontikiError) return error;
  if (error instanceof StorageError) return storageError(error);
  const code = error instanceof TransportError ? 'TRANSPORT_FAILED' : 'INTERNAL';
  return new KontikiError(code, 'not-applied', messageOf(error), { cause: error });
}

/** An exception that nobody expected: a broken assumption, or a caller's callback that threw. */
export function internalError(error: unknown): KontikiError {
  if (error instanceof KontikiError) return error;
  const text = `${messageOf(error)}. The node has stopped: please report this with the stack.`;
  return new KontikiError('INTERNAL', 'unknown', text, { cause: error });
}

/** What a call gets once the node was stopped. */
export function stoppedError(outcome: Outcome): KontikiError {
  const text = 'the node was stopped before the answer was known. Ask another node.';
  return new KontikiError('STOPPED', outcome, text);
}

/** The node failed: what a caller gets whose call has its own outcome. */
export function endedError(error: KontikiError, outcome: Outcome): KontikiError {
  return new KontikiError('STOPPED', outcome, `the node failed: ${error.message}`, {
    cause: error,
  });
}

/** A state machine's error may say that its own disk is to blame, see Machine.apply. */
export function diskProblemOf(error: unknown): 'full' | 'failed' | null {
  const { diskProblem } = (error ?? {}) as { diskProblem?: unknown };
  return diskProblem === 'full' || diskProblem === 'failed' ? diskProblem : null;
}

function machineDiskCode(error: unknown): ErrorCode {
  return diskProblemOf(error) === 'full' ? 'STORAGE_FULL' : 'STORAGE_FAILED';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// What the revision checker is asked and what it answers.

import type { Verdict } from './history.ts';
import type { KeyValue, RevisionEvents } from './kv-history.ts';

export interface RevisionOptions {
  /** The store before the history. Default: empty, at revision 1. */
  readonly initial?: { readonly revision: number; readonly kvs: readonly KeyValue[] } | undefined;
  /**
   * What a watch of every key was told: evidence for writes whose clients learnt nothing. It may
   * start late, end early and have gaps. Check the watch itself with `checkWatch`.
   */
  readonly events?: readonly RevisionEvents[] | undefined;
  /** Operations that may be replayed, again and again if unknown writes are ambiguous. */
  readonly stepsMax?: number | undefined;
  /** For tests: wrong choices after which the checker begins to remember them and to look ahead. */
  readonly failuresFree?: number | undefined;
  /** Also return the events of each revision, as a watch of every key should have told them. */
  readonly collectEvents?: boolean | undefined;
}

export type ViolationKind =
  /** Two writes claim one revision, or a write claims one that existed before. */
  | 'revisionReused'
  /** A revision exists that no recorded write can have made. */
  | 'revisionFromNowhere'
  /** One write of unknown outcome would have to have made two revisions. */
  | 'appliedTwice'
  /** Real time orders two operations one way, their revisions the other. */
  | 'realTime'
  /** An answer differs from the state at the revision it names. */
  | 'wrongAnswer';

export interface RevisionViolation {
  readonly kind: ViolationKind;
  readonly revision: number;
  readonly message: string;
  /** Indexes into the history of the operations that contradict each other, one to three. */
  readonly operations: number[];
}

export interface RevisionResult {
  readonly verdict: Verdict;
  readonly violation?: RevisionViolation | undefined;
  readonly steps: number;
  /** Which write of unknown outcome made which revision, in the order found; legal only. */
  readonly unknownWrites: { readonly revision: number; readonly operation: number }[];
  /** If asked for and legal. */
  readonly events?: RevisionEvents[] | undefined;
}

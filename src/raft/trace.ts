// One typed event per step: what came in, which rules acted, what changed, and for refusals why
// not. The playground draws it, a live node keeps the last ones, the simulator checks them. Costs
// one comparison a rule while nobody listens.

import type { Halt } from './io.ts';
import type { RoleName } from './report.ts';
import type { LogId, LogIndex, NodeId, Term } from './types.ts';

/** Raised when a field changes its meaning; readers refuse what they don't know. */
export const TRACE_VERSION = 1;

/**
 * Figure 2 and Figure 13 by their place in the paper; beyond them the dissertation's section.
 * docs/FIGURE2.md lists each with its function and its test.
 */
export type Rule =
  | 'AE1'
  | 'AE2'
  | 'AE3'
  | 'AE4'
  | 'AE5'
  | 'RV1'
  | 'RV2'
  | 'All1'
  | 'All2'
  | 'Fol1'
  | 'Fol2'
  | 'Cand1'
  | 'Cand2'
  | 'Cand3'
  | 'Cand4'
  | 'Lead1'
  | 'Lead2'
  | 'Lead3'
  | 'Lead4'
  | 'IS1'
  | 'IS2'
  | 'IS3'
  | 'IS4'
  | 'IS5'
  | 'IS6'
  | 'IS7'
  | 'IS8'
  | '§3.4'
  | '§3.8'
  | '§3.10'
  | '§4.1'
  | '§4.2.1'
  | '§4.2.2'
  | '§4.2.3'
  | '§4.3'
  | '§6.2'
  | '§6.4'
  | '§6.4.1'
  | '§9.6'
  | '§10.2';

/** What a step may change, small enough to keep in a ring of thousands. */
export interface TraceState {
  readonly role: RoleName;
  readonly term: Term;
  readonly votedFor: NodeId;
  readonly leader: NodeId;
  readonly commitIndex: LogIndex;
  readonly stableIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly last: LogId;
}

export interface Citation {
  readonly rule: Rule;
  /** What the rule did, or why it refused, in words; may be empty. */
  readonly note: string;
}

export interface TraceEvent {
  readonly version: typeof TRACE_VERSION;
  readonly node: NodeId;
  /** 1, 2, 3, ... since this replica started. */
  readonly step: number;
  /** The input's kind; for a message `receive append` and the like. */
  readonly input: string;
  /** The sender of the message, or NO_NODE. */
  readonly from: NodeId;
  readonly rules: readonly Citation[];
  /** The step found that this replica must stop; null for all others. */
  readonly halt: Halt | null;
  readonly was: TraceState;
  readonly now: TraceState;
}

export type TraceListener = (event: TraceEvent) => void;

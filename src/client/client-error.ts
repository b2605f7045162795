// Why a call failed, and for a write the one thing its caller must know: can it have happened?

import { Code, EtcdError } from '../api/errors.ts';

/** 'not-applied': surely had no effect. 'unknown': may have happened, or may still happen. */
export type Outcome = 'not-applied' | 'unknown';

export class ClientError extends EtcdError {
  override readonly name = 'ClientError';
  /** null for calls that change nothing. */
  readonly outcome: Outcome | null;
  /** Who was asked last; empty if nobody was. */
  readonly endpoint: string;

  constructor(failure: {
    readonly code: number;
    readonly text: string;
    readonly outcome: Outcome | null;
    readonly endpoint: string;
  }) {
    super(failure);
    this.outcome = failure.outcome;
    this.endpoint = failure.endpoint;
  }

  /** The server's words, unchanged. */
  get text(): string {
    return this.message;
  }
}

/** Codes by which etcd refuses a request for what it says, before or instead of applying it. */
const REFUSALS: ReadonlySet<number> = new Set([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.PERMISSION_DENIED,
  Code.RESOURCE_EXHAUSTED,
  Code.FAILED_PRECONDITION,
  Code.OUT_OF_RANGE,
  Code.UNAUTHENTICATED,
]);

/**
 * What a failed write's error says about its effect. The prefix matters: the same codes come from
 * the RPC layers too, where RESOURCE_EXHAUSTED can mean that the answer, not the request, was too
 * large.
 */
export function outcomeOf(error: { code: number; message: string; sent: boolean }): Outcome {
  if (!error.sent) return 'not-applied';
  if (error.code === Code.UNIMPLEMENTED) return 'not-applied';
  const refused = REFUSALS.has(error.code) && error.message.startsWith('etcdserver: ');
  return refused ? 'not-applied' : 'unknown';
}

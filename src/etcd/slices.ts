// Long reads in slices: each takes about a millisecond of a turn, however quick the keys come.

import type { UnaryCall } from '../grpc/calls.ts';

const SLICE_MS = 1;
/** Keys between two looks at the clock: half a millisecond on a machine that is not busy. */
const STEP_KEYS = 200;

/** Work that a caller may also lose interest in. */
export interface SlicedJob<T> {
  /** Works on about `budget` keys; the result when it is complete, null when it is not. */
  step(budget: number): T | null;
  abandon(): void;
}

/** The first slice at once, the others in the turns after it, until the result or the end of the call. */
export function inSlices<T>(call: UnaryCall, job: SlicedJob<T>, done: (result: T) => void): void {
  const result = sliceOf(job);
  if (result !== null) return done(result);
  if (call.ended) return job.abandon();
  setImmediate(() => inSlices(call, job, done));
}

function sliceOf<T>(job: SlicedJob<T>): T | null {
  const until = performance.now() + SLICE_MS;
  let result: T | null;
  do result = job.step(STEP_KEYS);
  while (result === null && performance.now() < until);
  return result;
}

// Reading a store: the one that commands change, or a picture of it.

import { type ErrorStatus, etcdErrors } from '../api/errors.ts';
import type { RangeRequest } from '../api/kv.ts';
import type { RangeResult } from '../api/results.ts';
import type { Snapshot, View } from './backend.ts';
import { RangeJob, type RangePlan, rangeOne } from './range.ts';
import { SharedSnapshot } from './shared-snapshot.ts';

export abstract class StoreReads {
  abstract readonly view: View;
  /** What reads see as current. */
  abstract readonly readRevision: number;
  /** -1 before the first compaction. */
  abstract readonly compactRevision: number;
  /** A view that stays as it is now. */
  abstract pin(): Snapshot;

  range(request: RangeRequest): RangeResult | ErrorStatus {
    const plan = this.#plan(request);
    if ('text' in plan) return plan;
    if (request.rangeEnd.length === 0) return rangeOne(this.view, plan);
    return this.#job(plan).step(Infinity)!;
  }

  /** A range that is to be evaluated in slices; writes may go on between them. */
  startRange(request: RangeRequest): RangeJob | ErrorStatus {
    const plan = this.#plan(request);
    return 'text' in plan ? plan : this.#job(plan);
  }

  /** Whether a read at a revision named by a client inside of a transaction is possible. */
  checkRevision(revision: number): ErrorStatus | null {
    return revision === 0 ? null : this.#checkReadable(revision);
  }

  #plan(request: RangeRequest): RangePlan | ErrorStatus {
    const current = this.readRevision;
    const revision = request.revision > 0 ? request.revision : current;
    const error = this.#checkReadable(revision);
    if (error !== null) return error;
    return { request, revision, isNewest: revision === current, headerRevision: current };
  }

  #job(plan: RangePlan): RangeJob {
    return new RangeJob(plan, this.view, () => this.pin());
  }

  #checkReadable(revision: number): ErrorStatus | null {
    if (revision > this.readRevision) return etcdErrors.futureRevision;
    return revision < this.compactRevision ? etcdErrors.compacted : null;
  }
}

/** A picture of a store between two commands. Release it: it holds disk space. */
export class FrozenStore extends StoreReads {
  override readonly view: Snapshot;
  override readonly readRevision: number;
  override readonly compactRevision: number;
  readonly #snapshot: SharedSnapshot;

  constructor(store: StoreReads) {
    super();
    this.#snapshot = new SharedSnapshot(store.pin());
    this.view = this.#snapshot.share();
    this.readRevision = store.readRevision;
    this.compactRevision = store.compactRevision;
  }

  override pin(): Snapshot {
    return this.#snapshot.share();
  }

  /** Reads that were begun may go on. */
  release(): void {
    this.view.release();
  }
}

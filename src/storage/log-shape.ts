// The outline of the stored log: where it begins and ends and which terms it has, without entries.
// The running log and recovery both keep it by the same rules, so that what one decided (does a
// snapshot match the log?) the other reproduces.

import type { Entry, LogId, LogIndex, SnapshotMeta, Term } from '../raft/types.ts';

interface TermRun {
  /** The first index of this term. */
  readonly index: LogIndex;
  readonly term: Term;
}

export class LogShape {
  #base: SnapshotMeta;
  #last: LogId;
  /** Rising indexes and terms; covers base.last to last where the log knows the terms. */
  #runs: TermRun[];

  constructor(base: SnapshotMeta, last: LogId) {
    this.#base = base;
    this.#last = last;
    this.#runs = [{ index: base.last.index, term: base.last.term }];
    // The entries between were in segments that are gone; only the two ends are known.
    if (last.index > base.last.index && last.term !== base.last.term) {
      this.#runs.push({ index: last.index, term: last.term });
    }
  }

  get base(): SnapshotMeta {
    return this.#base;
  }

  get last(): LogId {
    return this.#last;
  }

  /** Says why the entries can't continue the log; null when they can. */
  problemWith(entries: readonly Entry[]): string | null {
    const first = entries[0];
    if (first === undefined) return null;
    if (first.index <= this.#base.last.index) {
      return `entry ${first.index} lies before the compacted entry ${this.#base.last.index}`;
    }
    if (first.index > this.#last.index + 1) {
      return `entry ${first.index} leaves a hole after entry ${this.#last.index}`;
    }
    let term = first.index === this.#last.index + 1 ? this.#last.term : 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.index !== first.index + i) return `entry ${entry.index} is out of order`;
      if (entry.term < term) return `entry ${entry.index} has a lower term than the one before`;
      term = entry.term;
    }
    return null;
  }

  /** entries[from, to) replace everything from the first of them on. */
  append(entries: readonly Entry[], from = 0, to = entries.length): void {
    if (from === to) return;
    const first = entries[from]!;
    if (first.index <= this.#last.index) this.#truncateFrom(first.index);
    let term = this.#runs.at(-1)?.term ?? -1;
    for (let i = from; i < to; i++) {
      const entry = entries[i]!;
      if (entry.term === term) continue;
      term = entry.term;
      this.#runs.push({ index: entry.index, term });
    }
    const last = entries[to - 1]!;
    this.#last = { term: last.term, index: last.index };
  }

  /** IS6: does the log hold the snapshot's last entry, so that what follows it may stay? */
  matches(last: LogId): boolean {
    return last.index <= this.#last.index && this.#termAt(last.index) === last.term;
  }

  install(meta: SnapshotMeta, keepSuffix: boolean): void {
    if (keepSuffix) return this.compact(meta);
    this.#base = meta;
    this.#last = meta.last;
    this.#runs = [{ index: meta.last.index, term: meta.last.term }];
  }

  compact(meta: SnapshotMeta): void {
    this.#base = meta;
    while (this.#runs.length > 1 && this.#runs[1]!.index <= meta.last.index) this.#runs.shift();
  }

  #termAt(index: LogIndex): Term | null {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      if (this.#runs[i]!.index <= index) return this.#runs[i]!.term;
    }
    return null;
  }

  #truncateFrom(index: LogIndex): void {
    while (this.#runs.length > 0 && this.#runs.at(-1)!.index >= index) this.#runs.pop();
  }
}

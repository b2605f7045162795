// A log as hashes: for each index the term and a hash of the whole log up to there. Two logs that
// agree in one hash agree in all before it, so comparing logs is comparing numbers.

import type { Entry, LogIndex, Term } from '../raft/types.ts';
import { hashBytes, mix32 } from './prng.ts';

const KINDS: Record<Entry['kind'], number> = {
  command: 1,
  noop: 2,
  config: 3,
  openSession: 4,
  closeSession: 5,
};

/** A hash of one entry's content and place, continued from the hash of the log before it. */
export function chain(before: number, entry: Entry): number {
  let h = mix32(before, entry.term);
  h = mix32(h, entry.index);
  h = mix32(h, KINDS[entry.kind] ^ (entry.session << 3) ^ (entry.sequence << 17));
  h = hashBytes(h, entry.data);
  if (entry.config !== null) {
    const { voters, outgoing, learners, learnersNext } = entry.config;
    for (const ids of [voters, outgoing, learners, learnersNext]) {
      h = mix32(h, ids.length);
      for (const id of ids) h = mix32(h, id);
    }
  }
  return h;
}

export class ShadowLog {
  /** What is known begins after this index. */
  #base: LogIndex = 0;
  #terms: Term[] = [0];
  #chains: number[] = [0];

  get lastIndex(): LogIndex {
    return this.#base + this.#terms.length - 1;
  }

  get lastTerm(): Term {
    return this.#terms[this.#terms.length - 1]!;
  }

  get base(): LogIndex {
    return this.#base;
  }

  /** Undefined before the base and after the end. */
  termAt(index: LogIndex): Term | undefined {
    return this.#terms[index - this.#base];
  }

  chainAt(index: LogIndex): number | undefined {
    return this.#chains[index - this.#base];
  }

  /** The log is replaced by a snapshot up to `index`. */
  reset(index: LogIndex, term: Term, hash: number): void {
    this.#base = index;
    this.#terms = [term];
    this.#chains = [hash];
  }

  /** Drops `from` and all after it. */
  truncate(from: LogIndex): void {
    const keep = Math.max(1, from - this.#base);
    if (keep < this.#terms.length) {
      this.#terms.length = keep;
      this.#chains.length = keep;
    }
  }

  push(term: Term, hash: number): void {
    this.#terms.push(term);
    this.#chains.push(hash);
  }

  /** Forgets what is far in the past, a lot at once. */
  trim(before: LogIndex): void {
    const count = before - this.#base;
    if (count < 4096 || count >= this.#terms.length) return;
    this.#terms.splice(0, count);
    this.#chains.splice(0, count);
    this.#base += count;
  }

  clone(): ShadowLog {
    const copy = new ShadowLog();
    copy.#base = this.#base;
    copy.#terms = [...this.#terms];
    copy.#chains = [...this.#chains];
    return copy;
  }
}

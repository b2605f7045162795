// Gathers KeyValues in an order of their own, in slices: small runs are sorted as they fill up, and
// merged two at a time at the end. What a limit cuts off is dropped on the way.

interface Pair<K> {
  readonly kv: Uint8Array;
  readonly key: K;
}

const RUN_PAIRS = 1024;

export class SortedKvs<K> {
  readonly #keyOf: (kv: Uint8Array) => K;
  readonly #order: (a: K, b: K) => number;
  readonly #limit: number;
  /** All runs but the last are sorted; a run comes before what was added after it. */
  #runs: Pair<K>[][] = [];
  #run: Pair<K>[] = [];
  #merged: Pair<K>[][] = [];
  #merge: Merge<K> | null = null;
  readonly #out: Uint8Array[] = [];
  #added = 0;

  /** `order` of equal ones is that in which they were added. `limit` Infinity keeps all. */
  constructor(keyOf: (kv: Uint8Array) => K, order: (a: K, b: K) => number, limit: number) {
    this.#keyOf = keyOf;
    this.#order = order;
    this.#limit = limit;
  }

  /** How many were added, kept or not. */
  get added(): number {
    return this.#added;
  }

  add(kv: Uint8Array): void {
    this.#added++;
    this.#run.push({ kv, key: this.#keyOf(kv) });
    if (this.#run.length === RUN_PAIRS) this.#endRun();
  }

  /** Moves about `budget` of them; once that is done, all in order up to the limit, through `leave`. */
  finish(budget: number, leave: (kv: Uint8Array) => Uint8Array): Uint8Array[] | null {
    if (this.#run.length > 0) this.#endRun();
    for (let left = budget; left > 0; ) {
      this.#merge ??= this.#nextMerge();
      if (this.#merge === null) return this.#handOut(left, leave);
      left -= this.#merge.step(left);
      if (!this.#merge.isDone) return null;
      this.#merged.push(this.#merge.out);
      this.#merge = null;
    }
    return null;
  }

  #handOut(budget: number, leave: (kv: Uint8Array) => Uint8Array): Uint8Array[] | null {
    const run = this.#runs[0] ?? [];
    const until = Math.min(run.length, this.#out.length + budget);
    while (this.#out.length < until) this.#out.push(leave(run[this.#out.length]!.kv));
    return this.#out.length === run.length ? this.#out : null;
  }

  #endRun(): void {
    const { compare } = this;
    const run = this.#run.sort(compare);
    this.#run = [];
    if (run.length > this.#limit) run.length = this.#limit;
    this.#runs.push(run);
  }

  readonly compare = (a: Pair<K>, b: Pair<K>): number => this.#order(a.key, b.key);

  /** Of the next two runs; null when only one is left. */
  #nextMerge(): Merge<K> | null {
    if (this.#runs.length < 2) {
      // One round through all runs is over: what it made are the runs of the next.
      if (this.#merged.length === 0) return null;
      this.#runs = [...this.#merged, ...this.#runs];
      this.#merged = [];
      if (this.#runs.length < 2) return null;
    }
    const [first, second, ...rest] = this.#runs as [Pair<K>[], Pair<K>[], ...Pair<K>[][]];
    this.#runs = rest;
    return new Merge(first, second, this.compare, this.#limit);
  }
}

class Merge<K> {
  readonly out: Pair<K>[] = [];
  readonly #first: Pair<K>[];
  readonly #second: Pair<K>[];
  readonly #compare: (a: Pair<K>, b: Pair<K>) => number;
  readonly #length: number;
  #i = 0;
  #j = 0;

  constructor(
    first: Pair<K>[],
    second: Pair<K>[],
    compare: (a: Pair<K>, b: Pair<K>) => number,
    limit: number,
  ) {
    this.#first = first;
    this.#second = second;
    this.#compare = compare;
    this.#length = Math.min(limit, first.length + second.length);
  }

  get isDone(): boolean {
    return this.out.length === this.#length;
  }

  step(budget: number): number {
    const until = Math.min(this.#length, this.out.length + budget);
    const from = this.out.length;
    while (this.out.length < until) this.out.push(this.#take());
    return Math.max(1, until - from);
  }

  #take(): Pair<K> {
    const a = this.#first[this.#i];
    const b = this.#second[this.#j];
    const isFirst = b === undefined || (a !== undefined && this.#compare(a, b) <= 0);
    if (isFirst) this.#i++;
    else this.#j++;
    return isFirst ? a! : b;
  }
}

// The search of Wing and Gong with the memory of Lowe: try to put the operations of one history
// in an order that respects real time and that a sequential model accepts.
//
// A depth-first search whose levels are the operations that change the state. Three rules keep it
// small without losing an answer:
// - A read that is possible now is placed at once and never taken back: if any order completes
//   from here, so does the one with that read moved to the front.
// - Operations of unknown outcome need not come at all. They come last, only where they change
//   the state, and only to enable what could not come without them.
// - A configuration is expanded once (ConfigSet), and not at all if one was that had used fewer
//   of the unknown operations.

import { type BitWindow, ConfigSet, withRoom } from './config-set.ts';
import type { Operation, Verdict } from './history.ts';
import type { Model } from './models.ts';

export interface SearchOptions<S> {
  /** The budget, counted in steps of the model. */
  readonly stepsMax: number;
  /** 32-bit words the memory of configurations may take. */
  readonly memoWordsMax: number;
  /** Where to start, instead of the model's initial state. */
  readonly from?: S | undefined;
  readonly hashMask?: number | undefined;
}

export interface SearchResult {
  readonly verdict: Verdict;
  readonly steps: number;
  /**
   * Positions in the input. Legal: a complete legal order. Otherwise the longest order found.
   * Operations of unknown outcome that were not needed are missing.
   */
  readonly order: number[];
}

/** Operations that failed, and reads of unknown outcome, must have been left out. */
export function searchOrder<S, In, Out>(
  operations: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
  options: SearchOptions<S>,
): SearchResult {
  return new Search(operations, model, options).run();
}

class Search<S, In, Out> {
  readonly #model: Model<S, In, Out>;
  readonly #stepsMax: number;
  #steps = 0;

  // Operations that returned come first, in the order of their calls; then the optional ones, of
  // unknown outcome, likewise. An operation is known by its place in this sequence.
  readonly #positions: Int32Array;
  readonly #inputs: In[] = [];
  readonly #outputs: (Out | undefined)[] = [];
  readonly #isRead: Uint8Array;
  readonly #returned: number;
  readonly #optionalCalls: Float64Array;
  readonly #returnTimes: Float64Array;

  // A doubly linked list of the calls and returns of operations not placed, in time order. Node 0
  // is both ends. A call holds its operation, a return the complement of it.
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  readonly #nodeOp: Int32Array;
  readonly #callNode: Int32Array;
  readonly #returnNode: Int32Array;

  readonly #window: BitWindow;
  readonly #optionalBits: Int32Array;
  // The first returned operation that is not placed, and the last that is.
  #base = 0;
  #high = -1;

  readonly #states: S[] = [];
  readonly #stateIds = new Map<string | number, number>();
  readonly #memo: ConfigSet;

  // Placed operations in order. Level k placed those from levelStart[k] on: its own choice and
  // what followed from it without changing the state.
  readonly #placed: Int32Array;
  #placedCount = 0;
  #placedReturned = 0;
  readonly #levelStart: Int32Array;
  readonly #levelBase: Int32Array;
  readonly #levelHigh: Int32Array;
  readonly #levelState: Int32Array;
  readonly #levelChoice: Int32Array;
  readonly #levelChoiceEnd: Int32Array;
  #levels = 0;
  // Pairs of an operation and the state it leads to; a level owns a stretch.
  #choices = new Int32Array(256);
  #choicesUsed = 0;

  readonly #best: Int32Array;
  #bestCount = 0;
  // Below this the best order and the current one agree, so a new best copies only the rest.
  #bestAgrees = 0;

  constructor(
    operations: readonly Operation<In, Out>[],
    model: Model<S, In, Out>,
    options: SearchOptions<S>,
  ) {
    this.#model = model;
    this.#stepsMax = options.stepsMax;
    this.#positions = sequence(operations);
    const total = this.#positions.length;
    for (const p of this.#positions) {
      this.#inputs.push(operations[p]!.input);
      this.#outputs.push(operations[p]!.outcome === 'ok' ? operations[p]!.output : undefined);
    }
    this.#isRead = Uint8Array.from(this.#inputs, (input, op) =>
      model.isRead(input, this.#outputs[op]) ? 1 : 0,
    );
    this.#returned = operations.reduce((n, op) => n + (op.outcome === 'ok' ? 1 : 0), 0);
    const optional = total - this.#returned;
    this.#optionalCalls = new Float64Array(optional);
    for (let u = 0; u < optional; u++) {
      this.#optionalCalls[u] = operations[this.#positions[this.#returned + u]!]!.callTime;
    }
    this.#returnTimes = new Float64Array(this.#returned);
    const calls = new Float64Array(this.#returned);
    for (let op = 0; op < this.#returned; op++) {
      this.#returnTimes[op] = operations[this.#positions[op]!]!.returnTime;
      calls[op] = operations[this.#positions[op]!]!.callTime;
    }

    this.#nodeOp = eventNodes(calls, this.#returnTimes);
    const nodes = this.#nodeOp.length;
    this.#next = new Int32Array(nodes);
    this.#prev = new Int32Array(nodes);
    this.#callNode = new Int32Array(this.#returned);
    this.#returnNode = new Int32Array(this.#returned);
    for (let node = 0; node < nodes; node++) {
      this.#next[node] = node + 1 === nodes ? 0 : node + 1;
      this.#prev[node] = node === 0 ? nodes - 1 : node - 1;
      const op = this.#nodeOp[node]!;
      if (node === 0) continue;
      if (op >= 0) this.#callNode[op] = node;
      else this.#returnNode[~op] = node;
    }

    const optionalWords = (optional + 31) >> 5;
    const words = new Int32Array((this.#returned + 31) >> 5);
    this.#window = { words, firstWord: 0, lastWord: -1 };
    this.#optionalBits = new Int32Array(optionalWords);
    this.#memo = new ConfigSet({
      optionalWords,
      wordsMax: options.memoWordsMax,
      hashMask: options.hashMask,
    });
    this.#placed = new Int32Array(total);
    this.#best = new Int32Array(total);
    this.#levelStart = new Int32Array(total + 1);
    this.#levelBase = new Int32Array(total + 1);
    this.#levelHigh = new Int32Array(total + 1);
    this.#levelState = new Int32Array(total + 1);
    this.#levelChoice = new Int32Array(total + 1);
    this.#levelChoiceEnd = new Int32Array(total + 1);
    this.#stateId(options.from ?? model.init());
  }

  run(): SearchResult {
    this.#openLevel();
    this.#expand(0, -1);
    while (this.#levels > 0) {
      if (this.#placedReturned === this.#returned) return this.#result('legal');
      if (this.#steps > this.#stepsMax) return this.#result('undecided');
      const level = this.#levels - 1;
      const choice = this.#levelChoice[level]!;
      if (choice < this.#levelChoiceEnd[level]!) {
        this.#levelChoice[level] = choice + 2;
        this.#openLevel();
        const op = this.#choices[choice]!;
        this.#place(op);
        this.#expand(
          this.#choices[choice + 1]!,
          op < this.#returned ? -1 : this.#levelState[level]!,
        );
      } else {
        this.#closeLevel();
      }
    }
    return this.#result('illegal');
  }

  #openLevel(): void {
    const level = this.#levels++;
    this.#levelStart[level] = this.#placedCount;
    this.#levelBase[level] = this.#base;
    this.#levelHigh[level] = this.#high;
  }

  #closeLevel(): void {
    this.#keepBest();
    const level = --this.#levels;
    const start = this.#levelStart[level]!;
    while (this.#placedCount > start) this.#takeBack(this.#placed[--this.#placedCount]!);
    this.#base = this.#levelBase[level]!;
    this.#high = this.#levelHigh[level]!;
    if (level > 0) this.#choicesUsed = this.#levelChoiceEnd[level - 1]!;
    if (start < this.#bestAgrees) this.#bestAgrees = start;
  }

  /**
   * Places the reads that are possible and lists what else could come next. `without` is the state
   * before an unknown operation was placed just now, -1 if none was.
   */
  #expand(state: number, without: number): void {
    const level = this.#levels - 1;
    this.#levelState[level] = state;
    const placedBefore = this.#placedCount;
    const first = this.#choicesUsed;
    const blocking = this.#expandReturned(state);
    if (this.#placedReturned < this.#returned) {
      // A read that the unknown operation made possible justifies it.
      if (this.#placedCount > placedBefore) without = -1;
      if (this.#isNew(state)) this.#expandOptional(state, without, this.#returnTimes[blocking]!);
      else this.#choicesUsed = first;
    }
    this.#levelChoice[level] = first;
    this.#levelChoiceEnd[level] = this.#choicesUsed;
  }

  /** Returns the operation whose return nothing more may pass, or -1 at the end. */
  #expandReturned(state: number): number {
    const from = this.#states[state]!;
    let node = this.#next[0]!;
    while (node !== 0) {
      const op = this.#nodeOp[node]!;
      if (op < 0) return ~op;
      this.#steps += 1;
      const to = this.#model.step(from, this.#inputs[op]!, this.#outputs[op]);
      if (to === undefined) {
        node = this.#next[node]!;
        continue;
      }
      if (this.#isRead[op] === 1) {
        const before = this.#prev[node]!;
        this.#place(op);
        node = this.#next[before]!;
      } else {
        this.#choose(op, this.#stateId(to));
        node = this.#next[node]!;
      }
    }
    return -1;
  }

  #expandOptional(state: number, without: number, blockedAt: number): void {
    const from = this.#states[state]!;
    for (let u = 0; u < this.#optionalCalls.length; u++) {
      if (this.#optionalCalls[u]! > blockedAt) return;
      if ((this.#optionalBits[u >> 5]! & (1 << (u & 31))) !== 0) continue;
      this.#steps += 1;
      const to = this.#model.step(from, this.#inputs[this.#returned + u]!, undefined);
      if (to === undefined) continue;
      const id = this.#stateId(to);
      if (id === state) continue;
      // Where the one before it makes no difference, it should have come alone.
      if (without >= 0 && this.#leadsTo(without, this.#returned + u) === id) continue;
      this.#choose(this.#returned + u, id);
    }
  }

  #leadsTo(state: number, op: number): number {
    this.#steps += 1;
    const to = this.#model.step(this.#states[state]!, this.#inputs[op]!, this.#outputs[op]);
    return to === undefined ? -1 : this.#stateId(to);
  }

  #choose(op: number, state: number): void {
    this.#choices = withRoom(this.#choices, this.#choicesUsed + 2);
    this.#choices[this.#choicesUsed++] = op;
    this.#choices[this.#choicesUsed++] = state;
  }

  #isNew(state: number): boolean {
    const words = this.#window.words;
    while (this.#base < this.#returned && (words[this.#base >> 5]! >>> (this.#base & 31)) & 1) {
      this.#base += 1;
    }
    this.#window.firstWord = this.#base >> 5;
    this.#window.lastWord = Math.max(this.#high >> 5, this.#window.firstWord - 1);
    return this.#memo.add(this.#window, state, this.#optionalBits);
  }

  #place(op: number): void {
    this.#placed[this.#placedCount++] = op;
    if (op >= this.#returned) {
      const u = op - this.#returned;
      this.#optionalBits[u >> 5]! |= 1 << (u & 31);
      return;
    }
    this.#placedReturned += 1;
    if (op > this.#high) this.#high = op;
    this.#window.words[op >> 5]! |= 1 << (op & 31);
    this.#unlink(this.#callNode[op]!);
    this.#unlink(this.#returnNode[op]!);
  }

  #takeBack(op: number): void {
    if (op >= this.#returned) {
      const u = op - this.#returned;
      this.#optionalBits[u >> 5]! &= ~(1 << (u & 31));
      return;
    }
    this.#placedReturned -= 1;
    this.#window.words[op >> 5]! &= ~(1 << (op & 31));
    this.#relink(this.#returnNode[op]!);
    this.#relink(this.#callNode[op]!);
  }

  #unlink(node: number): void {
    this.#next[this.#prev[node]!] = this.#next[node]!;
    this.#prev[this.#next[node]!] = this.#prev[node]!;
  }

  #relink(node: number): void {
    this.#next[this.#prev[node]!] = node;
    this.#prev[this.#next[node]!] = node;
  }

  #stateId(state: S): number {
    const key = this.#model.stateKey(state);
    const known = this.#stateIds.get(key);
    if (known !== undefined) return known;
    this.#states.push(state);
    this.#stateIds.set(key, this.#states.length - 1);
    return this.#states.length - 1;
  }

  #keepBest(): void {
    if (this.#placedCount <= this.#bestCount) return;
    for (let i = this.#bestAgrees; i < this.#placedCount; i++) this.#best[i] = this.#placed[i]!;
    this.#bestCount = this.#placedCount;
    this.#bestAgrees = this.#placedCount;
  }

  #result(verdict: Verdict): SearchResult {
    this.#keepBest();
    const placed = verdict === 'legal' ? this.#placed : this.#best;
    const count = verdict === 'legal' ? this.#placedCount : this.#bestCount;
    const order: number[] = [];
    for (let i = 0; i < count; i++) order.push(this.#positions[placed[i]!]!);
    return { verdict, steps: this.#steps, order };
  }
}

// Positions of the operations: those that returned by call time, then the others by call time.
function sequence(operations: readonly Operation[]): Int32Array {
  const positions = Int32Array.from(operations.keys());
  return positions.sort((a, b) => {
    const x = operations[a]!;
    const y = operations[b]!;
    const rank = Number(x.outcome !== 'ok') - Number(y.outcome !== 'ok');
    return rank || x.callTime - y.callTime || a - b;
  });
}

// Calls are in order already. At equal times calls stand before returns: what meets is concurrent.
function eventNodes(calls: Float64Array, returns: Float64Array): Int32Array {
  const byReturn = Int32Array.from(calls.keys());
  byReturn.sort((a, b) => returns[a]! - returns[b]! || a - b);
  const nodes = new Int32Array(calls.length * 2 + 1);
  let called = 0;
  let at = 1;
  for (const op of byReturn) {
    while (called < calls.length && calls[called]! <= returns[op]!) nodes[at++] = called++;
    nodes[at++] = ~op;
  }
  return nodes;
}

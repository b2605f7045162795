// Legal histories made to order, and mutations that break them. They test the checkers, ours and
// anybody's: a checker that has never said "illegal" has not been tested.

import type { Operation } from './history.ts';

/** A number in [0, 1). */
export type Random = () => number;

export interface GenerateOptions<In, Out> {
  readonly operations: number;
  /** Operations open at once, not counting those of unknown outcome. */
  readonly clients: number;
  /** The share of operations whose outcome nobody learns. Half of those take effect. */
  readonly unknownRate?: number | undefined;
  readonly random: Random;
  input(random: Random, client: number): In;
  /** Takes effect on the caller's state, at the moment chosen within the call's interval. */
  apply(input: In): Out;
}

interface Draft<In, Out> {
  process: number;
  callTime: number;
  returnTime: number;
  input: In;
  output: Out | undefined;
  outcome: 'ok' | 'unknown';
}

/**
 * A legal history by construction: each operation takes effect once, between call and return, and
 * answers what the state then was. Times are ordinals, no two alike.
 */
export function generateHistory<In, Out>(options: GenerateOptions<In, Out>): Operation<In, Out>[] {
  const { random, clients } = options;
  const history: Draft<In, Out>[] = [];
  const open: (Draft<In, Out> | undefined)[] = new Array(clients).fill(undefined);
  const effective = new Array<boolean>(clients).fill(false);
  const late: Draft<In, Out>[] = [];
  let time = 0;
  while (history.length < options.operations || open.some(op => op !== undefined)) {
    if (late.length > 0 && random() < 0.02) applyLate(late, options);
    const client = Math.floor(random() * clients);
    const op = open[client];
    if (op === undefined) {
      if (history.length === options.operations) continue;
      const input = options.input(random, client);
      const unknown = random() < (options.unknownRate ?? 0);
      const draft: Draft<In, Out> = {
        process: client,
        callTime: time++,
        returnTime: Infinity,
        input,
        output: undefined,
        outcome: unknown ? 'unknown' : 'ok',
      };
      history.push(draft);
      open[client] = draft;
      effective[client] = false;
    } else if (op.outcome === 'unknown') {
      op.returnTime = time++;
      open[client] = undefined;
      if (random() < 0.5) late.push(op);
    } else if (!effective[client]) {
      op.output = options.apply(op.input);
      effective[client] = true;
    } else {
      op.returnTime = time++;
      open[client] = undefined;
    }
  }
  return history;
}

function applyLate<In, Out>(late: Draft<In, Out>[], options: GenerateOptions<In, Out>): void {
  const at = Math.floor(options.random() * late.length);
  options.apply(late[at]!.input);
  late[at] = late[late.length - 1]!;
  late.pop();
}

/** The ways systems lie, as changes to a history. */
export type Mutation = 'swap' | 'drop' | 'stale' | 'duplicate' | 'lost';

export const MUTATIONS: readonly Mutation[] = ['swap', 'drop', 'stale', 'duplicate', 'lost'];

/**
 * Changes one thing, or returns undefined if the history offers no place for it. The result is
 * usually illegal, not always: two swapped answers may both be possible.
 *
 * swap: two operations got each other's answers. drop: a write that was acknowledged never was
 * called. stale: a read got the answer of an earlier one. duplicate: a write takes effect once
 * more, later. lost: a write was acknowledged at a time when it did not take effect.
 */
export function mutate<In, Out>(
  history: readonly Operation<In, Out>[],
  mutation: Mutation,
  random: Random,
  isRead: (input: In) => boolean,
): Operation<In, Out>[] | undefined {
  const ok = history.map((_, i) => i).filter(i => history[i]!.outcome === 'ok');
  const reads = ok.filter(i => isRead(history[i]!.input));
  const writes = ok.filter(i => !isRead(history[i]!.input));
  const pick = (from: readonly number[]) => from[Math.floor(random() * from.length)];
  const changed = [...history];
  switch (mutation) {
    case 'swap': {
      const [a, b] = [pick(reads), pick(reads)];
      if (a === undefined || b === undefined || a === b) return undefined;
      changed[a] = { ...history[a]!, output: history[b]!.output };
      changed[b] = { ...history[b]!, output: history[a]!.output };
      return changed;
    }
    case 'drop': {
      const write = pick(writes);
      return write === undefined ? undefined : changed.filter((_, i) => i !== write);
    }
    case 'stale': {
      const read = pick(reads);
      const older = reads.filter(
        i => read !== undefined && history[i]!.returnTime < history[read]!.callTime,
      );
      const source = pick(older);
      if (read === undefined || source === undefined) return undefined;
      changed[read] = { ...history[read]!, output: history[source]!.output };
      return changed;
    }
    case 'duplicate': {
      const write = pick(writes);
      if (write === undefined) return undefined;
      return [...changed, laterCopy(history, write, random)];
    }
    case 'lost': {
      const write = pick(writes);
      if (write === undefined) return undefined;
      return [...changed, laterCopy(history, write, random)].map((op, i) =>
        i === write ? { ...op, outcome: 'failed' as const, output: undefined } : op,
      );
    }
  }
}

// Between two other events, which is possible because generated times are whole numbers.
function laterCopy<In, Out>(history: readonly Operation<In, Out>[], of: number, random: Random) {
  const original = history[of]!;
  const process = history.reduce((most, op) => Math.max(most, op.process), 0) + 1;
  const end = history.reduce((most, op) => Math.max(most, op.callTime), original.returnTime);
  const after = original.returnTime + Math.floor(random() * (end - original.returnTime));
  return { ...original, process, callTime: after + 0.25, returnTime: after + 0.5 };
}

/** A small seeded generator (mulberry32), good enough to vary tests. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

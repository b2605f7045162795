// What clients saw: one record per operation, with the interval in which it must have taken
// effect. Every checker of this folder reads histories in this form and no other, so a workload
// is recorded once and judged by whichever checker fits.

/**
 * `ok`: the client got the answer. `failed`: it certainly had no effect. `unknown`: it may have
 * taken effect at any time after the call, even after the client gave up, or never.
 */
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface Operation<In = unknown, Out = unknown> {
  /** The client. It has at most one operation open at a time. */
  readonly process: number;
  readonly callTime: number;
  /**
   * When the client stopped waiting, in the clock of `callTime`; Infinity if it never did. For an
   * unknown outcome it frees the process but does not bound the effect.
   */
  readonly returnTime: number;
  readonly input: In;
  /** Present exactly if the outcome is `ok`. */
  readonly output?: Out | undefined;
  readonly outcome: Outcome;
}

/** Only `illegal` and `legal` are answers. `undecided` says the budget ran out: never a pass. */
export type Verdict = 'legal' | 'illegal' | 'undecided';

/** The history itself is unusable: the caller's mistake, not the system's. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
}

/**
 * Every fault that makes a history meaningless, in words; empty if it is well formed. At most
 * `faultsMax` are named.
 */
export function historyFaults(history: readonly Operation[], faultsMax = 20): string[] {
  const faults: string[] = [];
  const lastOf = new Map<number, number>();
  let ordered = true;
  for (let i = 0; i < history.length && faults.length < faultsMax; i++) {
    const op = history[i]!;
    const fault = operationFault(op);
    if (fault !== undefined) faults.push(`operation ${i}: ${fault}`);
    const last = lastOf.get(op.process);
    lastOf.set(op.process, i);
    if (last !== undefined && op.callTime < history[last]!.returnTime) ordered = false;
  }
  // A history in the order of its calls needs no sorting to be found well formed.
  return ordered ? faults : [...faults, ...overlaps(history, faultsMax - faults.length)];
}

function overlaps(history: readonly Operation[], faultsMax: number): string[] {
  const order = history
    .map((_, i) => i)
    .sort((a, b) => {
      return history[a]!.callTime - history[b]!.callTime || a - b;
    });
  const faults: string[] = [];
  const lastOf = new Map<number, number>();
  for (const i of order) {
    if (faults.length >= faultsMax) break;
    const { process, callTime } = history[i]!;
    const last = lastOf.get(process);
    if (last !== undefined && callTime < history[last]!.returnTime) {
      faults.push(`process ${process} calls ${i} while its operation ${last} is open`);
    }
    lastOf.set(process, i);
  }
  return faults;
}

/** Throws HistoryError unless the history is well formed. */
export function assertHistory(history: readonly Operation[]): void {
  const faults = historyFaults(history);
  if (faults.length > 0) throw new HistoryError(`malformed history: ${faults.join('; ')}`);
}

function operationFault(op: Operation): string | undefined {
  if (!Number.isFinite(op.callTime)) return 'the call time is not a finite number';
  if (Number.isNaN(op.returnTime)) return 'the return time is not a number';
  if (op.returnTime < op.callTime) return 'it returns before it is called';
  if (op.outcome === 'ok' && op.returnTime === Infinity) return 'it succeeded but never returned';
  return undefined;
}

/**
 * Records a history where the events happen. Times are the ordinals of the events, so no two are
 * equal and "returned before the other was called" is exact whatever the clock does.
 */
export class HistoryRecorder<In, Out> {
  #clock = 0;
  readonly #operations: {
    process: number;
    callTime: number;
    returnTime: number;
    input: In;
    output?: Out | undefined;
    outcome: Outcome;
  }[] = [];

  /** Returns the number of the operation, to be passed to `ok`, `failed` or `unknown`. */
  call(process: number, input: In): number {
    this.#operations.push({
      process,
      callTime: this.#clock++,
      returnTime: Infinity,
      input,
      outcome: 'unknown',
    });
    return this.#operations.length - 1;
  }

  ok(operation: number, output: Out): void {
    this.#close(operation, 'ok').output = output;
  }

  failed(operation: number): void {
    this.#close(operation, 'failed');
  }

  unknown(operation: number): void {
    this.#close(operation, 'unknown');
  }

  /** Operations still open count as unknown. */
  history(): Operation<In, Out>[] {
    return this.#operations.map(op => ({ ...op }));
  }

  get length(): number {
    return this.#operations.length;
  }

  #close(operation: number, outcome: Outcome) {
    const op = this.#operations[operation];
    if (op === undefined) throw new HistoryError(`no operation ${operation} was called`);
    if (op.returnTime !== Infinity) throw new HistoryError(`operation ${operation} returned twice`);
    op.returnTime = this.#clock++;
    op.outcome = outcome;
    return op;
  }
}

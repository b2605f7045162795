// The applied commands as an async iterator, for caches and feeds. A reader that falls behind must
// not hold the node or its memory: its buffer is bounded, and it is told that it lost touch.

import type { LogIndex, Term } from '../raft/types.ts';
import { KontikiError } from './errors.ts';

/** One applied command, in log order. */
export interface Change<Command, Result> {
  readonly index: LogIndex;
  readonly term: Term;
  readonly command: Command;
  readonly result: Result;
}

type Waiter<T> = {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: KontikiError): void;
};

export class ChangeStream<T> implements AsyncIterableIterator<T, undefined> {
  readonly #bufferMax: number;
  readonly #onEnd: (stream: ChangeStream<T>) => void;
  #buffer: T[] = [];
  #waiters: Waiter<T>[] = [];
  #ended = false;
  #error: KontikiError | null = null;

  constructor(bufferMax: number, onEnd: (stream: ChangeStream<T>) => void) {
    this.#bufferMax = bufferMax;
    this.#onEnd = onEnd;
  }

  push(change: T): void {
    if (this.#ended) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) return waiter.resolve({ done: false, value: change });
    if (this.#buffer.length === this.#bufferMax) return this.fail(tooSlow(this.#bufferMax));
    this.#buffer.push(change);
  }

  /** What is buffered is still delivered, then the error. */
  fail(error: KontikiError): void {
    if (this.#ended) return;
    this.#error = error;
    this.#end();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const change = this.#buffer.shift();
    if (change !== undefined) return Promise.resolve({ done: false, value: change });
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.finish();
    this.#buffer = [];
    return Promise.resolve({ done: true, value: undefined });
  }

  finish(): void {
    this.#end();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(this);
  }
}

function tooSlow(bufferMax: number): KontikiError {
  const text = `the reader fell more than ${bufferMax} changes behind, so the stream has a gap.`;
  const next = 'Read the state anew, then begin a new stream (with a larger buffer).';
  return new KontikiError('READER_TOO_SLOW', 'not-applied', `${text} ${next}`);
}

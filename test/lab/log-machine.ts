// The state machine of the Raft labs: it remembers the value at each index and tells the harness.
// The labs' applier, in other words; its snapshot is the whole list, as theirs.

import type { ApplyBatch, Machine } from '../../src/node/machine.ts';
import type { LogId, LogIndex } from '../../src/raft/types.ts';
import { ORIGIN } from '../../src/raft/types.ts';
import type { Process } from '../../src/sim/process.ts';

export interface LogWatch {
  /** In the order of application. */
  applied(index: LogIndex, value: string): void;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const PIECE_BYTES = 64 * 1024;

export class LogMachine implements Machine {
  applied: LogId = ORIGIN;
  readonly durable: LogId = ORIGIN;
  readonly #process: Process;
  readonly #watch: LogWatch;
  /** Shared with the harness, which compares the lists of all servers. */
  readonly #values: Map<LogIndex, string>;
  #names = new Map<string, Uint8Array>();

  constructor(process: Process, values: Map<LogIndex, string>, watch: LogWatch) {
    this.#process = process;
    this.#values = values;
    this.#watch = watch;
    values.clear();
  }

  apply({ last, commands, bookkeeping }: ApplyBatch): unknown[] {
    for (const { index, data } of commands) {
      const value = decoder.decode(data);
      this.#watch.applied(index, value);
      this.#values.set(index, value);
    }
    const results = commands.map(() => null);
    bookkeeping.settle(results);
    for (const [name, value] of bookkeeping.puts) {
      if (value === null) this.#names.delete(name);
      else this.#names.set(name, value);
    }
    this.applied = last;
    return results;
  }

  async flush(): Promise<LogId> {
    this.#process.stirred = true;
    return ORIGIN;
  }

  *bookkeeping(prefix: string): Iterable<[string, Uint8Array]> {
    for (const [name, value] of this.#names) if (name.startsWith(prefix)) yield [name, value];
  }

  snapshot() {
    this.#process.stirred = true;
    const bytes = encoder.encode(JSON.stringify([this.applied, ...this.#values]));
    return { last: this.applied, content: () => pieces(bytes) };
  }

  async restore(_last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    const [applied, ...values] = JSON.parse(await textOf(content));
    this.applied = applied;
    this.#values.clear();
    for (const [index, value] of values) this.#values.set(index, value);
  }

  async close(): Promise<void> {}
}

export async function* pieces(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}

export async function textOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const streaming = new TextDecoder();
  let text = '';
  for await (const piece of content) text += streaming.decode(piece, { stream: true });
  return text + streaming.decode();
}

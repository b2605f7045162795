// The key/value state machine of the labs: put, append and get of text. Its snapshot is as small as
// the state, because the labs bound it to a few hundred bytes.

import type { ApplyBatch, Machine } from '../../src/node/machine.ts';
import type { LogId } from '../../src/raft/types.ts';
import { ORIGIN } from '../../src/raft/types.ts';
import type { Process } from '../../src/sim/process.ts';
import { ByteReader, ByteWriter } from '../../src/wire/bytes.ts';
import { pieces } from './log-machine.ts';

export interface KvCommand {
  readonly op: 'put' | 'append';
  readonly key: string;
  readonly value: string;
}

const ENTRIES_MAX = 1_000_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeKvCommand({ op, key, value }: KvCommand): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(op === 'put' ? 0 : 1);
  writer.bytes(encoder.encode(key));
  writer.bytes(encoder.encode(value));
  return writer.copy();
}

export class KvMachine implements Machine {
  applied: LogId = ORIGIN;
  readonly durable: LogId = ORIGIN;
  readonly #process: Process;
  #values = new Map<string, string>();
  #names = new Map<string, Uint8Array>();

  constructor(process: Process) {
    this.#process = process;
  }

  /** '' for a key that was never written, as in the labs. */
  get(key: string): string {
    return this.#values.get(key) ?? '';
  }

  apply({ last, commands, bookkeeping }: ApplyBatch): unknown[] {
    for (const { data } of commands) {
      const reader = new ByteReader(data);
      const isPut = reader.u8() === 0;
      const key = decoder.decode(reader.bytes());
      const value = decoder.decode(reader.bytes());
      this.#values.set(key, isPut ? value : this.get(key) + value);
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
    for (const name of [...this.#names.keys()].sort()) {
      if (name.startsWith(prefix)) yield [name, this.#names.get(name)!];
    }
  }

  snapshot() {
    this.#process.stirred = true;
    const bytes = this.#image();
    return { last: this.applied, content: () => pieces(bytes) };
  }

  async restore(_last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    const writer = new ByteWriter();
    for await (const piece of content) writer.raw(piece);
    const reader = new ByteReader(writer.copy());
    this.applied = { term: reader.varint(), index: reader.varint() };
    this.#values = new Map();
    for (let left = reader.count(2, ENTRIES_MAX); left > 0; left--) {
      this.#values.set(decoder.decode(reader.bytes()), decoder.decode(reader.bytes()));
    }
    this.#names = new Map();
    for (let left = reader.count(2, ENTRIES_MAX); left > 0; left--) {
      this.#names.set(decoder.decode(reader.bytes()), reader.bytes().slice());
    }
  }

  async close(): Promise<void> {}

  #image(): Uint8Array {
    const writer = new ByteWriter();
    writer.varint(this.applied.term);
    writer.varint(this.applied.index);
    writer.varint(this.#values.size);
    for (const [key, value] of this.#values) {
      writer.bytes(encoder.encode(key));
      writer.bytes(encoder.encode(value));
    }
    writer.varint(this.#names.size);
    for (const [name, bytes] of this.#names) {
      writer.bytes(encoder.encode(name));
      writer.bytes(bytes);
    }
    return writer.copy();
  }
}

// The state machine of the core runs: registers with write and compare-and-set, and texts that are
// appended to. Small, so that a run's time goes into consensus; hashed after every command, so that
// two replicas that differ are noticed at the first entry.

import type { ReplyCodec } from '../node/driver-types.ts';
import type { ApplyBatch, Machine } from '../node/machine.ts';
import type { Entry, LogId } from '../raft/types.ts';
import { ORIGIN } from '../raft/types.ts';
import type { AppliedTable } from './applied.ts';
import { hashText, mix32 } from './prng.ts';
import type { Process } from './process.ts';
import type { MachineCell } from './workload.ts';

export const WRITE = 1;
export const CAS = 2;
export const APPEND = 3;

export interface RegisterCommand {
  readonly kind: typeof WRITE | typeof CAS | typeof APPEND;
  readonly operation: number;
  readonly key: number;
  readonly value: number;
  readonly from: number;
}

/** Keys belong to epochs, and a state keeps the newest ones, so that it does not grow for ever. */
export const EPOCH_KEYS = 256;
const EPOCHS_KEPT = 24;
const COMMAND_BYTES = 17;
const FLUSH_US = 5000;
const PIECE_BYTES = 64 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeRegisterCommand(command: RegisterCommand): Uint8Array {
  const bytes = new Uint8Array(COMMAND_BYTES);
  bytes[0] = command.kind;
  putU32(bytes, 1, command.operation);
  putU32(bytes, 5, command.key);
  putU32(bytes, 9, command.value);
  putU32(bytes, 13, command.from);
  return bytes;
}

/** What a command answers: whether a compare-and-set did it; null for the others. */
const RESULTS: readonly (boolean | null)[] = [null, false, true];
const REPLIES = RESULTS.map((_, i) => Uint8Array.of(i));

export const registerReplies: ReplyCodec = {
  encode: result => REPLIES[RESULTS.indexOf(result as boolean | null)]!,
  decode: bytes => RESULTS[bytes[0]!],
};

export class RegisterMachine implements Machine {
  applied: LogId = ORIGIN;
  durable: LogId = ORIGIN;
  readonly #process: Process;
  readonly #table: AppliedTable;
  readonly #cell: MachineCell | null;
  #registers = new Map<number, number>();
  #texts = new Map<number, Text>();
  #names = new Map<string, Uint8Array>();
  #epoch = 0;
  /** The sum of the hashes of all keys and values: order does not matter, each change is O(1). */
  #hash = 0;

  constructor(process: Process, table: AppliedTable, cell: MachineCell | null) {
    this.#process = process;
    this.#table = table;
    this.#cell = cell;
    if (cell?.bytes != null) {
      this.#load(cell.bytes);
      this.durable = this.applied;
    }
  }

  register(key: number): number | null {
    return this.#registers.get(key) ?? null;
  }

  text(key: number): string {
    return this.#texts.get(key)?.text ?? '';
  }

  apply({ last, commands, bookkeeping }: ApplyBatch): unknown[] {
    const results: unknown[] = [];
    for (let i = 0; i < commands.length; i++) {
      const entry = commands[i]!;
      results.push(this.#applyOne(entry));
      this.#table.state(this.#process.node, entry.index, this.#hash);
    }
    bookkeeping.settle(results);
    for (const [name, value] of bookkeeping.puts) {
      if (value === null) this.#names.delete(name);
      else this.#names.set(name, value);
    }
    this.applied = last;
    this.#table.state(this.#process.node, last.index, this.#hash);
    return results;
  }

  flush(): Promise<LogId> {
    const process = this.#process;
    process.stirred = true;
    const cell = this.#cell;
    if (cell === null) return Promise.resolve(ORIGIN);
    const { applied } = this;
    const bytes = this.#image();
    process.diskOperations += 1;
    return new Promise(resolve => {
      process.world.after(FLUSH_US, 'flush', process, () => {
        process.diskOperations -= 1;
        process.stirred = true;
        if (applied.index > this.durable.index) {
          cell.bytes = bytes;
          this.durable = applied;
        }
        resolve(this.durable);
      });
    });
  }

  *bookkeeping(prefix: string): Iterable<[name: string, value: Uint8Array]> {
    for (const name of [...this.#names.keys()].sort()) {
      if (name.startsWith(prefix)) yield [name, this.#names.get(name)!];
    }
  }

  snapshot(): { readonly last: LogId; content(): AsyncIterable<Uint8Array> } {
    const bytes = this.#image();
    this.#process.stirred = true;
    return { last: this.applied, content: () => pieces(bytes) };
  }

  async restore(last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of content) {
      parts.push(part.slice());
      size += part.length;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#load(bytes);
    if (this.#cell !== null) {
      this.#cell.bytes = bytes;
      this.durable = last;
    }
    this.#table.state(this.#process.node, last.index, this.#hash);
  }

  async close(): Promise<void> {}

  #applyOne(entry: Entry): unknown {
    const { data } = entry;
    const kind = data[0];
    const operation = u32(data, 1);
    const key = u32(data, 5);
    const value = u32(data, 9);
    const from = u32(data, 13);
    this.#table.command(this.#process.node, entry, operation);
    const epoch = Math.floor(key / EPOCH_KEYS);
    if (epoch > this.#epoch) this.#forget(epoch);
    if (kind === APPEND) {
      this.#append(key, this.text(key) === '' ? `${value}` : `,${value}`);
      return null;
    }
    if (kind === CAS && this.register(key) !== from) return false;
    this.#setRegister(key, value);
    return kind === CAS ? true : null;
  }

  #setRegister(key: number, value: number): void {
    const before = this.#registers.get(key);
    if (before !== undefined) this.#hash = (this.#hash - hashOf(key, before)) | 0;
    this.#registers.set(key, value);
    this.#hash = (this.#hash + hashOf(key, value)) | 0;
  }

  #append(key: number, more: string): void {
    const before = this.#texts.get(key);
    if (before !== undefined) this.#hash = (this.#hash - hashOf(key, before.hash)) | 0;
    const text = (before?.text ?? '') + more;
    // The hash goes on where it stood: texts grow, and each is hashed once.
    const hash = hashText(more, before?.hash);
    this.#texts.set(key, { text, hash });
    this.#hash = (this.#hash + hashOf(key, hash)) | 0;
  }

  #forget(epoch: number): void {
    this.#epoch = epoch;
    const before = (epoch - EPOCHS_KEPT) * EPOCH_KEYS;
    for (const [key, value] of this.#registers) {
      if (key >= before) continue;
      this.#registers.delete(key);
      this.#hash = (this.#hash - hashOf(key, value)) | 0;
    }
    for (const [key, { hash }] of this.#texts) {
      if (key >= before) continue;
      this.#texts.delete(key);
      this.#hash = (this.#hash - hashOf(key, hash)) | 0;
    }
  }

  #image(): Uint8Array {
    const names = [...this.#names].map(([name, bytes]) => [name, [...bytes]]);
    const { applied } = this;
    const state = { applied, epoch: this.#epoch, names };
    const texts = [...this.#texts].map(([key, { text }]) => [key, text]);
    const content = { registers: [...this.#registers], texts };
    return encoder.encode(JSON.stringify({ ...state, ...content }));
  }

  #load(bytes: Uint8Array): void {
    const { applied, epoch, names, registers, texts } = JSON.parse(decoder.decode(bytes));
    this.applied = applied;
    this.#epoch = epoch;
    this.#names = new Map(
      names.map(([name, value]: [string, number[]]) => [name, Uint8Array.from(value)]),
    );
    this.#registers = new Map();
    this.#texts = new Map();
    this.#hash = 0;
    for (const [key, value] of registers) this.#setRegister(key, value);
    for (const [key, text] of texts) this.#append(key, text);
  }
}

/** A text and its hash. */
interface Text {
  readonly text: string;
  readonly hash: number;
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function u32(bytes: Uint8Array, at: number): number {
  const word = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  return word >>> 0;
}

function hashOf(key: number, value: number): number {
  return mix32(mix32(0x51ed270b, key), value);
}

async function* pieces(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}

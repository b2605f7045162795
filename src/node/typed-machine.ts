// Makes a user's state machine one that the driver can run: bytes to commands and back, bookkeeping
// beside the state, images of both. It lives in memory, so the log and its snapshots are all that
// survives a restart.

import type { Entry, LogId } from '../raft/types.ts';
import { ORIGIN } from '../raft/types.ts';
import { KontikiError, messageOf } from './errors.ts';
import type { ApplyBatch, Machine } from './machine.ts';
import { type AnyStateMachine, type Codec, type Codecs, jsonCodec } from './state-machine.ts';

const PIECE_BYTES = 64 * 1024;
/** Little-endian "KMS1": the first bytes of an image. */
const MAGIC = 0x31534d4b;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class TypedMachine<M extends AnyStateMachine> implements Machine {
  readonly user: M;
  readonly #command: Codec<unknown>;
  readonly #state: Codec<unknown>;
  readonly #names = new Map<string, Uint8Array>();
  #applied: LogId = ORIGIN;

  constructor(user: M, codecs: Codecs<M> = {}) {
    this.user = user;
    this.#command = (codecs.command as Codec<unknown> | undefined) ?? jsonCodec;
    this.#state = (codecs.state as Codec<unknown> | undefined) ?? jsonCodec;
  }

  get applied(): LogId {
    return this.#applied;
  }

  get durable(): LogId {
    return ORIGIN;
  }

  apply({ last, commands, bookkeeping }: ApplyBatch): unknown[] {
    const results: unknown[] = [];
    for (let i = 0; i < commands.length; i++) results.push(this.#applyOne(commands[i]!));
    bookkeeping.settle(results);
    for (const [name, value] of bookkeeping.puts) {
      if (value === null) this.#names.delete(name);
      else this.#names.set(name, value);
    }
    this.#applied = last;
    return results;
  }

  async flush(): Promise<LogId> {
    return ORIGIN;
  }

  *bookkeeping(prefix: string): Iterable<[name: string, value: Uint8Array]> {
    const names = [...this.#names.keys()].filter(name => name.startsWith(prefix)).sort();
    for (const name of names) yield [name, this.#names.get(name)!];
  }

  snapshot(): { readonly last: LogId; content(): AsyncIterable<Uint8Array> } {
    const image = encodeImage([...this.bookkeeping('')], this.#state.encode(this.user.snapshot()));
    return { last: this.#applied, content: () => pieces(image) };
  }

  async restore(last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    const { names, state } = decodeImage(await join(content));
    const decoded = this.#state.decode(state);
    this.user.restore(decoded as never);
    this.#names.clear();
    for (const [name, value] of names) this.#names.set(name, value);
    this.#applied = last;
  }

  async close(): Promise<void> {}

  #applyOne({ data, index, term }: Entry): unknown {
    let command: unknown;
    try {
      command = this.#command.decode(data);
    } catch (error) {
      const text = `the command at index ${index} can't be decoded: ${messageOf(error)}.`;
      const next = 'All nodes must use the same command codec.';
      throw new KontikiError('MACHINE_FAILED', 'unknown', `${text} ${next}`, { cause: error });
    }
    try {
      return this.user.apply(command as never, { index, term });
    } catch (error) {
      const text = `apply() threw at index ${index}: ${messageOf(error)}.`;
      const next = 'Return refusals as results; a throw can leave the state half changed.';
      throw new KontikiError('MACHINE_FAILED', 'unknown', `${text} ${next}`, { cause: error });
    }
  }
}

async function* pieces(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}

async function join(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of content) {
    parts.push(part.slice());
    size += part.length;
  }
  const joined = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** magic u32, count u32, then name and value of each, lengths first; the rest is the state. */
function encodeImage(names: [string, Uint8Array][], state: Uint8Array): Uint8Array {
  const encoded = names.map(([name, value]) => [encoder.encode(name), value] as const);
  let size = 8 + state.length;
  for (const [name, value] of encoded) size += 8 + name.length + value.length;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, encoded.length, true);
  let at = 8;
  for (const pair of encoded) {
    for (const part of pair) {
      view.setUint32(at, part.length, true);
      bytes.set(part, at + 4);
      at += 4 + part.length;
    }
  }
  bytes.set(state, at);
  return bytes;
}

function decodeImage(bytes: Uint8Array): { names: [string, Uint8Array][]; state: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) throw foreignImage();
  const names: [string, Uint8Array][] = [];
  let at = 8;
  const part = (): Uint8Array => {
    if (at + 4 > bytes.length) throw foreignImage();
    const length = view.getUint32(at, true);
    at += 4 + length;
    if (at > bytes.length) throw foreignImage();
    return bytes.subarray(at - length, at);
  };
  for (let left = view.getUint32(4, true); left > 0; left--) {
    names.push([decoder.decode(part()), part()]);
  }
  return { names, state: bytes.subarray(at) };
}

function foreignImage(): KontikiError {
  const text = 'the snapshot is not one of this kind of state machine.';
  return new KontikiError('STORAGE_CORRUPT', 'unknown', text);
}

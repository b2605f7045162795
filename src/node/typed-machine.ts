// Makes a user's state machine one that the driver can run: bytes to commands and back, bookkeeping
// beside the state, images of both. It lives in memory, so the log and its snapshots are all that
// survives a restart.

import type { Entry, LogId } from '../raft/types.ts';
import { ORIGIN } from '../raft/types.ts';
import type { DriverEvents } from './driver-types.ts';
import { KontikiError, messageOf } from './errors.ts';
import type { ApplyBatch, Machine } from './machine.ts';
import { type Frame, FrameKind, foreignImage, readImage, writeImage } from './machine-image.ts';
import {
  type AnyStateMachine,
  type Codec,
  type Codecs,
  jsonCodec,
  leavesInParts,
  type StateMachine,
} from './state-machine.ts';

/** Work on a state, or on a part of it, that takes longer in one go is told to its author, once. */
const HELD_MS = 10;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How a machine finds out that it holds everybody up, and whom it tells. */
export interface TurnWatch {
  now(): number;
  readonly log: NonNullable<DriverEvents['log']>;
}

export class TypedMachine<M extends AnyStateMachine> implements Machine {
  readonly user: M;
  readonly #command: Codec<unknown>;
  readonly #state: Codec<unknown>;
  readonly #part: Codec<unknown>;
  readonly #watch: TurnWatch | null;
  readonly #names = new Map<string, Uint8Array>();
  #applied: LogId = ORIGIN;
  #hasWarned = false;

  constructor(user: M, codecs: Codecs<M> = {}, watch: TurnWatch | null = null) {
    this.user = user;
    this.#watch = watch;
    this.#part = (codecs.part as Codec<unknown> | undefined) ?? jsonCodec;
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
    const { user } = this;
    const names = nameFrames([...this.bookkeeping('')]);
    const state = leavesInParts(user)
      ? this.#partFrames(user.snapshotParts()[Symbol.iterator]())
      : [this.#stateFrame(user)];
    return { last: this.#applied, content: () => writeImage(chain(names, state)) };
  }

  async restore(last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    const frames = readImage(content);
    const names = new Map<string, Uint8Array>();
    let frame = await next(frames);
    while (frame.kind === FrameKind.NAME) {
      const value = await next(frames, FrameKind.VALUE);
      names.set(decoder.decode(frame.bytes), value.bytes);
      frame = await next(frames);
    }
    if (frame.kind === FrameKind.STATE) await this.#restoreWhole(frame, frames);
    else await this.#restoreParts(frame, frames);
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

  #stateFrame(user: StateMachine<never, unknown, unknown>): Frame {
    const encode = () => this.#state.encode(user.snapshot());
    return { kind: FrameKind.STATE, bytes: this.#timed('snapshot()', encode) };
  }

  /** The first part is made now: whatever the iterator fixes before it is of the state as it is. */
  #partFrames(parts: Iterator<unknown>): Iterable<Frame> {
    const following = (): Frame | null => {
      const step = this.#timed('a part of snapshotParts()', () => {
        const { done, value } = parts.next();
        return done === true ? null : this.#part.encode(value);
      });
      return step === null ? null : { kind: FrameKind.PART, bytes: step };
    };
    return framesOf(following(), following, () => parts.return?.());
  }

  async #restoreWhole({ bytes }: Frame, frames: AsyncGenerator<Frame>): Promise<void> {
    await next(frames, FrameKind.END);
    const { user } = this;
    if (!('restore' in user)) throw otherMachine('as a whole', 'restore()');
    this.#timed('restore()', () => user.restore(this.#state.decode(bytes) as never));
  }

  async #restoreParts(first: Frame, frames: AsyncGenerator<Frame>): Promise<void> {
    const { user } = this;
    if (!leavesInParts(user)) throw otherMachine('in parts', 'restoreParts()');
    const progress = { isComplete: false };
    await user.restoreParts(this.#decodeParts(first, frames, progress));
    if (progress.isComplete) return;
    const text = 'restoreParts() resolved before it had taken all parts of the state.';
    throw new KontikiError('MACHINE_FAILED', 'unknown', text);
  }

  async *#decodeParts(
    first: Frame,
    frames: AsyncGenerator<Frame>,
    progress: { isComplete: boolean },
  ): AsyncGenerator<unknown, void> {
    let frame = first;
    while (frame.kind === FrameKind.PART) {
      const { bytes } = frame;
      yield this.#timed('a part of restoreParts()', () => this.#part.decode(bytes));
      frame = await next(frames);
    }
    if (frame.kind !== FrameKind.END) throw foreignImage();
    progress.isComplete = true;
  }

  #timed<T>(what: string, run: () => T): T {
    if (this.#watch === null || this.#hasWarned) return run();
    const from = this.#watch.now();
    const result = run();
    const tookMs = this.#watch.now() - from;
    if (tookMs > HELD_MS) this.#warn(what, tookMs);
    return result;
  }

  #warn(what: string, tookMs: number): void {
    this.#hasWarned = true;
    const text = `${what} and its codec held the event loop for ${Math.round(tookMs)} ms`;
    const next = leavesInParts(this.user)
      ? 'Make the parts smaller.'
      : 'Give the state machine snapshotParts() and restoreParts().';
    this.#watch!.log('warn', `${text}: no other work of this process was done meanwhile. ${next}`);
  }
}

function* nameFrames(names: [string, Uint8Array][]): Iterable<Frame> {
  for (const [name, bytes] of names) {
    yield { kind: FrameKind.NAME, bytes: encoder.encode(name) };
    yield { kind: FrameKind.VALUE, bytes };
  }
}

function* framesOf(
  first: Frame | null,
  following: () => Frame | null,
  giveUp: () => void,
): Iterable<Frame> {
  let frame = first;
  try {
    for (; frame !== null; frame = following()) yield frame;
  } finally {
    if (frame !== null) giveUp();
  }
}

function* chain(...lists: Iterable<Frame>[]): Iterable<Frame> {
  for (const list of lists) yield* list;
}

async function next(frames: AsyncGenerator<Frame>, wanted?: FrameKind): Promise<Frame> {
  const step = await frames.next();
  if (step.done === true || (wanted !== undefined && step.value.kind !== wanted)) {
    throw foreignImage();
  }
  return step.value;
}

function otherMachine(how: string, method: string): KontikiError {
  const text = `the snapshot holds the state ${how}, and the state machine has no ${method}.`;
  return new KontikiError('STORAGE_CORRUPT', 'unknown', text);
}

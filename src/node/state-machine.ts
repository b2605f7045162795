// A user's state machine, and how its commands, results and states become bytes. This is all that
// somebody who embeds a node has to write.

import type { LogIndex, Term } from '../raft/types.ts';

/** Where a command stands in the log: the same on every node, so safe to use in the state. */
export interface ApplyContext {
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * Deterministic: nothing but the state, the command and the context may influence apply(); no
 * clock, no chance, no I/O. A refusal is a result. Whatever apply() throws stops the node, since
 * the state may be half changed.
 */
export interface StateMachine<Command, Result, State> {
  apply(command: Command, context: ApplyContext): Result;
  /**
   * The whole state. It is turned into bytes before the next command is applied, and before anything
   * else runs in this process: for a state of more than a few hundred kB see StateMachineInParts.
   */
  snapshot(): State;
  restore(state: State): void;
}

/**
 * A state machine whose state is too large to be turned into bytes, or read back, in one go: that
 * would hold up everything else in the process. It leaves and comes in parts of about a millisecond
 * each (some 10 kB to 100 kB), and others have their turn between them. apply() is as above.
 */
export interface StateMachineInParts<Command, Result, Part> {
  apply(command: Command, context: ApplyContext): Result;
  /**
   * The state at the time of the call, in parts, which are asked for over many turns while apply()
   * goes on. That nothing applied later shows in them is this method's duty: hand out of a copy
   * of the references (`[...map]`, some 0.1 s for a million), or of a structure that is never
   * changed in place, which needs no copy. The first part is asked for at once, so a generator may make its copy before its first `yield`. A part is turned
   * into bytes when it is handed out and not kept.
   */
  snapshotParts(): Iterable<Part>;
  /**
   * Replaces the state by the one that the parts make up, in their order. Take all of them, into
   * something new, and put that in the state's place only then: reads see the old state meanwhile,
   * and a damaged image ends the parts with an error. No apply() comes before the promise resolves.
   */
  restoreParts(parts: AsyncIterable<Part>): Promise<void>;
}

/** Any state machine; use it as `M extends AnyStateMachine`. */
export type AnyStateMachine =
  | StateMachine<never, unknown, unknown>
  | StateMachineInParts<never, unknown, unknown>;
export type CommandOf<M extends AnyStateMachine> = Parameters<M['apply']>[0];
export type ResultOf<M extends AnyStateMachine> = ReturnType<M['apply']>;
export type StateOf<M extends AnyStateMachine> = M extends { snapshot(): infer State }
  ? State
  : never;
export type PartOf<M extends AnyStateMachine> = M extends { snapshotParts(): Iterable<infer Part> }
  ? Part
  : never;

/** A machine that can do both leaves in parts, and takes images of either kind. */
export function leavesInParts(
  machine: AnyStateMachine,
): machine is StateMachineInParts<never, unknown, unknown> {
  return 'snapshotParts' in machine && 'restoreParts' in machine;
}

export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** All is JSON unless said otherwise. Must be the same on all nodes. */
export interface Codecs<M extends AnyStateMachine> {
  readonly command?: Codec<CommandOf<M>>;
  readonly result?: Codec<ResultOf<M>>;
  /** What snapshot() gives. */
  readonly state?: Codec<StateOf<M>>;
  /** What snapshotParts() gives. */
  readonly part?: Codec<PartOf<M>>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** JSON; `undefined` is no bytes at all. */
export const jsonCodec: Codec<unknown> = {
  encode(value) {
    const text = JSON.stringify(value);
    return encoder.encode(text ?? '');
  },
  decode(bytes) {
    return bytes.length === 0 ? undefined : JSON.parse(decoder.decode(bytes));
  },
};

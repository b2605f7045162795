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
  /** The whole state. It is turned into bytes before the next command is applied. */
  snapshot(): State;
  restore(state: State): void;
}

/** Any state machine; use it as `M extends AnyStateMachine`. */
export type AnyStateMachine = StateMachine<never, unknown, unknown>;
export type CommandOf<M extends AnyStateMachine> = Parameters<M['apply']>[0];
export type ResultOf<M extends AnyStateMachine> = ReturnType<M['apply']>;

export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** Commands, results and states are JSON unless said otherwise. Must be the same on all nodes. */
export interface Codecs<M extends AnyStateMachine> {
  readonly command?: Codec<CommandOf<M>>;
  readonly result?: Codec<ResultOf<M>>;
  readonly state?: Codec<ReturnType<M['snapshot']>>;
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

// What the state machines of all nodes did, compared with each other: the state after each index,
// commands of sessions, commands that somebody was told would never be applied.

import type { Entry, LogIndex, NodeId } from '../raft/types.ts';
import type { Judge } from './judge.ts';

export class AppliedTable {
  readonly #judge: Judge;
  /** The hash of the state after an index, from whoever got there first. */
  readonly #states = new Map<LogIndex, { readonly hash: number; readonly node: NodeId }>();
  /** The index at which a session's command was applied, by session and sequence. */
  readonly #sessions = new Map<number, LogIndex>();
  readonly #operations = new Map<number, LogIndex>();
  readonly #refused = new Map<number, string>();
  /** The highest index that a client was told of. */
  acknowledged: LogIndex = 0;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** */
  state(node: NodeId, index: LogIndex, hash: number): void {
    const known = this.#states.get(index);
    if (known === undefined) this.#states.set(index, { hash, node });
    this.#judge.check('A-13', node, known === undefined || known.hash === hash, () => {
      return `after entry ${index} the states of node ${known!.node} and node ${node} differ`;
    });
  }

  /** `operation` is the client's number of the command, 0 when it has none. */
  command(node: NodeId, entry: Entry, operation: number): void {
    const { session, sequence, index } = entry;
    if (session !== 0) {
      const key = session * 2 ** 20 + sequence;
      const known = this.#sessions.get(key);
      this.#judge.check('A-23', node, known === undefined || known === index, () => {
        const name = `command ${sequence} of session ${session}`;
        return `${name} is applied at entry ${known} and again at ${index}`;
      });
      this.#sessions.set(key, index);
    }
    if (operation === 0) return;
    this.#operations.set(operation, index);
    const refusal = this.#refused.get(operation);
    this.#judge.check('A-25', node, refusal === undefined, () => {
      return `operation ${operation} is applied at entry ${index}, after its client heard: ${refusal}`;
    });
  }

  /** The entry that carried out a client's operation, if any did so far. */
  indexOf(operation: number): LogIndex | undefined {
    return this.#operations.get(operation);
  }

  /** A client was told for certain that this attempt is not and will not be applied. */
  refused(operation: number, reason: string): void {
    this.#refused.set(operation, reason);
    const index = this.#operations.get(operation);
    this.#judge.check('A-25', 0, index === undefined, () => {
      return `operation ${operation} is in entry ${index}, but its client heard: ${reason}`;
    });
  }
}

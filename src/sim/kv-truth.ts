// What really happened to the store: the committed commands, in the order of the log, applied to the
// checkers' model. Watches are judged by it, for it shares no line of code with them.

import type { KvRequest, RevisionEvents } from '../check/kv-history.ts';
import { applyKv, EMPTY_KV, type KvState } from '../check/kv-model.ts';
import type { Entry, LogIndex } from '../raft/types.ts';

/** Null: it changes nothing. */
type Command = KvRequest | { readonly compact: number } | null;

export class KvTruth {
  /** Every change, from revision 2 on. */
  readonly revisions: RevisionEvents[] = [];
  /** 0: nothing was ever compacted. */
  compactRevision = 0;
  #state: KvState = EMPTY_KV;
  #index: LogIndex = 0;
  /** By its bytes, since a command comes back from the wire and the disk as another object. */
  readonly #commands = new Map<string, Command>();

  get revision(): number {
    return this.#state.revision;
  }

  /** `data` is on its way into the log. */
  learn(data: Uint8Array, command: Command): void {
    this.#commands.set(nameOf(data), command);
  }

  /** Some node is about to apply these; the first to come that far counts. */
  apply(entries: readonly Entry[]): void {
    for (const { index, data } of entries) {
      if (index <= this.#index) continue;
      this.#index = index;
      this.#apply(this.#commands.get(nameOf(data))!);
    }
  }

  #apply(command: Command): void {
    if (command === null) return;
    if ('compact' in command) {
      const isRefused = command.compact > this.#state.revision;
      if (!isRefused) this.compactRevision = Math.max(this.compactRevision, command.compact);
      return;
    }
    const { state, events } = applyKv(this.#state, command, false);
    if (events.length > 0) this.revisions.push({ revision: state.revision, events });
    this.#state = state;
  }
}

function nameOf(data: Uint8Array): string {
  return String.fromCharCode(...data);
}

// Rules 1 and 3 of the contract (raft/io.ts): what a Ready decides is durable before anything that
// speaks of it leaves the node. Readys overlap; they finish in order.

import type { Ready } from '../raft/io.ts';
import type { Message } from '../raft/messages.ts';
import type { LogStore } from '../storage/log-store.ts';

interface Pending {
  readonly number: number;
  readonly afterPersist: readonly Message[];
  readonly startedAt: number;
  readonly wrote: boolean;
  durable: boolean;
}

export interface PersisterHost {
  /** This Ready and all before it are durable; its messages may leave. `wrote`: tell the core. */
  persisted(ready: number, afterPersist: readonly Message[], wrote: boolean): void;
  /** A write failed: the state of the disk is unknown, so the node must stop. */
  persistFailed(error: Error): void;
}

export class Persister {
  readonly #store: LogStore;
  readonly #host: PersisterHost;
  /** In the order of their numbers; the first one is always still to be made durable. */
  #pending: Pending[] = [];
  #head = 0;
  #persistedReady = 0;
  #stopped = false;

  constructor(store: LogStore, host: PersisterHost) {
    this.#store = store;
    this.#host = host;
    const failed = (error: Error) => this.#failed(error);
    store.onFailure = failed;
  }

  get inFlight(): number {
    return this.#pending.length - this.#head;
  }

  /** All Readys up to this number are durable. */
  get persistedReady(): number {
    return this.#persistedReady;
  }

  /** How long the oldest write has been under way; 0 when there is none. */
  oldestMs(now: number): number {
    const oldest = this.#pending[this.#head];
    return oldest === undefined ? 0 : now - oldest.startedAt;
  }

  submit(ready: Ready, now: number): void {
    const { number, afterPersist, mustPersist } = ready;
    if (!mustPersist && this.inFlight === 0) {
      this.#finish(number, afterPersist, false);
      return;
    }
    // Even a Ready without anything to write waits: its messages may speak of what the earlier
    // ones are still writing.
    const wrote = mustPersist;
    const pending = { number, afterPersist, startedAt: now, wrote, durable: !wrote };
    this.#pending.push(pending);
    if (mustPersist) this.#write(pending, ready);
  }

  #write(pending: Pending, { hardState, entries, snapshot }: Ready): void {
    this.#store.append({ hardState, entries, snapshot }, error => this.#written(pending, error));
  }

  /** Nothing more is reported. */
  stop(): void {
    this.#stopped = true;
  }

  #written(pending: Pending, error: Error | null): void {
    if (this.#stopped) return;
    if (error !== null) return this.#failed(error);
    pending.durable = true;
    while (this.#head < this.#pending.length && this.#pending[this.#head]!.durable) {
      const { number, afterPersist, wrote } = this.#pending[this.#head]!;
      this.#head += 1;
      this.#finish(number, afterPersist, wrote);
    }
    if (this.#head === this.#pending.length) {
      this.#pending = [];
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#pending = this.#pending.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Rule 5: the first failed write or sync is the end. */
  #failed(error: Error): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#host.persistFailed(error);
  }

  #finish(number: number, afterPersist: readonly Message[], wrote: boolean): void {
    this.#persistedReady = number;
    this.#host.persisted(number, afterPersist, wrote);
  }
}

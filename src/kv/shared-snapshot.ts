// One snapshot for several readers, each of which lets go of it when it is done.

import type { Count, Snapshot, Table } from './backend.ts';
import type { Cursor } from './cursor.ts';

export class SharedSnapshot {
  readonly #snapshot: Snapshot;
  #users = 0;

  /** Released with the last of its shares. */
  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  share(): Snapshot {
    this.#users++;
    return new Share(this.#snapshot, () => this.#leave());
  }

  #leave(): void {
    this.#users--;
    if (this.#users === 0) this.#snapshot.release();
  }
}

class Share implements Snapshot {
  readonly #snapshot: Snapshot;
  #leave: (() => void) | null;

  constructor(snapshot: Snapshot, leave: () => void) {
    this.#snapshot = snapshot;
    this.#leave = leave;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#snapshot.get(table, key);
  }

  peek(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#snapshot.peek(table, key);
  }

  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor {
    return this.#snapshot.scan(table, from, to);
  }

  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    return this.#snapshot.count(table, from, to, max);
  }

  release(): void {
    this.#leave?.();
    this.#leave = null;
  }
}

// The store of one simulated node, with its watches, and with an ear to it.

import type { KvRequest } from '../check/kv-history.ts';
import { KvMachine } from '../kv/kv-machine.ts';
import { MemoryBackend } from '../kv/memory-backend.ts';
import { isRefusal } from '../kv/store.ts';
import { WatchHub } from '../kv/watch-hub.ts';
import type { ApplyBatch, Machine } from '../node/machine.ts';
import type { LogId } from '../raft/types.ts';
import { toBytes } from './kv-protocol.ts';
import { hashBytes, hashText, mix32 } from './prng.ts';
import type { Process } from './process.ts';

/** The hash of the store is compared at every so many revisions. */
const HASH_EVERY = 64;
/** So few that a deletion of a handful of keys takes several turns. */
const LONG_KEYS_A_TURN = 1;

export interface WatchSettings {
  readonly queueEventsMax: number;
  readonly liveChangesMax: number;
  /** Changes that a watcher which is behind reads at a time, and how often. */
  readonly changesMax: number;
  readonly stepUs: number;
}

interface KvSettings extends WatchSettings {
  readonly sweepPerBatch: number;
}

/** What is heard of a node's store. */
export interface KvEar {
  willApply(batch: ApplyBatch): void;
  looked(index: number, hash: number): void;
  hashed(revision: number, hash: number): void;
  restored(watchers: number): void;
}

/** The store of one node, with an ear to it. */
export class HeardKvMachine implements Machine {
  readonly hub: WatchHub;
  readonly #machine: KvMachine;
  readonly #process: Process;
  readonly #ear: KvEar;
  readonly #settings: KvSettings;
  #nextHash = HASH_EVERY;
  #underway: ApplyBatch | null = null;

  constructor(process: Process, settings: KvSettings, ear: KvEar) {
    this.#process = process;
    this.#settings = settings;
    this.#ear = ear;
    const { queueEventsMax, liveChangesMax, sweepPerBatch } = settings;
    this.#machine = new KvMachine(new MemoryBackend(), {
      sweepPerBatch,
      longKeysATurn: LONG_KEYS_A_TURN,
    });
    this.hub = new WatchHub(this.#machine, {
      queueEventsMax,
      liveChangesMax,
      work: () => this.#stepLater(),
    });
  }

  get compactRevision(): number {
    return this.#machine.store.compactRevision;
  }

  get applied(): LogId {
    return this.#machine.applied;
  }

  get durable(): LogId {
    return this.#machine.durable;
  }

  apply(batch: ApplyBatch): unknown[] {
    this.#ear.willApply(batch);
    const results = this.#machine.apply(batch);
    this.#look(batch, results);
    return results;
  }

  begin(batch: ApplyBatch): unknown[] | null {
    this.#ear.willApply(batch);
    this.#underway = batch;
    return this.#goneOn(this.#machine.begin(batch));
  }

  resume(): unknown[] | null {
    return this.#goneOn(this.#machine.resume());
  }

  flush(): Promise<LogId> {
    this.#process.stirred = true;
    return this.#machine.flush();
  }

  bookkeeping(prefix: string): Iterable<[name: string, value: Uint8Array]> {
    return this.#machine.bookkeeping(prefix);
  }

  snapshot(): { readonly last: LogId; content(): AsyncIterable<Uint8Array> } {
    this.#process.stirred = true;
    return this.#machine.snapshot();
  }

  async restore(last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#machine.restore(last, content);
    this.#ear.restored(this.hub.size);
    this.#nextHash = roundUp(this.#machine.store.revision);
  }

  close(): Promise<void> {
    return this.#machine.close();
  }

  range(request: KvRequest & { kind: 'range' }): unknown {
    return this.#machine.range({
      key: toBytes(request.key),
      rangeEnd: toBytes(request.rangeEnd ?? ''),
      limit: 0,
      revision: 0,
      sortOrder: 0,
      sortTarget: 0,
      serializable: false,
      keysOnly: false,
      countOnly: false,
      minModRevision: 0,
      maxModRevision: 0,
      minCreateRevision: 0,
      maxCreateRevision: 0,
    });
  }

  /** In a turn of its own, as a server does it. */
  #stepLater(): void {
    const { changesMax, stepUs } = this.#settings;
    this.#process.world.after(stepUs, 'turn', this.#process, () => {
      if (this.hub.step(changesMax)) this.#stepLater();
    });
  }

  #goneOn(results: unknown[] | null): unknown[] | null {
    if (results !== null) this.#look(this.#underway!, results);
    return results;
  }

  #look(batch: ApplyBatch, results: readonly unknown[]): void {
    for (let i = 0; i < results.length; i++) {
      this.#ear.looked(batch.commands[i]!.index, hashValue(1, results[i]));
    }
    this.#compareHash();
  }

  #compareHash(): void {
    const { revision, compactRevision } = this.#machine.store;
    if (revision < this.#nextHash) return;
    const at = this.#nextHash;
    this.#nextHash = roundUp(revision);
    // The hash speaks of what compaction has left, so equal only at equal compactions.
    if (at < compactRevision) return;
    const hash = this.#machine.hash(at);
    if (isRefusal(hash)) return;
    this.#ear.hashed(at + compactRevision / 2 ** 24, Number(hash.hash));
  }
}

function roundUp(revision: number): number {
  return (Math.floor(revision / HASH_EVERY) + 1) * HASH_EVERY;
}

/** A result's hash, by all that is in it: cheaper than by its text. */
function hashValue(hash: number, value: unknown): number {
  if (typeof value === 'number') return mix32(mix32(hash, value | 0), Math.floor(value / 2 ** 32));
  if (value instanceof Uint8Array) return hashBytes(hash, value);
  if (typeof value !== 'object' || value === null) return mix32(hash, hashText(String(value)));
  let h = hash;
  for (const key in value) h = hashValue(h, (value as Record<string, unknown>)[key]);
  return mix32(h, 0x5bd1e995);
}

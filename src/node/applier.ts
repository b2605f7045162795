// Committed entries on their way into the state machine: batches as large as a time slice allows,
// snapshots in their place between them, sessions' repeats left out, answers given.
//
// It also knows which configuration was in force at each index that a snapshot may still name.

import type {
  Configuration,
  Entry,
  LogId,
  LogIndex,
  PersistentState,
  SnapshotMeta,
} from '../raft/types.ts';
import type { LogStore } from '../storage/log-store.ts';
import type { Clock } from './clock.ts';
import type { DriverEvents, DriverLimits, ReplyCodec } from './driver-types.ts';
import { diskProblemOf, KontikiError, messageOf, storageError } from './errors.ts';
import type { ApplyBatch, Machine } from './machine.ts';
import { paced } from './pace.ts';
import type { ProposalTracker } from './proposals.ts';
import { SESSION_PREFIX, SessionTable } from './sessions.ts';
import { resultOf, Slice, sessionError } from './slice.ts';

/** What the applier needs of the driver. */
export interface ApplierHost {
  /** Everything up to here is in the state machine. */
  applied(index: LogIndex): void;
  /** The state is that of a snapshot, outside of a turn; run() has work again. */
  restored(meta: SnapshotMeta): void;
  /** run() has work again, outside of a turn. */
  wake(): void;
  fail(error: KontikiError): void;
}

/** A batch that the machine has begun and not finished. */
interface Underway {
  readonly entries: readonly Entry[];
  readonly slice: Slice;
}

interface Restore {
  readonly meta: SnapshotMeta;
  /** The Ready that records the snapshot in the log. */
  readonly ready: number;
}

/** Batches end by bytes as well: a transaction has as much work in it as it is long, about. */
const APPLY_BYTES_MAX = 32 * 1024;

export class Applier {
  readonly #machine: Machine;
  readonly #store: LogStore;
  readonly #clock: Clock;
  readonly #limits: DriverLimits;
  readonly #events: DriverEvents;
  readonly #replies: ReplyCodec | null;
  readonly #tracker: ProposalTracker;
  readonly #host: ApplierHost;
  readonly #sessions: SessionTable;
  /** Committed, in order; the first `#offset` entries of the first array are applied. */
  #queue: (readonly Entry[] | Restore)[] = [];
  #offset = 0;
  #backlog = 0;
  #restoring = false;
  /** Waits for the machine's disk. */
  #flushing = false;
  #underway: Underway | null = null;
  #whenSettled: ((isSettled: boolean) => void)[] = [];
  #stopped = false;
  /** In force at their index and after; oldest first, never empty. */
  #configs: { index: LogIndex; config: Configuration }[];

  constructor(
    parts: {
      readonly machine: Machine;
      readonly store: LogStore;
      readonly clock: Clock;
      readonly limits: DriverLimits;
      readonly events: DriverEvents;
      readonly replies: ReplyCodec | null;
      readonly tracker: ProposalTracker;
      readonly state: PersistentState;
    },
    host: ApplierHost,
  ) {
    this.#machine = parts.machine;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#limits = parts.limits;
    this.#events = parts.events;
    this.#replies = parts.replies;
    this.#tracker = parts.tracker;
    this.#host = host;
    this.#sessions = new SessionTable(parts.limits.sessionsMax);
    this.#sessions.load(parts.machine.bookkeeping(SESSION_PREFIX));
    this.#configs = configsUpTo(parts.state, parts.machine.applied.index);
  }

  get backlog(): number {
    return this.#backlog;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  get restoring(): boolean {
    return this.#restoring;
  }

  /** The machine is in the middle of a batch. */
  get isMidway(): boolean {
    return this.#underway !== null;
  }

  /** Resolves to true after the end of the batch under way: the next may have begun. False: never. */
  settled(): Promise<boolean> {
    return new Promise(resolve => {
      if (this.#underway === null || this.#stopped) resolve(this.#underway === null);
      else this.#whenSettled.push(resolve);
    });
  }

  enqueue(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.#queue.push(entries);
    this.#backlog += entries.length;
  }

  enqueueSnapshot(meta: SnapshotMeta, ready: number): void {
    this.#queue.push({ meta, ready });
  }

  /** What a snapshot of the state at `last` says beside the state. */
  metaAt(last: LogId): SnapshotMeta {
    let placed = this.#configs[0]!;
    for (const candidate of this.#configs) {
      if (candidate.index <= last.index) placed = candidate;
    }
    return { last, config: placed.config, configIndex: placed.index };
  }

  /** No snapshot before this index will be named again. */
  forgetBefore(index: LogIndex): void {
    while (this.#configs.length > 1 && this.#configs[1]!.index <= index) this.#configs.shift();
  }

  /**
   * Applies until nothing is left or the time slice is used up; true when it should be called
   * again in the next turn. A restore waits until the log has recorded it (`persistedReady`).
   */
  run(persistedReady: number): boolean {
    if (this.#underway !== null && !this.#stopped && !this.#resume(this.#underway)) return true;
    if (this.#queue.length === 0 || this.#waitsForDisk()) return false;
    const until = this.#clock.now() + this.#limits.applySliceMs;
    while (!this.#restoring && !this.#stopped) {
      const next = this.#queue[0];
      if (next === undefined) return false;
      if ('meta' in next) {
        if (next.ready > persistedReady) return false;
        this.#queue.shift();
        this.#restore(next.meta);
        return false;
      }
      if (!this.#applyBatch(this.#takeEntries())) return true;
      if (this.#waitsForDisk()) return false;
      if (this.#clock.now() >= until) return this.#queue.length > 0;
    }
    return false;
  }

  /**
   * A machine whose disk is slower than the log would fill the memory with what it has applied. What
   * waits here instead is in the log, whose entries are in memory once and on the log's disk.
   */
  #waitsForDisk(): boolean {
    if (this.#flushing) return true;
    const { backlogBytes = 0 } = this.#machine;
    if (backlogBytes <= this.#limits.machineBacklogBytesMax || this.#restoring) return false;
    this.#flushing = true;
    this.#machine.flush().then(
      () => {
        this.#flushing = false;
        if (!this.#stopped) this.#host.wake();
      },
      error => {
        if (!this.#stopped) this.#host.fail(storageError(error));
      },
    );
    return true;
  }

  stop(): void {
    this.#stopped = true;
    this.#queue = [];
    this.#settle();
  }

  /** All that waits up to the next snapshot, within bounds. */
  #takeEntries(): readonly Entry[] {
    const first = this.#queue[0] as readonly Entry[];
    const { applyEntriesMax } = this.#limits;
    const whole = this.#offset === 0 && first.length <= applyEntriesMax;
    const next = this.#queue[1];
    if (whole && (next === undefined || 'meta' in next) && bytesOf(first) <= APPLY_BYTES_MAX) {
      this.#queue.shift();
      this.#backlog -= first.length;
      return first;
    }
    return this.#gather(applyEntriesMax);
  }

  #gather(entriesMax: number): Entry[] {
    const taken: Entry[] = [];
    let bytes = 0;
    for (;;) {
      const source = this.#queue[0];
      if (source === undefined || 'meta' in source) break;
      while (this.#offset < source.length) {
        const entry = source[this.#offset]!;
        const full = taken.length === entriesMax || bytes + entry.data.length > APPLY_BYTES_MAX;
        if (full && taken.length > 0) break;
        taken.push(entry);
        bytes += entry.data.length;
        this.#offset += 1;
      }
      if (this.#offset < source.length) break;
      this.#queue.shift();
      this.#offset = 0;
    }
    this.#backlog -= taken.length;
    return taken;
  }

  /** False when the machine needs more turns. */
  #applyBatch(entries: readonly Entry[]): boolean {
    const slice = new Slice(this.#sessions, this.#replies);
    slice.admit(entries);
    const { term, index } = entries[entries.length - 1]!;
    const batch = { last: { term, index }, commands: slice.commands, bookkeeping: slice };
    const results = this.#callMachine(batch);
    if (results === null) this.#underway = { entries, slice };
    else this.#finishBatch(entries, slice, results);
    return results !== null;
  }

  #resume({ entries, slice }: Underway): boolean {
    const results = this.#callMachine(null);
    if (results === null) return false;
    this.#underway = null;
    this.#finishBatch(entries, slice, results);
    this.#settle();
    return true;
  }

  #finishBatch(entries: readonly Entry[], slice: Slice, results: readonly unknown[]): void {
    const { commands } = slice;
    if (results.length !== commands.length) {
      const counts = `${results.length} results for ${commands.length} commands`;
      throw new KontikiError('MACHINE_FAILED', 'unknown', `the state machine gave ${counts}.`);
    }
    slice.checkSettled();
    this.#noteConfigs(entries);
    if (commands.length > 0) this.#events.applied?.(commands, results);
    this.#answer(entries, slice, results);
    const { index } = entries[entries.length - 1]!;
    this.#tracker.appliedTo(index);
    this.#host.applied(index);
  }

  /** Null as a batch: on with the one under way. */
  #callMachine(batch: ApplyBatch | null): unknown[] | null {
    const machine = this.#machine;
    try {
      if (batch === null) return machine.resume!();
      return machine.begin === undefined ? machine.apply(batch) : machine.begin(batch);
    } catch (error) {
      throw machineError(error);
    }
  }

  #settle(): void {
    const waiting = this.#whenSettled;
    this.#whenSettled = [];
    for (const resolve of waiting) resolve(this.#underway === null);
  }

  #noteConfigs(entries: readonly Entry[]): void {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.kind !== 'config' || entry.config === null) continue;
      this.#configs.push({ index: entry.index, config: entry.config });
      this.#events.configApplied?.(entry);
    }
  }

  #answer(entries: readonly Entry[], slice: Slice, results: readonly unknown[]): void {
    if (this.#tracker.count === 0) return;
    let next = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      const applied = slice.isApplied(entry);
      const result = applied ? results[next++] : undefined;
      if (applied || entry.kind !== 'command') {
        this.#tracker.applied(entry.index, entry.term, applied ? result : resultOf(entry));
        continue;
      }
      const verdict = slice.verdicts!.get(entry.index)!;
      if (typeof verdict === 'string') {
        this.#tracker.rejected(entry.index, entry.term, sessionError(entry, verdict));
      } else {
        const reply = this.#replies!.decode(verdict.reply!);
        this.#tracker.applied(entry.index, entry.term, reply);
      }
    }
  }

  #restore(meta: SnapshotMeta): void {
    this.#restoring = true;
    restoreMachine(this.#machine, this.#store, meta, this.#clock).then(
      () => {
        this.#restoring = false;
        if (this.#stopped) return;
        const { last, config, configIndex } = meta;
        this.#sessions.load(this.#machine.bookkeeping(SESSION_PREFIX));
        this.#configs = [{ index: configIndex, config }];
        this.#tracker.skippedTo(last.index);
        this.#host.restored(meta);
      },
      error => {
        this.#restoring = false;
        if (!this.#stopped) this.#host.fail(storageError(error));
      },
    );
  }
}

/** Replaces the machine's state by the complete snapshot file of this name. */
export async function restoreMachine(
  machine: Machine,
  store: LogStore,
  meta: SnapshotMeta,
  clock: Clock,
): Promise<void> {
  const reader = await store.openSnapshot(meta);
  if (reader === null) {
    const text = `the snapshot at index ${meta.last.index} is missing, and the state machine `;
    const rest = `stands at ${machine.applied.index}. Remove the data and let the node join anew.`;
    throw new KontikiError('STORAGE_CORRUPT', 'unknown', text + rest);
  }
  try {
    await machine.restore(meta.last, paced(reader.content(), clock));
  } finally {
    await reader.close();
  }
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
  return bytes;
}

/** The configurations that were in force up to the machine's own state, from what was recovered. */
function configsUpTo(
  state: PersistentState,
  applied: LogIndex,
): { index: LogIndex; config: Configuration }[] {
  const { snapshot, entries } = state;
  const configs = [{ index: snapshot.configIndex, config: snapshot.config }];
  for (const { kind, index, config } of entries) {
    if (kind !== 'config' || config === null) continue;
    if (index > snapshot.last.index && index <= applied) configs.push({ index, config });
  }
  return configs;
}

function machineError(error: unknown): KontikiError {
  if (error instanceof KontikiError) return error;
  if (diskProblemOf(error) !== null) return storageError(error);
  const text = `the state machine threw while applying: ${messageOf(error)}. The node has stopped.`;
  return new KontikiError('MACHINE_FAILED', 'unknown', text, { cause: error });
}

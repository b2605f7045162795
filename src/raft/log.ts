// The replicated log as one node holds it: the entries since the compacted prefix, and the cursors
// that say how far they are handed to storage, durable, committed and applied.
//
//        base      stable      handed      last
//   ......|-----------|-----------|----------|
//               applied <= committed <= last, applied <= stable
//
// It knows nothing of roles and messages. Indexes are positions in the whole log, never offsets.

import { assert } from './assert.ts';
import type {
  Configuration,
  Entry,
  LogId,
  LogIndex,
  PersistentState,
  SnapshotMeta,
  Term,
} from './types.ts';

/** What an entry weighs beside its data, for limits on messages and memory. */
const ENTRY_OVERHEAD_BYTES = 32;
const NO_ENTRIES: readonly Entry[] = [];

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

export interface PlacedConfig {
  readonly index: LogIndex;
  readonly config: Configuration;
}

export class Log {
  /** The position right before the first entry held; its entry is compacted away. */
  #base: LogId;
  #entries: Entry[];
  /** The newest snapshot known to be safe: what a follower behind the base is sent. */
  #snapshot: SnapshotMeta;
  /** Configurations in the log, oldest first; never empty, the last one is in force (§4.1). */
  #configs: PlacedConfig[];
  #stableIndex: LogIndex;
  /** Entries up to here were handed out in a Ready; a truncation takes it back. */
  #handedIndex: LogIndex;
  #commitIndex: LogIndex;
  /** Entries up to here were handed out to be applied. At least appliedIndex. */
  #applyingIndex: LogIndex;
  #appliedIndex: LogIndex;

  constructor(state: PersistentState, appliedIndex: LogIndex) {
    const { snapshot, hardState } = state;
    const usable = usableEntries(snapshot, state.entries);
    this.#snapshot = snapshot;
    this.#base = baseOf(snapshot, usable);
    this.#entries = usable.filter(entry => entry.index > this.#base.index);
    checkConsecutive(this.#base, this.#entries);
    this.#configs = configsOf(snapshot, this.#entries);
    const last = this.last.index;
    assert(appliedIndex <= last, 'the recovered log reaches what the state machine has applied');
    this.#stableIndex = last;
    this.#handedIndex = last;
    // The stored commitIndex is a hint that may be missing or ahead of what survived.
    const hint = Math.min(hardState.commitIndex, last);
    this.#commitIndex = Math.max(snapshot.last.index, appliedIndex, hint);
    this.#appliedIndex = appliedIndex;
    this.#applyingIndex = appliedIndex;
  }

  get base(): LogId {
    return this.#base;
  }

  get snapshot(): SnapshotMeta {
    return this.#snapshot;
  }

  get last(): LogId {
    return { term: this.lastTerm, index: this.lastIndex };
  }

  get lastTerm(): Term {
    const held = this.#entries.length;
    return held === 0 ? this.#base.term : this.#entries[held - 1]!.term;
  }

  get lastIndex(): LogIndex {
    return this.#base.index + this.#entries.length;
  }

  get stableIndex(): LogIndex {
    return this.#stableIndex;
  }

  get handedIndex(): LogIndex {
    return this.#handedIndex;
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }

  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  get config(): Configuration {
    return this.#configs.at(-1)!.config;
  }

  get configIndex(): LogIndex {
    return this.#configs.at(-1)!.index;
  }

  /** The newest configuration that is known to be committed. */
  get committedConfig(): Configuration {
    let committed = this.#configs[0]!;
    for (const placed of this.#configs) if (placed.index <= this.#commitIndex) committed = placed;
    return committed.config;
  }

  /** Undefined beyond either end. */
  term(index: LogIndex): Term | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.entry(index)?.term;
  }

  entry(index: LogIndex): Entry | undefined {
    return this.#entries[index - this.#base.index - 1];
  }

  matches(id: LogId): boolean {
    return this.term(id.index) === id.term;
  }

  /** RV2: later last term wins; with equal terms the longer log (§5.4.1). */
  isUpToDate(candidate: LogId): boolean {
    const own = this.last;
    if (candidate.term !== own.term) return candidate.term > own.term;
    return candidate.index >= own.index;
  }

  /** Entries from `from` on, at least one if there is one, within the bounds. */
  slice(from: LogIndex, entriesMax: number, bytesMax: number): Entry[] {
    assert(from > this.#base.index, 'only entries that are held are read');
    const begin = from - this.#base.index - 1;
    let end = begin;
    let bytes = 0;
    while (end < this.#entries.length && end - begin < entriesMax) {
      bytes += entryBytes(this.#entries[end]!);
      if (bytes > bytesMax && end > begin) break;
      end += 1;
    }
    return this.#entries.slice(begin, end);
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, 'entries are appended in order');
      assert(entry.term >= this.lastTerm, 'terms never decrease along the log');
      this.#entries.push(entry);
      if (entry.config !== null) this.#configs.push({ index: entry.index, config: entry.config });
    }
  }

  /** Removes the entry at `index` and all after it. */
  truncate(index: LogIndex): void {
    assert(index > this.#commitIndex, 'committed entries are never truncated');
    assert(index > this.#base.index, 'only entries that are held are truncated');
    this.#entries.length = index - this.#base.index - 1;
    this.#stableIndex = Math.min(this.#stableIndex, index - 1);
    this.#handedIndex = Math.min(this.#handedIndex, index - 1);
    while (this.#configs.at(-1)!.index >= index) this.#configs.pop();
    assert(this.#configs.length > 0, 'a configuration is always known');
  }

  hasUnstable(): boolean {
    return this.#handedIndex !== this.lastIndex;
  }

  /** Entries not handed out to storage yet; the cursor moves past them. */
  takeUnstable(): readonly Entry[] {
    if (this.#handedIndex === this.lastIndex) return NO_ENTRIES;
    const entries = this.#entries.slice(this.#handedIndex - this.#base.index);
    this.#handedIndex = this.lastIndex;
    return entries;
  }

  /**
   * Storage made everything up to `id` durable. The term tells whether the entry at that index is
   * still the one that was written: after a truncation another may stand there (the ABA trap).
   */
  stableTo(id: LogId): void {
    if (id.index <= this.#stableIndex || !this.matches(id)) return;
    assert(id.index <= this.#handedIndex, 'only what was handed out becomes durable');
    this.#stableIndex = id.index;
  }

  commitTo(index: LogIndex): void {
    assert(index >= this.#commitIndex, 'commitIndex never decreases');
    assert(index <= this.lastIndex, 'a committed entry is in the log');
    this.#commitIndex = index;
  }

  /** Committed entries to apply next. Only durable ones: a crash can't leave the state ahead. */
  takeCommitted(): readonly Entry[] {
    const upTo = Math.min(this.#commitIndex, this.#stableIndex);
    if (upTo <= this.#applyingIndex) return NO_ENTRIES;
    const first = this.#applyingIndex - this.#base.index;
    this.#applyingIndex = upTo;
    return this.#entries.slice(first, upTo - this.#base.index);
  }

  hasCommitted(): boolean {
    return Math.min(this.#commitIndex, this.#stableIndex) > this.#applyingIndex;
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#appliedIndex, 'appliedIndex never decreases');
    assert(index <= this.#applyingIndex, 'only what was handed out is applied');
    this.#appliedIndex = index;
  }

  /** True while a committed configuration entry waits to be applied. */
  hasUnappliedConfig(): boolean {
    const index = this.configIndex;
    return index > this.#appliedIndex && index <= this.#commitIndex;
  }

  /** The own state machine's state at `meta.last` is safe; entries up to `base` may go. */
  compact(meta: SnapshotMeta, base: LogIndex): void {
    if (meta.last.index <= this.#snapshot.last.index) return;
    assert(meta.last.index <= this.#appliedIndex, 'only applied entries are compacted');
    assert(this.matches(meta.last), 'the snapshot stands on an entry of this log');
    this.#snapshot = meta;
    if (base > this.#base.index) this.#dropUpTo({ index: base, term: this.term(base)! });
  }

  /** IS6, IS7: a leader's snapshot takes the place of the log up to its last entry. */
  restore(meta: SnapshotMeta): void {
    assert(meta.last.index > this.#commitIndex, 'a snapshot only moves the commit forward');
    // IS6: an entry with the snapshot's last index and term keeps those that follow it (§7).
    // IS7: otherwise discard the entire log.
    const suffix = this.matches(meta.last)
      ? this.slice(meta.last.index + 1, Infinity, Infinity)
      : [];
    this.#snapshot = meta;
    this.#base = meta.last;
    this.#entries = suffix;
    this.#configs = configsOf(meta, suffix);
    // Storage records the snapshot and, behind it, the suffix once more: in memory and on disk the
    // same rule holds, that a snapshot record begins the log anew.
    this.#stableIndex = Math.min(this.#stableIndex, this.#commitIndex);
    this.#handedIndex = meta.last.index;
    this.#commitIndex = meta.last.index;
    this.#applyingIndex = meta.last.index;
  }

  /** The first index held that has this term, at or before `from`. */
  firstIndexOfTerm(term: Term, from: LogIndex): LogIndex {
    let index = from;
    while (index > this.#base.index + 1 && this.term(index - 1) === term) index -= 1;
    return index;
  }

  /** The last index whose term is at most `term`, searched from `from` downwards. */
  lastIndexAtMost(term: Term, from: LogIndex): LogIndex {
    let index = Math.min(from, this.lastIndex);
    while (index > this.#base.index && this.term(index)! > term) index -= 1;
    return index;
  }

  #dropUpTo(base: LogId): void {
    this.#entries = this.#entries.slice(base.index - this.#base.index);
    this.#base = base;
    while (this.#configs.length > 1 && this.#configs[1]!.index <= base.index) this.#configs.shift();
  }
}

/**
 * A snapshot ahead of the log, or one that contradicts it, takes its place: what the log holds is
 * then old or was never committed.
 */
function usableEntries(snapshot: SnapshotMeta, entries: readonly Entry[]): readonly Entry[] {
  const { last } = snapshot;
  const first = entries[0];
  if (first === undefined || first.index === last.index + 1) return entries;
  assert(first.index <= last.index, 'no gap lies between the snapshot and the log');
  return entries[last.index - first.index]?.term === last.term ? entries : [];
}

/**
 * With entries kept from before the snapshot's last one, the first of them is the base: the term
 * before it is not known, and followers that far back are sent the snapshot.
 */
function baseOf(snapshot: SnapshotMeta, entries: readonly Entry[]): LogId {
  const first = entries[0];
  if (first === undefined || first.index > snapshot.last.index) return snapshot.last;
  return { term: first.term, index: first.index };
}

function checkConsecutive(base: LogId, entries: readonly Entry[]): void {
  let expected = base.index + 1;
  for (const entry of entries) {
    assert(entry.index === expected, 'recovered entries are consecutive');
    expected += 1;
  }
}

function configsOf(snapshot: SnapshotMeta, entries: readonly Entry[]): PlacedConfig[] {
  const configs: PlacedConfig[] = [{ index: snapshot.configIndex, config: snapshot.config }];
  for (const entry of entries) {
    if (entry.config === null || entry.index <= snapshot.last.index) continue;
    configs.push({ index: entry.index, config: entry.config });
  }
  return configs;
}

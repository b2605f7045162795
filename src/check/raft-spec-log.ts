// What a server of the specification remembers: its log in memory, and a disk that lags behind it.
//
// The TLA+ has one log, durable at once. An implementation writes in the background, with several
// writes under way; so here a log has a disk beside it, and Restart(i) brings back what a crash may
// have left of the writes. Logs are complete from the first entry: what an implementation compacts is
// committed, and what is committed the specification knows for good.

export type ServerId = number;

/** Who decides. With `outgoing` the configuration is joint, and needs a majority of both halves. */
export interface SpecConfig {
  readonly voters: readonly ServerId[];
  readonly outgoing: readonly ServerId[];
  readonly learners: readonly ServerId[];
}

/** `data` is the command. A configuration is in force as soon as it is in the log. */
export interface SpecEntry {
  readonly term: number;
  readonly index: number;
  readonly data: Uint8Array;
  readonly config: SpecConfig | null;
}

export interface SpecPlace {
  readonly term: number;
  readonly index: number;
}

export function sameEntry(a: SpecEntry, b: SpecEntry): boolean {
  if (a === b) return true;
  if (a.term !== b.term || a.data.length !== b.data.length) return false;
  for (let i = 0; i < a.data.length; i++) if (a.data[i] !== b.data[i]) return false;
  return a.config === null || b.config === null
    ? a.config === b.config
    : sameConfig(a.config, b.config);
}

export function sameConfig(a: SpecConfig, b: SpecConfig): boolean {
  const text = ({ voters, outgoing, learners }: SpecConfig) => `${voters};${outgoing};${learners}`;
  return a === b || text(a) === text(b);
}

/** Quorum: a majority of each half holds. */
export function isQuorum(config: SpecConfig, holds: (server: ServerId) => boolean): boolean {
  return (
    isMajority(config.voters, holds) && (isSimple(config) || isMajority(config.outgoing, holds))
  );
}

function isMajority(of: readonly ServerId[], holds: (server: ServerId) => boolean): boolean {
  let count = 0;
  for (let i = 0; i < of.length; i++) if (holds(of[i]!)) count += 1;
  return count * 2 > of.length;
}

function isSimple(config: SpecConfig): boolean {
  return config.outgoing.length === 0;
}

export function isMember(config: SpecConfig, server: ServerId): boolean {
  return isVoter(config, server) || config.learners.includes(server);
}

export function isVoter(config: SpecConfig, server: ServerId): boolean {
  return config.voters.includes(server) || config.outgoing.includes(server);
}

/** Whether every quorum of one meets every quorum of the other. */
export function quorumsMeet(a: SpecConfig, b: SpecConfig): boolean {
  const halves = (c: SpecConfig) => (isSimple(c) ? [c.voters] : [c.voters, c.outgoing]);
  return halves(a).some(x => halves(b).some(y => majoritiesMeet(x, y)));
}

function majoritiesMeet(a: readonly ServerId[], b: readonly ServerId[]): boolean {
  const majority = (of: readonly ServerId[]) => Math.floor(of.length / 2) + 1;
  return majority(a) + majority(b) > new Set([...a, ...b]).size;
}

export class SpecLog {
  readonly entries: SpecEntry[] = [];
  /** In force before the first configuration in the log. */
  founding: SpecConfig;
  readonly #configs: number[] = [];

  constructor(founding: SpecConfig) {
    this.founding = founding;
  }

  get lastIndex(): number {
    return this.entries.length;
  }

  get lastTerm(): number {
    const { length } = this.entries;
    return length === 0 ? 0 : this.entries[length - 1]!.term;
  }

  get configIndex(): number {
    return this.#configs.length === 0 ? 0 : this.#configs[this.#configs.length - 1]!;
  }

  get config(): SpecConfig {
    return this.#configOf(this.configIndex);
  }

  /** In force at an index. */
  configAt(index: number): SpecConfig {
    return this.#configOf(this.#configs.findLast(at => at <= index) ?? 0);
  }

  /** Undefined beyond the end. */
  termAt(index: number): number | undefined {
    return index === 0 ? 0 : this.entries[index - 1]?.term;
  }

  push(entry: SpecEntry): void {
    this.entries.push(entry);
    if (entry.config !== null) this.#configs.push(this.entries.length);
  }

  /** Drops everything after this index. */
  cut(index: number): void {
    if (index >= this.entries.length) return;
    this.entries.length = index;
    while (this.configIndex > index) this.#configs.pop();
  }

  #configOf(index: number): SpecConfig {
    return index === 0 ? this.founding : this.entries[index - 1]!.config!;
  }
}

/** One write that an implementation hands to its disk: everything since the one before. */
interface Write {
  readonly term: number;
  readonly votedFor: ServerId;
  /** The entries of a received snapshot, all from the first; or null. */
  readonly snapshot: readonly SpecEntry[] | null;
  /** Followed by `entries`, which replace what stood there. */
  readonly prevIndex: number;
  readonly entries: readonly SpecEntry[];
  /** How far the log in memory is on disk once this is done. */
  reaches: number;
}

/** A committed prefix, and the configuration in force at its end. */
export interface SpecSnapshot {
  readonly last: SpecPlace;
  readonly config: SpecConfig;
}

/** What a server found on its disk. */
export interface SpecRecovered {
  readonly hardState: { readonly currentTerm: number; readonly votedFor: ServerId };
  readonly snapshot: SpecSnapshot;
  /** Consecutive; what lies before them is compacted, and so may be what the snapshot covers. */
  readonly entries: readonly SpecEntry[];
}

export class SpecDisk {
  term = 0;
  votedFor: ServerId = 0;
  readonly log: SpecEntry[] = [];
  /** Up to here the log in memory is on disk. */
  durableIndex = 0;
  /** Writes handed over, and writes done, since the first start. */
  handed = 0;
  done = 0;
  /** As the last write says; there need not be one for each change. */
  newest = { term: 0, votedFor: 0 };
  #writes: Write[] = [];

  write(write: Write): void {
    this.handed += 1;
    this.newest = write;
    this.#writes.push(write);
  }

  /** The oldest write is done: writes are done in order. */
  complete(): void {
    const write = this.#writes.shift();
    if (write === undefined) return;
    this.done += 1;
    this.#apply(write, write.entries.length);
    this.durableIndex = Math.max(this.durableIndex, write.reaches);
  }

  /** The log in memory was cut: what is under way makes no more durable than is left of it. */
  forget(index: number): void {
    this.durableIndex = Math.min(this.durableIndex, index);
    for (const write of this.#writes) write.reaches = Math.min(write.reaches, index);
  }

  /** [loss] The disk is again as it was when its log ended at `index`; term and vote are the same. */
  lose(index: number): void {
    this.#writes = [];
    this.log.length = Math.min(index, this.log.length);
  }

  /**
   * A crash leaves the writes that were done and perhaps some of the others, in their order, the last
   * of them in part: first its term, vote and snapshot, then its entries. False: not this.
   */
  recover(found: SpecRecovered): boolean {
    const writes = this.#writes;
    this.#writes = [];
    this.done = this.handed;
    const held = this.#find(found, writes);
    this.newest = { term: this.term, votedFor: this.votedFor };
    this.durableIndex = this.log.length;
    return held;
  }

  #find(found: SpecRecovered, writes: readonly Write[]): boolean {
    if (this.#is(found)) return true;
    for (const write of writes) {
      this.#apply(write, 0);
      if (this.#is(found)) return true;
      const rest = this.log.slice(write.prevIndex);
      const part = Math.min(lastOf(found).index - write.prevIndex, write.entries.length);
      this.#apply(write, Math.max(0, part));
      if (this.#is(found)) return true;
      this.log.length = Math.min(write.prevIndex, this.log.length);
      this.log.push(...rest);
      this.#apply(write, write.entries.length);
    }
    return false;
  }

  #apply({ term, votedFor, snapshot, prevIndex, entries }: Write, part: number): void {
    this.term = term;
    this.votedFor = votedFor;
    if (snapshot !== null) this.#install(snapshot);
    if (part === 0) return;
    this.log.length = Math.min(prevIndex, this.log.length);
    for (let i = 0; i < part; i++) this.log.push(entries[i]!);
  }

  /** Figure 13: a log that has the snapshot's last entry keeps what follows it. */
  #install(snapshot: readonly SpecEntry[]): void {
    if (this.log[snapshot.length - 1]?.term === snapshot.at(-1)?.term) return;
    this.log.length = 0;
    for (const entry of snapshot) this.log.push(entry);
  }

  #is(found: SpecRecovered): boolean {
    const { log } = this;
    const last = lastOf(found);
    const { currentTerm, votedFor } = found.hardState;
    if (currentTerm !== this.term || votedFor !== this.votedFor) return false;
    if (last.index !== log.length) return false;
    if (last.index > 0 && log[last.index - 1]!.term !== last.term) return false;
    const first = last.index - found.entries.length;
    return found.entries.every((entry, i) => sameEntry(entry, log[first + i]!));
  }
}

/** Where a recovered log ends. */
export function lastOf({ snapshot, entries }: SpecRecovered): SpecPlace {
  return entries.at(-1) ?? snapshot.last;
}

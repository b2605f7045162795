// The variables of one server of the specification: currentTerm, state, votedFor, log, commitIndex,
// votesGranted, matchIndex, and what it takes to judge messages that leave later than they were made.

import {
  lastOf,
  type ServerId,
  type SpecConfig,
  SpecDisk,
  type SpecEntry,
  SpecLog,
  type SpecPlace,
  type SpecRecovered,
} from './raft-spec-log.ts';
import type { SpecRole, SpecState } from './raft-spec-types.ts';

/** An index of the log for each of some servers. */
export type Matches = Map<ServerId, number>;

const NOBODY: SpecConfig = { voters: [], outgoing: [], learners: [] };

const NONE: readonly string[] = [];

function nobody(): boolean {
  return false;
}

/** What the specification knows of one server. */
export class Server {
  role: SpecRole = 'follower';
  term = 0;
  votedFor: ServerId = 0;
  commitIndex = 0;
  log = new SpecLog(NOBODY);
  readonly disk = new SpecDisk();
  /** It asks before it raises its term [ask]. */
  asks = true;
  /** Who granted a vote, or said that it would. */
  readonly granted = new Set<ServerId>();
  /** By who asked: the newest term in which this server would vote for it [ask]. */
  readonly promised = new Map<ServerId, number>();
  /** Leaders: how far the others' logs are known to agree, by their answers to appends. */
  readonly match: Matches = new Map();
  /** ... and to snapshots: a late one may be ignored [ignore]. */
  readonly installed: Matches = new Map();
  /** The newest snapshot it received of: its file, found whole in a restart, tells of commits [snapshot]. */
  offered = 0;
  /** In this term the log was found equal to the leader's up to here. */
  agreedTerm = 0;
  agreedIndex = 0;
  /** Votes given, by term; and the log a campaign speaks of, with the write that makes it durable. */
  readonly votes = new Map<number, ServerId>();
  readonly campaigns = new Map<number, { readonly last: SpecPlace; readonly write: number }>();
  readonly id: ServerId;

  constructor(id: ServerId) {
    this.id = id;
  }

  /** What is not on disk is forgotten. */
  restart({ entries, snapshot }: SpecRecovered): void {
    const { disk } = this;
    // What was decoded takes the place of its equals: comparing it again costs nothing.
    const first = disk.log.length - entries.length;
    for (let i = 0; i < entries.length; i++) disk.log[first + i] = entries[i]!;
    this.log = new SpecLog(snapshot.config);
    for (const entry of disk.log) this.log.push(entry);
    [this.role, this.term, this.votedFor] = ['follower', disk.term, disk.votedFor];
    [this.commitIndex, this.agreedIndex] = [0, 0];
    this.granted.clear();
    this.forgetMatches();
  }

  /** The highest index that a leader may take for durable on another server. */
  matchOf(server: ServerId): number {
    const installed = this.installed.size === 0 ? 0 : (this.installed.get(server) ?? 0);
    return Math.max(this.match.get(server) ?? 0, installed);
  }

  forgetMatches(but: (server: ServerId) => boolean = nobody): void {
    for (const map of [this.match, this.installed]) {
      for (const server of map.keys()) if (!but(server)) map.delete(server);
    }
  }

  /** The entry at `index` replaces what stands there and all that follows. */
  put(index: number, entry: SpecEntry): void {
    if (index <= this.log.lastIndex) {
      this.log.cut(index - 1);
      this.disk.forget(index - 1);
    }
    this.log.push(entry);
  }
}

export class Servers {
  readonly #servers = new Map<ServerId, Server>();

  get(id: ServerId): Server {
    let server = this.#servers.get(id);
    if (server === undefined) {
      server = new Server(id);
      this.#servers.set(id, server);
    }
    return server;
  }
}

export function isUpToDate(last: SpecPlace, log: SpecLog): boolean {
  if (last.term !== log.lastTerm) return last.term > log.lastTerm;
  return last.index >= log.lastIndex;
}

/** Of the last configuration only, and in a term that has committed something. */
export function mayChange(s: Server): boolean {
  return s.log.configIndex <= s.commitIndex && s.log.termAt(s.commitIndex) === s.term;
}

/** Where a server is not what the specification says that it is. */
export function differences(s: Server, now: SpecState): readonly string[] {
  if (isAs(s, now)) return NONE;
  const { role, term, votedFor, log, commitIndex } = s;
  const found: string[] = [];
  if (now.role !== role) found.push(`becomes ${now.role}: it is ${role}`);
  if (now.term !== term) found.push(`is in term ${now.term} instead of ${term}`);
  if (now.votedFor !== votedFor) found.push(`has voted for ${now.votedFor} instead of ${votedFor}`);
  if (now.last.index !== log.lastIndex || now.last.term !== log.lastTerm) {
    const own = place({ term: log.lastTerm, index: log.lastIndex });
    found.push(`has a log up to ${place(now.last)} instead of ${own}`);
  }
  if (now.commitIndex !== commitIndex) {
    found.push(`commits ${now.commitIndex} instead of ${commitIndex}`);
  }
  return found;
}

function isAs({ role, term, votedFor, log, commitIndex }: Server, now: SpecState): boolean {
  const { last } = now;
  const isSameLog = last.index === log.lastIndex && last.term === log.lastTerm;
  const isSameTerm = now.term === term && now.votedFor === votedFor;
  return isSameLog && isSameTerm && now.role === role && now.commitIndex === commitIndex;
}

/** What a restart has found. */
export function describe(found: SpecRecovered): string {
  const { currentTerm, votedFor } = found.hardState;
  return `a log up to ${place(lastOf(found))}, term ${currentTerm}, vote ${votedFor}`;
}

export function place({ index, term }: SpecPlace): string {
  return `${index}/${term}`;
}

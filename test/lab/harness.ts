// The verbs of the MIT 6.824 Raft labs, by their names, over production servers in virtual time.
// Servers are counted from 0 as in the labs; in the cluster server i is node i + 1.
//
// Always on: no two servers ever apply different values at one index, every server applies in order,
// and the promises that src/sim/shadow.ts watches hold.

import type { LogIndex, Term } from '../../src/raft/types.ts';
import { type ClusterOptions, LabCluster } from './cluster.ts';
import { LogMachine } from './log-machine.ts';
import type { LabServer } from './server.ts';

/** What the labs' tester takes for an election timeout. */
export const RAFT_ELECTION_TIMEOUT_MS = 1000;
/** What a whole lab test may take. */
const LIMIT_MS = 120_000;
const ONE_MS_MAX = 10_000;
/** Servers that may join later. */
const JOINERS_MAX = 3;
const AGREE_MS_MAX = 2000;

export interface LabOptions extends ClusterOptions {
  /** A snapshot after every so many commands. */
  readonly snapshotEvery?: number;
  /** The labs have none: indexes count commands only. Default off, unlike in production. */
  readonly noop?: boolean;
  /** Times that the labs allow are multiplied by this. */
  readonly patience?: number;
}

export interface StartResult {
  readonly index: LogIndex;
  readonly term: Term;
  readonly isLeader: boolean;
}

const NOT_LEADER: StartResult = { index: -1, term: -1, isLeader: false };
const encoder = new TextEncoder();

export class Lab {
  readonly cluster: LabCluster;
  /** What each server has applied, by index. */
  readonly logs: Map<LogIndex, string>[];
  readonly patience: number;
  #values = 0;

  private constructor(options: LabOptions) {
    const { noop = false, snapshotEvery, raft, limits, patience = 1, ...rest } = options;
    this.patience = patience;
    const room = options.servers + JOINERS_MAX;
    this.logs = Array.from({ length: room }, () => new Map());
    const count = snapshotEvery === undefined ? {} : { snapshotCount: snapshotEvery };
    const limitMs = LIMIT_MS * patience;
    this.cluster = new LabCluster(
      { limitMs, ...rest, raft: { noop, ...raft }, limits: { ...count, ...limits } },
      (_cluster, id, process) =>
        new LogMachine(process, this.logs[id - 1]!, {
          applied: (index, value) => this.#applied(id - 1, index, value, noop),
        }),
    );
  }

  static async make(options: LabOptions): Promise<Lab> {
    const lab = new Lab(options);
    await lab.cluster.startAll();
    return lab;
  }

  get n(): number {
    return this.cluster.servers.length;
  }

  server(i: number): LabServer {
    return this.cluster.servers[i]!;
  }

  /** A value that no other call of this test returns. */
  value(): string {
    this.#values += 1;
    return String(1_000_000_000 + this.#values * 7919 + this.cluster.below(7919));
  }

  sleep(ms: number): Promise<void> {
    return this.cluster.sleep(ms);
  }

  // -------------------------------------------------------------------------- servers

  /** Hands a command to a server; its place in the log, if that server leads. */
  start(i: number, command: string): StartResult {
    const server = this.server(i);
    const driver = server.driver;
    if (driver === null || !driver.isLeader || server.isPaused) return NOT_LEADER;
    const before = server.raft.last.index;
    server.process.enter(() => driver.propose(encoder.encode(command), SILENT));
    // The end of the driver's turn, at which the core takes it.
    server.process.runTurns();
    const { last, role, currentTerm } = server.raft;
    if (role !== 'leader' || last.index !== before + 1) return NOT_LEADER;
    return { index: last.index, term: currentTerm, isLeader: true };
  }

  getState(i: number): { readonly term: Term; readonly isLeader: boolean } {
    const server = this.server(i);
    if (server.driver === null) return { term: -1, isLeader: false };
    const { currentTerm, role } = server.raft;
    return { term: currentTerm, isLeader: role === 'leader' };
  }

  connected(i: number): boolean {
    return this.cluster.network.side(i + 1) === 1;
  }

  connect(...servers: number[]): void {
    for (const i of servers) this.cluster.network.setSide(i + 1, 1);
  }

  disconnect(...servers: number[]): void {
    for (const i of servers) this.cluster.network.setSide(i + 1, 0);
  }

  /** What was not synced is lost, which is harsher than the labs' persister. */
  crash1(i: number): void {
    this.disconnect(i);
    this.cluster.kill(this.server(i));
  }

  /** Starts it anew from its disk, still disconnected. */
  async start1(i: number): Promise<void> {
    this.cluster.kill(this.server(i));
    await this.cluster.boot(this.server(i));
  }

  rpcCount(i: number): number {
    return this.cluster.network.requestsTo(i + 1);
  }

  rpcTotal(): number {
    return this.cluster.servers.reduce((sum, _, i) => sum + this.rpcCount(i), 0);
  }

  /** Of requests and replies, since this was first called. */
  rpcBytes(): number {
    this.cluster.network.countsBytes = true;
    return this.cluster.network.bytes;
  }

  /** The largest log of all servers that are up. */
  logSize(): number {
    return Math.max(...this.cluster.servers.map(server => server.logSize()));
  }

  get snapshotsInstalled(): number {
    return this.cluster.servers.reduce((sum, server) => sum + server.snapshotsInstalled, 0);
  }

  // -------------------------------------------------------------------------- checks

  /** Exactly one leader in the newest term that has one, among connected servers. */
  async checkOneLeader(): Promise<number> {
    for (let poll = 0; poll < 10 * this.patience; poll++) {
      await this.sleep(450 + this.cluster.below(100));
      const leaders = new Map<Term, number[]>();
      for (let i = 0; i < this.n; i++) {
        const { term, isLeader } = this.getState(i);
        if (this.connected(i) && isLeader) leaders.set(term, [...(leaders.get(term) ?? []), i]);
      }
      for (const [term, who] of leaders) {
        if (who.length > 1) throw new Error(`term ${term} has ${who.length} leaders`);
      }
      if (leaders.size > 0) return leaders.get(Math.max(...leaders.keys()))![0]!;
    }
    throw new Error('expected one leader, got none within five seconds');
  }

  /** The term of all connected servers. */
  checkTerms(): Term {
    const terms = new Set<Term>();
    for (let i = 0; i < this.n; i++) if (this.connected(i)) terms.add(this.getState(i).term);
    if (terms.size !== 1) throw new Error(`servers disagree on the term: ${[...terms]}`);
    return [...terms][0]!;
  }

  checkNoLeader(): void {
    for (let i = 0; i < this.n; i++) {
      if (this.connected(i) && this.getState(i).isLeader) {
        throw new Error(`expected no leader among connected servers, but ${i} leads`);
      }
    }
  }

  /** How many servers think that this index is committed, and what they have there. */
  nCommitted(index: LogIndex): { readonly count: number; readonly value: string | null } {
    let count = 0;
    let value: string | null = null;
    for (const log of this.logs) {
      const here = log.get(index);
      if (here === undefined) continue;
      if (value !== null && value !== here) {
        throw new Error(`index ${index} is ${value} on one server and ${here} on another`);
      }
      count += 1;
      value = here;
    }
    return { count, value };
  }

  /** Waits until n servers have committed the index; null once the term has moved on. */
  async wait(index: LogIndex, n: number, startTerm: Term): Promise<string | null> {
    let pause = 10;
    for (let poll = 0; poll < 30 * this.patience; poll++) {
      if (this.nCommitted(index).count >= n) break;
      await this.sleep(pause);
      if (pause < 1000) pause *= 2;
      if (startTerm < 0) continue;
      for (let i = 0; i < this.n; i++) if (this.getState(i).term > startTerm) return null;
    }
    const { count, value } = this.nCommitted(index);
    if (count < n) throw new Error(`only ${count} servers decided index ${index}, wanted ${n}`);
    return value;
  }

  /**
   * A complete agreement: finds a leader, hands it the command, and waits until that many servers
   * have committed it. With `retry` the command may be handed in again, within ten seconds.
   */
  async one(command: string, expectedServers: number, retry: boolean): Promise<LogIndex> {
    const end = this.cluster.nowMs + ONE_MS_MAX * this.patience;
    let next = 0;
    while (this.cluster.nowMs < end) {
      let index = -1;
      for (let i = 0; i < this.n && index === -1; i++) {
        next = (next + 1) % this.n;
        if (this.connected(next)) index = this.start(next, command).index;
      }
      if (index === -1) {
        await this.sleep(50);
        continue;
      }
      const done = () => {
        const { count, value } = this.nCommitted(index);
        return count >= expectedServers && value === command;
      };
      if (await this.cluster.within(AGREE_MS_MAX * this.patience, done)) return index;
      if (!retry) break;
    }
    throw new Error(`one(${command.slice(0, 20)}) did not reach agreement`);
  }

  /** Ends the test. */
  finish(): void {
    this.cluster.finish();
  }

  #applied(i: number, index: LogIndex, value: string, noop: boolean): void {
    const own = this.logs[i]!;
    if (!noop && index > 1 && !own.has(index - 1)) {
      this.cluster.fail(`server ${i} applies ${index} out of order`);
    }
    if (own.has(index)) this.cluster.fail(`server ${i} applies ${index} twice`);
    for (let j = 0; j < this.logs.length; j++) {
      const there = this.logs[j]!.get(index);
      if (there === undefined || there === value) continue;
      this.cluster.fail(`index ${index}: server ${i} applies ${value}, ${j} has ${there}`);
    }
  }
}

/** The labs' Start() promises nothing: what becomes of a command shows in the logs. */
const SILENT = { applied() {}, failed() {} };

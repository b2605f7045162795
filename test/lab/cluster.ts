// A cluster of lab servers on one virtual clock, without an opinion on what it is used for: starts,
// kills, partitions, and programs that run beside it (clients, partitioners). Every promise that the
// servers make to each other is watched all the time (src/sim/shadow.ts).

import type { DriverLimits } from '../../src/node/driver-types.ts';
import type { Machine } from '../../src/node/machine.ts';
import type { RaftConfig } from '../../src/raft/config.ts';
import type { NodeId } from '../../src/raft/types.ts';
import { Judge } from '../../src/sim/judge.ts';
import { Prng } from '../../src/sim/prng.ts';
import { Process } from '../../src/sim/process.ts';
import { Shadow } from '../../src/sim/shadow.ts';
import type { Loss } from '../../src/sim/sim-file.ts';
import { World } from '../../src/sim/world.ts';
import { LabNetwork, type NetworkRules, RELIABLE } from './network.ts';
import { LabServer } from './server.ts';

/** Ticks of 10 ms; a heartbeat every 100 ms. */
export const TICK_MS = 10;
const HEARTBEAT_TICKS = 10;
/** As in the labs: elections after 300 to 600 ms. Production waits 1 to 2 s. */
export const ELECTION_TICKS = 30;
export const PRODUCTION_ELECTION_TICKS = 100;
const FIRST_CLIENT = 1000;
const START_MS_MAX = 5000;

export interface ClusterOptions {
  readonly servers: number;
  readonly seed?: number;
  readonly rules?: NetworkRules;
  readonly raft?: Partial<RaftConfig>;
  readonly limits?: Partial<DriverLimits>;
  /** Entries kept behind a snapshot. The labs keep none. */
  readonly trailingEntries?: number;
  /** Mean time of a sync. */
  readonly syncMs?: number;
  readonly driftPpm?: (id: NodeId) => number;
  /** On top of `raft`, where servers differ. */
  readonly raftOf?: (id: NodeId) => Partial<RaftConfig>;
  /** Virtual time that the whole test may take: the labs allow two minutes. */
  readonly limitMs?: number;
}

/** A program beside the servers. It is done when its function returned. */
export interface Program {
  done: boolean;
}

/** What a program may do to time. */
export interface ProgramClock {
  readonly process: Process;
  sleep(ms: number): Promise<void>;
}

export type CreateMachine = (cluster: LabCluster, id: NodeId, process: Process) => Machine;

export class LabCluster {
  readonly world = new World();
  readonly judge = new Judge(this.world);
  readonly shadow = new Shadow(this.judge);
  readonly network: LabNetwork;
  readonly servers: LabServer[] = [];
  readonly chance: Prng;
  readonly #limitMs: number;
  readonly #options: ClusterOptions;
  readonly #createMachine: CreateMachine;
  #clients = 0;
  #failure: unknown = null;

  constructor(options: ClusterOptions, createMachine: CreateMachine) {
    const { servers, seed = 1, rules = RELIABLE } = options;
    this.#options = options;
    this.#createMachine = createMachine;
    this.chance = Prng.stream(seed, 'lab');
    this.#limitMs = options.limitMs ?? 120_000;
    this.network = new LabNetwork(this.world, Prng.stream(seed, 'network'), rules, this.shadow);
    const ids = Array.from({ length: servers }, (_, i) => i + 1);
    for (const id of ids) this.#create(id, ids);
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  /** Uniform in 0 to n - 1. */
  below(n: number): number {
    return this.chance.below(n);
  }

  async startAll(): Promise<void> {
    await this.boot(...this.servers);
  }

  async boot(...servers: LabServer[]): Promise<void> {
    for (const server of servers) server.start();
    await this.until(START_MS_MAX, () => servers.every(({ driver }) => driver !== null));
  }

  /** A server with an empty disk that waits for a leader to add it to the cluster. */
  async join(): Promise<LabServer> {
    const server = this.#create(this.servers.length + 1, []);
    await this.boot(server);
    return server;
  }

  kill(server: LabServer, loss: Loss | null = 'lost'): void {
    server.kill(loss);
    this.check();
  }

  /** Virtual time passes. */
  async sleep(ms: number): Promise<void> {
    await this.world.runUntil(this.world.now + Math.round(ms * 1000));
    this.check();
  }

  /** Runs until the condition holds; fails if that takes longer. */
  async until(withinMs: number, condition: () => boolean): Promise<void> {
    if (!(await this.within(withinMs, condition))) {
      throw new Error(`not within ${withinMs} virtual ms: ${condition}`);
    }
  }

  /** Runs until the condition holds, at most so long; tells whether it does. */
  async within(ms: number, condition: () => boolean): Promise<boolean> {
    if (condition()) return true;
    await this.world.runUntil(this.world.now + Math.round(ms * 1000), condition);
    this.check();
    return condition();
  }

  /** Runs a program beside the servers. Its failure fails the test at the next check. */
  spawn(run: (clock: ProgramClock) => Promise<void>): Program {
    const clock = this.programClock();
    const program: Program = { done: false };
    const settle = (failure: unknown) => {
      this.#failure ??= failure;
      program.done = true;
      this.world.activity += 1;
    };
    wake(clock.process, () => run(clock).then(() => settle(null), settle));
    return program;
  }

  programClock(): ProgramClock {
    const process = new Process(this.world, FIRST_CLIENT + this.#clients++, 0);
    const sleep = (ms: number) =>
      new Promise<void>(resolve => {
        const run = () => wake(process, resolve);
        this.world.after(Math.round(ms * 1000), 'client', process, run);
      });
    return { process, sleep };
  }

  /** Fails when any promise was broken, a server stopped by itself, or time is up. */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
    const { violation } = this.judge;
    if (violation !== null) {
      const { property, message, timeMs } = violation;
      throw new Error(`${property} broken at ${timeMs} ms: ${message}`);
    }
    for (const { id, failure } of this.servers) {
      if (failure !== null) throw new Error(`server ${id} stopped by itself`, { cause: failure });
    }
    if (this.nowMs > this.#limitMs) throw new Error(`takes more than ${this.#limitMs} virtual ms`);
  }

  /** Records a broken rule of the test itself; the next check throws it. */
  fail(text: string): void {
    this.#failure ??= new Error(`at ${this.nowMs} ms: ${text}`);
  }

  /** Ends the test: all promises were kept, and nothing runs any more. */
  finish(): void {
    this.check();
    for (const server of this.servers) server.kill(null);
  }

  #create(id: NodeId, voters: readonly NodeId[]): LabServer {
    const { seed = 1, trailingEntries = 0, syncMs = 1, raft, raftOf, limits } = this.#options;
    const timing = { electionTicks: ELECTION_TICKS, heartbeatTicks: HEARTBEAT_TICKS };
    const server = new LabServer(id, this, {
      seed,
      tickMs: TICK_MS,
      raft: { ...timing, ...raft, ...raftOf?.(id) },
      limits: { snapshotCount: Number.MAX_SAFE_INTEGER, ...limits },
      trailingEntries,
      syncMs,
      driftPpm: this.#options.driftPpm ?? (() => 0),
      config: { voters, outgoing: [], learners: [], learnersNext: [] },
      createMachine: (node, process) => this.#createMachine(this, node, process),
    });
    this.servers.push(server);
    this.network.setSide(id, 1);
    return server;
  }
}

/** Runs code that resolves promises, and lets what waits for them run before time goes on. */
export function wake(process: Process, run: () => void): void {
  process.stirred = true;
  process.enter(run);
}

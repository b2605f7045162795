// Drivers with real cores on one virtual clock, linked in memory, each with a disk that survives
// kill(). Everything that happens is decided by the seed and the test.

import { Driver } from '../../src/node/driver.ts';
import type {
  DriverLimits,
  ProposalSink,
  ReadSink,
  ReplyCodec,
} from '../../src/node/driver-types.ts';
import type { KontikiError } from '../../src/node/errors.ts';
import { jsonCodec } from '../../src/node/state-machine.ts';
import { DEFAULTS, type RaftConfig } from '../../src/raft/config.ts';
import type { Configuration, NodeId } from '../../src/raft/types.ts';
import { MemoryNetwork, memoryAddress } from '../../src/transport/memory.ts';
import { FakeDisk, FakeStore } from './fake-store.ts';
import { JournalDisk, JournalMachine } from './journal-machine.ts';
import { seededRandom, VirtualClock } from './virtual-clock.ts';

export interface Member {
  readonly id: NodeId;
  readonly disk: FakeDisk;
  readonly journalDisk: JournalDisk | null;
  driver: Driver;
  store: FakeStore;
  machine: JournalMachine;
}

export interface ClusterOptions {
  readonly seed?: number;
  readonly durable?: boolean;
  readonly trailing?: number;
  readonly raft?: Partial<RaftConfig>;
  readonly limits?: Partial<DriverLimits>;
}

const TICK_MS = 10;

/** Remembers its answer. */
export class Outcome implements ProposalSink {
  result: unknown;
  index = 0;
  error: KontikiError | null = null;
  answers = 0;

  get done(): boolean {
    return this.answers > 0;
  }

  applied(result: unknown, index: number): void {
    this.result = result;
    this.index = index;
    this.answers += 1;
  }

  failed(error: KontikiError): void {
    this.error = error;
    this.answers += 1;
  }
}

export class ReadOutcome implements ReadSink {
  error: KontikiError | null = null;
  answers = 0;
  /** Called when ready. */
  onReady: () => void = () => {};

  get done(): boolean {
    return this.answers > 0;
  }

  ready(): void {
    this.answers += 1;
    this.onReady();
  }

  failed(error: KontikiError): void {
    this.error = error;
    this.answers += 1;
  }
}

export class DriverCluster {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly members: Member[] = [];
  readonly #options: ClusterOptions;
  readonly #config: Configuration;
  readonly #random: () => number;

  private constructor(size: number, options: ClusterOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
    this.network = new MemoryNetwork({ schedule: run => this.clock.endOfTurn(run) });
    const voters = Array.from({ length: size }, (_, i) => i + 1);
    this.#config = { voters, outgoing: [], learners: [], learnersNext: [] };
  }

  static async start(size: number, options: ClusterOptions = {}): Promise<DriverCluster> {
    const cluster = new DriverCluster(size, options);
    for (const id of cluster.#config.voters) cluster.members.push(cluster.#create(id));
    for (const { driver } of cluster.members) await driver.start();
    return cluster;
  }

  member(id: NodeId): Member {
    return this.members[id - 1]!;
  }

  get leader(): Member | undefined {
    const leaders = this.members.filter(({ driver }) => driver.isLeader);
    leaders.sort((a, b) => term(b) - term(a));
    return leaders[0];
  }

  /** A leader that has applied something of its own term, known to all the running others. */
  async awaitLeader(): Promise<Member> {
    await this.clock.until(() => {
      const { leader } = this;
      if (leader === undefined) return false;
      const running = this.members.filter(({ driver }) => isRunning(driver));
      const report = leader.driver.report().raft;
      if (report.appliedIndex < 1 || report.appliedIndex < report.last.index) return false;
      return running.every(({ driver }) => driver.leader === leader.id);
    });
    return this.leader!;
  }

  followers(): Member[] {
    return this.members.filter(({ driver }) => isRunning(driver) && !driver.isLeader);
  }

  kill(member: Member): void {
    member.driver.kill();
    void this.transports.get(member.id)?.close();
    void member.store.close();
  }

  async restart(member: Member): Promise<void> {
    Object.assign(member, this.#create(member.id, member));
    await member.driver.start();
  }

  async stop(): Promise<void> {
    for (const { driver } of this.members) await driver.stop();
  }

  propose(member: Member, text: string): Outcome {
    const outcome = new Outcome();
    member.driver.propose(encode(text), outcome);
    return outcome;
  }

  async write(member: Member, text: string): Promise<Outcome> {
    const outcome = this.propose(member, text);
    await this.clock.until(() => outcome.done);
    return outcome;
  }

  readonly transports = new Map<NodeId, ReturnType<MemoryNetwork['transport']>>();

  #create(id: NodeId, before?: Member): Member {
    const { durable = false, trailing = 0, raft, limits } = this.#options;
    const disk = before?.disk ?? new FakeDisk();
    const journalDisk = before?.journalDisk ?? (durable ? new JournalDisk() : null);
    const store = new FakeStore(id, disk, trailing);
    const machine = new JournalMachine(journalDisk);
    const transport = this.network.transport({ clusterId: 1, nodeId: id });
    this.transports.set(id, transport);
    const others = this.#config.voters.filter(other => other !== id);
    transport.setPeers(others.map(other => ({ id: other, address: memoryAddress(other) })));
    const timing = { electionTicks: 20, heartbeatTicks: 2, trailingEntries: trailing };
    const driver = new Driver({
      raft: { ...DEFAULTS, ...timing, ...raft, id, random: this.#random },
      tickMs: TICK_MS,
      clock: this.clock,
      store,
      transport,
      machine,
      initialConfig: this.#config,
      replies: jsonCodec as ReplyCodec,
      ...(limits === undefined ? {} : { limits }),
    });
    return { id, disk, journalDisk, driver, store, machine };
  }
}

export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function isRunning(driver: Driver): boolean {
  return driver.report().state === 'running';
}

function term({ driver }: Member): number {
  return driver.report().raft.currentTerm;
}

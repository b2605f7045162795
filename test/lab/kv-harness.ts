// The generic key/value test of the labs (§3 of their test list): clients put, append and get for
// three times five seconds while servers crash and networks part; what they saw must be
// linearizable, each append there once and in order, logs and snapshots small.

import { expect } from 'vitest';
import { HistoryRecorder } from '../../src/check/history.ts';
import { type AppendInput, type AppendOutput, appendModel } from '../../src/check/models.ts';
import { checkLinearizable } from '../../src/check/wgl.ts';
import { Clerk } from './clerk.ts';
import { type ClusterOptions, LabCluster, type Program, type ProgramClock } from './cluster.ts';
import { KvMachine } from './kv-machine.ts';
import type { LabServer } from './server.ts';

export interface KvOptions extends ClusterOptions {
  /** Bytes of log at which a snapshot is due; null: never a snapshot. */
  readonly maxRaftState?: number | null;
}

export interface GenericOptions extends KvOptions {
  readonly clients: number;
  readonly crash?: boolean;
  readonly partitions?: boolean;
  readonly randomKeys?: boolean;
  readonly iterations?: number;
}

/** Entries that fit into the labs' 1000 bytes, with room: a put or append takes 20 to 50. */
const BYTES_PER_ENTRY = 60;
const LOAD_MS = 5000;
const PAUSE_MS = 1000;
/** All clients together make about this many operations a second. */
const OPERATIONS_PER_SECOND = 40;
const FINISH_MS_MAX = 120_000;
const LIMIT_MS = 400_000;
const STEPS_MAX = 5_000_000;

export class KvLab {
  readonly cluster: LabCluster;
  readonly maxRaftState: number | null;
  readonly history = new HistoryRecorder<AppendInput, AppendOutput>();
  #clients = 0;

  private constructor(options: KvOptions) {
    const { maxRaftState = null, ...rest } = options;
    this.maxRaftState = maxRaftState;
    const entries = maxRaftState === null ? null : Math.floor(maxRaftState / BYTES_PER_ENTRY);
    const limits = {
      requestTimeoutMs: 1000,
      ...(entries === null ? {} : { snapshotCount: entries }),
    };
    this.cluster = new LabCluster(
      { limitMs: LIMIT_MS, ...rest, limits: { ...limits, ...options.limits } },
      (_cluster, _id, process) => new KvMachine(process),
    );
    this.cluster.network.failureMsMax = 100;
  }

  static async make(options: KvOptions): Promise<KvLab> {
    const lab = new KvLab(options);
    await lab.cluster.startAll();
    return lab;
  }

  client(clock: ProgramClock, reaches?: (server: LabServer) => boolean): RecordingClerk {
    return new RecordingClerk(
      new Clerk(this.cluster, clock, reaches),
      this.history,
      this.#clients++,
    );
  }

  /** Runs a program with a clerk to its end. */
  async with(run: (clerk: RecordingClerk, clock: ProgramClock) => Promise<void>): Promise<void> {
    const program = this.spawn(run);
    await this.cluster.until(FINISH_MS_MAX, () => program.done);
  }

  spawn(
    run: (clerk: RecordingClerk, clock: ProgramClock) => Promise<void>,
    reaches?: (server: LabServer) => boolean,
  ): Program {
    return this.cluster.spawn(clock => run(this.client(clock, reaches), clock));
  }

  /** Each server on one side or the other, at random. */
  partitionRandomly(): void {
    const { network, servers } = this.cluster;
    for (const { id } of servers) network.setSide(id, 1 + this.cluster.below(2));
  }

  connectAll(): void {
    for (const { id } of this.cluster.servers) this.cluster.network.setSide(id, 1);
  }

  async restartAll(): Promise<void> {
    for (const server of this.cluster.servers) this.cluster.kill(server);
    await this.cluster.sleep(PAUSE_MS);
    await this.cluster.boot(...this.cluster.servers);
    this.connectAll();
  }

  logSize(): number {
    return Math.max(...this.cluster.servers.map(server => server.logSize()));
  }

  snapshotSize(): number {
    return Math.max(...this.cluster.servers.map(server => server.snapshotSize()));
  }

  checkSizes(): void {
    if (this.maxRaftState === null) expect(this.snapshotSize()).toBe(0);
    else expect(this.logSize()).toBeLessThanOrEqual(8 * this.maxRaftState);
  }

  /**
   * Ends the test. A history that can't be decided is no success; `script` says that the test itself
   * has compared everything with the only text there can be.
   */
  finish(judgedBy: 'history' | 'script' = 'history'): void {
    this.cluster.finish();
    if (judgedBy === 'script') return;
    const { verdict } = checkLinearizable(this.history.history(), appendModel(), {
      stepsMax: STEPS_MAX,
    });
    expect(verdict).toBe('legal');
  }
}

/** Notes what the clerk saw. */
export class RecordingClerk {
  readonly #clerk: Clerk;
  readonly #history: HistoryRecorder<AppendInput, AppendOutput>;
  readonly #me: number;

  constructor(clerk: Clerk, history: HistoryRecorder<AppendInput, AppendOutput>, me: number) {
    this.#clerk = clerk;
    this.#history = history;
    this.#me = me;
  }

  async put(key: string, value: string): Promise<void> {
    const call = this.#history.call(this.#me, { kind: 'put', key, value });
    await this.#clerk.put(key, value);
    this.#history.ok(call, null);
  }

  async append(key: string, value: string): Promise<void> {
    const call = this.#history.call(this.#me, { kind: 'append', key, value });
    await this.#clerk.append(key, value);
    this.#history.ok(call, null);
  }

  async get(key: string): Promise<string> {
    const call = this.#history.call(this.#me, { kind: 'get', key });
    const value = await this.#clerk.get(key);
    this.#history.ok(call, value);
    return value;
  }
}

export async function genericTest(options: GenericOptions): Promise<void> {
  const { clients, crash = false, partitions = false, iterations = 3, ...rest } = options;
  const lab = await KvLab.make(rest);
  for (let iteration = 0; iteration < iterations; iteration++) {
    let stop = false;
    const load = Array.from({ length: clients }, (_, me) => {
      const script = new ClientScript(lab, options, me);
      return { script, program: lab.spawn((clerk, clock) => script.run(clerk, clock, () => stop)) };
    });
    const partitioner = partitions ? startPartitioner(lab, () => stop) : null;
    await lab.cluster.sleep(LOAD_MS);
    stop = true;
    if (partitioner !== null) {
      await lab.cluster.until(FINISH_MS_MAX, () => partitioner.done);
      // The network heals, perhaps while requests still wait in a minority.
      lab.connectAll();
      await lab.cluster.sleep(PAUSE_MS);
    }
    if (crash) await lab.restartAll();
    await lab.cluster.until(FINISH_MS_MAX, () => load.every(({ program }) => program.done));
    await lab.with(async clerk => {
      for (const { script } of load) await script.check(clerk);
    });
    await lab.cluster.sleep(PAUSE_MS);
    lab.checkSizes();
  }
  lab.finish();
}

function startPartitioner(lab: KvLab, stopped: () => boolean): Program {
  return lab.cluster.spawn(async clock => {
    while (!stopped()) {
      lab.partitionRandomly();
      await clock.sleep(PAUSE_MS + lab.cluster.below(200));
    }
  });
}

/** What one client does in one iteration. */
class ClientScript {
  readonly #lab: KvLab;
  readonly #options: GenericOptions;
  readonly #me: number;
  #appends = 0;

  constructor(lab: KvLab, options: GenericOptions, me: number) {
    this.#lab = lab;
    this.#options = options;
    this.#me = me;
  }

  async run(clerk: RecordingClerk, clock: ProgramClock, stopped: () => boolean): Promise<void> {
    const { randomKeys = false, clients } = this.#options;
    const { cluster } = this.#lab;
    const pauseMs = (2000 * clients) / OPERATIONS_PER_SECOND;
    if (!randomKeys) await clerk.put(String(this.#me), '');
    let last = '';
    while (!stopped()) {
      const key = String(randomKeys ? cluster.below(clients) : this.#me);
      const value = `x ${this.#me} ${this.#appends} y`;
      const dice = cluster.chance.float();
      if (dice < 0.5) {
        await clerk.append(key, value);
        last += value;
        this.#appends += 1;
      } else if (randomKeys && dice < 0.55) {
        await clerk.put(key, value);
        this.#appends += 1;
      } else {
        const found = await clerk.get(key);
        if (!randomKeys) expect(found).toBe(last);
      }
      await clock.sleep(cluster.below(pauseMs));
    }
  }

  /** Each append is there, once, in order. */
  async check(clerk: RecordingClerk): Promise<void> {
    if (this.#options.randomKeys === true) return;
    const wanted = Array.from({ length: this.#appends }, (_, i) => `x ${this.#me} ${i} y`);
    expect(await clerk.get(String(this.#me))).toBe(wanted.join(''));
  }
}

/** Sequential appends; the virtual milliseconds that one takes. */
export async function speedTest(options: KvOptions, appends: number): Promise<number> {
  const lab = await KvLab.make(options);
  let perAppend = 0;
  await lab.with(async clerk => {
    // The first answer shows that there is a leader.
    await clerk.get('x');
    const start = lab.cluster.nowMs;
    for (let i = 0; i < appends; i++) await clerk.append('x', `x 0 ${i} y`);
    perAppend = (lab.cluster.nowMs - start) / appends;
    const wanted = Array.from({ length: appends }, (_, i) => `x 0 ${i} y`);
    expect(await clerk.get('x')).toBe(wanted.join(''));
  });
  await lab.cluster.sleep(PAUSE_MS);
  lab.checkSizes();
  lab.finish();
  return perAppend;
}

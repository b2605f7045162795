// One server of a lab cluster: a disk that lives as long as the test, and one incarnation after the
// other on it. Driver, core, write-ahead log and snapshot files are those of production; clock, disk,
// wires and chance are simulated.

import { Driver } from '../../src/node/driver.ts';
import type { DriverLimits, ReplyCodec } from '../../src/node/driver-types.ts';
import type { Machine } from '../../src/node/machine.ts';
import { jsonCodec } from '../../src/node/state-machine.ts';
import { DEFAULTS, type RaftConfig } from '../../src/raft/config.ts';
import type { RaftReport } from '../../src/raft/report.ts';
import type { Configuration, Entry, LogIndex, NodeId } from '../../src/raft/types.ts';
import type { Judge } from '../../src/sim/judge.ts';
import { Prng } from '../../src/sim/prng.ts';
import { Process } from '../../src/sim/process.ts';
import type { Shadow } from '../../src/sim/shadow.ts';
import { SimClock } from '../../src/sim/sim-clock.ts';
import { SimDisk } from '../../src/sim/sim-disk.ts';
import type { Loss } from '../../src/sim/sim-file.ts';
import { tracked, WatchedCore, WatchedStore } from '../../src/sim/watched.ts';
import type { World } from '../../src/sim/world.ts';
import { openLogStore } from '../../src/storage/open.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { ByteWriter } from '../../src/wire/bytes.ts';
import { encodeEntries } from '../../src/wire/entry.ts';
import type { LabNetwork } from './network.ts';

export interface ServerOptions {
  readonly seed: number;
  readonly tickMs: number;
  readonly raft: Partial<RaftConfig>;
  readonly limits: Partial<DriverLimits>;
  readonly trailingEntries: number;
  readonly syncMs: number;
  readonly driftPpm: (id: NodeId) => number;
  readonly config: Configuration;
  readonly createMachine: (id: NodeId, process: Process) => Machine;
}

export interface Surroundings {
  readonly world: World;
  readonly network: LabNetwork;
  readonly judge: Judge;
  readonly shadow: Shadow;
}

/** What a start brings into being and a kill takes away. */
interface Incarnation {
  readonly process: Process;
  readonly clock: SimClock;
  readonly transport: Transport;
  driver: Driver | null;
  machine: Machine | null;
}

const CLUSTER_ID = 824;
const STORE = { segmentBytes: 32 * 1024, alignBytes: 512 };
const SNAPSHOT_FILES = 'snapshots/';

export class LabServer {
  readonly id: NodeId;
  readonly disk: SimDisk;
  /** Why it stopped by itself. */
  failure: unknown = null;
  starts = 0;
  /** What a death at a disk operation (`disk.mood.dieAt`) makes of unsynced writes. */
  deathLoss: Loss = 'lost';
  /** Snapshots of others that took the place of its state. */
  snapshotsInstalled = 0;
  readonly #around: Surroundings;
  readonly #options: ServerOptions;
  #incarnation: Incarnation | null = null;
  /** Bytes of each entry of the log, as it is encoded on the wire and on disk. */
  #entryBytes = new Map<LogIndex, number>();

  constructor(id: NodeId, around: Surroundings, options: ServerOptions) {
    this.id = id;
    this.#around = around;
    this.#options = options;
    this.disk = new SimDisk(`server-${id}`, this.#chance('disk'), options.syncMs * 1000);
    this.disk.onDeath = () => {
      around.world.after(0, 'fault', null, () => this.kill(this.deathLoss));
    };
  }

  get isUp(): boolean {
    return this.#incarnation !== null;
  }

  /** Its process is stopped and hears nothing for now. */
  get isPaused(): boolean {
    return (this.#incarnation?.process.pausedUntil ?? 0) > this.#around.world.now;
  }

  get driver(): Driver | null {
    return this.#incarnation?.driver ?? null;
  }

  get process(): Process {
    return this.#incarnation!.process;
  }

  get clock(): SimClock {
    return this.#incarnation!.clock;
  }

  /** The state machine, as far as it is up. */
  get machine(): Machine | null {
    return this.#incarnation?.machine ?? null;
  }

  get raft(): RaftReport {
    return this.driver!.report().raft;
  }

  /** Takes some virtual time; `driver` is set once it runs. */
  start(): void {
    if (this.#incarnation !== null) throw new Error(`server ${this.id} runs already`);
    const process = new Process(this.#around.world, this.id, 0);
    const clock = new SimClock(process, this.#options.driftPpm(this.id));
    const transport = this.#around.network.transport(process);
    const incarnation: Incarnation = { process, clock, transport, driver: null, machine: null };
    this.#incarnation = incarnation;
    this.starts += 1;
    this.disk.attach(process);
    process.enter(() => {
      tracked(process, this.#boot(incarnation)).catch(error => {
        if (!process.isDead) this.failure = error;
      });
    });
  }

  /** The process is stopped for a while; all that comes meanwhile waits. */
  pause(ms: number): void {
    const { world } = this.#around;
    world.pause(this.process, world.now + ms * 1000);
  }

  /** `loss` says what becomes of writes that were not synced; null: only the process dies. */
  kill(loss: Loss | null): void {
    const incarnation = this.#incarnation;
    if (incarnation === null) return;
    this.#incarnation = null;
    incarnation.driver?.kill();
    void incarnation.transport.close();
    incarnation.process.die();
    this.disk.release(loss);
  }

  /** Bytes of the log since the snapshot. */
  logSize(): number {
    if (this.driver === null) return 0;
    const { compacted, last } = this.raft;
    let bytes = 0;
    for (let index = compacted.index + 1; index <= last.index; index++) {
      bytes += this.#entryBytes.get(index) ?? 0;
    }
    return bytes;
  }

  /** Bytes of the largest complete snapshot file. */
  snapshotSize(): number {
    let bytes = 0;
    for (const [path, file] of this.disk.files) {
      const complete = path.startsWith(SNAPSHOT_FILES) && !/\.(tmp|part)$/.test(path);
      if (complete) bytes = Math.max(bytes, file.size);
    }
    return bytes;
  }

  async #boot(incarnation: Incarnation): Promise<void> {
    const { process, clock, transport } = incarnation;
    const { shadow } = this.#around;
    const { createMachine, trailingEntries, tickMs, limits, config } = this.#options;
    const identity = { clusterId: CLUSTER_ID, nodeId: this.id };
    const options = { ...STORE, trailingEntries };
    const store = await openLogStore({ disk: this.disk, identity, options });
    if (process.isDead) return;
    const node = shadow.node(this.id);
    node.recovered(store.recovered);
    this.#noteEntries(store.recovered?.entries ?? []);
    const machine = createMachine(this.id, process);
    const driver = new Driver({
      raft: this.#raftConfig(),
      tickMs,
      clock,
      store: new WatchedStore(store, process, node),
      transport,
      machine,
      initialConfig: config,
      limits,
      replies: jsonCodec as ReplyCodec,
      events: {
        restored: () => this.#restored(),
        stopped: error => this.#stopped(process, error),
      },
      createCore: (raft, state, applied) => this.#watch(process, raft, state, applied),
    });
    await driver.start();
    if (process.isDead) return;
    incarnation.machine = machine;
    incarnation.driver = driver;
    this.#around.world.activity += 1;
  }

  #watch(process: Process, ...[raft, state, applied]: CoreParts): WatchedCore {
    const { shadow } = this.#around;
    const node = shadow.node(this.id);
    const ready = node.watchReady(shadow);
    return new WatchedCore(
      process,
      {
        begins: (...recovered) => node.begins(...recovered),
        step: (event, input, core) => shadow.step(event, input, core),
        ready: (what, commit, commitIndex) => {
          this.#noteEntries(what.entries);
          ready(what, commit, commitIndex);
        },
        sample: (before, after) => node.sample(before, after),
      },
      raft,
      state,
      applied,
    );
  }

  #noteEntries(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const writer = new ByteWriter(64);
      encodeEntries(writer, [entry]);
      this.#entryBytes.set(entry.index, writer.length);
    }
  }

  #raftConfig(): RaftConfig {
    const { raft, trailingEntries } = this.#options;
    const chance = this.#chance('raft', this.starts);
    return { ...DEFAULTS, ...raft, trailingEntries, id: this.id, random: () => chance.float() };
  }

  #restored(): void {
    this.snapshotsInstalled += 1;
  }

  #stopped(process: Process, error: unknown): void {
    if (error !== null && !process.isDead) this.failure = error;
  }

  #chance(...names: (string | number)[]): Prng {
    return Prng.stream(this.#options.seed, 'server', this.id, ...names);
  }
}

type CoreParts = Parameters<NonNullable<ConstructorParameters<typeof Driver>[0]['createCore']>>;

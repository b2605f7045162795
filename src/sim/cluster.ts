// A whole cluster of production nodes in one process: starts, kills and watches them. What happens
// to it is decided elsewhere (faults.ts, clients.ts); here is only how.

import { Driver } from '../node/driver.ts';
import type { DriverEvents } from '../node/driver-types.ts';
import { KontikiError } from '../node/errors.ts';
import { DEFAULTS, type RaftConfig } from '../raft/config.ts';
import type { Input } from '../raft/io.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type { Configuration, NodeId } from '../raft/types.ts';
import { StorageError } from '../storage/log-store.ts';
import { openLogStore } from '../storage/open.ts';
import type { AppliedTable } from './applied.ts';
import type { Judge } from './judge.ts';
import { type Incarnation, Member } from './member.ts';
import { Prng } from './prng.ts';
import { Process } from './process.ts';
import type { Shadow } from './shadow.ts';
import { SimClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import type { Loss } from './sim-file.ts';
import type { SimNetwork } from './sim-network.ts';
import type { Plan } from './types.ts';
import {
  type CoreWatch,
  tracked,
  type WatchableCore,
  WatchedCore,
  WatchedStore,
} from './watched.ts';
import type { Workload } from './workload.ts';
import type { World } from './world.ts';

export const CLUSTER_ID = 1;
const NO_CONFIG: Configuration = { voters: [], outgoing: [], learners: [], learnersNext: [] };
/** A node that stopped by itself is cleared away after this. */
const CLEAR_US = 20_000;
/** By then a node that halts has stopped. */
const STOPPED_US = 1_000_000;

export interface ClusterParts {
  readonly world: World;
  readonly seed: number;
  readonly plan: Plan;
  readonly judge: Judge;
  readonly shadow: Shadow;
  readonly applied: AppliedTable;
  readonly network: SimNetwork;
  readonly workload: Workload;
  readonly onTrace: ((event: TraceEvent) => void) | null;
}

export class Cluster {
  readonly members: Member[] = [];
  readonly founding: Configuration;
  steps = 0;
  restarts = 0;
  snapshotsInstalled = 0;
  snapshotsTaken = 0;
  readonly #parts: ClusterParts;
  readonly #settings: Omit<RaftConfig, 'id' | 'random'>;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.#settings = settingsOf(parts.plan);
    const voters = Array.from({ length: parts.plan.nodes }, (_, i) => i + 1);
    this.founding = { ...NO_CONFIG, voters };
    for (const id of voters) this.add(id, true);
  }

  /** A node with an empty disk. Unless it is a founder, somebody must add it to the cluster. */
  add(id: NodeId, isFounder = false): Member {
    const { world, seed, plan, shadow } = this.#parts;
    const chance = Prng.stream(seed, 'node', id);
    const syncUs = plan.syncMs * 1000 * drawSlowness(plan, Prng.stream(seed, 'slowness', id));
    const disk = new SimDisk(`node-${id}`, Prng.stream(seed, 'disk', id), syncUs);
    const driftPpm = drawDrift(plan.driftPpm, chance);
    const cell = plan.durableMachine ? { bytes: null } : null;
    const member = new Member(id, disk, shadow.node(id), { driftPpm, cell, isFounder });
    // V8 puts a function that is written where it is assigned to a property among the old objects; there
    // it holds all of a run until the next full collection. Named first, it goes with the run.
    const died = () => {
      world.after(0, 'fault', null, () => this.kill(member, this.#anyLoss(chance)));
    };
    const syncFailed = () => {
      member.shadow.syncFailed = true;
    };
    disk.onDeath = died;
    disk.onSyncError = syncFailed;
    this.members.push(member);
    return member;
  }

  get nextId(): NodeId {
    return Math.max(...this.members.map(({ id }) => id)) + 1;
  }

  member(id: NodeId): Member | undefined {
    return this.members.find(member => member.id === id);
  }

  running(): Member[] {
    return this.members.filter(({ isRunning }) => isRunning);
  }

  /** The leader of the highest term, as far as leaders know. */
  leader(): Member | null {
    let best: Member | null = null;
    for (const member of this.running()) {
      if (member.driver?.isLeader !== true) continue;
      if (best === null || member.shadow.term > best.shadow.term) best = member;
    }
    return best;
  }

  start(member: Member): void {
    if (member.state !== 'down') return;
    const { world, plan } = this.#parts;
    const process = new Process(world, member.id, plan.turnUs);
    member.state = 'starting';
    member.starts += 1;
    member.restartAt = 0;
    if (member.starts > 1) this.restarts += 1;
    member.disk.attach(process);
    const clock = new SimClock(process, member.driftPpm);
    const transport = this.#parts.network.transport(process);
    const incarnation = { process, clock, transport, machine: null, driver: null };
    member.incarnation = incarnation;
    process.enter(() => {
      tracked(process, this.#boot(member, incarnation)).catch(error => {
        // A driver that fails to start tells it by an event as well.
        if (!process.isDead && incarnation.driver === null) this.#refused(member, error);
      });
    });
  }

  /** Null: the process dies and the machine goes on; else a power loss of this kind. */
  kill(member: Member, loss: Loss | null): void {
    const { incarnation } = member;
    if (incarnation === null) return;
    member.incarnation = null;
    member.state = 'down';
    incarnation.driver?.kill();
    void incarnation.transport.close();
    incarnation.process.die();
    const { disk } = member;
    const { renamesLost } = disk;
    disk.release(loss);
    if (disk.renamesLost > renamesLost) this.#parts.judge.mark('renameLost');
    if (disk.shortWrites > 0) this.#parts.judge.mark('shortWrite');
    disk.shortWrites = 0;
  }

  pause(member: Member, untilUs: number): void {
    const { incarnation } = member;
    if (incarnation !== null) this.#parts.world.pause(incarnation.process, untilUs);
  }

  /** Opens a copy of what is durable on this node's disk now, and compares it with the promises. */
  probe(member: Member): void {
    const { world, judge, seed } = this.#parts;
    const { damaged, halted } = member.shadow;
    if (!member.isUsable || damaged || halted || member.incarnation === null) return;
    const compare = member.shadow.comparer();
    const process = new Process(world, member.id, 0);
    const disk = member.disk.cloneDurable(process, Prng.stream(seed, 'probe', world.events));
    const identity = { clusterId: CLUSTER_ID, nodeId: member.id };
    const isNew = !member.shadow.bootstrapped;
    const opened = openLogStore({ disk, identity, options: this.#storeOptions() }).then(
      ({ recovered }) => compare(recovered),
      error => (isNew ? null : String(error)),
    );
    process.enter(() => {
      void tracked(process, opened).then(problem => {
        process.die();
        judge.check('A-28', member.id, problem === null, () => {
          return `the durable image of node ${member.id} is not what it promised: ${problem}`;
        });
      });
    });
  }

  // -------------------------------------------------------------------------- starting

  async #boot(member: Member, incarnation: Incarnation): Promise<void> {
    const { process, clock, transport } = incarnation;
    const { plan, workload, shadow } = this.#parts;
    const identity = { clusterId: CLUSTER_ID, nodeId: member.id };
    const options = this.#storeOptions();
    const store = await openLogStore({ disk: member.disk, identity, options });
    if (process.isDead) return;
    member.shadow.recovered(store.recovered);
    const machine = workload.createMachine(process, member.id, member.cell);
    const driver = new Driver({
      raft: this.#raftConfig(member),
      tickMs: plan.tickMs,
      clock,
      store: new WatchedStore(store, process, member.shadow),
      transport,
      machine,
      initialConfig: member.isFounder ? this.founding : NO_CONFIG,
      limits: {
        requestTimeoutMs: plan.requestTimeoutMs,
        snapshotCount: plan.snapshotCount,
        snapshotChunkBytes: plan.snapshotChunkBytes,
        sessionsMax: 64,
      },
      replies: workload.replies,
      events: this.#events(member, incarnation),
      createCore: (config, state, appliedIndex) => {
        const watch: CoreWatch = {
          begins: (...recovered) => member.shadow.begins(...recovered),
          step: (...step) => this.#step(...step),
          ready: member.shadow.watchReady(shadow),
          sample: (before, after) => member.shadow.sample(before, after),
        };
        return new WatchedCore(process, watch, config, state, appliedIndex);
      },
    });
    incarnation.machine = machine;
    incarnation.driver = driver;
    await driver.start();
    if (process.isDead || driver.report().state !== 'running') return;
    member.state = 'running';
    this.#parts.world.activity += 1;
  }

  #storeOptions() {
    const { segmentBytes, alignBytes, trailingEntries } = this.#parts.plan;
    return { segmentBytes, alignBytes, trailingEntries };
  }

  #raftConfig({ id, starts }: Member): RaftConfig {
    const chance = Prng.stream(this.#parts.seed, 'raft', id, starts);
    return { ...this.#settings, id, random: () => chance.float() };
  }

  #events(member: Member, { process }: Incarnation): DriverEvents {
    const { judge } = this.#parts;
    return {
      restored: () => {
        this.snapshotsInstalled += 1;
        judge.mark('snapshotInstalled');
      },
      log: (_level, text) => {
        if (text.startsWith('log compacted')) this.snapshotsTaken += 1;
      },
      stopped: error => {
        if (error === null || process.isDead || member.incarnation?.process !== process) return;
        this.#refused(member, error);
      },
    };
  }

  #step(event: TraceEvent, input: Input, core: WatchableCore): void {
    const { world, shadow, onTrace } = this.#parts;
    this.steps += 1;
    const { now } = event;
    world.digest((now.term << 20) ^ now.commitIndex ^ (now.role.length << 28));
    world.digest(now.stableIndex ^ (now.votedFor << 24));
    onTrace?.(event);
    shadow.step(event, input, core);
    if (event.halt !== null) this.#mustStop(event.node);
  }

  // -------------------------------------------------------------------------- stopping

  /** The core does nothing any more; the node around it must stop, and say why. */
  #mustStop(id: NodeId): void {
    const { world, judge } = this.#parts;
    const process = this.member(id)?.incarnation?.process ?? null;
    world.after(STOPPED_US, 'check', process, () => {
      judge.fail('loss', id, `node ${id} was told of its loss, and has not stopped`);
    });
  }

  /** A node that stops by itself may have a good reason: a disk that we broke. */
  #refused(member: Member, error: unknown): void {
    const { world, judge } = this.#parts;
    const failure = error instanceof KontikiError ? error : null;
    member.error = failure;
    const reason = this.#excuse(member, error);
    if (reason === null) {
      judge.fail('A-53', member.id, `node ${member.id} stopped without cause: ${textOf(error)}`);
      return;
    }
    judge.mark(reason);
    member.state = 'starting';
    const { incarnation } = member;
    // Mostly there is time to condemn its data.
    const clearUs = reason === 'stoppedByLoss' ? CLEAR_US * (1 + (world.now % 20)) : CLEAR_US;
    world.after(clearUs, 'fault', null, () => {
      if (member.incarnation !== incarnation) return;
      this.kill(member, 'lost');
      if (FOR_GOOD.includes(reason)) member.state = 'broken';
      else member.restartAt = world.now + CLEAR_US;
    });
  }

  /** Null when there is none. */
  #excuse(member: Member, error: unknown): string | null {
    const { disk, shadow } = member;
    const code = codeOf(error);
    const corrupt = code === 'CORRUPT' || code === 'STORAGE_CORRUPT' || code === 'STORAGE_MISMATCH';
    if (corrupt && !shadow.isWhole) return 'refusedDamage';
    if (code === 'STORAGE_LOST' && shadow.lostUpTo > 0) {
      // Started again, it is to refuse by itself.
      return shadow.halted ? 'stoppedByLoss' : 'refusedLoss';
    }
    if (code === 'LOST' && shadow.halted) return 'refusedCondemned';
    if (disk.syncFailed) return 'stoppedBySyncError';
    const full = code === 'FULL' || code === 'STORAGE_FULL';
    if (full && disk.mood.wasFull) return 'stoppedByFullDisk';
    return null;
  }

  #anyLoss(chance: Prng): Loss | null {
    const torn = this.#parts.plan.classes.includes('tornWrites');
    return chance.pick(torn ? [null, 'lost', 'torn', 'torn'] : [null, 'lost', 'kept']);
  }
}

function settingsOf(plan: Plan): Omit<RaftConfig, 'id' | 'random'> {
  const { electionTicks, heartbeatTicks, appendEntriesMax, leaseReads } = plan;
  const { inflightMessagesMax, trailingEntries } = plan;
  const window = { appendEntriesMax, inflightMessagesMax, trailingEntries };
  return { ...DEFAULTS, electionTicks, heartbeatTicks, ...window, leaseReads, promoteLagMax: 50 };
}

/** Reasons after which a node is never started again. */
const FOR_GOOD: readonly string[] = ['refusedDamage', 'refusedLoss', 'refusedCondemned'];

/** One bad disk among good ones: its writes are under way while others elect and fall. */
function drawSlowness({ classes }: Plan, chance: Prng): number {
  return classes.includes('slowDisk') && chance.chance(0.25) ? chance.logUniform(2, 50) : 1;
}

/** The extremes are where promises break. */
function drawDrift(max: number, chance: Prng): number {
  if (max === 0) return 0;
  return chance.chance(0.5) ? chance.pick([-max, max]) : chance.between(-max, max);
}

function codeOf(error: unknown): string {
  if (error instanceof KontikiError || error instanceof StorageError) return error.code;
  return '';
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.stack})` : '';
  return `${error.stack ?? error.message}${cause}`;
}

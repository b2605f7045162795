// Does what the schedule says, as far as the cluster can bear it: a fault that would destroy the
// last good copy of something committed is not injected. Every fault that really happened is
// recorded and counted.

import type { TraceEvent } from '../raft/trace.ts';
import type { NodeId } from '../raft/types.ts';
import { type Ambush, Ambushes } from './ambush.ts';
import { Amnesia } from './amnesia.ts';
import type { Cluster } from './cluster.ts';
import type { Judge } from './judge.ts';
import type { Member } from './member.ts';
import { allPairs, drawPartition, NetworkFaults } from './network-faults.ts';
import type { Operator } from './operator.ts';
import { Prng } from './prng.ts';
import { isQuorum } from './quorums.ts';
import type { ScheduledFault } from './schedule.ts';
import type { Shadow } from './shadow.ts';
import type { Loss } from './sim-file.ts';
import type { SimNetwork } from './sim-network.ts';
import { Strikes } from './strikes.ts';
import { drawAmbush } from './themes.ts';
import type { FaultClass, FaultRecord, Plan } from './types.ts';
import type { World } from './world.ts';

export interface FaultParts {
  readonly world: World;
  readonly seed: number;
  readonly plan: Plan;
  readonly judge: Judge;
  readonly cluster: Cluster;
  readonly network: SimNetwork;
  readonly shadow: Shadow;
  readonly operator: Operator;
  /** So many commands at once at one node. */
  readonly flood: (member: Member, count: number, chance: Prng) => void;
}

const LOOK_US = 100_000;

export class Faults {
  readonly records: FaultRecord[] = [];
  #ended = false;
  readonly #parts: FaultParts;
  readonly #network: NetworkFaults;
  readonly #restarts: Prng;
  /** The mean time until a crashed node is started again. */
  readonly #downUs: number;
  readonly #electionUs: number;
  readonly #strikes: Strikes;
  readonly #amnesia: Amnesia;
  readonly #ambushes = new Ambushes((ambush, id) => this.#strike(ambush, id));

  constructor(parts: FaultParts) {
    this.#parts = parts;
    const { plan, seed } = parts;
    this.#network = new NetworkFaults(parts.world, parts.network);
    this.#restarts = Prng.stream(seed, 'restarts');
    this.#electionUs = plan.tickMs * plan.electionTicks * 1000;
    this.#downUs = this.#electionUs * this.#restarts.logUniform(0.05, 8);
    this.#amnesia = new Amnesia({ ...parts, electionUs: this.#electionUs });
    this.#strikes = new Strikes({
      ...parts,
      links: this.#network,
      electionUs: this.#electionUs,
      loss: chance => this.#loss(chance),
      lay: ambush => this.#ambushes.lay(ambush),
    });
  }

  /** `only`: the numbers of the faults to inject; null: all. */
  start(schedule: readonly ScheduledFault[], only: ReadonlySet<number> | null): void {
    const { world } = this.#parts;
    for (const fault of schedule) {
      if (only !== null && !only.has(fault.number)) continue;
      world.after(fault.atUs - world.now, 'fault', null, () => this.#inject(fault));
    }
    this.#lookAfter();
  }

  /** From here on nothing goes wrong any more. */
  end(): void {
    this.#ended = true;
    this.#network.ended = true;
    this.#ambushes.end();
    this.#amnesia.ended = true;
  }

  /** Every step of every core. */
  saw(event: TraceEvent): void {
    this.#ambushes.saw(event);
  }

  /** Starts again what is down, each node after a while of its own. */
  #lookAfter(): void {
    const { world, cluster } = this.#parts;
    for (const member of cluster.members) {
      if (member.state !== 'down') continue;
      if (member.restartAt === 0) {
        member.restartAt = world.now + this.#restarts.heavyTail(this.#downUs);
      } else if (world.now >= member.restartAt) cluster.start(member);
    }
    world.after(LOOK_US, 'check', null, () => {
      if (!this.#ended) this.#lookAfter();
    });
  }

  #inject(fault: ScheduledFault): void {
    if (this.#ended) return;
    const chance = Prng.stream(this.#parts.seed, 'fault', fault.number);
    if (fault.class === 'ambush') return this.#layAmbush(fault.number, chance);
    if (fault.class === 'oldImage' || fault.class === 'fsyncLie') {
      const { number, class: name } = fault;
      return this.#amnesia.begin(name, chance, what => this.#record(number, name, what));
    }
    const what = this.#perform(fault.class, chance);
    if (what !== null) this.#record(fault.number, fault.class, what);
  }

  #record(number: number, name: FaultClass, what: string): void {
    this.#parts.judge.happened(name);
    this.records.push({ number, timeMs: this.#parts.world.nowMs, class: name, what });
  }

  #layAmbush(number: number, chance: Prng): void {
    const drawn = drawAmbush(this.#parts.plan.theme, chance);
    this.#ambushes.lay({ number, ...drawn, chance, skip: chance.below(3) });
  }

  #strike(ambush: Ambush, id: NodeId): void {
    const what = this.#strikes.strike(ambush, id);
    if (what === null) return;
    this.#record(ambush.number, 'ambush', `node ${id}, just ${ambush.moment}: ${what}`);
  }

  /** Says what was done; null: nothing could be. */
  #perform(name: FaultClass, chance: Prng): string | null {
    switch (name) {
      case 'partition':
      case 'flap':
      case 'clog':
        return this.#breakLinks(name, chance);
      case 'reset':
        return this.#resetLink(chance);
      case 'crash':
      case 'crashAtOperation':
      case 'pause':
      case 'starve':
        return this.#stopProcess(name, chance);
      case 'fsyncError':
      case 'fullDisk':
        return this.#failDisk(name, chance);
      case 'slowDisk':
        return this.#stallDisk(chance);
      case 'clock':
        return this.#stepClock(chance);
      case 'bitRot':
      case 'staleSector':
      case 'misdirected':
      case 'lostDisk':
        return this.#damage(name, chance);
      case 'membership':
        return this.#parts.operator.changeMembership(chance);
      case 'transfer':
        return this.#transfer(chance);
      case 'campaign':
        return this.#parts.operator.campaign(chance);
      default:
        return null;
    }
  }

  #breakLinks(name: 'partition' | 'flap' | 'clog', chance: Prng): string | null {
    const ids = this.#parts.cluster.members.filter(m => m.state !== 'gone').map(({ id }) => id);
    const durationUs = chance.heavyTail(3 * this.#electionUs);
    if (name === 'clog') {
      if (ids.length < 2) return null;
      const all = allPairs(ids);
      const pairs = chance.shuffle(all).slice(0, chance.between(1, all.length));
      this.#network.swizzle(pairs, durationUs / (4 * pairs.length), durationUs, chance);
      return `${pairs.length} links, ${ms(durationUs)}`;
    }
    const fault = drawPartition(ids, chance);
    if (fault === null) return null;
    if (name === 'flap') {
      const times = chance.between(2, 10);
      this.#network.flap(fault, times, chance.heavyTail(this.#electionUs / 2));
      return `${fault.what}, ${times} times`;
    }
    this.#network.partition(fault, durationUs);
    return `${fault.what}, ${ms(durationUs)}`;
  }

  /** Mostly one of the leader's: they carry entries and the chunks of snapshots. */
  #resetLink(chance: Prng): string | null {
    const { network } = this.#parts;
    const [a, b] = [this.#pickLiving(chance), this.#pickLiving(chance)];
    if (a === null || b === null || a === b) return null;
    network.reset(a.id, b.id);
    return `between ${a.id} and ${b.id}`;
  }

  #stopProcess(
    name: 'crash' | 'crashAtOperation' | 'pause' | 'starve',
    chance: Prng,
  ): string | null {
    const { cluster, world } = this.#parts;
    const member = this.#pickLiving(chance);
    if (member === null) return null;
    if (name === 'crash') {
      const all = chance.chance(0.15);
      const victims = all ? cluster.members.filter(m => m.incarnation !== null) : [member];
      const loss = this.#loss(chance);
      for (const victim of victims) cluster.kill(victim, loss);
      return `${all ? 'all nodes' : `node ${member.id}`}, ${loss ?? 'kill'}`;
    }
    if (name === 'crashAtOperation') {
      member.disk.mood.dieAt = chance.between(1, 12);
      return `node ${member.id}, ${member.disk.mood.dieAt} operations on`;
    }
    const mean = name === 'pause' ? 2 * this.#electionUs : this.#electionUs / 8;
    const us = chance.heavyTail(mean);
    cluster.pause(member, world.now + Math.round(us));
    return `node ${member.id}, ${ms(us)}`;
  }

  /** The old leader may go deaf right after: for a while it does not know that another leads. */
  #transfer(chance: Prng): string | null {
    const { cluster, world, operator } = this.#parts;
    const old = cluster.leader();
    const what = operator.transfer(chance);
    if (old === null || what === null || chance.chance(0.5)) return what;
    const pairs = cluster.members
      .filter(({ id, state }) => id !== old.id && state !== 'gone')
      .map(({ id }) => [id, old.id] as const);
    const deafUs = chance.heavyTail(this.#electionUs);
    world.after(chance.heavyTail(this.#electionUs / 20), 'fault', null, () => {
      this.#network.partition({ what, pairs }, deafUs);
    });
    return `${what}, then ${old.id} deaf for ${ms(deafUs)}`;
  }

  #failDisk(name: 'fsyncError' | 'fullDisk', chance: Prng): string | null {
    const member = this.#pickLiving(chance);
    if (member === null) return null;
    const { mood } = member.disk;
    if (name === 'fsyncError') {
      mood.failNextSync = true;
      return `node ${member.id}`;
    }
    mood.full = true;
    mood.wasFull = true;
    const us = chance.heavyTail(4 * this.#electionUs);
    this.#parts.world.after(us, 'fault', null, () => {
      mood.full = false;
    });
    return `node ${member.id}, ${ms(us)}`;
  }

  #stallDisk(chance: Prng): string | null {
    const member = this.#pickLiving(chance);
    return member && `node ${member.id}: ${this.#strikes.stall(member, chance)}`;
  }

  /** A clock jumps ahead, as after a suspended machine. Leases are promised clocks that do not. */
  #stepClock(chance: Prng): string | null {
    const member = this.#pickLiving(chance);
    if (member === null || this.#parts.plan.leaseReads) return null;
    const us = chance.heavyTail(2 * this.#electionUs);
    member.incarnation!.clock.step(us / 1000);
    return `node ${member.id} jumps ${ms(us)}`;
  }

  /** The atlas: a node's data is damaged only while the others hold a quorum of whole disks. */
  #damage(
    name: 'bitRot' | 'staleSector' | 'misdirected' | 'lostDisk',
    chance: Prng,
  ): string | null {
    const { cluster } = this.#parts;
    const victims = cluster.members.filter(m => m.isUsable && m.shadow.isWhole);
    if (victims.length === 0) return null;
    const member = chance.pick(victims);
    if (!this.canLose(member.id)) {
      if (!this.#parts.plan.beyondAtlas) return null;
      this.#parts.judge.mark('beyondAtlas');
    }
    member.shadow.damaged = true;
    switch (name) {
      case 'bitRot':
        return this.#rot(member, chance);
      case 'staleSector':
        member.disk.plant('stale');
        return `node ${member.id}`;
      case 'misdirected':
        member.disk.plant('misdirected');
        return `node ${member.id}`;
      case 'lostDisk':
        cluster.kill(member, 'lost');
        member.state = 'gone';
        return `node ${member.id}`;
    }
  }

  /** Found when the node starts again: soon, or perhaps under newer data. */
  #rot(member: Member, chance: Prng): string {
    const place = member.disk.rot(chance) ?? 'nothing there';
    const crashes = chance.chance(0.5);
    if (crashes) this.#parts.cluster.kill(member, this.#loss(chance));
    return `node ${member.id}: ${place}${crashes ? ', and it crashes' : ''}`;
  }

  /** Would every configuration that may be in force still have a quorum of whole disks? */
  canLose(id: NodeId): boolean {
    const { cluster, shadow } = this.#parts;
    const whole = cluster.members
      .filter(m => m.isUsable && m.shadow.isWhole && m.id !== id)
      .map(m => m.id);
    const configs = shadow.liveConfigurations(cluster.founding);
    return configs.every(config => isQuorum(config, whole));
  }

  #pickLiving(chance: Prng): Member | null {
    const { cluster } = this.#parts;
    const living = cluster.members.filter(m => m.incarnation !== null);
    if (living.length === 0) return null;
    // Whatever befalls a leader shows more.
    const leader = cluster.leader();
    return leader !== null && chance.chance(0.4) ? leader : chance.pick(living);
  }

  #loss(chance: Prng): Loss | null {
    const torn = this.#parts.plan.classes.includes('tornWrites');
    return chance.pick<Loss | null>(torn ? [null, 'lost', 'torn', 'torn'] : [null, 'lost', 'kept']);
  }
}

function ms(us: number): string {
  return `${Math.round(us / 1000)} ms`;
}

// The person who runs the cluster: adds and removes nodes, replaces dead ones, hands leadership over.
// Like a real one it acts on what a leader reports, which may be out of date.

import type { ProposalSink, ReadSink } from '../node/driver-types.ts';
import { type ConfigChange, type Configuration, NO_DATA } from '../raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Judge } from './judge.ts';
import type { Member } from './member.ts';
import type { Prng } from './prng.ts';
import type { Shadow } from './shadow.ts';
import type { FaultClass, Plan } from './types.ts';
import type { World } from './world.ts';

const VOTERS_MAX = 7;
const MEMBERS_MAX = 40;
/** The kinds of trouble that cost nodes: somebody replaces them. */
const REPAIRED: readonly FaultClass[] = [
  'membership',
  'bitRot',
  'staleSector',
  'misdirected',
  'lostDisk',
  'oldImage',
  'fsyncLie',
];
const NOBODY: ReadonlySet<number> = new Set();
const REPAIR_US = 1_500_000;
/** A removed node's machine is switched off after this. */
const SWITCH_OFF_US = 5_000_000;

export interface OperatorParts {
  readonly world: World;
  readonly plan: Plan;
  readonly judge: Judge;
  readonly cluster: Cluster;
  readonly shadow: Shadow;
}

export class Operator implements ProposalSink, ReadSink {
  /** Changes that were applied. */
  changes = 0;
  ended = false;
  /** When a node was last asked for a change, in microseconds; it tries for a while. */
  lastAskedAt = Number.NEGATIVE_INFINITY;
  readonly #parts: OperatorParts;
  /** Was voter of some configuration: when it is no member any more, it was removed. */
  readonly #wasMember = new Set<number>();

  constructor(parts: OperatorParts) {
    this.#parts = parts;
  }

  start(): void {
    const { classes } = this.#parts.plan;
    if (REPAIRED.some(name => classes.includes(name))) this.#repairLater();
  }

  /** A change out of the blue. Null when nobody could be asked. */
  changeMembership(chance: Prng): string | null {
    const leader = this.#parts.cluster.leader();
    if (leader === null) return null;
    const changes = this.#draw(leader, chance);
    if (changes === null) return null;
    const running = this.#parts.cluster.running();
    const asked = chance.chance(0.8) ? leader : chance.pick(running);
    return this.#propose(asked, changes);
  }

  /** A change at this node, leader or not. */
  changeAt(member: Member, chance: Prng): void {
    if (member.driver === null || this.ended) return;
    const changes = this.#draw(member, chance);
    if (changes !== null) this.#propose(member, changes);
  }

  transfer(chance: Prng): string | null {
    const leader = this.#parts.cluster.leader();
    if (leader === null) return null;
    const { voters } = leader.driver!.report().raft.config;
    const to = chance.pick(voters);
    const { driver, incarnation } = leader;
    incarnation!.process.enter(() => driver!.transferLeadership(to, this));
    return `${leader.id} to ${to}`;
  }

  campaign(chance: Prng): string | null {
    const running = this.#parts.cluster.running();
    if (running.length === 0) return null;
    const member = chance.pick(running);
    const { driver, incarnation } = member;
    incarnation!.process.enter(() => driver!.campaign());
    return `node ${member.id}`;
  }

  applied(): void {
    this.changes += 1;
    this.#parts.judge.mark('membershipChanged');
  }

  ready(): void {
    this.#parts.judge.mark('leadershipTransferred');
  }

  /** Refused or unknown: looked at again next time. */
  failed(): void {}

  #draw(leader: Member, chance: Prng): ConfigChange[] | null {
    const { cluster } = this.#parts;
    const { voters, learners } = leader.driver!.report().raft.config;
    const members = [...voters, ...learners];
    const promotable = chance.shuffle(learners)[0];
    const canAdd = voters.length < VOTERS_MAX && cluster.members.length < MEMBERS_MAX;
    switch (chance.below(7)) {
      case 0:
        if (!canAdd) return null;
        return [{ kind: 'addLearner', node: this.#fresh() }];
      case 1:
        if (promotable === undefined) return null;
        return [{ kind: 'addVoter', node: promotable }];
      case 2:
        if (voters.length < 2) return null;
        return [{ kind: 'remove', node: chance.pick(members) }];
      case 3:
        if (!canAdd || voters.length < 2) return null;
        return this.#drawJoint(voters, chance);
      case 4:
        // A voter becomes a learner.
        if (voters.length < 3) return null;
        return [{ kind: 'addLearner', node: chance.pick(voters) }];
      default:
        if (!canAdd) return null;
        return [{ kind: 'addVoter', node: this.#returning(members, chance) ?? this.#fresh() }];
    }
  }

  /** Two voters or more at once: a joint configuration, whose halves may have little in common. */
  #drawJoint(voters: readonly number[], chance: Prng): ConfigChange[] {
    const leaving = chance.shuffle(voters).slice(0, chance.between(1, voters.length - 1));
    const coming = chance.between(leaving.length === 1 ? 1 : 0, Math.min(2, leaving.length));
    const changes: ConfigChange[] = leaving.map(node => ({ kind: 'remove', node }));
    const fresh = new Set<number>();
    for (let i = 0; i < coming; i++) fresh.add(this.#fresh(fresh));
    return [...changes, ...[...fresh].map((node): ConfigChange => ({ kind: 'addVoter', node }))];
  }

  /** One that was removed, is not switched off yet and comes back with its old log. */
  #returning(members: readonly number[], chance: Prng): number | null {
    const { cluster } = this.#parts;
    const removed = cluster.members.filter(
      m => this.#wasMember.has(m.id) && m.isUsable && m.shadow.isWhole && !members.includes(m.id),
    );
    return removed.length > 0 && chance.chance(0.5) ? chance.pick(removed).id : null;
  }

  #fresh(but: ReadonlySet<number> = NOBODY): number {
    const { cluster } = this.#parts;
    const waiting = cluster.members.find(
      m => !m.isFounder && m.isUsable && !this.#wasMember.has(m.id) && !but.has(m.id),
    );
    if (waiting !== undefined) return waiting.id;
    const member = cluster.add(cluster.nextId);
    cluster.start(member);
    return member.id;
  }

  #propose(asked: Member, changes: readonly ConfigChange[]): string {
    const { driver, incarnation } = asked;
    this.lastAskedAt = this.#parts.world.now;
    // A node that stands still takes it when it goes on, unless that is too late.
    incarnation!.process.enter(() => {
      if (!this.ended) driver!.changeMembership(changes, NO_DATA, -1, this);
    });
    return changes.map(({ kind, node }) => `${kind} ${node}`).join(', ');
  }

  // -------------------------------------------------------------------------- repair

  #repairLater(): void {
    this.#parts.world.after(REPAIR_US, 'check', null, () => {
      if (this.ended) return;
      this.#repair();
      this.#repairLater();
    });
  }

  /** Dead nodes are removed, new ones take their place, removed ones are switched off. */
  #repair(): void {
    const { cluster, plan } = this.#parts;
    const leader = cluster.leader();
    if (leader === null) return;
    const { voters, learners, outgoing } = leader.driver!.report().raft.config;
    const members = new Set([...voters, ...learners, ...outgoing]);
    for (const id of members) this.#wasMember.add(id);
    this.#switchOff(members);
    const dead = [...members].find(id => cluster.member(id)?.isUsable === false);
    if (dead !== undefined && (voters.length > 1 || learners.includes(dead))) {
      this.#propose(leader, [{ kind: 'remove', node: dead }]);
    } else if (learners.length > 0) {
      this.#propose(leader, [{ kind: 'addVoter', node: learners[0]! }]);
    } else if (voters.length < plan.nodes && cluster.members.length < MEMBERS_MAX) {
      this.#propose(leader, [{ kind: 'addLearner', node: this.#fresh() }]);
    }
  }

  #switchOff(members: ReadonlySet<number>): void {
    const { cluster, world, shadow } = this.#parts;
    for (const member of cluster.members) {
      const { id } = member;
      if (!this.#wasMember.has(id) || members.has(id) || member.state === 'gone') continue;
      world.after(SWITCH_OFF_US, 'fault', null, () => {
        // Only a removal that can't be taken back any more is one.
        const configs = shadow.liveConfigurations(cluster.founding);
        const isMember = configs.some(config => isIn(config, id));
        if (isMember || member.state === 'gone' || this.ended) return;
        cluster.kill(member, 'lost');
        member.state = 'gone';
      });
    }
  }
}

function isIn({ voters, learners, outgoing }: Configuration, id: number): boolean {
  return [voters, learners, outgoing].some(ids => ids.includes(id));
}

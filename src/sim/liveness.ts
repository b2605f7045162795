// The second phase of a run: everything inside a random quorum is made whole, everything outside
// stays broken for good, and in bounded time the quorum must elect a leader, commit what clients ask
// for, and come to equal states. Raft promises no more, and no less.

import type { ProposalSink } from '../node/driver-types.ts';
import type { LogIndex, NodeId } from '../raft/types.ts';
import type { Clients } from './clients.ts';
import type { Cluster } from './cluster.ts';
import type { Judge } from './judge.ts';
import type { Member } from './member.ts';
import type { Operator } from './operator.ts';
import type { Prng } from './prng.ts';
import { isQuorum } from './quorums.ts';
import type { Shadow } from './shadow.ts';
import type { SimNetwork } from './sim-network.ts';
import type { Plan } from './types.ts';
import type { Workload } from './workload.ts';
import type { World } from './world.ts';

export interface LivenessParts {
  readonly world: World;
  readonly plan: Plan;
  readonly judge: Judge;
  readonly cluster: Cluster;
  readonly network: SimNetwork;
  readonly shadow: Shadow;
  readonly workload: Workload;
  readonly chance: Prng;
  readonly clients: Clients;
  readonly operator: Operator;
}

/** In election timeouts; generous, since elections may collide and snapshots take their time. */
const ELECT_TIMEOUTS = 60;
const CONVERGE_TIMEOUTS = 60;
const SLACK_US = 20_000_000;
const LOOK_US = 20_000;
const PROPOSE_US = 500_000;
/** What was under way has reached a log by then, or is lost. */
const FREEZE_US = 100_000;

export class Liveness implements ProposalSink {
  readonly #parts: LivenessParts;
  readonly #core = new Set<NodeId>();
  #served = false;

  constructor(parts: LivenessParts) {
    this.#parts = parts;
  }

  applied(): void {
    this.#served = true;
  }

  failed(): void {}

  /** Runs the phase. A cluster that lost its quorum for good promises nothing. */
  async run(): Promise<void> {
    const { judge } = this.#parts;
    await this.#freeze();
    if (!this.#chooseCore()) {
      judge.mark('noQuorumLeft');
      return;
    }
    this.#heal();
    const electionUs = this.#parts.plan.tickMs * this.#parts.plan.electionTicks * 1000;
    const boundUs = SLACK_US + ELECT_TIMEOUTS * electionUs;
    await this.#until('A-46', boundUs, () => this.#leader() !== null, 'elects no leader');
    let nextProposal = 0;
    const serves = () => {
      if (this.#parts.world.now >= nextProposal) {
        nextProposal = this.#parts.world.now + PROPOSE_US;
        this.#propose();
      }
      return this.#served;
    };
    await this.#until('A-47', boundUs, serves, 'commits nothing');
    const convergeUs = SLACK_US + CONVERGE_TIMEOUTS * electionUs;
    // First while clients go on writing: whoever lags must gain on them.
    const { commitIndex } = this.#parts.shadow;
    const caughtUp = () => this.#haveApplied(commitIndex);
    await this.#until(
      'A-48',
      convergeUs,
      caughtUp,
      `does not apply entry ${commitIndex} everywhere`,
    );
    this.#parts.clients.stop();
    await this.#until('A-48', convergeUs, () => this.#converged(), 'does not converge');
    await this.#restart(boundUs);
    await this.#until('A-40', convergeUs, () => this.#isTold(), 'leaves its watchers waiting');
  }

  /**
   * No change of membership that is still on its way from the operator may put the quorum out of
   * office that is chosen next: the last ones reach a log, or never will.
   */
  async #freeze(): Promise<void> {
    const { cluster, network, world, plan, operator } = this.#parts;
    network.mood.takesChanges = false;
    for (const member of cluster.members) cluster.pause(member, world.now);
    // A node that was asked keeps trying for as long as any request may take; clocks differ.
    const tries = operator.lastAskedAt + 1100 * plan.requestTimeoutMs;
    await world.runUntil(Math.max(world.now, tries) + FREEZE_US);
  }

  /** All lose power at once, and come back with nobody asking for anything: it is all still there. */
  async #restart(boundUs: number): Promise<void> {
    const { cluster, shadow, judge } = this.#parts;
    if (judge.violation !== null) return;
    const { commitIndex } = shadow;
    for (const id of this.#core) {
      const member = cluster.member(id)!;
      cluster.kill(member, 'lost');
      member.restartAt = 0;
    }
    const isBack = () => this.#leader() !== null && this.#haveApplied(commitIndex);
    const what = `does not come back with its entry ${commitIndex} after a power loss`;
    await this.#until('A-48', boundUs, isBack, what);
  }

  /** Nodes with whole disks, in random order, until they are a quorum of all that may count. */
  #chooseCore(): boolean {
    const { cluster, shadow, chance } = this.#parts;
    const configs = shadow.liveConfigurations(cluster.founding);
    const usable = cluster.members.filter(m => m.isUsable && m.shadow.isWhole).map(({ id }) => id);
    for (const id of chance.shuffle(usable)) {
      if (configs.every(config => isQuorum(config, [...this.#core]))) break;
      const counts = configs.some(c => c.voters.includes(id) || c.outgoing.includes(id));
      if (counts) this.#core.add(id);
    }
    return this.#isQuorum();
  }

  #isQuorum(): boolean {
    const { cluster, shadow } = this.#parts;
    const configs = shadow.liveConfigurations(cluster.founding);
    return configs.every(config => isQuorum(config, [...this.#core]));
  }

  #heal(): void {
    const { cluster, network, world, chance } = this.#parts;
    network.healAll();
    Object.assign(network.mood, {
      delayUs: 500,
      lossRate: 0,
      duplicateRate: 0,
      reorderRate: 0,
      corruptRate: 0,
      queueMessagesMax: 4096,
    });
    for (const member of cluster.members) {
      if (this.#core.has(member.id)) continue;
      // Dead, or alive behind a wall that lets nothing in; and perhaps nothing out.
      if (chance.chance(0.5)) cluster.kill(member, 'lost');
      for (const id of this.#core) {
        network.cut(id, member.id);
        network.cut(member.id, id);
      }
      if (member.isUsable) member.state = member.state === 'down' ? 'gone' : member.state;
    }
    for (const id of this.#core) {
      const member = cluster.member(id)!;
      Object.assign(member.disk.mood, { slowness: 1, full: false, failNextSync: false, dieAt: 0 });
      member.disk.mood.syncUs = Math.min(member.disk.mood.syncUs, 5000);
      cluster.pause(member, world.now);
    }
  }

  async #until(property: string, us: number, holds: () => boolean, what: string): Promise<void> {
    const { world, judge } = this.#parts;
    const end = world.now + us;
    while (judge.violation === null && !holds()) {
      if (world.now >= end) {
        const seconds = Math.round(us / 1e6);
        const text = `the healed quorum {${[...this.#core]}} ${what} within ${seconds} s`;
        judge.fail(property, 0, `${text}: ${this.#describe()}`);
        return;
      }
      this.#startAll();
      await world.runUntil(Math.min(end, world.now + LOOK_US));
    }
    judge.count(property);
  }

  #startAll(): void {
    const { cluster, world } = this.#parts;
    for (const id of this.#core) {
      const member = cluster.member(id)!;
      if (member.state === 'down' && member.restartAt <= world.now) cluster.start(member);
      // What stopped when the fault was under way is cleared away a moment later.
      if (member.state === 'down' && member.restartAt > world.now + 1e6) member.restartAt = 0;
    }
  }

  #leader(): Member | null {
    const { cluster } = this.#parts;
    const leader = cluster.leader();
    return leader !== null && this.#core.has(leader.id) ? leader : null;
  }

  #propose(): void {
    const { workload, chance, clients } = this.#parts;
    const leader = this.#leader();
    if (leader === null) return;
    let operation = workload.next(clients.takeNumber(), 0, chance);
    while (operation.isRead) operation = workload.next(clients.takeNumber(), 0, chance);
    workload.unknown(workload.called(-operation.number, operation));
    const { driver, incarnation } = leader;
    incarnation!.process.enter(() => driver!.propose(operation.data, this));
  }

  /**
   * Every node of the quorum has applied all that is committed, and no membership change is left
   * half done; equal states are A-13.
   */
  #converged(): boolean {
    const report = this.#leader()?.driver?.report().raft;
    if (report === undefined || report.commitIndex < report.last.index) return false;
    if (report.config.outgoing.length > 0) return false;
    return this.#haveApplied(report.commitIndex);
  }

  /** Whoever watches on a node of the quorum has been told everything. */
  #isTold(): boolean {
    const config = this.#leader()?.driver?.report().raft.config;
    if (config === undefined) return false;
    const { voters, learners } = config;
    const nodes = [...this.#core].filter(id => voters.includes(id) || learners.includes(id));
    return this.#parts.workload.caughtUp?.(new Set(nodes)) ?? true;
  }

  #haveApplied(index: LogIndex): boolean {
    const config = this.#leader()?.driver?.report().raft.config;
    if (config === undefined) return false;
    return [...this.#core].every(id => {
      const member = this.#parts.cluster.member(id)!;
      // A node that was removed in the meantime is told nothing any more.
      if (!config.voters.includes(id) && !config.learners.includes(id)) return true;
      return (member.driver?.appliedIndex ?? 0) >= index;
    });
  }

  #describe(): string {
    const nodes = [...this.#core].map(id => {
      const member = this.#parts.cluster.member(id)!;
      if (member.driver === null) return `node ${id} is ${member.state} (${member.error?.message})`;
      const { role, currentTerm, commitIndex, appliedIndex, last, config } =
        member.driver.report().raft;
      const places = `applied ${appliedIndex} committed ${commitIndex} last ${last.index}`;
      const joint = config.outgoing.length > 0 ? ` and {${config.outgoing}}` : '';
      return `node ${id} ${role} term ${currentTerm} ${places} voters {${config.voters}}${joint}`;
    });
    return nodes.join('; ');
  }
}

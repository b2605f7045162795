// The blows of ambushes (ambush.ts). A strike comes in the middle of a step: links are cut at once,
// before the step's messages leave; everything else waits until the event that runs is over.

import type { NodeId } from '../raft/types.ts';
import type { Ambush } from './ambush.ts';
import type { FaultParts } from './faults.ts';
import type { Member } from './member.ts';
import type { NetworkFaults } from './network-faults.ts';
import type { Prng } from './prng.ts';
import type { Loss } from './sim-file.ts';

export interface StrikeParts extends FaultParts {
  readonly links: NetworkFaults;
  readonly electionUs: number;
  readonly loss: (chance: Prng) => Loss | null;
  /** Another ambush of the same fault. */
  readonly lay: (ambush: Ambush) => void;
}

type Way = 'both' | 'in' | 'out';

const DIE_WITHIN = 4;
const FLOOD_MAX = 40;

export class Strikes {
  readonly #parts: StrikeParts;

  constructor(parts: StrikeParts) {
    this.#parts = parts;
  }

  /** Says what was done. */
  strike(ambush: Ambush, id: NodeId): string | null {
    const { chance, blow } = ambush;
    const member = this.#parts.cluster.member(id);
    if (member?.incarnation == null) return null;
    switch (blow) {
      case 'alone':
        return this.#cutOff(member, new Set(), chance);
      case 'deaf':
        return this.#cutOff(member, new Set(), chance, 'in');
      case 'few':
        return this.#cutOff(member, this.#drawFew(member, chance), chance);
      case 'crash':
      case 'crashSoon':
      case 'crashAll':
        return this.#crash(member, blow, chance);
      case 'die':
        member.disk.mood.dieAt = chance.between(1, DIE_WITHIN);
        return `dies ${member.disk.mood.dieAt} operations on`;
      case 'pause':
        return this.#pause(member, chance);
      case 'stall':
        return this.stall(member, chance);
      case 'flood':
        return this.#flood(member, chance);
      case 'change':
        this.#soon(() => this.#parts.operator.changeAt(member, chance));
        return 'is asked for a change';
      case 'changeAlone':
        return this.#changeAlone(member, ambush);
    }
  }

  /** The disk hangs: what is asked of it meanwhile takes very long. */
  stall(member: Member, chance: Prng): string {
    const { world, electionUs } = this.#parts;
    const us = electionUs * chance.logUniform(0.5, 10);
    const { mood } = member.disk;
    mood.slowness = Math.max(1, us / mood.syncUs);
    world.after(us, 'fault', null, () => {
      mood.slowness = 1;
    });
    return `its disk hangs for ${Math.round(us / 1000)} ms`;
  }

  #cutOff(
    member: Member,
    but: ReadonlySet<NodeId>,
    chance: Prng,
    way: Way = chance.pick(['both', 'both', 'both', 'in', 'out'] as const),
  ): string {
    const { cluster, links, electionUs } = this.#parts;
    const others = cluster.members.filter(({ id, state }) => {
      return id !== member.id && state !== 'gone' && !but.has(id);
    });
    const inward = others.map(({ id }) => [id, member.id] as const);
    const outward = others.map(({ id }) => [member.id, id] as const);
    const pairs = way === 'both' ? [...inward, ...outward] : way === 'in' ? inward : outward;
    const us = chance.heavyTail(3 * electionUs);
    const reached = but.size === 0 ? 'alone' : `with {${[...but]}} only`;
    const what = `${reached} (${way}) for ${Math.round(us / 1000)} ms`;
    links.partition({ what, pairs }, us);
    return what;
  }

  /** Some others, often those that joined last: what is new is on few disks. */
  #drawFew(member: Member, chance: Prng): Set<NodeId> {
    const ids = this.#parts.cluster.members
      .filter(({ id, state }) => id !== member.id && state !== 'gone')
      .map(({ id }) => id);
    const count = chance.between(1, Math.max(1, Math.ceil(ids.length / 2) - 1));
    const inOrder = chance.chance(0.5) ? ids.reverse() : chance.shuffle(ids);
    return new Set(inOrder.slice(0, count));
  }

  #crash(member: Member, blow: 'crash' | 'crashSoon' | 'crashAll', chance: Prng): string {
    const { world, cluster, plan, loss } = this.#parts;
    const how = loss(chance);
    const waitUs = 1000 * chance.heavyTail(plan.delayMs + plan.syncMs);
    const { incarnation } = member;
    world.after(blow === 'crash' ? 0 : waitUs, 'fault', null, () => {
      if (member.incarnation !== incarnation) return;
      const victims = blow === 'crashAll' ? [...cluster.members] : [member];
      for (const victim of victims) cluster.kill(victim, how);
    });
    return `${blow}, ${how ?? 'kill'}`;
  }

  #pause(member: Member, chance: Prng): string {
    const { world, cluster, electionUs } = this.#parts;
    const us = Math.round(chance.heavyTail(2 * electionUs));
    this.#soon(() => cluster.pause(member, world.now + us));
    return `stands still for ${Math.round(us / 1000)} ms`;
  }

  /** Commands that only this node has; then it is alone with them. */
  #flood(member: Member, chance: Prng): string {
    const count = chance.between(2, FLOOD_MAX);
    this.#soon(() => {
      this.#parts.flood(member, count, chance);
      this.#cutOff(member, new Set(), chance);
    });
    return `gets ${count} commands, then alone`;
  }

  #changeAlone(member: Member, { number, chance }: Ambush): string {
    const { operator, lay } = this.#parts;
    lay({ number, moment: 'configured', blow: chance.pick(['alone', 'few']), chance, skip: 0 });
    this.#soon(() => operator.changeAt(member, chance));
    return 'is asked for a change, to be cut off with it';
  }

  #soon(run: () => void): void {
    this.#parts.world.after(0, 'fault', null, run);
  }
}

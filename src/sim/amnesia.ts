// Disks that go back in time. `oldImage`: a copy of the whole data, as a snapshot of a virtual machine or
// a backup, is put back. `fsyncLie`: from some moment on the log's syncs keep nothing, which shows when
// the power fails; what other files and the state machine have stored stays.
//
// No consensus survives the loss of what a quorum was counted for, and nobody can tell (docs/adr/0010).
// So the atlas is stricter here than for damage, which a node finds by itself: what is lost is durable
// on a quorum of the others, the term and the vote are the same as before, no configuration is among
// what is lost, and one node at a time has lost something.

import type { Configuration, LogIndex, NodeId } from '../raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Member } from './member.ts';
import type { DurablePast } from './node-shadow.ts';
import type { Prng } from './prng.ts';
import { isQuorum } from './quorums.ts';
import type { Shadow } from './shadow.ts';
import type { SimNames } from './sim-names.ts';
import type { World } from './world.ts';

export type Forgetting = 'oldImage' | 'fsyncLie';

export interface AmnesiaParts {
  readonly world: World;
  readonly cluster: Cluster;
  readonly shadow: Shadow;
  readonly electionUs: number;
}

/** What a node had durable at some moment. */
interface Image {
  readonly takenAt: number;
  readonly disk: SimNames;
  readonly cell: Uint8Array | null;
  readonly past: DurablePast;
}

const LOG_FILES = 'log/';
const TRIES = 40;

export class Amnesia {
  readonly #parts: AmnesiaParts;
  /** No disk goes back any more. */
  ended = false;

  constructor(parts: AmnesiaParts) {
    this.#parts = parts;
  }

  /** Takes an image now, and puts it back later, once that is allowed; `did` is told of it then. */
  begin(what: Forgetting, chance: Prng, did: (text: string) => void): void {
    const { cluster, electionUs } = this.#parts;
    const victims = cluster.members.filter(m => m.isRunning && m.shadow.isWhole);
    // What a leader has lost nobody tells it.
    const followers = victims.filter(m => !m.shadow.isLeader);
    const some = followers.length > 0 && chance.chance(0.7) ? followers : victims;
    if (some.length === 0) return;
    const member = chance.pick(some);
    const image = this.#imageOf(member);
    const everyUs = electionUs * chance.logUniform(0.05, 1);
    this.#tryLater({ what, member, image, everyUs, did, left: TRIES });
  }

  #imageOf({ disk, cell, shadow }: Member): Image {
    const { now: takenAt } = this.#parts.world;
    return { takenAt, disk: disk.durableNames(), cell: cell?.bytes ?? null, past: shadow.past() };
  }

  #tryLater(attempt: Attempt): void {
    this.#parts.world.after(attempt.everyUs, 'fault', null, () => {
      if (this.ended || attempt.left === 0) return;
      const { member, image } = attempt;
      if (!member.isUsable) return;
      if (!isTooSoon(attempt) && this.#mayForget(member, image.past)) return this.#goBack(attempt);
      // While it starts, nobody has looked yet at what its last crash has left.
      const isOld = member.isRunning && !member.shadow.votesAsIn(image.past);
      const left = attempt.left - 1;
      this.#tryLater({ ...attempt, image: isOld ? this.#imageOf(member) : image, left });
    });
  }

  #goBack({ what, member, image, did }: Attempt): void {
    const { shadow, disk, cell } = member;
    const { lastIndex } = shadow.durable;
    this.#parts.cluster.kill(member, 'lost');
    if (what === 'oldImage') {
      disk.putBack(image.disk, '');
      if (cell !== null) cell.bytes = image.cell;
    } else disk.putBack(image.disk, LOG_FILES);
    shadow.goBack(image.past);
    const ms = Math.round((this.#parts.world.now - image.takenAt) / 1000);
    const lost = `entries ${image.past.log.lastIndex + 1} to ${lastIndex}`;
    did(`node ${member.id} loses ${lost}, the last ${ms} ms`);
  }

  /** Whether all is as the head of this file says. */
  #mayForget(member: Member, past: DurablePast): boolean {
    const { cluster, shadow } = this.#parts;
    if (member.incarnation === null || !member.shadow.isWhole) return false;
    if (cluster.members.some(m => m.isUsable && m.shadow.lacksSome)) return false;
    if (!member.shadow.votesAsIn(past) || !member.shadow.hasOnlyEntriesMore(past)) return false;
    const own = member.shadow.configuration;
    const configs = shadow.liveConfigurations(cluster.founding);
    if (own !== null) configs.push(own);
    return this.#othersHold(member.id, member.shadow.durable.lastIndex, configs);
  }

  #othersHold(id: NodeId, last: LogIndex, configs: readonly Configuration[]): boolean {
    const { cluster, shadow } = this.#parts;
    const hash = shadow.node(id).durable.chainAt(last);
    const holders = cluster.members
      .filter(m => m.id !== id && m.isUsable && m.shadow.isWhole)
      .filter(({ shadow: { durable } }) => durable.chainAt(last) === hash || durable.base > last)
      .map(m => m.id);
    return configs.every(config => isQuorum(config, holders));
  }
}

/** A state machine on a good disk is to be ahead of the log at times. */
function isTooSoon({ what, member: { cell }, image, left }: Attempt): boolean {
  return what === 'fsyncLie' && left > TRIES / 2 && cell !== null && cell.bytes === image.cell;
}

interface Attempt {
  readonly what: Forgetting;
  readonly member: Member;
  readonly image: Image;
  readonly everyUs: number;
  readonly did: (text: string) => void;
  readonly left: number;
}

// Clients that watch the store, each on one node at a time. They are quick or slow, begin in the
// past, now or in the future, ask for progress, change the node when theirs is dead or silent or for
// no reason at all, and go on there after the last revision that they know everything of. What each
// was told on each node is judged as soon as that watch is over.

import { checkWatch } from '../check/watch.ts';
import type { WatchProperty, WatchStream } from '../check/watch-types.ts';
import type { NodeId } from '../raft/types.ts';
import type { WatchSettings } from './heard-kv-machine.ts';
import type { Judge } from './judge.ts';
import type { KvTruth } from './kv-truth.ts';
import type { Member } from './member.ts';
import { OpenWatch, type WatchQuery } from './open-watch.ts';
import { Prng } from './prng.ts';
import type { PropertyId } from './properties.ts';
import type { Surroundings } from './workload.ts';

export interface WatchParts extends Surroundings {
  readonly judge: Judge;
  readonly truth: KvTruth;
}

const PROPERTIES: Record<WatchProperty, PropertyId> = {
  ordered: 'A-37',
  unique: 'A-38',
  atomic: 'A-39',
  complete: 'A-40',
  resumable: 'A-40',
  progress: 'A-41',
  filter: 'A-42',
  content: 'A-42',
  prevKv: 'A-42',
  isCreate: 'A-42',
  notEarly: 'A-43',
  compacted: 'A-43',
  protocol: 'A-43',
};

const JUDGED = new Set(Object.values(PROPERTIES));
const TICK_US = 1_000_000;
const HURRY_US = 50_000;
const SILENCE_US = 6_000_000;
const NAP_US = 5_000_000;

/** How the servers of a run treat their watchers. */
export function drawSettings(seed: number): WatchSettings {
  const chance = Prng.stream(seed, 'watching');
  return {
    queueEventsMax: chance.pick([2, 6, 30, 1000]),
    liveChangesMax: chance.pick([1, 4, 1000, 1000]),
    changesMax: chance.pick([1, 3, 20, 500]),
    stepUs: chance.pick([200, 2000, 20_000]),
  };
}

export class WatchClients {
  readonly #clients: WatchClient[];

  constructor(parts: WatchParts) {
    const count = Prng.stream(parts.seed, 'watches').between(1, 4);
    this.#clients = Array.from({ length: count }, (_, id) => new WatchClient(parts, id + 1));
  }

  start(): void {
    for (const client of this.#clients) client.tick();
  }

  /** From now on they use these nodes only, and lose no time. */
  caughtUp(nodes: ReadonlySet<NodeId>): boolean {
    return this.#clients.filter(client => !client.isDone(nodes)).length === 0;
  }

  /** Judges the watches that are still open. */
  finish(): void {
    for (const client of this.#clients) client.end();
  }
}

class WatchClient {
  readonly #parts: WatchParts;
  readonly #chance: Prng;
  /** Mean time until it takes what is there. */
  readonly #paceUs: number;
  /** Those that it may use; null: any. */
  #nodes: ReadonlySet<NodeId> | null = null;
  /** What it watches, or will as soon as there is a node; null: it has not decided. */
  #query: WatchQuery | null = null;
  #watch: OpenWatch | null = null;
  /** Nothing is taken before, although there is something. */
  #napsUntil = 0;
  #looksAt = 0;

  constructor(parts: WatchParts, id: number) {
    this.#parts = parts;
    this.#chance = Prng.stream(parts.seed, 'watch', id);
    this.#paceUs = this.#chance.pick([5000, 50_000, 400_000]);
  }

  /** Every second: is all well with the watch at hand? */
  tick(): void {
    const { world } = this.#parts;
    const us = this.#nodes === null ? TICK_US * (0.5 + this.#chance.float()) : HURRY_US;
    world.after(us, 'client', null, () => this.tick());
    const watch = this.#watch;
    if (watch === null) return this.#connect(this.#query ?? this.#draw());
    if (watch.isBroken(world.now)) return this.#moveOn();
    if (this.#nodes !== null && !this.#nodes.has(watch.member.id)) return this.#moveOn();
    const silent = world.now - watch.heardAt > SILENCE_US;
    if (silent || this.#chance.chance(this.#nodes === null ? 0.04 : 0)) return this.#moveOn();
    if (this.#nodes === null && this.#chance.chance(0.05)) return this.#forget();
    if (this.#chance.chance(0.05)) this.#napsUntil = world.now + this.#chance.below(NAP_US);
    this.#look();
  }

  /** Whether it knows everything there is, or what it waits for has not come to be. */
  isDone(nodes: ReadonlySet<NodeId>): boolean {
    this.#nodes = nodes;
    this.#napsUntil = 0;
    const watch = this.#watch;
    if (watch === null || !nodes.has(watch.member.id)) return false;
    if (watch.isBroken(this.#parts.world.now)) return false;
    return watch.isCreated && watch.reached >= this.#parts.truth.revision;
  }

  end(): void {
    const watch = this.#watch;
    if (watch === null) return;
    // Its own word is taken: that it knows everything must be so.
    const mustReach = watch.reached >= this.#parts.truth.revision ? watch.reached : undefined;
    this.#judge(watch, mustReach);
  }

  // -------------------------------------------------------------------------- nodes

  #connect(query: WatchQuery): void {
    this.#query = query;
    const member = this.#choose();
    if (member === null) return;
    const { world, judge } = this.#parts;
    const watch = new OpenWatch({ query, member, world, judge, onReady: () => this.#lookLater() });
    this.#watch = watch;
    watch.open();
  }

  #choose(): Member | null {
    const running = this.#parts.cluster
      .running()
      .filter(({ id }) => this.#nodes === null || this.#nodes.has(id));
    return running.length === 0 ? null : this.#chance.pick(running);
  }

  /** To another node, or the same, after what is known. */
  #moveOn(): void {
    const watch = this.#watch!;
    this.#judge(watch);
    watch.close();
    this.#watch = null;
    this.#connect(watch.continued());
  }

  #forget(): void {
    const watch = this.#watch!;
    this.#judge(watch);
    watch.close();
    this.#watch = null;
    this.#query = null;
  }

  #draw(): WatchQuery {
    const { plan, truth } = this.#parts;
    const chance = this.#chance;
    const key = `k${chance.below(plan.keys)}`;
    const range = chance.pick([
      { key, rangeEnd: '' },
      { key: 'k', rangeEnd: 'l' },
      { key: 'k', rangeEnd: 'l' },
      { key: '\0', rangeEnd: '\0' },
      { key, rangeEnd: '\0' },
      { key: 'k2', rangeEnd: 'k6' },
    ]);
    const { revision, compactRevision } = truth;
    const startRevision = chance.pick([
      0,
      1 + chance.below(revision),
      Math.max(1, revision - chance.below(30)),
      revision + 2 + chance.below(20),
      Math.max(1, compactRevision),
      Math.max(1, compactRevision),
      Math.max(1, compactRevision - 1),
    ]);
    return {
      ...range,
      startRevision,
      prevKv: chance.chance(0.5),
      noPut: chance.chance(0.1),
      noDelete: chance.chance(0.1),
      resumedAfter: null,
      lastNode: 0,
    };
  }

  // -------------------------------------------------------------------------- events

  #lookLater(): void {
    const { world } = this.#parts;
    if (this.#looksAt > world.now) return;
    const pace = this.#nodes === null ? this.#chance.heavyTail(this.#paceUs) : HURRY_US / 10;
    this.#looksAt = Math.max(world.now + Math.round(pace), this.#napsUntil);
    world.after(this.#looksAt - world.now, 'client', null, () => this.#look());
  }

  #look(): void {
    const watch = this.#watch;
    if (watch === null || this.#napsUntil > this.#parts.world.now) return;
    const eventsMax = this.#nodes === null ? 1 + this.#chance.below(20) : 1000;
    const asksProgress = this.#nodes !== null || this.#chance.chance(0.2);
    watch.take({ eventsMax, asksProgress, onTaken: () => this.#took(watch) });
  }

  #took(watch: OpenWatch): void {
    if (watch !== this.#watch) return;
    if (watch.hasMore) return this.#lookLater();
    if (!watch.isEnded) return;
    // What it lacks is compacted: it starts anew, where it still can.
    this.#judge(watch);
    this.#watch = null;
    const { compactRevision } = watch;
    const startRevision = this.#chance.chance(0.5) ? compactRevision : 0;
    this.#connect({ ...watch.query, startRevision, resumedAfter: null });
  }

  #judge(watch: OpenWatch, mustReach?: number): void {
    const { judge, truth } = this.#parts;
    for (const property of JUDGED) judge.count(property);
    const { revisions, compactRevision } = truth;
    const stream: WatchStream = { ...watch.stream(), mustReach };
    const [violation] = checkWatch({ revisions, compactRevision }, stream);
    if (violation === undefined) return;
    const { property, message } = violation;
    const { key, rangeEnd, startRevision } = stream.request;
    const name = `the watch of ${key}${rangeEnd ? ` to ${rangeEnd}` : ''} from ${startRevision}`;
    judge.fail(
      PROPERTIES[property],
      watch.member.id,
      `${name} on node ${watch.member.id}: ${message}`,
    );
  }
}

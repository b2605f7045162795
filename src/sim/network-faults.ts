// Ways to take a network apart: halves, one alone, a ring and a bridge (everybody hears somebody,
// nobody hears all), one direction only, links that come and go, links that hold everything back
// and then let it go at once.

import type { NodeId } from '../raft/types.ts';
import type { Prng } from './prng.ts';
import type { SimNetwork } from './sim-network.ts';
import type { World } from './world.ts';

type Pair = readonly [from: NodeId, to: NodeId];

export interface NetworkFault {
  readonly what: string;
  readonly pairs: readonly Pair[];
}

/** Null for a cluster of one. */
export function drawPartition(ids: readonly NodeId[], chance: Prng): NetworkFault | null {
  if (ids.length < 2) return null;
  const shuffled = chance.shuffle(ids);
  const oneWay = chance.chance(0.25);
  const suffix = oneWay ? ', one way' : '';
  const both = (pairs: Pair[]) =>
    oneWay ? pairs : pairs.concat(pairs.map(([a, b]): Pair => [b, a]));
  switch (chance.below(4)) {
    case 0: {
      const [alone] = shuffled;
      const pairs = ids.filter(id => id !== alone).map((id): Pair => [alone!, id]);
      return {
        what: `${alone} alone${suffix}`,
        pairs: both(chance.chance(0.5) ? pairs : flip(pairs)),
      };
    }
    case 1: {
      const cut = 1 + chance.below(shuffled.length - 1);
      const [left, right] = [shuffled.slice(0, cut), shuffled.slice(cut)];
      const pairs = left.flatMap(a => right.map((b): Pair => [a, b]));
      return { what: `{${left}} from {${right}}${suffix}`, pairs: both(pairs) };
    }
    case 2: {
      // A ring: each hears its two neighbours only. With three nodes: one link is cut.
      const pairs: Pair[] = [];
      for (let i = 0; i < shuffled.length; i++) {
        for (let j = i + 2; j < shuffled.length; j++) {
          if (i === 0 && j === shuffled.length - 1 && shuffled.length > 3) continue;
          pairs.push([shuffled[i]!, shuffled[j]!]);
        }
      }
      return { what: `a ring of ${shuffled}${suffix}`, pairs: both(pairs) };
    }
    default: {
      // A bridge: two halves that only one node can reach both of.
      const [bridge, ...rest] = shuffled;
      const half = Math.floor(rest.length / 2);
      const [left, right] = [rest.slice(0, half), rest.slice(half)];
      const pairs = left.flatMap(a => right.map((b): Pair => [a, b]));
      return { what: `${bridge} bridges {${left}} and {${right}}${suffix}`, pairs: both(pairs) };
    }
  }
}

export class NetworkFaults {
  readonly #world: World;
  readonly #network: SimNetwork;
  /** Nothing is cut or clogged any more. */
  ended = false;
  /** How many faults cut a link; it is up again when none does. */
  readonly #cuts = new Map<string, number>();

  constructor(world: World, network: SimNetwork) {
    this.#world = world;
    this.#network = network;
  }

  partition({ pairs }: NetworkFault, durationUs: number): void {
    if (this.ended) return;
    this.#cutAll(pairs);
    this.#world.after(durationUs, 'fault', null, () => this.#healAll(pairs));
  }

  /** Cut and healed again and again, faster than an election. */
  flap(fault: NetworkFault, times: number, periodUs: number): void {
    this.partition(fault, periodUs / 2);
    if (times <= 1) return;
    this.#world.after(periodUs, 'fault', null, () => this.flap(fault, times - 1, periodUs));
  }

  /** Clogs the links one by one, and frees them one by one in another order. */
  swizzle(pairs: readonly Pair[], stepUs: number, durationUs: number, chance: Prng): void {
    pairs.forEach(([from, to], i) => {
      this.#world.after(i * stepUs, 'fault', null, () => {
        if (!this.ended) this.#network.clog(from, to);
      });
    });
    chance.shuffle(pairs).forEach(([from, to], i) => {
      const at = pairs.length * stepUs + durationUs + i * stepUs;
      this.#world.after(at, 'fault', null, () => this.#network.unclog(from, to));
    });
  }

  #cutAll(pairs: readonly Pair[]): void {
    for (const [from, to] of pairs) {
      const key = `${from}>${to}`;
      this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
      this.#network.cut(from, to);
    }
  }

  #healAll(pairs: readonly Pair[]): void {
    for (const [from, to] of pairs) {
      const key = `${from}>${to}`;
      const left = (this.#cuts.get(key) ?? 1) - 1;
      this.#cuts.set(key, left);
      if (left === 0 && !this.ended) this.#network.heal(from, to);
    }
  }
}

export function allPairs(ids: readonly NodeId[]): Pair[] {
  return ids.flatMap(a => ids.filter(b => b !== a).map((b): Pair => [a, b]));
}

function flip(pairs: readonly Pair[]): Pair[] {
  return pairs.map(([a, b]): Pair => [b, a]);
}

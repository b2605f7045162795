// Plans with a theme. Most seeds draw everything independently, and meet each corner now and then; a
// fifth of them goes to one corner and stays there: small logs and snapshots all the time, one
// membership change after the other, leases at the edge of their promise. Data, so that the next
// corner is a few lines. A theme only replaces what it names; the rest is drawn as ever.

import { BLOWS, type Blow, MOMENTS, type Moment } from './ambush.ts';
import type { Prng } from './prng.ts';
import type { FaultClass, Plan } from './types.ts';

export const THEMES = ['membership', 'figure8', 'lease', 'snapshots', 'disks', 'damage'] as const;
export type Theme = (typeof THEMES)[number];

/** The share of seeds with a theme, and of each among those. */
const THEMED = 0.3;
const DRAWN: readonly Theme[] = [...THEMES, 'membership', 'lease', 'snapshots'];

interface ThemeData {
  readonly always: readonly FaultClass[];
  /** Each with half a chance; twice the same: more. */
  readonly maybe: readonly FaultClass[];
  readonly moments: readonly Moment[];
  readonly blows: readonly Blow[];
  readonly plan: (chance: Prng) => Partial<Plan>;
}

const DATA: Record<Theme, ThemeData> = {
  // Even numbers of voters, in which two majorities of neighbouring configurations can just miss
  // each other, and leaders that are cut off with a change that nobody else has.
  membership: {
    always: ['membership', 'ambush'],
    maybe: ['partition', 'crash', 'transfer', 'flap', 'loss', 'duplicate', 'held', 'lostDisk'],
    moments: ['configured', 'configured', 'elected', 'elected', 'committed', 'truncated'],
    blows: ['alone', 'few', 'crash', 'crashSoon', 'crashAll', 'change', 'changeAlone'],
    plan: chance => ({
      nodes: chance.pick([2, 3, 3, 4, 4, 4, 5]),
      ...fast(chance),
      operationsPerSecond: chance.pick([4, 8, 16]),
    }),
  },
  // Leaders fall right after a minority has their entries (§5.4.2).
  figure8: {
    always: ['ambush'],
    maybe: ['crash', 'transfer', 'slowDisk', 'reorder', 'tornWrites'],
    moments: ['elected', 'appended', 'appended', 'committed', 'truncated'],
    blows: ['alone', 'few', 'few', 'few', 'crash', 'crashSoon', 'die', 'pause', 'stall'],
    plan: chance => ({
      nodes: chance.pick([3, 5, 5, 5]),
      ...fast(chance),
      operationsPerSecond: chance.pick([4, 8, 16]),
    }),
  },
  // Clocks as far apart as the promise allows, and leaders that are stopped, deaf or deposed.
  lease: {
    always: ['ambush'],
    maybe: ['pause', 'partition', 'transfer', 'crash', 'delay', 'clock', 'campaign'],
    moments: ['elected', 'appended', 'committed', 'voted', 'handedOver', 'handedOver'],
    blows: ['alone', 'few', 'deaf', 'deaf', 'pause', 'pause', 'stall'],
    plan: chance => ({
      nodes: chance.pick([2, 3, 3, 5]),
      ...fast(chance),
      electionTicks: chance.pick([10, 20, 20]),
      leaseReads: true,
      readShare: 0.6,
      clients: chance.between(5, 10),
      operationsPerSecond: chance.pick([32, 64]),
      clientTimeoutMs: 2000,
    }),
  },
  // Logs of a few entries, snapshots in tiny chunks, followers that diverge before they get one.
  snapshots: {
    always: ['snapshot', 'ambush'],
    maybe: ['partition', 'flap', 'crash', 'crashAtOperation', 'reset', 'slowDisk', 'slowDisk'],
    moments: ['elected', 'appended', 'committed', 'truncated', 'installed'],
    blows: ['alone', 'few', 'few', 'flood', 'flood', 'stall', 'stall', 'crash', 'crashSoon', 'die'],
    plan: chance => ({
      nodes: chance.pick([2, 3, 3, 4, 5]),
      ...fast(chance),
      snapshotCount: Math.round(chance.logUniform(2, 20)),
      trailingEntries: chance.pick([0, 0, 2, 10]),
      snapshotChunkBytes: chance.pick([64, 256, 4096]),
      operationsPerSecond: chance.pick([8, 16, 32]),
    }),
  },
  // Writes that are under way for longer than leaders last.
  disks: {
    always: ['slowDisk', 'ambush'],
    maybe: ['crash', 'crashAtOperation', 'fsyncError', 'tornWrites', 'partition', 'fullDisk'],
    moments: ['elected', 'appended', 'voted', 'truncated'],
    blows: ['stall', 'stall', 'die', 'crash', 'crashSoon', 'alone', 'flood'],
    plan: chance => ({
      nodes: chance.pick([1, 3, 3, 5]),
      ...fast(chance),
      operationsPerSecond: chance.pick([16, 32]),
    }),
  },
  // Disks that forget and lie, in nodes that start again and again.
  damage: {
    always: ['crash'],
    maybe: ['bitRot', 'staleSector', 'misdirected', 'lostDisk', 'tornWrites', 'crashAtOperation'],
    moments: MOMENTS,
    blows: BLOWS,
    plan: chance => ({
      nodes: chance.pick([3, 5, 5]),
      beyondAtlas: chance.chance(0.3),
      faultEveryMs: Math.round(chance.logUniform(300, 1500)),
      operationsPerSecond: chance.pick([8, 16, 32]),
    }),
  },
};

export function drawTheme(chance: Prng): Theme | null {
  return chance.chance(THEMED) ? chance.pick(DRAWN) : null;
}

/** What the theme decides of a plan. */
export function themedPlan(theme: Theme, chance: Prng): Partial<Plan> {
  const { always, maybe, plan } = DATA[theme];
  const drawn = maybe.filter(() => chance.chance(0.5));
  const classes = [...new Set([...always, ...drawn])];
  return { classes, ...plan(chance) };
}

/** What an ambush may wait for, and do. */
export function drawAmbush(theme: Theme | null, chance: Prng): { moment: Moment; blow: Blow } {
  const { moments, blows } = theme === null ? { moments: MOMENTS, blows: BLOWS } : DATA[theme];
  return { moment: chance.pick(moments), blow: chance.pick(blows) };
}

/** Short elections and frequent faults: much happens in a short run. */
function fast(chance: Prng): Partial<Plan> {
  return {
    durationMs: chance.between(15, 30) * 1000,
    tickMs: chance.pick([10, 20, 50]),
    electionTicks: chance.pick([6, 10]),
    faultEveryMs: Math.round(chance.logUniform(150, 800)),
  };
}

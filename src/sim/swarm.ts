// What a seed decides before its run begins: the size of the cluster, its settings, and which kinds
// of trouble it will meet and how much of each. A tenth of the seeds meet none, a quarter one kind
// only: a fault that hides another one's effect is left out often enough (swarm testing).

import { Prng } from './prng.ts';
import { drawTheme, type Theme, themedPlan } from './themes.ts';
import { FAULT_CLASSES, type FaultClass, type Plan, type SimulateOptions } from './types.ts';

/** Rare, because each costs a node for good. */
const COSTLY: readonly FaultClass[] = ['bitRot', 'staleSector', 'misdirected', 'lostDisk'];
/** Drawn by themselves: they came when the others had their places. */
const FORGETTING: readonly FaultClass[] = ['oldImage', 'fsyncLie'];
const DRAWN = FAULT_CLASSES.filter(name => !FORGETTING.includes(name));
/** The fastest clock is then 10 % faster than the slowest one: what lease reads are promised. */
const DRIFT_PPM_MAX = 47_000;
/** Not faults that happen, but how links behave all the time. */
export const AMBIENT: ReadonlySet<FaultClass> = new Set([
  'loss',
  'delay',
  'duplicate',
  'reorder',
  'corrupt',
  'held',
  'tornWrites',
  'snapshot',
]);

export function drawPlan(options: SimulateOptions): Plan {
  const chance = Prng.stream(options.seed, 'plan');
  const { theme, themed } = drawThemed(options);
  const drawn = themed.classes ?? drawClasses(chance);
  const classes = options.plan?.classes ?? withForgetting(options.seed, theme, drawn);
  const has = (name: FaultClass) => classes.includes(name);
  const beyondAtlas = goesBeyondAtlas(options.seed, classes);
  const tickMs = chance.pick([20, 50, 100]);
  const plan: Plan = {
    theme,
    nodes: chance.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7]),
    durationMs: chance.between(20, 60) * 1000,
    ...drawSettings(chance, tickMs, has('snapshot')),
    ...drawNetwork(chance, has),
    syncMs: has('slowDisk') ? chance.logUniform(5, 80) : chance.logUniform(0.5, 4),
    driftPpm: has('clock') ? Math.round(chance.logUniform(100, DRIFT_PPM_MAX)) : 0,
    faultEveryMs: Math.round(chance.logUniform(300, 10_000)),
    classes,
    beyondAtlas,
    ...drawClients(chance),
    probeEveryMs: chance.between(10, 40) * 1000,
    liveness: true,
  };
  // The store takes no commands of sessions: etcd's clients have none.
  const store = options.stack === 'kv' ? { sessionShare: 0, durableMachine: false } : {};
  return { ...plan, ...themed, ...store, ...options.plan, classes };
}

/** A tenth of the runs with damage: the others ask for more, that a whole quorum lives on. */
function goesBeyondAtlas(seed: number, classes: readonly FaultClass[]): boolean {
  const damages = classes.some(name => COSTLY.includes(name));
  return damages && Prng.stream(seed, 'atlas').chance(0.1);
}

/** Whoever names the classes gets no others. */
function drawThemed({ seed, plan }: SimulateOptions) {
  const chance = Prng.stream(seed, 'theme');
  const drawn = plan?.classes === undefined ? drawTheme(chance) : null;
  const theme = plan?.theme === undefined ? drawn : plan.theme;
  return { theme, themed: theme === null ? {} : themedPlan(theme, chance) };
}

function drawClasses(chance: Prng): FaultClass[] {
  const kind = chance.float();
  if (kind < 0.1) return [];
  if (kind < 0.35) return [chance.pick(DRAWN)];
  const share = 0.15 + 0.6 * chance.float();
  return DRAWN.filter(name => chance.chance(COSTLY.includes(name) ? share / 2 : share));
}

/** Disks that go back in time, in one run with trouble in four; now and then there is nothing else. */
function withForgetting(
  seed: number,
  theme: Theme | null,
  classes: readonly FaultClass[],
): readonly FaultClass[] {
  const chance = Prng.stream(seed, 'forgetting');
  if (classes.length === 0) return classes;
  if (classes.length === 1) return chance.chance(0.1) ? [chance.pick(FORGETTING)] : classes;
  const share = theme === 'damage' ? 0.5 : 0.15;
  return [...classes, ...FORGETTING.filter(() => chance.chance(share))];
}

function drawSettings(chance: Prng, tickMs: number, snapshots: boolean) {
  const electionTicks = chance.pick([6, 10, 10, 20]);
  return {
    tickMs,
    electionTicks,
    heartbeatTicks: chance.pick([1, 1, 2]),
    appendEntriesMax: chance.pick([1, 4, 64, 4096]),
    inflightMessagesMax: chance.pick([1, 2, 8, 256]),
    trailingEntries: snapshots ? chance.pick([0, 5, 50]) : chance.pick([0, 100, 5000]),
    // The promise that other clocks run at most 10 % faster is kept by every plan.
    leaseReads: chance.chance(0.2),
    snapshotCount: snapshots ? Math.round(chance.logUniform(10, 100)) : chance.pick([200, 10_000]),
    snapshotChunkBytes: chance.pick([256, 4096, 262_144]),
    requestTimeoutMs: chance.pick([1000, 3000, 5000]),
    segmentBytes: chance.pick([16_384, 32_768, 131_072, 262_144]),
    alignBytes: chance.pick([512, 512, 512, 1024, 4096]),
    durableMachine: chance.chance(0.25),
    turnUs: chance.pick([0, 0, 0, 100, 2000]),
  };
}

function drawNetwork(chance: Prng, has: (name: FaultClass) => boolean) {
  const rate = (name: FaultClass, max: number) => (has(name) ? chance.logUniform(0.002, max) : 0);
  return {
    encode: has('corrupt') || chance.chance(0.1),
    delayMs: has('delay') ? chance.logUniform(2, 60) : chance.logUniform(0.1, 2),
    lossRate: rate('loss', 0.3),
    duplicateRate: rate('duplicate', 0.3),
    reorderRate: rate('reorder', 0.5),
    corruptRate: rate('corrupt', 0.1),
    queueMessagesMax: chance.pick([8, 64, 4096]),
  };
}

function drawClients(chance: Prng) {
  return {
    clients: chance.between(1, 10),
    operationsPerSecond: Math.round(chance.logUniform(4, 64)),
    sessionShare: chance.pick([0, 0.5, 1]),
    readShare: chance.pick([0.1, 0.3, 0.6]),
    keys: chance.pick([1, 3, 10]),
    clientTimeoutMs: chance.between(2, 20) * 1000,
  };
}

// What makes a run simpler: smaller clusters, fewer clients, links and disks that behave. The shrinker
// tries each alone, in this order: what saves most time first.

import { AMBIENT } from './swarm.ts';
import { FAULT_CLASSES, type FaultClass, type Plan } from './types.ts';

/** The change, or null when the plan is that simple already. */
export type Simpler = (plan: Plan) => Partial<Plan> | null;

const RATES = {
  loss: { lossRate: 0 },
  duplicate: { duplicateRate: 0 },
  reorder: { reorderRate: 0 },
  corrupt: { corruptRate: 0, encode: false },
  clock: { driftPpm: 0 },
  delay: { delayMs: 1 },
  slowDisk: { syncMs: 1 },
} as const satisfies Partial<Record<FaultClass, Partial<Plan>>>;

const SETTINGS: readonly Partial<Plan>[] = [
  { encode: false },
  { turnUs: 0 },
  { delayMs: 1 },
  { syncMs: 1 },
  { sessionShare: 0 },
  { durableMachine: false },
  { leaseReads: false },
  { probeEveryMs: 1_000_000_000 },
];

export const SIMPLER: readonly Simpler[] = [
  plan => smaller(plan, 'nodes', 3),
  plan => smaller(plan, 'clients', 1),
  plan => smaller(plan, 'clients', 3),
  plan => smaller(plan, 'operationsPerSecond', 5),
  ...FAULT_CLASSES.filter(name => AMBIENT.has(name)).map(
    name => (plan: Plan) => without(plan, name),
  ),
  ...SETTINGS.map(change => (plan: Plan) => {
    const same = Object.entries(change).every(
      ([name, value]) => plan[name as keyof Plan] === value,
    );
    return same ? null : change;
  }),
  plan => smaller(plan, 'keys', 1),
];

function smaller(
  plan: Plan,
  name: 'nodes' | 'clients' | 'operationsPerSecond' | 'keys',
  to: number,
) {
  return plan[name] > to ? { [name]: to } : null;
}

/** The schedule of faults is drawn without these classes, so it stays what it is. */
function without(plan: Plan, name: FaultClass): Partial<Plan> | null {
  if (!plan.classes.includes(name)) return null;
  const rates: Partial<Plan> = RATES[name as keyof typeof RATES] ?? {};
  return { ...rates, classes: plan.classes.filter(other => other !== name) };
}

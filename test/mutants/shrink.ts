// Hunts one planted bug and shrinks its first failing run. Bundled by bench/shrink.ts, run as a process.

import { shrink, simulate, workloadFor } from '../../src/sim/index.ts';
import type { SimResult, Stack } from '../../src/sim/types.ts';

const SEEDS = 2000;
const [stack, seconds] = [process.argv[2] as Stack, Number(process.argv[3])];

let seed = 0;
let result: SimResult;
do {
  seed += 1;
  result = await simulate({ seed, stack });
} while (result.ok && seed < SEEDS);
const before = process.cpuUsage();
const spent = () => {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
};
const how = { createWorkload: workloadFor(stack), isOver: () => spent() > seconds };
const small = await shrink({ seed, stack }, how);
const change = (a: number, b: number) => `${a} → ${b}`;
console.log(
  [
    seed,
    small.result.violation!.property,
    change(result.faults.length, small.result.faults.length),
    change(result.operations.length, small.result.operations.length),
    change(result.plan.nodes, small.result.plan.nodes),
    small.runs,
    `${spent().toFixed(1)} s`,
  ].join(' | '),
);

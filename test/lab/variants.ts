// Registers each lab test twice: as the lab has it, and harsher. The harsh one gets a worse network
// or a longer script, production's election timeout, and more time where the network eats it.

import { test } from 'vitest';
import { PRODUCTION_ELECTION_TICKS } from './cluster.ts';
import { Lab, type LabOptions } from './harness.ts';
import { HARSH } from './network.ts';

export interface Variant {
  readonly options: LabOptions;
  readonly run: (lab: Lab) => Promise<void>;
}

/** Loses, delays, reorders and repeats everything. */
export const HARSH_NETWORK: Pick<LabOptions, 'rules' | 'patience' | 'raft' | 'seed'> = {
  rules: HARSH,
  patience: 6,
  raft: { electionTicks: PRODUCTION_ELECTION_TICKS },
  seed: 2,
};

export function labTest(name: string, normal: Variant, harsh: Variant): void {
  test(name, () => runVariant(normal));
  test(`${name} (harsh)`, () => runVariant(harsh));
}

async function runVariant({ options, run }: Variant): Promise<void> {
  const lab = await Lab.make(options);
  await run(lab);
  lab.finish();
}

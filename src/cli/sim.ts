// `kontiki sim`: what of the simulator a person asked for.

import {
  drawPlan,
  FAULT_CLASSES,
  NAMED_PLANS,
  type Plan,
  type SimulateOptions,
} from '../sim/index.ts';
import type { CliContext } from './context.ts';
import { reporting, usageError } from './report.ts';
import type { SimFlags } from './sim-flags.ts';
import { runSeed } from './sim-seed.ts';
import { sweepSeeds } from './sim-sweep.ts';
import { closest } from './values.ts';

const NEEDS_SEED = ['shrink', 'trace', 'html', 'faults', 'operations'] as const;
const CONTRADICTS_SEED = ['seeds', 'minutes', 'hours', 'twice'] as const;

export function sim(this: CliContext, flags: SimFlags): Promise<void> {
  return reporting(this, async () => {
    checkFlags(flags);
    const options = optionsOf(flags);
    if (flags.seed === undefined) return sweepSeeds(this, flags, options);
    return runSeed(this, flags, { ...options, seed: flags.seed });
  });
}

function checkFlags(flags: SimFlags): void {
  const given = (name: keyof SimFlags) => flags[name] !== undefined && flags[name] !== false;
  if (flags.seed === undefined) {
    const alone = NEEDS_SEED.find(given);
    if (alone !== undefined) throw usageError(`--${alone} needs --seed N: it is about one run.`);
    return;
  }
  const other = CONTRADICTS_SEED.find(given);
  if (other !== undefined) throw usageError(`Give either --seed or --${other}.`);
  if (flags.workers > 1) throw usageError('--workers is for many seeds; --seed runs one.');
}

function optionsOf({ stack, plan, faults, operations }: SimFlags): Omit<SimulateOptions, 'seed'> {
  const only = {
    ...(faults === undefined ? {} : { faults }),
    ...(operations === undefined ? {} : { operations }),
  };
  if (plan === undefined) return { stack, only };
  const { name, settings } = plan;
  return { stack, only, plan: name === undefined ? checked(settings ?? {}) : named(name, stack) };
}

function named(name: string, stack: SimFlags['stack']): Partial<Plan> {
  const plan = Object.hasOwn(NAMED_PLANS, name) ? NAMED_PLANS[name] : undefined;
  if (plan !== undefined) return plan(stack);
  const names = Object.keys(NAMED_PLANS).join(', ');
  throw usageError(`--plan: there is no plan ${name}. Give settings as JSON, or a name: ${names}.`);
}

/** A setting that is misspelt would silently be none. */
function checked(given: Readonly<Record<string, unknown>>): Partial<Plan> {
  const known = drawPlan({ seed: 0 }) as unknown as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries(given)) {
    if (!(name in known)) {
      const [meant] = closest(name, Object.keys(known));
      const hint = meant === undefined ? Object.keys(known).join(', ') : `did you mean ${meant}?`;
      throw usageError(`--plan: there is no setting ${name}: ${hint}`);
    }
    const wanted = kindOf(known[name]);
    if (kindOf(value) !== wanted) throw usageError(`--plan: ${name} must be a ${wanted}.`);
  }
  checkClasses((given as Partial<Plan>).classes ?? []);
  return given as Partial<Plan>;
}

function checkClasses(classes: readonly string[]): void {
  for (const name of classes) {
    if ((FAULT_CLASSES as readonly string[]).includes(name)) continue;
    const names = closest(name, FAULT_CLASSES);
    const hint = names.length > 0 ? `did you mean ${names[0]}?` : FAULT_CLASSES.join(', ');
    throw usageError(`--plan: there is no class of faults ${name}: ${hint}`);
  }
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'list' : typeof value;
}

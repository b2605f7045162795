// Which faults a run meets and when, drawn before it begins. Every fault has a number and a
// generator of its own, so that leaving one out (the shrinker does) leaves the others as they are.

import { Prng } from './prng.ts';
import { AMBIENT } from './swarm.ts';
import type { FaultClass, Plan } from './types.ts';

export interface ScheduledFault {
  readonly number: number;
  readonly atUs: number;
  readonly class: FaultClass;
}

const FAULTS_MAX = 100_000;

export function drawSchedule(seed: number, plan: Plan): ScheduledFault[] {
  const classes = plan.classes.filter(name => !AMBIENT.has(name));
  if (classes.length === 0) return [];
  const chance = Prng.stream(seed, 'schedule');
  const schedule: ScheduledFault[] = [];
  const end = plan.durationMs * 1000;
  const first = 2 * plan.tickMs * plan.electionTicks * 1000 * chance.float();
  for (let at = first; at < end && schedule.length < FAULTS_MAX; ) {
    schedule.push({
      number: schedule.length + 1,
      atUs: Math.round(at),
      class: chance.pick(classes),
    });
    at += chance.heavyTail(plan.faultEveryMs * 1000);
  }
  return schedule;
}

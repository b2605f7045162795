// What `kontiki sim` prints besides the report of a failure, which the simulator writes itself.

import {
  type SimResult,
  type SimulateOptions,
  type SweepSummary,
  summaryText,
} from '../sim/index.ts';
import type { Environment } from './context.ts';
import type { Style } from './style.ts';
import { printable, shortened } from './table.ts';
import { formatCount, formatDuration, shellWord } from './values.ts';

const SIM_SCHEMA = 'kontiki.sim/1';
const MESSAGE_CHARS = 80;

/** As a person types it, who may have come here by way of npm. */
export function replayCommand(options: SimulateOptions, env: Environment): string {
  const words = ['--seed', String(options.seed)];
  const { stack, plan, only } = options;
  if (stack !== undefined && stack !== 'core') words.push('--stack', stack);
  if (plan !== undefined) words.push('--plan', JSON.stringify(plan));
  if (only?.faults !== undefined) words.push('--faults', numbers(only.faults));
  if (only?.operations !== undefined) words.push('--operations', numbers(only.operations));
  const program = env['npm_lifecycle_event'] === 'sim' ? 'npm run sim --' : 'kontiki sim';
  return `${program} ${words.map(shellWord).join(' ')}`;
}

function numbers(list: readonly number[]): string {
  return list.length === 0 ? 'none' : list.join(',');
}

/** Of a run that broke nothing. */
export function quietReport({ seed, stats, plan, faults }: SimResult, { green }: Style): string {
  const { operations, acknowledged, failed, unknown, elections } = stats;
  const checks = Object.values(stats.checks).reduce((sum, n) => sum + n, 0);
  const counts = new Map<string, number>();
  for (const { class: name } of faults) counts.set(name, (counts.get(name) ?? 0) + 1);
  const faultText = [...counts].map(([name, n]) => `${name} ${n}`).join(', ');
  const outcomes = `${acknowledged} acknowledged, ${failed} refused, ${unknown} unknown`;
  return [
    `seed ${seed}: ${green('nothing is broken')}`,
    `  cluster     ${plan.nodes} nodes for ${formatDuration(stats.simulatedMs)}, ${elections} elections`,
    `  events      ${formatCount(stats.events)}`,
    `  operations  ${operations}: ${outcomes}`,
    `  trouble     ${plan.classes.join(', ') || 'none'}`,
    `  faults      ${faultText || 'none'}`,
    `  checked     ${formatCount(checks)} times, ${Object.keys(stats.checks).length} invariants`,
    '',
  ].join('\n');
}

export function progressText(
  { seeds, simulatedMs, failures }: SweepSummary,
  cpuMinutes: number,
  elapsedMs: number,
  limitMs: number,
): string {
  const hours = simulatedMs / 3_600_000;
  const perMinute = cpuMinutes > 0 ? hours / cpuMinutes : 0;
  const limit = limitMs < Number.POSITIVE_INFINITY ? ` of ${wholeDuration(limitMs)}` : '';
  return [
    `${formatCount(seeds)} seeds`,
    `${hours.toFixed(1)} cluster-hours`,
    `${perMinute.toFixed(0)} a CPU-minute`,
    `${failures.length} failures`,
    `${wholeDuration(elapsedMs)}${limit}`,
  ].join(' · ');
}

/** `42 s`, `1 min 5 s`, `2 h` */
function wholeDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'min'],
    [seconds % 60, 's'],
  ];
  const said = parts.filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`);
  return said.join(' ') || '0 s';
}

export function summaryReport(
  summary: SweepSummary,
  cpuMinutes: number,
  replay: (seed: number) => string,
  { red, dim }: Style,
): string {
  const lines = [summaryText(summary, cpuMinutes)];
  for (const { seed, property, message } of summary.failures) {
    const [first = ''] = message.split('\n');
    lines.push(
      `${red('✗')} seed ${seed}: ${property}: ${printable(shortened(first, MESSAGE_CHARS))}`,
      `  ${dim('replay')} ${replay(seed)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

export function jsonSummary(
  summary: SweepSummary,
  cpuMinutes: number,
  replay: (seed: number) => string,
) {
  const failures = summary.failures.map(f => ({ ...f, replay: replay(f.seed) }));
  return { schema: SIM_SCHEMA, ok: failures.length === 0, cpuMinutes, ...summary, failures };
}

export function jsonResult(result: SimResult, replay: string) {
  const { ok, seed, stack, hash, violation, plan, stats, faults, operations } = result;
  return {
    schema: SIM_SCHEMA,
    ...{ ok, seed, stack, hash, violation, replay, plan, stats, faults, operations },
  };
}

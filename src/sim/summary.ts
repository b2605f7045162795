// The page that a sweep ends with.

import type { SweepSummary } from './sweep.ts';

const LABEL = 20;
const LINE = 100;

/** `cpuMinutes` as the caller measured it. */
export function summaryText(summary: SweepSummary, cpuMinutes: number): string {
  const hours = summary.simulatedMs / 3_600_000;
  const perMinute = cpuMinutes > 0 ? hours / cpuMinutes : 0;
  const perSecond = cpuMinutes > 0 ? summary.events / (60 * cpuMinutes) : 0;
  const { seeds, twice, events, operations, acknowledged, elections } = summary;
  const faults = total(summary.faults);
  const checks = total(summary.checks);
  const rows: readonly (readonly [string, string, Readonly<Record<string, number>>?])[] = [
    ['seeds run', `${count(seeds)}, ${count(twice)} of them twice with the same hash`],
    ['simulated', `${hours.toFixed(2)} cluster-hours, ${perMinute.toFixed(1)} a CPU-minute`],
    ['events', `${count(events)}, ${count(Math.round(perSecond))} a CPU-second`],
    ['operations', `${count(operations)}, ${count(acknowledged)} acknowledged`],
    ['elections', count(elections)],
    ['faults', count(faults), summary.faults],
    ['invariants checked', `${count(checks)} times`, summary.checks],
    ['seen', '', summary.marks],
    ['failures', count(summary.failures.length)],
  ];
  return rows.map(([name, text, counts]) => row(name, text, counts ?? {})).join('\n');
}

function row(name: string, text: string, counts: Readonly<Record<string, number>>): string {
  const words = Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([what, times]) => `${what} ${count(times)}`);
  const label = name.padEnd(LABEL);
  if (words.length === 0) return `${label}${text === '' ? 'nothing' : text}`;
  const lines = wrapped(words);
  if (text !== '') lines.unshift(text);
  return lines.map((line, i) => `${i === 0 ? label : ' '.repeat(LABEL)}${line}`).join('\n');
}

function wrapped(words: readonly string[]): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line !== '' && LABEL + line.length + word.length + 2 > LINE) {
      lines.push(`${line},`);
      line = '';
    }
    line = line === '' ? word : `${line}, ${word}`;
  }
  return [...lines, line];
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, times) => sum + times, 0);
}

function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

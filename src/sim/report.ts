// A failed run as a page of text: how to replay it, what was broken, what had been done to the
// cluster, and the last steps of all nodes side by side.

import type { TraceEvent } from '../raft/trace.ts';
import type { NodeId } from '../raft/types.ts';
import { PROPERTIES } from './properties.ts';
import type { FaultRecord, SimResult } from './types.ts';

export interface ReportOptions {
  /** How a person runs this seed again. */
  readonly command?: (seed: number) => string;
  readonly rowsMax?: number;
  readonly faultsMax?: number;
}

const COLUMN = 30;

export function failureReport(result: SimResult, options: ReportOptions = {}): string {
  const { violation, seed, plan, stats } = result;
  const command = options.command ?? (n => `kontiki sim --seed ${n}`);
  const lines = [`seed ${seed}: ${violation === null ? 'nothing is broken' : 'VIOLATION'}`];
  if (violation !== null) {
    const meaning = (PROPERTIES as Record<string, string>)[violation.property] ?? '';
    lines.push(
      `  ${violation.property}: ${meaning}`,
      `  ${violation.message}`,
      `  at ${violation.timeMs.toFixed(3)} ms, event ${stats.events}`,
    );
  }
  lines.push(
    `  replay: ${command(seed)}`,
    `  hash:   ${result.hash}`,
    `  ${plan.nodes} nodes; trouble: ${plan.classes.join(', ') || 'none'}`,
    ...faultLines(result.faults, options.faultsMax ?? 30),
    ...columns(result, options.rowsMax ?? 40),
  );
  return lines.join('\n');
}

function faultLines(faults: readonly FaultRecord[], max: number): string[] {
  if (faults.length === 0) return ['', 'no faults'];
  const shown = faults.slice(-max);
  const left = faults.length - shown.length;
  const title = left > 0 ? `the last ${shown.length} of ${faults.length} faults` : 'faults';
  return [
    '',
    title,
    ...shown.map(({ number, timeMs, class: name, what }) => {
      return `  ${timeMs.toFixed(0).padStart(9)} ms  #${number} ${name}: ${what}`;
    }),
  ];
}

/** One column a node, one row a step. */
export function columns(result: Pick<SimResult, 'trace'>, rowsMax: number): string[] {
  const rows = result.trace.filter(({ event }) => isWorthARow(event)).slice(-rowsMax);
  if (rows.length === 0) return [];
  const nodes = [...new Set(rows.map(({ event }) => event.node))].sort((a, b) => a - b);
  const head = nodes.map(id => `node ${id}`.padEnd(COLUMN)).join(' ');
  return [
    '',
    `${'ms'.padStart(11)}  ${head}`.trimEnd(),
    ...rows.map(({ timeMs, event }) => row(timeMs, event, nodes)),
  ];
}

function row(timeMs: number, event: TraceEvent, nodes: readonly NodeId[]): string {
  const before = ' '.repeat(nodes.indexOf(event.node) * (COLUMN + 1));
  return `${timeMs.toFixed(3).padStart(11)}  ${before}${describe(event)}`;
}

/** Ticks and heartbeats that change nothing would fill every page. */
function isWorthARow({ was, now, rules, input }: TraceEvent): boolean {
  if (input === 'tick' || input === 'applied' || input === 'persisted') {
    return was.role !== now.role || was.term !== now.term || was.commitIndex !== now.commitIndex;
  }
  const same = was.last.index === now.last.index && was.commitIndex === now.commitIndex;
  return !same || was.role !== now.role || was.term !== now.term || rules.length > 0;
}

function describe({ input, from, was, now, rules }: TraceEvent): string {
  const source = from === 0 ? input : `${input.replace('receive ', '')} of ${from}`;
  const role = was.role === now.role ? '' : ` -> ${now.role}`;
  const term = was.term === now.term ? '' : ` t${now.term}`;
  const last = was.last.index === now.last.index ? '' : ` log ${now.last.index}/${now.last.term}`;
  const commit = was.commitIndex === now.commitIndex ? '' : ` commit ${now.commitIndex}`;
  const cited = rules.map(({ rule }) => rule).join(' ');
  return `${source}${role}${term}${last}${commit}${cited === '' ? '' : ` [${cited}]`}`;
}

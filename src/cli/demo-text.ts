// What `kontiki demo` prints. Pure, so that every text is tested.

import { BASE_PORT } from './demo-ports.ts';
import type { Style } from './style.ts';
import { formatTable } from './table.ts';

export interface BannerNode {
  readonly name: string;
  readonly role: string;
  readonly clientUrl: string;
  readonly peerAddress: string;
}

export interface BannerFacts {
  readonly version: string;
  readonly dir: string;
  readonly nodes: readonly BannerNode[];
  readonly electedMs: number;
  readonly term: number;
  readonly canLose: number;
  readonly takenPort: number | null;
  /** Keys are read. */
  readonly hasKeys: boolean;
}

export const KEYS = 'k kill leader · r restart · h help · q quit';

export function banner(facts: BannerFacts, style: Style): string {
  const { version, dir, nodes, takenPort } = facts;
  const count = nodes.length === 1 ? '1 node' : `${nodes.length} nodes`;
  const title = `${style.bold(`kontiki ${version} demo`)} · ${count} in this process · data on disk in ${dir}, removed at exit · loopback only`;
  const table = formatTable(
    ['NODE', 'ROLE', 'CLIENT (etcd API)', 'PEER'],
    nodes.map(({ name, role, clientUrl, peerAddress }) => [name, role, clientUrl, peerAddress]),
  );
  const moved =
    takenPort === null
      ? []
      : [`  Port ${takenPort} is in use, so these are free ports (--base-port N chooses).`, ''];
  return [
    title,
    '',
    ...indented(table),
    '',
    ...moved,
    `  Leader elected in ${facts.electedMs} ms (term ${facts.term}). Can lose ${facts.canLose} of ${nodes.length}.`,
    ...tries(nodes).map((line, i) => `  ${(i === 0 ? 'Try' : '').padEnd(7)}${line}`),
    `  ${facts.hasKeys ? `Keys   ${KEYS}` : 'Stop   with SIGTERM or SIGINT (Ctrl-C)'}`,
    '',
  ].join('\n');
}

function indented(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => `  ${line}`);
}

function tries(nodes: readonly BannerNode[]): string[] {
  const addresses = nodes.map(({ clientUrl }) => clientUrl.replace('http://', ''));
  const [first] = addresses;
  const isUsual = first === `127.0.0.1:${BASE_PORT}`;
  const etcdctl = isUsual ? '' : `--endpoints=${first} `;
  const commands = `kontiki put greeting hello      kontiki status      etcdctl ${etcdctl}get greeting`;
  if (nodes.length === 1 && isUsual) return [commands];
  return [`export KONTIKI_ENDPOINTS=${addresses.join(',')}`, commands];
}

/** `[14:02:07] k  killed a (leader, term 1)` */
export function eventLine(time: Date, key: string, text: string): string {
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map(part => String(part).padStart(2, '0'))
    .join(':');
  return `[${clock}] ${key.padEnd(1)}  ${text}`;
}

export const HELP_LINES = [
  'k  kills the leader as a crash would: nothing is flushed or handed over',
  'r  starts the node again that was killed first; it reads its files and catches up',
  'h  shows this',
  'q  stops all nodes and removes their data',
];

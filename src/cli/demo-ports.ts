// The ports of a demo: etcd's own for the first node, as its local clusters have them for the others,
// unless they are taken or the user names others.

import { ExitCode } from './exit-codes.ts';
import { freePorts, takenPort } from './ports.ts';
import { CliError } from './report.ts';

export interface NodePorts {
  readonly client: number;
  readonly peer: number;
}

export interface DemoPorts {
  readonly nodes: readonly NodePorts[];
  /** The port that made the demo leave the usual ones. */
  readonly taken: number | null;
}

export const BASE_PORT = 2379;
const STEP = 10_000;

/** 2379, 22379, 32379, ... and the port after each. */
export function usualPorts(count: number): NodePorts[] {
  return Array.from({ length: count }, (_, i) => {
    const client = BASE_PORT + (i === 0 ? 0 : (i + 1) * STEP);
    return { client, peer: client + 1 };
  });
}

/** Side by side from `base` on. */
export function portsFrom(base: number, count: number): NodePorts[] {
  return Array.from({ length: count }, (_, i) => ({
    client: base + 2 * i,
    peer: base + 2 * i + 1,
  }));
}

export async function demoPorts(count: number, base: number | undefined): Promise<DemoPorts> {
  const nodes = base === undefined ? usualPorts(count) : portsFrom(base, count);
  const taken = await takenPort(nodes.flatMap(({ client, peer }) => [client, peer]));
  if (taken === null) return { nodes, taken };
  if (base !== undefined) throw portTaken(taken, base + 2 * count - 1);
  const free = await freePorts(2 * count);
  const others = Array.from({ length: count }, (_, i) => ({
    client: free[2 * i]!,
    peer: free[2 * i + 1]!,
  }));
  return { nodes: others, taken };
}

function portTaken(port: number, last: number): CliError {
  return new CliError({
    headline: `Port ${port} is in use by another process.`,
    details: [
      ['next', [`--base-port N     takes other ports, N and those after it (not ${port}-${last})`]],
    ],
    exitCode: ExitCode.FAILED,
  });
}

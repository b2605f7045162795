// The settings that every way to make a node shares, checked, and turned into what the driver takes.

import { DEFAULTS, type RaftConfig } from '../raft/config.ts';
import type { Configuration, NodeId } from '../raft/types.ts';
import type { PeerAddress } from '../transport/transport.ts';
import type { Random } from './clock.ts';
import type { DriverLimits, DriverOptions, LogLevel } from './driver-types.ts';
import { KontikiError } from './errors.ts';

/** `console` is one. */
export type Logger = { readonly [level in LogLevel]?: (message: string) => void };

export interface Timing {
  /** How often a leader shows that it is there. Default 100. */
  readonly heartbeatMs?: number;
  /** A follower campaigns after this long, to twice as long, without a leader. Default 1000. */
  readonly electionMs?: number;
  /** After this long without an answer a call rejects. Default 5000. */
  readonly requestTimeoutMs?: number;
}

export interface Settings extends Timing {
  /** A snapshot is made after this many applied commands. Default 100,000. */
  readonly snapshotCount?: number;
  /** Entries kept behind a snapshot for nodes that are a little behind. Default 5000. */
  readonly trailingEntries?: number;
  /** Linearizable reads without asking the others, while clocks run equally fast. Default off. */
  readonly leaseReads?: boolean;
  readonly logger?: Logger;
}

type DriverPart = Pick<DriverOptions, 'raft' | 'tickMs' | 'limits' | 'initialConfig'>;

/** Election timeouts are spread over this many steps, so that two nodes seldom pick the same. */
const TICKS_A_HEARTBEAT = 5;
const HEARTBEAT_MS = 100;
const ELECTION_MS = 1000;
export const REQUEST_TIMEOUT_MS = 5000;

export function driverSettings(
  settings: Settings,
  identity: { readonly id: NodeId; readonly voters: readonly NodeId[]; readonly random: Random },
): DriverPart {
  const { heartbeatMs = HEARTBEAT_MS, electionMs = ELECTION_MS } = settings;
  checkPositive('heartbeatMs', heartbeatMs);
  if (!(electionMs >= 2 * heartbeatMs)) {
    throw invalid(`electionMs is ${electionMs}, but must be at least twice heartbeatMs.`);
  }
  const limits: Partial<DriverLimits> = {
    requestTimeoutMs: settings.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    ...(settings.snapshotCount === undefined ? {} : { snapshotCount: settings.snapshotCount }),
  };
  checkPositive('requestTimeoutMs', limits.requestTimeoutMs!);
  checkPositive('snapshotCount', limits.snapshotCount ?? 1);
  const tickMs = heartbeatMs / TICKS_A_HEARTBEAT;
  const raft: RaftConfig = {
    ...DEFAULTS,
    id: identity.id,
    random: identity.random,
    heartbeatTicks: TICKS_A_HEARTBEAT,
    electionTicks: Math.ceil(electionMs / tickMs),
    leaseReads: settings.leaseReads ?? false,
    trailingEntries: settings.trailingEntries ?? DEFAULTS.trailingEntries,
  };
  return { raft, tickMs, limits, initialConfig: votersOnly(identity.voters) };
}

/** `{ 1: 'host:port', ... }` as a list; every key must be a node id. */
export function peerList(peers: Readonly<Record<number, string>>, self: NodeId): PeerAddress[] {
  checkId('id', self);
  const list = Object.entries(peers).map(([key, address]) => ({ id: Number(key), address }));
  for (const { id } of list) checkId('a key of peers', id);
  if (!list.some(({ id }) => id === self)) {
    throw invalid(`peers has no address for this node, ${self}. List all nodes, this one too.`);
  }
  return list;
}

export function logTo(logger: Logger | undefined): (level: LogLevel, message: string) => void {
  return (level, message) => logger?.[level]?.(message);
}

export function invalid(text: string): KontikiError {
  return new KontikiError('INVALID_OPTION', 'not-applied', text);
}

function votersOnly(voters: readonly NodeId[]): Configuration {
  return { voters, outgoing: [], learners: [], learnersNext: [] };
}

function checkId(name: string, id: number): void {
  if (!Number.isSafeInteger(id) || id < 1) {
    throw invalid(`${name} is ${id}, but node ids are whole numbers from 1.`);
  }
}

function checkPositive(name: string, value: number): void {
  if (!(value > 0)) throw invalid(`${name} is ${value}, but must be positive.`);
}

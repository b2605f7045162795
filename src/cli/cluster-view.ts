// The state of a cluster as its members tell it: who answers, who leads, how far each is. Asks the
// first endpoint that knows the members, then every member, all within a bounded time.

import type { Member } from '../api/cluster.ts';
import type { StatusResponse } from '../api/maintenance.ts';
import { ClientError } from '../client/client-error.ts';
import { addressOf } from '../client/endpoints.ts';
import { connect } from './connect.ts';
import { connectionWords } from './failure.ts';
import type { Session } from './session.ts';

export interface MemberView {
  readonly id: bigint;
  /** Its id in hexadecimal if it has no name yet. */
  readonly name: string;
  readonly isLearner: boolean;
  /** host:port that was asked; null if it has told none. */
  readonly address: string | null;
  readonly status: StatusResponse | null;
  readonly roundTripMs: number;
  /** Why there is no status. */
  readonly problem: string | null;
}

export interface ClusterView {
  readonly clusterId: bigint;
  /** host:port of the server that told who the members are. */
  readonly seenBy: string;
  readonly members: readonly MemberView[];
}

/** Endpoints that could not be asked who the members are, and why. */
export interface NobodyAsked {
  readonly asked: readonly { readonly endpoint: string; readonly problem: string }[];
}

interface Told {
  readonly endpoint: string;
  readonly members: readonly Member[];
  readonly clusterId: bigint;
  readonly memberId: bigint;
}
type NotTold = NobodyAsked['asked'][number];

const MEMBERS_MAX = 100;
const ASK_MS = 1000;

export async function viewCluster(session: Session): Promise<ClusterView | NobodyAsked> {
  const waitMs = Math.min(ASK_MS, session.timeoutMs);
  // A server that hangs must not use up the time of the others, so each has a client of its own.
  const answers = await Promise.all(
    session.client.endpoints.map(endpoint => askMembers(endpoint, waitMs)),
  );
  const told = answers.filter((answer): answer is Told => 'members' in answer);
  const [first] = told;
  if (first === undefined) {
    return { asked: answers.filter((answer): answer is NotTold => 'problem' in answer) };
  }
  const { members, clusterId, endpoint: seenBy } = first;
  const known = new Map(told.map(({ memberId, endpoint }) => [memberId, endpoint]));
  const views = await Promise.all(
    members.slice(0, MEMBERS_MAX).map(member => askStatus(member, known.get(member.id), waitMs)),
  );
  views.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { clusterId, seenBy, members: views };
}

async function askMembers(endpoint: string, waitMs: number): Promise<Told | NotTold> {
  await using client = connect([endpoint], waitMs);
  try {
    // Not linearizable: the member list must be had from a minority, too.
    const { header, members } = await client.memberList({ linearizable: false });
    const { clusterId = 0n, memberId = 0n } = header ?? {};
    return { endpoint, members, clusterId, memberId };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { endpoint, problem: problemWords(error, waitMs) };
  }
}

/** `known`: the endpoint at which this member has just answered, which beats what it advertises. */
async function askStatus(
  member: Member,
  known: string | undefined,
  waitMs: number,
): Promise<MemberView> {
  const { id, isLearner } = member;
  const name = member.name || id.toString(16);
  const address = known ?? usableAddress(member.clientUrls);
  const view = { id, name, isLearner, address, status: null, roundTripMs: 0 };
  if (address === null) return { ...view, problem: silentWords(member) };
  await using client = connect([address], waitMs);
  const startedAt = performance.now();
  try {
    const status = await client.status();
    const roundTripMs = performance.now() - startedAt;
    const other = status.header?.memberId ?? id;
    if (other === id) return { ...view, status, roundTripMs, problem: null };
    return { ...view, problem: `another member (${other.toString(16)}) answers at its address` };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { ...view, problem: problemWords(error, waitMs) };
  }
}

function usableAddress(urls: readonly string[]): string | null {
  for (const url of urls) {
    try {
      return addressOf(url);
    } catch {
      // Not one that this client can use; the next one may be.
    }
  }
  return null;
}

function silentWords({ name, clientUrls }: Member): string {
  if (name === '') return 'has never started';
  if (clientUrls.length === 0) return 'advertises no client URL';
  return `its client URLs can't be used from here: ${clientUrls.join(', ')}`;
}

/** The reason of the last attempt, also when time ran out between two. */
function problemWords(error: ClientError, waitMs: number): string {
  const inner = /^context deadline exceeded \((.+)\)$/.exec(error.text)?.[1];
  if (inner === undefined) return connectionWords(error, waitMs);
  return inner.replace(/^(cannot connect|lost the connection) to \S+: /, '');
}

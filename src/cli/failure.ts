// Turns a failed call into words: what happened, whether a write took effect, who was asked and what
// each server says, what to do next. Never the bare text of an RPC error.

import { Code, etcdErrors } from '../api/errors.ts';
import { ClientError } from '../client/client-error.ts';
import { connect } from './connect.ts';
import { ExitCode } from './exit-codes.ts';
import type { Detail, Report } from './report.ts';
import { formatDuration } from './values.ts';

/** What was tried, for the words of its failure. */
export type Action =
  | { readonly kind: 'read' }
  /** `check`: a command that shows whether the write took effect. */
  | { readonly kind: 'write'; readonly check: string };

/** The part of a session that explanations need. */
export interface Asked {
  readonly client: { readonly endpoints: readonly string[] };
  readonly timeoutMs: number;
  readonly endpointsFlag: string;
  readonly endpointsGiven: boolean;
}

const PROBE_MS = 1000;

function isMute({ state }: Probe): boolean {
  return state === 'silent' || state === 'unreachable';
}

/** What one server says when asked for its status. */
export interface Probe {
  readonly endpoint: string;
  /** `unreachable`: no connection; `silent`: no answer in time. */
  readonly state: 'leader known' | 'no leader' | 'silent' | 'unreachable';
  readonly words: string;
}

export function isNoLeader(error: ClientError): boolean {
  return error.code === Code.UNAVAILABLE && error.text === etcdErrors.noLeader.text;
}

export async function explainFailure(
  error: ClientError,
  action: Action,
  asked: Asked,
  known?: readonly Probe[],
): Promise<Report> {
  const unreachable = error.code === Code.UNAVAILABLE || error.code === Code.DEADLINE_EXCEEDED;
  if (!unreachable) return refusalReport(error, action);
  const probes = known ?? (await askAll(asked.client.endpoints));
  return unreachableReport(error, action, probes, asked);
}

/** Every server, at the same time, with a connection of its own. */
export function askAll(endpoints: readonly string[]): Promise<Probe[]> {
  return Promise.all(endpoints.map(ask));
}

async function ask(endpoint: string): Promise<Probe> {
  await using client = connect([endpoint], PROBE_MS);
  try {
    const { leader, raftTerm } = await client.status();
    if (leader === 0n) return { endpoint, state: 'no leader', words: 'answers, knows no leader' };
    const words = `answers, follows ${leader.toString(16)} in term ${raftTerm}`;
    return { endpoint, state: 'leader known', words };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const state = error.code === Code.UNAVAILABLE ? 'unreachable' : 'silent';
    return { endpoint, state, words: connectionWords(error, PROBE_MS) };
  }
}

/** Why a server could not be asked, without its address. */
export function connectionWords(error: ClientError, waitedMs: number): string {
  if (error.code === Code.DEADLINE_EXCEEDED) return `no answer within ${formatDuration(waitedMs)}`;
  return error.text.replace(/^(cannot connect|lost the connection) to \S+: /, '');
}

/** Exported for tests: the words depend on nothing but these values. */
export function unreachableReport(
  error: ClientError,
  action: Action,
  probes: readonly Probe[],
  asked: Pick<Asked, 'timeoutMs' | 'endpointsFlag' | 'endpointsGiven'>,
): Report {
  const details: Detail[] = [
    ['asked', probes.map(({ endpoint, words }) => `${endpoint}  ${words}`)],
  ];
  const cause = causeOf(error, probes, asked.timeoutMs);
  const unknown = error.outcome === 'unknown' && !isNoLeader(error);
  if (action.kind === 'write' && unknown) {
    const next = [
      `${action.check}     shows whether it was applied`,
      'a repeated write is safe with --if-version or --if-absent',
    ];
    return {
      headline: `${cause} It is UNKNOWN whether this write was applied.`,
      details: [...details, ['next', next]],
      exitCode: ExitCode.OUTCOME_UNKNOWN,
    };
  }
  const effect = action.kind === 'write' ? 'This write was NOT applied.' : 'Nothing was read.';
  return {
    headline: `${cause} ${effect}`,
    details: [...details, ['next', nextSteps(probes, asked)]],
    exitCode: ExitCode.UNAVAILABLE,
  };
}

function causeOf(error: ClientError, probes: readonly Probe[], timeoutMs: number): string {
  const silent = probes.every(isMute);
  const sent = error.outcome === 'unknown' && !isNoLeader(error);
  if (silent && !sent)
    return probes.length === 1 ? 'The server does not answer.' : 'No server answers.';
  if (probes.every(({ state }) => state !== 'leader known') && !silent) return 'No leader.';
  if (error.code === Code.DEADLINE_EXCEEDED) return `Timed out after ${formatDuration(timeoutMs)}.`;
  if (isNoLeader(error)) return 'There was no leader until just now.';
  return `${sentence(error.text)}`;
}

function nextSteps(
  probes: readonly Probe[],
  asked: Pick<Asked, 'endpointsFlag' | 'endpointsGiven'>,
) {
  if (probes.every(isMute)) return reachSteps(asked);
  return [`kontiki status${asked.endpointsFlag}     shows who is missing`, 'then try again'];
}

/** What to do when nobody answers. */
export function reachSteps({ endpointsGiven }: Pick<Asked, 'endpointsGiven'>): string[] {
  if (endpointsGiven) return ['check that the servers run and that host and port are right'];
  return [
    'kontiki demo               starts a cluster to try things with',
    '--endpoints HOST:PORT      asks a server elsewhere (or set KONTIKI_ENDPOINTS)',
  ];
}

/** What to do about the refusals that people meet; the others say it themselves. */
const ADVICE: Readonly<Record<string, readonly string[]>> = {
  [etcdErrors.noSpace.text]: [
    'compact the history and defragment, or raise --quota-backend-bytes',
    'reads and deletes still work',
  ],
  [etcdErrors.compacted.text]: ['leave out --rev to read what is newest'],
  [etcdErrors.futureRevision.text]: ['the newest revision is shown by: kontiki status'],
  [etcdErrors.requestTooLarge.text]: [
    'split the value, or raise --max-request-bytes on every server',
  ],
  [etcdErrors.tooManyOps.text]: ['split the transaction, or raise --max-txn-ops on every server'],
  [etcdErrors.emptyKey.text]: ['give a key of at least one byte'],
};

function refusalReport(error: ClientError, action: Action): Report {
  const next = ADVICE[error.text];
  const details: Detail[] = [['asked', [error.endpoint]]];
  if (next !== undefined) details.push(['next', next]);
  const why = sentence(error.text.replace(/^etcdserver: (mvcc: )?/, ''));
  if (action.kind === 'write' && error.outcome === 'unknown') {
    return {
      headline: `The server failed: ${why} It is UNKNOWN whether this write was applied.`,
      details: [...details, ['next', [`${action.check}     shows whether it was applied`]]],
      exitCode: ExitCode.OUTCOME_UNKNOWN,
    };
  }
  const effect = action.kind === 'write' ? 'This write was NOT applied.' : 'Nothing was read.';
  return {
    headline: `The server refused: ${why} ${effect}`,
    details,
    exitCode: ExitCode.FAILED,
  };
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;
}

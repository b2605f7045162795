// What a cluster's state means: one sentence, the reason for it, a row per member. Pure, so that every
// wording is tested.

import type { ClusterView, MemberView, NobodyAsked } from './cluster-view.ts';
import { ExitCode } from './exit-codes.ts';
import type { Report } from './report.ts';
import type { Style } from './style.ts';
import { formatTable, printable } from './table.ts';
import { formatBytes, formatCount, formatDuration } from './values.ts';

export type Health = 'healthy' | 'degraded' | 'unavailable';

export interface Assessment {
  readonly health: Health;
  /** How many more voters may fail before writes stop; -1: writes have stopped. */
  readonly canLose: number;
  readonly voters: number;
  /** Whole sentences, most important first. */
  readonly reasons: readonly string[];
  readonly term: number;
  readonly revision: number;
}

export function assess({ members }: ClusterView): Assessment {
  const voters = members.filter(member => !member.isLearner);
  const quorum = Math.floor(voters.length / 2) + 1;
  const answering = members.flatMap(({ status }) => status ?? []);
  const term = Math.max(0, ...answering.map(status => status.raftTerm));
  const revision = Math.max(0, ...answering.map(status => status.header?.revision ?? 0));
  const healthy = voters.filter(({ status }) => status !== null && status.leader !== 0n).length;
  const hasLeader = answering.some(({ leader, raftTerm }) => leader !== 0n && raftTerm === term);
  const canLose = hasLeader ? Math.max(0, healthy - quorum) : -1;
  const troubles = members.flatMap(troubleOf);
  const numbers = { voters: voters.length, term, revision };
  if (!hasLeader) {
    const reason = noLeaderReason(voters.length, answeringVoters(voters), quorum);
    return { health: 'unavailable', canLose, reasons: [reason, ...troubles], ...numbers };
  }
  if (troubles.length === 0) return { health: 'healthy', canLose, reasons: [], ...numbers };
  const warning = canLose === 0 ? ['One more failure stops writes.'] : [];
  return { health: 'degraded', canLose, reasons: [...troubles, ...warning], ...numbers };
}

function answeringVoters(voters: readonly MemberView[]): number {
  return voters.filter(({ status }) => status !== null).length;
}

function noLeaderReason(voters: number, answering: number, quorum: number): string {
  if (answering >= quorum) {
    return `${answering} of ${voters} voters answer, but none of them leads: an election is under way, or they do not reach each other.`;
  }
  return `Only ${answering} of ${voters} voters answer, a leader needs ${quorum}.`;
}

function troubleOf({ name, status, problem }: MemberView): string[] {
  const who = printable(name);
  if (status === null)
    return [`${who} does not answer (${printable(problem ?? 'no reason known')}).`];
  const errors = status.errors.filter(text => !text.endsWith('no leader'));
  const alarms = errors.map(text => `${who} reports: ${printable(text)}.`);
  return status.leader === 0n ? [`${who} knows no leader.`, ...alarms] : alarms;
}

export const HEALTH_EXIT: Readonly<Record<Health, ExitCode>> = {
  healthy: ExitCode.OK,
  degraded: ExitCode.FAILED,
  unavailable: ExitCode.UNAVAILABLE,
};

const SENTENCES: Readonly<Record<Health, string>> = {
  healthy: '● HEALTHY',
  degraded: '◐ DEGRADED',
  unavailable: '○ UNAVAILABLE',
};

/** The sentence, the reasons and the table, as people see them. */
export function formatStatus(view: ClusterView, assessment: Assessment, style: Style): string {
  const { health, term, revision, reasons } = assessment;
  const paint = { healthy: style.green, degraded: style.yellow, unavailable: style.red }[health];
  const where = `term ${formatCount(term)} · revision ${formatCount(revision)} · seen by ${view.seenBy}`;
  const lines = [`${paint(SENTENCES[health])}  ${abilities(assessment)}     ${style.dim(where)}`];
  for (const reason of reasons) lines.push(`  ${reason}`);
  return `${lines.join('\n')}\n\n${memberTable(view.members)}`;
}

function abilities({ canLose, voters }: Assessment): string {
  if (canLose < 0) return 'no leader · writes fail · only --serializable reads work';
  const lose = canLose === 0 ? 'can lose 0 more' : `can lose ${canLose} of ${voters}`;
  return `writes ok · reads ok · ${lose}`;
}

export function memberTable(members: readonly MemberView[]): string {
  const applied = members.map(({ status }) => status?.raftAppliedIndex ?? 0);
  const newest = Math.max(0, ...applied);
  const titles = ['MEMBER', 'ROLE', 'STATE', 'APPLIED', 'LAG', 'TOOK', 'DB', 'VERSION', 'ENDPOINT'];
  const rows = members.map(member => {
    const { name, status, roundTripMs, address } = member;
    const first = [printable(name), roleOf(member)];
    if (status === null) {
      return [...first, 'no answer', '-', '-', '-', '-', '-', address ?? '-'];
    }
    return [
      ...first,
      status.leader === 0n ? 'no leader' : 'ok',
      formatCount(status.raftAppliedIndex),
      formatCount(newest - status.raftAppliedIndex),
      formatDuration(roundTripMs),
      formatBytes(status.dbSize),
      printable(status.version),
      address ?? '-',
    ];
  });
  return formatTable(titles, rows);
}

export function roleOf({ id, isLearner, status }: MemberView): string {
  if (isLearner) return 'learner';
  if (status === null) return '-';
  return status.leader === id ? 'leader' : 'follower';
}

/** One line a member, tabs between: for scripts. */
export function plainStatus(view: ClusterView, { health, canLose, term }: Assessment): string {
  const lines = [[health, `can-lose=${Math.max(0, canLose)}`, `term=${term}`].join('\t')];
  for (const member of view.members) {
    const { name, address, status, problem } = member;
    const state = status === null ? (problem ?? 'no answer') : `applied=${status.raftAppliedIndex}`;
    lines.push([name, roleOf(member), address ?? '-', state].map(printable).join('\t'));
  }
  return `${lines.join('\n')}\n`;
}

export function jsonStatus(view: ClusterView, assessment: Assessment) {
  const { reasons, ...numbers } = assessment;
  return {
    schema: 'kontiki.status/1',
    ...numbers,
    reasons,
    clusterId: view.clusterId.toString(16),
    seenBy: view.seenBy,
    members: view.members.map(member => ({
      id: member.id.toString(16),
      name: member.name,
      role: roleOf(member),
      endpoint: member.address,
      ...(member.status === null ? { problem: member.problem } : jsonMember(member)),
    })),
  };
}

function jsonMember({ status, roundTripMs }: MemberView) {
  return {
    leader: status!.leader.toString(16),
    term: status!.raftTerm,
    applied: status!.raftAppliedIndex,
    committed: status!.raftIndex,
    dbSizeBytes: status!.dbSize,
    version: status!.version,
    errors: status!.errors,
    roundTripMs: Number(roundTripMs.toFixed(1)),
  };
}

export function nobodyReport({ asked }: NobodyAsked, next: readonly string[]): Report {
  const who = asked.length === 1 ? 'The server does not answer' : 'No server answers';
  return {
    headline: `${who}: the state of the cluster is unknown.`,
    details: [
      ['asked', asked.map(({ endpoint, problem }) => `${endpoint}  ${problem}`)],
      ['next', next],
    ],
    exitCode: ExitCode.UNDETERMINED,
  };
}

// Metrics in Prometheus' text format, under the names that etcd's dashboards and alerts read. All are
// counters and gauges that exist anyway, so a scrape is the only cost.

import type { MethodStats, ServerStats } from '../grpc/calls.ts';
import { statusName } from '../grpc/status.ts';
import type { DriverReport } from '../node/driver-types.ts';
import { hexId } from './identity.ts';
import type { Member } from './member.ts';
import { API_VERSION } from './version.ts';

type Kind = 'counter' | 'gauge';
type Labels = Readonly<Record<string, string>>;

class Text {
  #lines: string[] = [];

  metric(name: string, kind: Kind, help: string, samples: readonly [Labels, number][]): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
    for (const [labels, value] of samples) {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}=${JSON.stringify(text)}`);
      this.#lines.push(`${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`);
    }
  }

  one(name: string, kind: Kind, help: string, value: number): void {
    this.metric(name, kind, help, [[{}, value]]);
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

export function metricsText(member: Member): string {
  const text = new Text();
  const report = member.driver.report();
  raftMetrics(text, member, report);
  storeMetrics(text, member);
  linkMetrics(text, member, report);
  processMetrics(text);
  return text.toString();
}

function raftMetrics(text: Text, member: Member, report: DriverReport): void {
  const { raft } = report;
  const gauge = (name: string, help: string, value: number) => text.one(name, 'gauge', help, value);
  gauge('etcd_server_has_leader', 'Whether a leader is known.', raft.leader === 0 ? 0 : 1);
  gauge('etcd_server_is_leader', 'Whether this member leads.', raft.role === 'leader' ? 1 : 0);
  const learner = raft.config.learners.includes(member.id);
  gauge('etcd_server_is_learner', 'Whether this member is a learner.', learner ? 1 : 0);
  gauge('etcd_server_proposals_committed_total', 'The commit index.', raft.commitIndex);
  gauge('etcd_server_proposals_applied_total', 'The applied index.', raft.appliedIndex);
  gauge('etcd_server_proposals_pending', 'Proposals without an answer.', report.pendingProposals);
  const { leaderChanges } = member.counters;
  const help = 'Leader changes seen by this member.';
  text.one('etcd_server_leader_changes_seen_total', 'counter', help, leaderChanges);
  text.metric('etcd_server_id', 'gauge', 'The id of this member.', [
    [{ server_id: hexId(member.id) }, 1],
  ]);
  text.metric('etcd_server_version', 'gauge', 'The API version.', [
    [{ server_version: API_VERSION }, 1],
  ]);
  gauge('kontiki_raft_term', 'The current term.', raft.currentTerm);
  gauge('kontiki_log_bytes', 'Bytes of the log on disk.', report.logBytes);
}

function storeMetrics(text: Text, member: Member): void {
  const { totalBytes, inUseBytes } = member.size();
  const { store } = member.kv;
  const gauge = (name: string, help: string, value: number) => text.one(name, 'gauge', help, value);
  gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the database.', totalBytes);
  gauge('etcd_mvcc_db_total_size_in_use_in_bytes', 'Bytes of it in use.', inUseBytes);
  gauge('etcd_server_quota_backend_bytes', 'The quota.', member.config.quotaBackendBytes);
  gauge('etcd_debugging_mvcc_current_revision', 'The current revision.', store.revision);
  gauge('etcd_debugging_mvcc_compact_revision', 'The compacted revision.', store.compactRevision);
}

function linkMetrics(text: Text, member: Member, { links }: DriverReport): void {
  const local = hexId(member.id);
  const up = links.filter(link => link.state === 'connected');
  text.metric(
    'etcd_network_active_peers',
    'gauge',
    'Connected peers.',
    up.map(({ id }) => [{ Local: local, Remote: hexId(id) }, 1]),
  );
  text.metric(
    'etcd_network_peer_sent_bytes_total',
    'counter',
    'Bytes sent to a peer.',
    links.map(({ id, sentBytes }) => [{ To: hexId(id) }, sentBytes]),
  );
  text.metric(
    'etcd_network_peer_received_bytes_total',
    'counter',
    'Bytes received from a peer.',
    links.map(({ id, receivedBytes }) => [{ From: hexId(id) }, receivedBytes]),
  );
  text.metric(
    'etcd_network_peer_sent_failures_total',
    'counter',
    'Messages dropped on the way to a peer.',
    links.map(({ id, droppedMessages }) => [{ To: hexId(id) }, droppedMessages]),
  );
}

function processMetrics(text: Text): void {
  const { rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const started = Date.now() / 1000 - process.uptime();
  text.one('process_resident_memory_bytes', 'gauge', 'Resident memory.', rss);
  text.one('process_cpu_seconds_total', 'counter', 'CPU time.', (user + system) / 1e6);
  text.one('process_start_time_seconds', 'gauge', 'Start time.', started);
}

export function grpcMetricsText({ bytesIn, bytesOut, methods }: ServerStats): string {
  const text = new Text();
  text.one('etcd_network_client_grpc_received_bytes_total', 'counter', 'Bytes in.', bytesIn);
  text.one('etcd_network_client_grpc_sent_bytes_total', 'counter', 'Bytes out.', bytesOut);
  const started = methods.map((m): [Labels, number] => [methodLabels(m), m.started]);
  text.metric('grpc_server_started_total', 'counter', 'Calls begun.', started);
  const handled = methods.flatMap(m =>
    m.handled.map((n, code): [Labels, number] => [
      { ...methodLabels(m), grpc_code: statusName(code) },
      n,
    ]),
  );
  text.metric('grpc_server_handled_total', 'counter', 'Calls ended, by code.', handled);
  return text.toString();
}

const GRPC_TYPES = {
  unary: 'unary',
  serverStream: 'server_stream',
  clientStream: 'client_stream',
  bidi: 'bidi_stream',
} as const;

function methodLabels({ path, kind }: MethodStats): Labels {
  const [, service = '', method = ''] = path.split('/');
  return { grpc_method: method, grpc_service: service, grpc_type: GRPC_TYPES[kind] };
}

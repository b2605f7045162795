// The HTTP/1.1 endpoints on the client port: health checks, version, metrics. Probes and scrapers read
// them, so bodies and status codes are those of etcd.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Member } from './member.ts';
import { metricsText } from './metrics.ts';
import { API_VERSION, CLUSTER_VERSION, STORAGE_VERSION } from './version.ts';

const CHECK_TIMEOUT_MS = 7000;

/** Resolves to null when all is well, else to the reason. */
type Check = (member: Member) => Promise<string | null>;

const CHECKS: Readonly<Record<string, Check>> = {
  serializable_read: async member => {
    const key = new Uint8Array([0]);
    const answer = member.kv.range({ ...HEALTH_RANGE, key, limit: 1 });
    return 'text' in answer ? answer.text : null;
  },
  linearizable_read: member => linearizableRead(member),
  data_corruption: async () => null,
  non_learner: async member =>
    member.driver.report().raft.config.learners.includes(member.id) ? 'is a learner' : null,
  stopping: async member => (member.stopping ? 'the server is stopping' : null),
};
const LIVEZ = ['serializable_read'];
const READYZ = [
  'data_corruption',
  'serializable_read',
  'linearizable_read',
  'non_learner',
  'stopping',
];

const HEALTH_RANGE = {
  key: new Uint8Array(0),
  rangeEnd: new Uint8Array(0),
  limit: 0,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: true,
  keysOnly: false,
  countOnly: true,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};

export interface HttpSources {
  readonly member: Member;
  /** Metrics that others keep: the gRPC server's counters. */
  readonly grpcMetrics: () => string;
}

export function httpHandler(sources: HttpSources): RequestListener {
  return (request, response) => {
    route(sources, request, response).catch((error: unknown) => {
      sources.member.logger.warn('http request failed', { url: request.url, error: String(error) });
      if (!response.headersSent) sendText(response, 500, 'internal error\n');
    });
  };
}

async function route(
  { member, grpcMetrics }: HttpSources,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (request.method !== 'GET') {
    response.setHeader('Allow', 'GET');
    return sendText(response, 405, 'Method Not Allowed\n');
  }
  const [, first = '', check] = url.pathname.split('/');
  switch (first) {
    case 'health':
      return health(member, url, response);
    case 'livez':
      return checks(member, LIVEZ, check, url, response);
    case 'readyz':
      return checks(member, READYZ, check, url, response);
    case 'version':
      return sendJson(response, 200, {
        etcdserver: API_VERSION,
        etcdcluster: CLUSTER_VERSION,
        storage: STORAGE_VERSION,
      });
    case 'metrics':
      response.setHeader('Content-Type', 'text/plain; version=0.0.4; charset=utf-8');
      response.end(metricsText(member) + grpcMetrics());
      return;
    default:
      sendText(response, 404, '404 page not found\n');
  }
}

async function health(member: Member, url: URL, response: ServerResponse): Promise<void> {
  if (member.driver.leader === 0) return sendHealth(response, 'RAFT NO LEADER');
  const serializable = url.searchParams.get('serializable') === 'true';
  const check = serializable ? CHECKS.serializable_read! : linearizableRead;
  const problem = await check(member);
  sendHealth(response, problem === null ? '' : `RANGE ERROR:${problem}`);
}

async function checks(
  member: Member,
  names: readonly string[],
  only: string | undefined,
  url: URL,
  response: ServerResponse,
): Promise<void> {
  if (only !== undefined && !names.includes(only)) {
    return sendText(response, 404, '404 page not found\n');
  }
  const excluded = new Set(url.searchParams.getAll('exclude').flatMap(e => e.split(',')));
  const chosen = only === undefined ? names.filter(name => !excluded.has(name)) : [only];
  const lines: string[] = [];
  let failed = false;
  for (const name of chosen) {
    const problem = await CHECKS[name]!(member);
    failed ||= problem !== null;
    lines.push(problem === null ? `[+]${name} ok\n` : `[-]${name} failed: ${problem}\n`);
  }
  const detailed = failed || url.searchParams.has('verbose');
  sendText(response, failed ? 503 : 200, (detailed ? lines.join('') : '') + (failed ? '' : 'ok\n'));
}

function linearizableRead(member: Member): Promise<string | null> {
  return new Promise(resolve => {
    const timer = setTimeout(() => resolve('timed out'), CHECK_TIMEOUT_MS);
    const settle = (problem: string | null) => {
      clearTimeout(timer);
      resolve(problem);
    };
    member.driver.read({ ready: () => settle(null), failed: error => settle(error.message) });
  });
}

function sendHealth(response: ServerResponse, reason: string): void {
  const healthy = reason === '';
  sendJson(response, healthy ? 200 : 503, { health: healthy ? 'true' : 'false', reason });
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendText(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(body);
}

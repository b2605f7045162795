// The settings of a server and the checks that need no other member: URLs, the initial cluster, and
// what contradicts what. Errors name the flags, because that is where people mend them.

import { clusterId, memberId } from './identity.ts';

export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

export interface ServerConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly listenClientUrls: readonly string[];
  readonly advertiseClientUrls: readonly string[];
  readonly listenPeerUrls: readonly string[];
  readonly initialAdvertisePeerUrls: readonly string[];
  /** `name=url,name=url,...`; a name may come several times with further URLs. */
  readonly initialCluster: string;
  readonly initialClusterState: 'new' | 'existing';
  readonly initialClusterToken: string;
  /** Extra listeners for /metrics and the health endpoints. */
  readonly listenMetricsUrls: readonly string[];
  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly snapshotCount: number;
  readonly snapshotCatchupEntries: number;
  readonly quotaBackendBytes: number;
  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
  readonly maxConcurrentStreams: number;
  readonly preVote: boolean;
}

const QUOTA_DEFAULT_BYTES = 2 * 1024 ** 3;
const ELECTION_TIMEOUT_MAX_MS = 50_000;
/** What a gRPC message may have beside the request that it carries. */
export const GRPC_OVERHEAD_BYTES = 512 * 1024;

export const CONFIG_DEFAULTS: ServerConfig = {
  name: 'default',
  dataDir: '',
  listenClientUrls: ['http://localhost:2379'],
  advertiseClientUrls: ['http://localhost:2379'],
  listenPeerUrls: ['http://localhost:2380'],
  initialAdvertisePeerUrls: ['http://localhost:2380'],
  initialCluster: '',
  initialClusterState: 'new',
  initialClusterToken: 'etcd-cluster',
  listenMetricsUrls: [],
  heartbeatIntervalMs: 100,
  electionTimeoutMs: 1000,
  snapshotCount: 10_000,
  snapshotCatchupEntries: 5000,
  quotaBackendBytes: QUOTA_DEFAULT_BYTES,
  maxTxnOps: 128,
  maxRequestBytes: 1_572_864,
  maxConcurrentStreams: 2 ** 32 - 1,
  preVote: true,
};

export interface InitialMember {
  readonly id: number;
  readonly name: string;
  readonly peerUrls: readonly string[];
}

export interface InitialCluster {
  readonly clusterId: number;
  readonly self: InitialMember;
  readonly members: readonly InitialMember[];
}

/** Everything that can be wrong before a file or a socket is opened. Throws a ConfigError. */
export function checkConfig(config: ServerConfig): void {
  for (const [flag, urls] of urlFlags(config)) {
    if (urls.length === 0) throw new ConfigError(`--${flag} must not be empty`);
    for (const url of urls) parseUrl(flag, url);
  }
  for (const url of config.listenMetricsUrls) parseUrl('listen-metrics-urls', url);
  checkTimes(config);
  checkPositive('snapshot-count', config.snapshotCount);
  checkPositive('max-txn-ops', config.maxTxnOps);
  checkPositive('max-request-bytes', config.maxRequestBytes);
  if (config.name === '') throw new ConfigError('--name must not be empty');
}

function checkTimes({ heartbeatIntervalMs, electionTimeoutMs }: ServerConfig): void {
  checkPositive('heartbeat-interval', heartbeatIntervalMs);
  checkPositive('election-timeout', electionTimeoutMs);
  if (5 * heartbeatIntervalMs > electionTimeoutMs) {
    throw new ConfigError(
      `--election-timeout[${electionTimeoutMs}ms] should be at least as 5 times as ` +
        `--heartbeat-interval[${heartbeatIntervalMs}ms]`,
    );
  }
  if (electionTimeoutMs > ELECTION_TIMEOUT_MAX_MS) {
    throw new ConfigError(
      `--election-timeout[${electionTimeoutMs}ms] is too long, and should be set less than ` +
        `${ELECTION_TIMEOUT_MAX_MS}ms`,
    );
  }
}

function urlFlags(config: ServerConfig): [string, readonly string[]][] {
  return [
    ['listen-client-urls', config.listenClientUrls],
    ['advertise-client-urls', config.advertiseClientUrls],
    ['listen-peer-urls', config.listenPeerUrls],
    ['initial-advertise-peer-urls', config.initialAdvertisePeerUrls],
  ];
}

/** `host:port` of a URL such as http://127.0.0.1:2379. */
export function parseUrl(flag: string, text: string): { host: string; port: number } {
  const match = /^(\w+):\/\/(\[[0-9a-fA-F:]+\]|[^/:\s]+):(\d{1,5})\/?$/.exec(text);
  if (match === null) {
    throw new ConfigError(`--${flag}: ${JSON.stringify(text)} is not of the form http://host:port`);
  }
  const [, scheme, host, port] = match;
  if (scheme !== 'http') {
    throw new ConfigError(
      `--${flag}: the scheme ${scheme} of ${JSON.stringify(text)} is not supported, use http`,
    );
  }
  if (Number(port) > 65535) throw new ConfigError(`--${flag}: port ${port} is out of range`);
  return { host: host!.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** The address in a peer URL, as the transport wants it. */
export function peerAddress(url: string): string {
  const { host, port } = parseUrl('initial-cluster', url);
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Who makes up the cluster, and which of them this server is. Throws a ConfigError. */
export function initialCluster(config: ServerConfig): InitialCluster {
  const urlsByName = parseInitialCluster(config);
  checkDuplicateUrls(urlsByName);
  const members = [...urlsByName].map(([name, peerUrls]) => ({
    id: memberId(peerUrls, config.initialClusterToken),
    name,
    peerUrls,
  }));
  const self = members.find(member => member.name === config.name);
  if (self === undefined) {
    throw new ConfigError(
      `couldn't find local name "${config.name}" in the initial cluster configuration ` +
        `(--initial-cluster names ${members.map(m => m.name).join(', ')})`,
    );
  }
  checkAdvertised(config, self);
  return { clusterId: clusterId(members.map(m => m.id)), self, members };
}

function parseInitialCluster(config: ServerConfig): Map<string, string[]> {
  const text =
    config.initialCluster === ''
      ? config.initialAdvertisePeerUrls.map(url => `${config.name}=${url}`).join(',')
      : config.initialCluster;
  const urlsByName = new Map<string, string[]>();
  for (const part of text.split(',').map(p => p.trim())) {
    const [, name, url] = /^([^=]+)=(.+)$/.exec(part) ?? [];
    if (name === undefined || url === undefined) {
      throw new ConfigError(
        `--initial-cluster: ${JSON.stringify(part)} is not of the form name=http://host:port`,
      );
    }
    parseUrl('initial-cluster', url);
    urlsByName.set(name, [...(urlsByName.get(name) ?? []), url]);
  }
  return urlsByName;
}

function checkDuplicateUrls(urlsByName: ReadonlyMap<string, readonly string[]>): void {
  const owner = new Map<string, string>();
  for (const [name, urls] of urlsByName) {
    for (const url of urls) {
      const other = owner.get(url);
      if (other !== undefined) {
        throw new ConfigError(`--initial-cluster: ${other} and ${name} have the same URL ${url}`);
      }
      owner.set(url, name);
    }
  }
}

function checkAdvertised(config: ServerConfig, self: InitialMember): void {
  const advertised = [...config.initialAdvertisePeerUrls].sort().join(',');
  const listed = [...self.peerUrls].sort().join(',');
  if (advertised === listed) return;
  throw new ConfigError(
    `--initial-cluster has ${self.name}=${listed} but missing from ` +
      `--initial-advertise-peer-urls=${advertised}: the two must name the same URLs`,
  );
}

function checkPositive(flag: string, value: number): void {
  if (!Number.isSafeInteger(value) || value <= 0) {
    throw new ConfigError(`--${flag} must be a positive whole number, not ${value}`);
  }
}

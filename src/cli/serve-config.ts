// From flags and environment variables to the settings of a server. Everything that can be wrong
// without opening a file or a socket is found here, so that it ends with the exit code for usage.

import {
  CONFIG_DEFAULTS,
  ConfigError,
  checkConfig,
  initialCluster,
  parseUrl,
  type ServerConfig,
} from '../etcd/config.ts';
import { isLevel, type Level } from '../etcd/logger.ts';
import {
  booleanOf,
  environmentFlags,
  type GivenValue,
  integerOf,
  listOf,
  parseFlags,
} from './go-flags.ts';
import { usageError } from './report.ts';
import { type Given, IGNORED_FLAGS, REFUSED_FLAGS, SERVE_FLAGS } from './serve-flags.ts';

export interface ServeSettings {
  readonly config: ServerConfig;
  readonly logLevel: Level;
  readonly logTo: 'stderr' | 'stdout';
  /** For the log: what was given without effect. */
  readonly warnings: readonly string[];
}

/** Throws a CliError. */
export function serveSettings(
  args: readonly string[],
  env: Readonly<Partial<Record<string, string>>>,
): ServeSettings {
  const flags = parseFlags(args, SERVE_FLAGS);
  const environment = environmentFlags(env, SERVE_FLAGS.names);
  const given: Given = new Map([...environment.given, ...flags]);
  refuseUnsupported(given);
  const config = serverConfig(given);
  check(config);
  return {
    config,
    logLevel: logLevel(given),
    logTo: logTo(given),
    warnings: [
      ...environment.unknown.map(name => `unrecognized environment variable ${name}`),
      ...shadowed(environment.given, flags),
      ...ignored(given),
    ],
  };
}

function refuseUnsupported(given: Given): void {
  for (const [name, { text, source }] of given) {
    const refused = REFUSED_FLAGS[name];
    if (refused === undefined || refused.harmless.has(text)) continue;
    throw usageError(`${source}: ${refused.why}.`);
  }
}

function shadowed(environment: Given, flags: Given): string[] {
  return [...environment]
    .filter(([name, { text }]) => flags.has(name) && flags.get(name)!.text !== text)
    .map(([name, { source }]) => `environment variable ${source} is shadowed by --${name}`);
}

function ignored(given: Given): string[] {
  return [...given]
    .filter(([name]) => IGNORED_FLAGS[name] !== undefined)
    .map(([name, { source }]) => `${source} has no effect here: ${IGNORED_FLAGS[name]}`);
}

function serverConfig(given: Given): ServerConfig {
  const text = (name: string, otherwise: string) => given.get(name)?.text ?? otherwise;
  const count = (name: string, otherwise: number) => mapped(given.get(name), integerOf, otherwise);
  const defaults = CONFIG_DEFAULTS;
  const name = text('name', defaults.name);
  const cluster = text('initial-cluster', defaults.initialCluster);
  return {
    name,
    dataDir: text('data-dir', `${name}.etcd`),
    ...clientUrls(given),
    ...peerUrls(given, name, cluster),
    initialCluster: cluster,
    initialClusterState: clusterState(given.get('initial-cluster-state')),
    initialClusterToken: text('initial-cluster-token', defaults.initialClusterToken),
    listenMetricsUrls: mapped(given.get('listen-metrics-urls'), listOf, defaults.listenMetricsUrls),
    heartbeatIntervalMs: count('heartbeat-interval', defaults.heartbeatIntervalMs),
    electionTimeoutMs: count('election-timeout', defaults.electionTimeoutMs),
    snapshotCount: count('snapshot-count', defaults.snapshotCount),
    snapshotCatchupEntries: count('snapshot-catchup-entries', defaults.snapshotCatchupEntries),
    quotaBackendBytes: quota(count('quota-backend-bytes', 0)),
    maxTxnOps: count('max-txn-ops', defaults.maxTxnOps),
    maxRequestBytes: count('max-request-bytes', defaults.maxRequestBytes),
    maxConcurrentStreams: count('max-concurrent-streams', defaults.maxConcurrentStreams),
    preVote: mapped(given.get('pre-vote'), booleanOf, defaults.preVote),
  };
}

function mapped<T>(value: GivenValue | undefined, map: (value: GivenValue) => T, otherwise: T): T {
  return value === undefined ? otherwise : map(value);
}

/** etcd's meanings: 0 is the default, less than 0 no quota. */
function quota(bytes: number): number {
  if (bytes < 0) return Number.MAX_SAFE_INTEGER;
  return bytes === 0 ? CONFIG_DEFAULTS.quotaBackendBytes : bytes;
}

function clusterState(value: GivenValue | undefined): 'new' | 'existing' {
  const text = value?.text ?? 'new';
  if (text === 'new' || text === 'existing') return text;
  throw usageError(`${value!.source}: ${JSON.stringify(text)} is neither new nor existing.`);
}

function clientUrls(given: Given) {
  const listenClientUrls = urls(given, 'listen-client-urls', CONFIG_DEFAULTS.listenClientUrls);
  const advertised = given.get('advertise-client-urls');
  if (advertised !== undefined) {
    return { listenClientUrls, advertiseClientUrls: urls(given, 'advertise-client-urls', []) };
  }
  refuseWildcard('listen-client-urls', 'advertise-client-urls', listenClientUrls);
  return { listenClientUrls, advertiseClientUrls: listenClientUrls };
}

/** What others are told is, unless given, what --initial-cluster says of this member. */
function peerUrls(given: Given, name: string, cluster: string) {
  const listenPeerUrls = urls(given, 'listen-peer-urls', CONFIG_DEFAULTS.listenPeerUrls);
  const flag = 'initial-advertise-peer-urls';
  if (given.has(flag)) return { listenPeerUrls, initialAdvertisePeerUrls: urls(given, flag, []) };
  const listed = cluster
    .split(',')
    .map(part => part.trim())
    .filter(part => part.startsWith(`${name}=`))
    .map(part => part.slice(name.length + 1));
  if (listed.length > 0) return { listenPeerUrls, initialAdvertisePeerUrls: listed };
  refuseWildcard('listen-peer-urls', flag, listenPeerUrls);
  return { listenPeerUrls, initialAdvertisePeerUrls: listenPeerUrls };
}

function urls(given: Given, flag: string, otherwise: readonly string[]): readonly string[] {
  return mapped(given.get(flag), listOf, otherwise);
}

const WILDCARDS = new Set(['0.0.0.0', '::', '*']);

/** Nobody can connect to "any address", so it must not be what others are told. */
function refuseWildcard(listen: string, advertise: string, listening: readonly string[]): void {
  for (const url of listening) {
    const { host } = usage(() => parseUrl(listen, url));
    if (!WILDCARDS.has(host)) continue;
    throw usageError(`--${listen} is ${url}, so others can't be told where this server is.`, [
      `--${advertise}=http://HOST:PORT     names the address by which others reach it`,
    ]);
  }
}

function check(config: ServerConfig): void {
  usage(() => {
    checkConfig(config);
    initialCluster(config);
  });
  const listeners = [
    ...config.listenClientUrls.map(url => ['listen-client-urls', url] as const),
    ...config.listenPeerUrls.map(url => ['listen-peer-urls', url] as const),
    ...config.listenMetricsUrls.map(url => ['listen-metrics-urls', url] as const),
  ];
  if (config.listenPeerUrls.length > 1) {
    throw usageError('--listen-peer-urls: only one URL is supported.');
  }
  const taken = new Map<string, string>();
  for (const [flag, url] of listeners) {
    const { host, port } = parseUrl(flag, url);
    const other = taken.get(`${host}:${port}`);
    if (other !== undefined && port !== 0) {
      throw usageError(`--${other} and --${flag} both name ${host}:${port}.`);
    }
    taken.set(`${host}:${port}`, flag);
  }
}

function logLevel(given: Given): Level {
  const value = given.get('log-level');
  const text = value?.text ?? 'info';
  // etcd's levels above error: what they would show is shown.
  if (['dpanic', 'panic', 'fatal'].includes(text)) return 'error';
  if (isLevel(text)) return text;
  throw usageError(
    `${value!.source}: ${JSON.stringify(text)} is none of debug, info, warn, error.`,
  );
}

function logTo(given: Given): 'stderr' | 'stdout' {
  const value = given.get('log-outputs');
  const text = value?.text ?? 'default';
  if (text === 'stdout') return 'stdout';
  if (['default', 'stderr'].includes(text)) return 'stderr';
  throw usageError(
    `${value!.source}: ${JSON.stringify(text)} is not supported, only stderr and stdout are.`,
  );
}

/** The server's own complaints about its settings, as usage errors. */
function usage<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw usageError(`${error.message.replace(/\.$/, '')}.`);
  }
}

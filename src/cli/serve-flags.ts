// Every flag of etcd's server and what becomes of it here: used, accepted without effect and said so,
// or refused, because passing over it would make the server less safe than its operator believes.

import type { FlagNames, GivenValue } from './go-flags.ts';

export interface UsedFlag {
  readonly name: string;
  readonly placeholder: string;
  readonly brief: string;
}

/** In the order of --help. */
export const USED_FLAGS: readonly UsedFlag[] = [
  { name: 'name', placeholder: 'NAME', brief: 'Name of this member [default]' },
  { name: 'data-dir', placeholder: 'DIR', brief: 'Where the data is [NAME.etcd]' },
  {
    name: 'listen-client-urls',
    placeholder: 'URLS',
    brief: 'Where to serve clients [http://localhost:2379]',
  },
  {
    name: 'advertise-client-urls',
    placeholder: 'URLS',
    brief: 'What clients are told [--listen-client-urls]',
  },
  {
    name: 'listen-peer-urls',
    placeholder: 'URL',
    brief: 'Where to serve the other members [http://localhost:2380]',
  },
  {
    name: 'initial-advertise-peer-urls',
    placeholder: 'URLS',
    brief: 'What members are told [that of --initial-cluster, or --listen-peer-urls]',
  },
  {
    name: 'initial-cluster',
    placeholder: 'N=URL,..',
    brief: 'All members of a new cluster [this one alone]',
  },
  { name: 'initial-cluster-state', placeholder: 'STATE', brief: 'new or existing [new]' },
  {
    name: 'initial-cluster-token',
    placeholder: 'TOKEN',
    brief: 'Tells clusters apart that have the same URLS [etcd-cluster]',
  },
  {
    name: 'listen-metrics-urls',
    placeholder: 'URLS',
    brief: 'More listeners for /metrics and the health endpoints',
  },
  { name: 'heartbeat-interval', placeholder: 'MS', brief: 'Between heartbeats [100]' },
  { name: 'election-timeout', placeholder: 'MS', brief: 'Silence before an election [1000]' },
  { name: 'snapshot-count', placeholder: 'N', brief: 'Entries between snapshots [10000]' },
  {
    name: 'snapshot-catchup-entries',
    placeholder: 'N',
    brief: 'Entries kept for slow followers [5000]',
  },
  { name: 'quota-backend-bytes', placeholder: 'N', brief: 'Largest database [0: 2 GiB]' },
  { name: 'max-txn-ops', placeholder: 'N', brief: 'Operations in a transaction [128]' },
  { name: 'max-request-bytes', placeholder: 'N', brief: 'Largest request [1572864]' },
  {
    name: 'max-concurrent-streams',
    placeholder: 'N',
    brief: 'Calls under way on a connection [4294967295]',
  },
  { name: 'pre-vote', placeholder: '', brief: 'Ask before an election [true]' },
  { name: 'log-level', placeholder: 'LEVEL', brief: 'debug, info, warn or error [info]' },
  { name: 'log-outputs', placeholder: 'WHERE', brief: 'stderr or stdout [stderr]' },
];

/** Without effect here, each with the reason that is logged when it is given. */
export const IGNORED_FLAGS: Readonly<Record<string, string>> = {
  'wal-dir': 'the log is in --data-dir',
  'max-wals': 'the log is trimmed behind each snapshot',
  'max-snapshots': 'the newest snapshots are kept',
  'auto-compaction-mode': 'history is kept until a client compacts it',
  'auto-compaction-retention': 'history is kept until a client compacts it',
  'auth-token-ttl': 'there are no users yet',
  'bcrypt-cost': 'there are no users yet',
  'watch-progress-notify-interval': 'the interval is fixed',
  'experimental-watch-progress-notify-interval': 'the interval is fixed',
  logger: 'log lines are always structured',
  'log-format': 'log lines are always JSON',
  'enable-log-rotation': 'log lines go to standard error',
  'log-rotation-config-json': 'log lines go to standard error',
  'enable-pprof': 'Node.js has its own profiler: node --cpu-prof',
  metrics: 'all metrics are always served',
  'enable-grpc-gateway': 'the JSON gateway is not there yet',
  cors: 'the JSON gateway is not there yet',
  'strict-reconfig-check': 'membership changes are always checked',
  'unsafe-no-fsync': 'writes are always synced',
  'feature-gates': 'there are none',
  'max-learners': 'the number of learners is fixed',
  'corrupt-check-time': 'log and snapshots carry checksums',
  'grpc-keepalive-min-time': 'connections are watched by the system',
  'grpc-keepalive-interval': 'connections are watched by the system',
  'grpc-keepalive-timeout': 'connections are watched by the system',
  'socket-reuse-port': 'ports are never shared',
  'socket-reuse-address': 'addresses can always be used again',
  'initial-election-tick-advance': 'elections are quick anyway',
  'backend-batch-interval': 'the database has a schedule of its own',
  'backend-batch-limit': 'the database has a schedule of its own',
  'backend-bbolt-freelist-type': 'the database is not bbolt',
  'compaction-batch-limit': 'compaction has a schedule of its own',
  'compaction-sleep-interval': 'compaction has a schedule of its own',
  'compaction-hash-check': 'log and snapshots carry checksums',
  'compaction-hash-check-time': 'log and snapshots carry checksums',
  'bootstrap-defrag-threshold-megabytes': 'the database reuses its space',
  'warning-apply-duration': 'slow requests are not logged',
  'warning-unary-request-duration': 'slow requests are not logged',
  'downgrade-check-time': 'there are no downgrades',
  'enable-distributed-tracing': 'traces are not exported',
  'distributed-tracing-address': 'traces are not exported',
  'distributed-tracing-service-name': 'traces are not exported',
  'distributed-tracing-instance-id': 'traces are not exported',
  'distributed-tracing-sampling-rate': 'traces are not exported',
  'experimental-initial-corrupt-check': 'log and snapshots carry checksums',
  'experimental-corrupt-check-time': 'log and snapshots carry checksums',
  'experimental-compact-hash-check-enabled': 'log and snapshots carry checksums',
  'experimental-compact-hash-check-time': 'log and snapshots carry checksums',
  'experimental-compaction-batch-limit': 'compaction has a schedule of its own',
  'experimental-compaction-sleep-interval': 'compaction has a schedule of its own',
  'experimental-warning-apply-duration': 'slow requests are not logged',
  'experimental-enable-lease-checkpoint': 'leases are checkpointed by the server itself',
  'experimental-enable-lease-checkpoint-persist': 'leases are checkpointed by the server itself',
  'experimental-memory-mlock': 'memory is not locked',
  'experimental-bootstrap-defrag-threshold-megabytes': 'the database reuses its space',
  'experimental-max-learners': 'the number of learners is fixed',
  'experimental-wait-cluster-ready-timeout': 'clients are served at once',
  'experimental-stop-grpc-service-on-defrag': 'the server goes on while it defragments',
  'v2-deprecation': 'there is no v2 API',
  'enable-v2': 'there is no v2 API',
};

export interface RefusedFlag {
  readonly why: string;
  /** Values by which nothing would change. */
  readonly harmless: ReadonlySet<string>;
}

const OFF = new Set(['', 'false', '0', 'f', 'F', 'FALSE', 'False']);
const NOTHING = new Set(['']);

const refuse = (why: string, harmless: ReadonlySet<string>, ...names: string[]) =>
  names.map(name => [name, { why, harmless }] as const);

const NO_TLS = 'TLS is not supported yet, and serving without it would be insecure';
const NO_DISCOVERY = 'discovery is not supported: name all members in --initial-cluster';

export const REFUSED_FLAGS: Readonly<Record<string, RefusedFlag>> = Object.fromEntries([
  ...refuse(
    NO_TLS,
    NOTHING,
    ...['cert-file', 'key-file', 'trusted-ca-file', 'client-cert-file', 'client-key-file'],
    ...['client-crl-file', 'client-cert-allowed-hostname', 'ca-file', 'peer-ca-file'],
    ...['peer-cert-file', 'peer-key-file', 'peer-trusted-ca-file', 'peer-client-cert-file'],
    ...['peer-client-key-file', 'peer-crl-file', 'peer-cert-allowed-cn'],
    ...['peer-cert-allowed-hostname', 'cipher-suites', 'tls-min-version', 'tls-max-version'],
  ),
  ...refuse(
    NO_TLS,
    OFF,
    ...['client-cert-auth', 'auto-tls', 'peer-client-cert-auth', 'peer-auto-tls'],
    ...['peer-skip-client-san-verification', 'experimental-peer-skip-client-san-verification'],
  ),
  ...refuse(NO_TLS, new Set(['', '1']), 'self-signed-cert-validity'),
  ...refuse(
    'users and tokens are not supported yet, and serving without them would be insecure',
    new Set(['', 'simple']),
    'auth-token',
  ),
  ...refuse('host names are not checked', new Set(['', '*']), 'host-whitelist'),
  ...refuse('a new cluster is never forced from old data', OFF, 'force-new-cluster'),
  ...refuse(
    'HTTP is served on --listen-client-urls; a second port is not supported',
    NOTHING,
    'listen-client-http-urls',
  ),
  ...refuse(
    NO_DISCOVERY,
    NOTHING,
    ...['discovery', 'discovery-srv', 'discovery-srv-name', 'discovery-proxy'],
    ...['discovery-token', 'discovery-endpoints', 'discovery-fallback'],
    ...['discovery-dial-timeout', 'discovery-request-timeout', 'discovery-keepalive-time'],
    ...['discovery-keepalive-timeout', 'discovery-cert', 'discovery-key', 'discovery-cacert'],
    ...['discovery-user', 'discovery-password'],
  ),
  ...refuse(
    NO_DISCOVERY,
    OFF,
    'discovery-insecure-transport',
    'discovery-insecure-skip-tls-verify',
  ),
  ...refuse(
    'a configuration file is not supported: use flags or ETCD_* variables',
    NOTHING,
    'config-file',
  ),
  ...refuse('there is no proxy mode', new Set(['', 'off']), 'proxy'),
]);

const BOOLEANS = [
  'pre-vote',
  'enable-pprof',
  'enable-grpc-gateway',
  'enable-log-rotation',
  'strict-reconfig-check',
  'unsafe-no-fsync',
  'force-new-cluster',
  'client-cert-auth',
  'auto-tls',
  'peer-client-cert-auth',
  'peer-auto-tls',
  'peer-skip-client-san-verification',
  'socket-reuse-port',
  'socket-reuse-address',
  'initial-election-tick-advance',
  'compaction-hash-check',
  'enable-distributed-tracing',
  'discovery-insecure-transport',
  'discovery-insecure-skip-tls-verify',
  'enable-v2',
  'experimental-initial-corrupt-check',
  'experimental-compact-hash-check-enabled',
  'experimental-enable-lease-checkpoint',
  'experimental-enable-lease-checkpoint-persist',
  'experimental-memory-mlock',
  'experimental-peer-skip-client-san-verification',
  'experimental-stop-grpc-service-on-defrag',
];

export const SERVE_FLAGS: FlagNames = {
  names: new Set([
    ...USED_FLAGS.map(({ name }) => name),
    ...Object.keys(IGNORED_FLAGS),
    ...Object.keys(REFUSED_FLAGS),
  ]),
  booleans: new Set(BOOLEANS),
};

/** What `serve` was told: values by flag name, a flag beating its variable. */
export type Given = ReadonlyMap<string, GivenValue>;

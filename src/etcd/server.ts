// One member of a cluster as a running server: data directory, peer links, the node, the gRPC services
// and the HTTP endpoints. Starting tells what it waits for; stopping hands over, finishes and flushes.

import { join } from 'node:path';
import { createGrpcServer, type GrpcServer } from '../grpc/server.ts';
import { KvMachine } from '../kv/kv-machine.ts';
import { LmdbBackend } from '../kv/lmdb-backend.ts';
import { Driver } from '../node/driver.ts';
import type { LogLevel } from '../node/driver-types.ts';
import { type KontikiError, startError } from '../node/errors.ts';
import { driverSettings } from '../node/settings.ts';
import { systemClock } from '../node/system-clock.ts';
import { fileStorage } from '../node/system-storage.ts';
import { tcpTransport } from '../node/system-transport.ts';
import {
  ConfigError,
  checkConfig,
  GRPC_OVERHEAD_BYTES,
  type InitialCluster,
  initialCluster,
  parseUrl,
  peerAddress,
  type ServerConfig,
} from './config.ts';
import { httpHandler } from './http.ts';
import { hexId } from './identity.ts';
import { httpSockets, type Listener, listen } from './listen.ts';
import type { Logger } from './logger.ts';
import { ServerMachine } from './machine.ts';
import { Member } from './member.ts';
import { MemberTable } from './members.ts';
import { grpcMetricsText } from './metrics.ts';
import { Publisher } from './publisher.ts';
import { Replies } from './replies.ts';
import { createServices, type Services } from './services.ts';

/** etcd's own: five seconds and two election timeouts. */
const REQUEST_TIMEOUT_BASE_MS = 5000;
/** Calls under way at shutdown get this long. */
const DRAIN_MS = 5000;

export class EtcdServer {
  readonly member: Member;
  /** Where clients reach this server, with the ports really in use. */
  readonly clientUrls: readonly string[];
  /** Resolves once this member knows a leader and has told the others its URLs. */
  readonly ready: Promise<void>;
  /** Resolves when the server has ended: null after stop(), else what made it fail. */
  readonly closed: Promise<KontikiError | null>;
  readonly #grpc: GrpcServer;
  readonly #services: Services;
  readonly #http: ReturnType<typeof httpSockets>;
  readonly #listeners: readonly Listener[];
  readonly #publisher: Publisher;
  readonly #abandon: () => Promise<void>;
  #stopping: Promise<void> | null = null;

  private constructor(parts: ServerParts, abandon: () => Promise<void>) {
    this.#abandon = abandon;
    this.member = parts.member;
    this.#grpc = parts.grpc;
    this.#services = parts.services;
    this.#http = parts.http;
    this.#listeners = parts.listeners;
    this.#publisher = parts.publisher;
    this.ready = parts.publisher.done;
    this.closed = this.#ending();
    this.clientUrls = parts.listeners
      .slice(0, parts.member.config.listenClientUrls.length)
      .map(({ url, port }) => url.replace(/:\d+\/?$/, `:${port}`));
  }

  /** Rejects with a ConfigError or a KontikiError that says what is the matter. */
  static async start(config: ServerConfig, logger: Logger): Promise<EtcdServer> {
    checkConfig(config);
    const cluster = initialCluster(config);
    logStart(logger, config, cluster);
    const { member, abandon } = await openMember(config, cluster, logger);
    try {
      return new EtcdServer(await serve(member), abandon);
    } catch (error) {
      await member.driver.stop();
      throw error;
    }
  }

  /** Hands over leadership, finishes what is under way, flushes. Safe to call again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Ends as a crash would: nothing is handed over, nobody is answered. For demos and tests. */
  kill(): Promise<void> {
    this.#stopping ??= this.#kill();
    return this.#stopping;
  }

  async #kill(): Promise<void> {
    this.member.stopping = true;
    this.member.driver.kill();
    this.#publisher.stop();
    this.#release();
    await Promise.all(this.#listeners.map(listener => listener.close()));
    await this.#abandon();
  }

  async #stop(): Promise<void> {
    const { member } = this;
    member.stopping = true;
    this.#publisher.stop();
    const closing = this.#listeners.map(listener => listener.close());
    await handOver(member);
    await this.#grpc.drain(DRAIN_MS);
    this.#release();
    await Promise.all(closing);
    await member.driver.stop();
    member.logger.info('stopped');
  }

  async #ending(): Promise<KontikiError | null> {
    const error = await this.member.driver.closed;
    if (error === null) return null;
    this.member.logger.error('the node has failed', { error: error.message });
    this.#publisher.stop();
    this.#release();
    await Promise.all(this.#listeners.map(listener => listener.close()));
    return error;
  }

  #release(): void {
    this.#services.close();
    this.#grpc.close();
    this.#http.close();
  }
}

interface ServerParts {
  readonly member: Member;
  readonly grpc: GrpcServer;
  readonly services: Services;
  readonly http: ReturnType<typeof httpSockets>;
  readonly listeners: readonly Listener[];
  readonly publisher: Publisher;
}

/** Opens the data, connects to the peers, and begins to take part. */
async function openMember(
  config: ServerConfig,
  cluster: InitialCluster,
  logger: Logger,
): Promise<{ readonly member: Member; readonly abandon: () => Promise<void> }> {
  const { self, clusterId } = cluster;
  const members = new MemberTable(cluster.members);
  const voters = cluster.members.map(member => member.id);
  const settings = driverSettings(timing(config), { id: self.id, voters, random: Math.random });
  const log = (level: LogLevel, message: string) => logger[level](message);
  const dir = join(config.dataDir, 'member');
  const { trailingEntries } = settings.raft;
  const store = await fileStorage(dir)
    .open({ clusterId, nodeId: self.id }, { trailingEntries, log })
    .catch(error => Promise.reject(startError(error)));
  const kv = new KvMachine(new LmdbBackend(join(dir, 'db')));
  const { host, port } = parseUrl('listen-peer-urls', config.listenPeerUrls[0]!);
  const transport = tcpTransport({ listen: hostPort(host, port) }).create({
    clusterId,
    nodeId: self.id,
    address: peerAddress(self.peerUrls[0]!),
    nameOf: id => members.nameOf(id),
    log,
  });
  transport.setPeers(
    cluster.members
      .filter(member => member.id !== self.id)
      .map(member => ({ id: member.id, address: peerAddress(member.peerUrls[0]!) })),
  );
  const counters = { leaderChanges: 0 };
  const driver = new Driver({
    ...settings,
    raft: { ...settings.raft, preVote: config.preVote, entryBytesMax: entryBytesMax(config) },
    clock: systemClock,
    store,
    transport,
    machine: new ServerMachine(kv, member => members.set(member)),
    events: {
      leaderChanged(leader, newTerm, role) {
        counters.leaderChanges += 1;
        const name = leader === 0 ? 'none' : members.nameOf(leader);
        logger.info('leader changed', { leader: name, term: newTerm, role });
      },
      log,
    },
  });
  const ids = { clusterId: BigInt(clusterId), memberId: BigInt(self.id) };
  const replies = new Replies(ids, () => driver.term);
  const id = self.id;
  const parts = { id, clusterId, config, kv, driver, members, replies, logger, counters };
  await driver.start();
  // What a killed driver leaves open.
  const abandon = async () => {
    await transport.close();
    await kv.close();
    await store.close();
  };
  return { member: new Member(parts), abandon };
}

async function serve(member: Member): Promise<ServerParts> {
  const { config, logger } = member;
  const services = createServices(member);
  const http = httpSockets(
    httpHandler({ member, grpcMetrics: () => grpcMetricsText(grpc.stats()) }),
  );
  const grpc: GrpcServer = createGrpcServer({
    handlers: services.handlers,
    limits: {
      messageBytesMax: config.maxRequestBytes + GRPC_OVERHEAD_BYTES,
      concurrentStreamsMax: config.maxConcurrentStreams,
    },
    http1: http.accept,
    onHandlerError: (error, path) =>
      logger.error('a handler failed', { path, error: String(error) }),
  });
  const listeners: Listener[] = [];
  try {
    for (const url of config.listenClientUrls) {
      listeners.push(await listen('listen-client-urls', url, socket => grpc.accept(socket)));
    }
    for (const url of config.listenMetricsUrls) {
      listeners.push(await listen('listen-metrics-urls', url, http.accept));
    }
  } catch (error) {
    await Promise.all(listeners.map(listener => listener.close()));
    throw error;
  }
  const publisher = new Publisher(member);
  return { member, grpc, services, http, listeners, publisher };
}

/** §3.10: a leader that leaves names its successor, so that writes go on without an election. */
function handOver(member: Member): Promise<void> {
  const { driver, logger } = member;
  if (!driver.isLeader) return Promise.resolve();
  const { progress, config } = driver.report().raft;
  const candidates = progress.filter(({ id }) => config.voters.includes(id));
  const best = candidates.sort((a, b) => b.matchIndex - a.matchIndex)[0];
  if (best === undefined) return Promise.resolve();
  return new Promise(resolve => {
    driver.transferLeadership(best.id, {
      ready: () => {
        logger.info('handed over leadership', { to: member.members.nameOf(best.id) });
        resolve();
      },
      failed: error => {
        logger.warn('could not hand over leadership', { error: error.message });
        resolve();
      },
    });
  });
}

function timing(config: ServerConfig) {
  return {
    heartbeatMs: config.heartbeatIntervalMs,
    electionMs: config.electionTimeoutMs,
    requestTimeoutMs: REQUEST_TIMEOUT_BASE_MS + 2 * config.electionTimeoutMs,
    snapshotCount: config.snapshotCount,
    trailingEntries: config.snapshotCatchupEntries,
  };
}

/** A request and the byte that says what it is. */
function entryBytesMax({ maxRequestBytes }: ServerConfig): number {
  return maxRequestBytes + 1;
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function logStart(logger: Logger, config: ServerConfig, cluster: InitialCluster): void {
  if (config.listenPeerUrls.length > 1) {
    throw new ConfigError('--listen-peer-urls: only one URL is supported');
  }
  logger.info('starting', {
    name: config.name,
    'data-dir': config.dataDir,
    'member-id': hexId(cluster.self.id),
    'cluster-id': hexId(cluster.clusterId),
    'listen-client-urls': config.listenClientUrls,
    'listen-peer-urls': config.listenPeerUrls,
    'initial-cluster': cluster.members.map(m => `${m.name}=${m.peerUrls.join(',')}`),
  });
}

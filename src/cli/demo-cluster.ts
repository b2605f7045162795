// The nodes of a demo: real servers with real files and sockets, all in this process, each of which
// can be killed and started again.

import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONFIG_DEFAULTS, type ServerConfig } from '../etcd/config.ts';
import type { Logger } from '../etcd/logger.ts';
import { EtcdServer } from '../etcd/server.ts';
import type { NodePorts } from './demo-ports.ts';

/** Quick elections: all nodes share one event loop, and nobody waits for a network. */
const TIMING = { heartbeatIntervalMs: 50, electionTimeoutMs: 300 };
const HOST = '127.0.0.1';

export class DemoNode {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerAddress: string;
  readonly #config: ServerConfig;
  readonly #logger: Logger;
  #server: EtcdServer | null = null;

  constructor(name: string, config: ServerConfig, logger: Logger) {
    this.name = name;
    this.#config = config;
    this.#logger = logger;
    this.clientUrl = config.listenClientUrls[0]!;
    this.peerAddress = config.listenPeerUrls[0]!.replace('http://', '');
  }

  get server(): EtcdServer | null {
    return this.#server;
  }

  get role(): 'leader' | 'follower' | 'killed' {
    if (this.#server === null) return 'killed';
    return this.#server.member.driver.isLeader ? 'leader' : 'follower';
  }

  get term(): number {
    return this.#server?.member.driver.report().raft.currentTerm ?? 0;
  }

  /** `failed` is told when the server ends by itself. */
  async start(failed: (why: string) => void): Promise<void> {
    if (this.#server !== null) return;
    const server = await EtcdServer.start(this.#config, this.#logger);
    this.#server = server;
    void server.closed.then(error => {
      if (error === null) return;
      this.#server = null;
      failed(error.message);
    });
  }

  /** As a crash would end it. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    await server?.kill();
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = null;
  }
}

export class DemoCluster {
  readonly dir: string;
  readonly nodes: readonly DemoNode[];
  readonly #removeAtExit: () => void;

  private constructor(dir: string, nodes: readonly DemoNode[]) {
    this.dir = dir;
    this.nodes = nodes;
    // Also when the process is ended in a hurry.
    this.#removeAtExit = () => rmSync(dir, { recursive: true, force: true });
    process.once('exit', this.#removeAtExit);
  }

  /** Rejects if a server can't start; the others are stopped then and the files removed. */
  static async start(
    ports: readonly NodePorts[],
    logger: Logger,
    failed: (node: DemoNode, why: string) => void,
  ): Promise<DemoCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'kontiki-demo-'));
    const configs = demoConfigs(ports, dir);
    const nodes = configs.map(config => new DemoNode(config.name, config, logger));
    const cluster = new DemoCluster(dir, nodes);
    const starts = await Promise.allSettled(
      nodes.map(node => node.start(why => failed(node, why))),
    );
    const rejected = starts.find(start => start.status === 'rejected');
    if (rejected === undefined) return cluster;
    await cluster.stop();
    throw rejected.reason;
  }

  /** The one with the newest term: a leader that was cut off may believe in itself a little longer. */
  get leader(): DemoNode | null {
    const leaders = this.nodes.filter(({ role }) => role === 'leader');
    return leaders.sort((a, b) => b.term - a.term)[0] ?? null;
  }

  get running(): readonly DemoNode[] {
    return this.nodes.filter(({ server }) => server !== null);
  }

  /** How many more may die before writes stop; less than 0: they have stopped. */
  get canLose(): number {
    return this.running.length - (Math.floor(this.nodes.length / 2) + 1);
  }

  async stop(): Promise<void> {
    // One after the other, so that leadership is handed over to a node that is still there.
    for (const node of this.nodes) await node.stop();
    await rm(this.dir, { recursive: true, force: true });
    process.off('exit', this.#removeAtExit);
  }
}

function demoConfigs(ports: readonly NodePorts[], dir: string): ServerConfig[] {
  const names = ports.map((_, i) => String.fromCharCode(97 + i));
  const peerUrls = ports.map(({ peer }) => `http://${HOST}:${peer}`);
  const initialCluster = names.map((name, i) => `${name}=${peerUrls[i]}`).join(',');
  return ports.map(({ client }, i) => {
    const clientUrls = [`http://${HOST}:${client}`];
    return {
      ...CONFIG_DEFAULTS,
      ...TIMING,
      name: names[i]!,
      dataDir: join(dir, names[i]!),
      listenClientUrls: clientUrls,
      advertiseClientUrls: clientUrls,
      listenPeerUrls: [peerUrls[i]!],
      initialAdvertisePeerUrls: [peerUrls[i]!],
      initialCluster,
      initialClusterToken: `demo-${dir}`,
    };
  });
}

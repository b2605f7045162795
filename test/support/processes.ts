// A cluster of real server processes on loopback ports and temporary directories: what a user runs,
// killed, paused and restarted as users' machines are. Every wait is bounded; stop() leaves nothing
// behind, and a failure prints the logs of all members.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusResponse } from '../../src/api/maintenance.ts';
import { EtcdClient } from '../../src/client/client.ts';
import { MemberProcess } from './process-member.ts';
import { freePorts, removeDirectory, temporaryDirectory } from './process-ports.ts';
import { serverCommand } from './process-program.ts';
import { until, WaitError } from './process-wait.ts';

const READY_MS_MAX = 30_000;
const STATUS_MS = 1000;

export interface ClusterOptions {
  readonly size?: number;
  /** Default: our server. Another program must take etcd's flags. */
  readonly command?: readonly string[];
  /** For every member, beside those that make up the cluster. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Where the members keep their data. Default: a temporary directory on a disk. */
  readonly directory?: string;
  /** Flags of Node itself, by member number; --cpu-prof, say. */
  readonly nodeFlags?: (member: number) => readonly string[];
}

/** Members are numbered from 0. */
export class ProcessCluster implements AsyncDisposable {
  readonly directory: string;
  readonly members: readonly MemberProcess[];
  readonly #nodeFlags: (member: number) => readonly string[];
  readonly #ownsDirectory: boolean;
  readonly #probe: EtcdClient;

  private constructor(
    directory: string,
    members: readonly MemberProcess[],
    options: ClusterOptions,
  ) {
    this.directory = directory;
    this.members = members;
    this.#nodeFlags = options.nodeFlags ?? (() => []);
    this.#ownsDirectory = options.directory === undefined;
    this.#probe = new EtcdClient({ endpoints: this.endpoints, deadlineMs: STATUS_MS });
  }

  /** Starts all members and waits until each of them serves. */
  static async start(options: ClusterOptions = {}): Promise<ProcessCluster> {
    const cluster = await ProcessCluster.create(options);
    for (const member of cluster.#numbers()) cluster.spawn(member);
    try {
      await cluster.ready();
    } catch (error) {
      const logs = cluster.logs();
      await cluster.stop();
      throw new WaitError(`the cluster does not start: ${String(error)}\n${logs}`);
    }
    return cluster;
  }

  /** Everything but the processes. */
  static async create(options: ClusterOptions = {}): Promise<ProcessCluster> {
    const { size = 3 } = options;
    const command = options.command ?? (await serverCommand());
    const ports = await freePorts(2 * size);
    const directory = options.directory ?? temporaryDirectory();
    mkdirSync(directory, { recursive: true });
    const url = (port: number) => `http://127.0.0.1:${port}`;
    const names = Array.from({ length: size }, (_, i) => `n${i + 1}`);
    const peerUrls = names.map((_, i) => url(ports[size + i]!));
    const initialCluster = names.map((name, i) => `${name}=${peerUrls[i]}`).join(',');
    const members = names.map((name, i) => {
      const flags = {
        name,
        dataDir: join(directory, `${name}.etcd`),
        clientUrl: url(ports[i]!),
        peerUrl: peerUrls[i]!,
        initialCluster,
        token: `test-${ports[0]}`,
      };
      const extraFlags = options.flags ?? [];
      const environment = options.environment ?? {};
      return new MemberProcess({ command, flags, extraFlags, environment }, directory);
    });
    return new ProcessCluster(directory, members, options);
  }

  /** host:port of every member. */
  get endpoints(): string[] {
    return this.members.map(member => member.endpoint);
  }

  member(number: number): MemberProcess {
    const member = this.members[number];
    if (member === undefined) throw new RangeError(`no member ${number}`);
    return member;
  }

  spawn(number: number): void {
    this.member(number).spawn([], this.#nodeFlags(number));
  }

  kill(number: number): Promise<void> {
    return this.member(number).kill();
  }

  async killAll(): Promise<void> {
    await Promise.all(this.members.map(member => member.kill()));
  }

  /** Starts a member that is down, and waits until it answers with a leader. */
  async restart(number: number, timeoutMs = READY_MS_MAX): Promise<void> {
    this.spawn(number);
    await this.serving(number, timeoutMs);
  }

  /** Waits until every running member serves. */
  async ready(timeoutMs = READY_MS_MAX): Promise<void> {
    const running = this.#numbers().filter(number => this.member(number).isRunning);
    await Promise.all(running.map(number => this.serving(number, timeoutMs)));
  }

  /** Waits until the member answers a health check, which includes a linearizable read. */
  async serving(number: number, timeoutMs = READY_MS_MAX): Promise<void> {
    const member = this.member(number);
    const url = `${member.clientUrl}/health`;
    const isHealthy = async () => {
      if (!member.isRunning) return 'ended';
      const response = await fetch(url, { signal: AbortSignal.timeout(STATUS_MS) });
      return response.ok ? 'healthy' : null;
    };
    const state = await until(`${member.name} is healthy`, isHealthy, timeoutMs);
    if (state === 'ended') throw new WaitError(`${member.name} has ended\n${member.tail()}`);
  }

  /** What a member says of itself; rejects if it does not answer. */
  status(number: number, deadlineMs = STATUS_MS): Promise<StatusResponse> {
    return this.#probe.status({ endpoint: this.member(number).endpoint, deadlineMs });
  }

  /** The number of the member that leads in the highest term that a member knows of. */
  leader(timeoutMs = READY_MS_MAX): Promise<number> {
    const find = async () => {
      const leader = await this.#leaderNow();
      return leader === null ? null : { leader };
    };
    return until('a leader is known', find, timeoutMs).then(({ leader }) => leader);
  }

  /** A member that runs and does not lead. */
  async follower(timeoutMs = READY_MS_MAX): Promise<number> {
    const leader = await this.leader(timeoutMs);
    return this.#numbers().find(n => n !== leader && this.#canAnswer(n))!;
  }

  /** Waits until all running members have applied the same index. */
  async converged(timeoutMs = READY_MS_MAX): Promise<void> {
    const isEqual = async () => {
      const numbers = this.#numbers().filter(number => this.#canAnswer(number));
      const statuses = await Promise.all(numbers.map(number => this.status(number)));
      const applied = statuses.map(status => status.raftAppliedIndex);
      const commits = statuses.map(status => status.raftIndex);
      return Math.max(...commits) === Math.min(...applied);
    };
    await until('all members have applied the same', isEqual, timeoutMs);
  }

  logs(): string {
    return this.members.map(member => member.tail()).join('\n');
  }

  /** Runs a check; if it fails, the logs of all members go to the console. */
  async explain<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      console.error(this.logs());
      throw error;
    }
  }

  /** Ends all processes and removes all their files. */
  async stop(): Promise<void> {
    this.#probe.close();
    await this.killAll();
    if (this.#ownsDirectory) removeDirectory(this.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #leaderNow(): Promise<number | null> {
    let best: { term: number; number: number } | null = null;
    const answers = this.#numbers()
      .filter(number => this.#canAnswer(number))
      .map(async number => ({ number, status: await this.status(number).catch(() => null) }));
    for (const { number, status } of await Promise.all(answers)) {
      if (status === null || status.leader === 0n) continue;
      if (status.leader !== status.header?.memberId) continue;
      if (best === null || status.raftTerm > best.term) best = { term: status.raftTerm, number };
    }
    return best?.number ?? null;
  }

  #canAnswer(number: number): boolean {
    const { isRunning, isPaused } = this.member(number);
    return isRunning && !isPaused;
  }

  #numbers(): number[] {
    return this.members.map((_, number) => number);
  }
}

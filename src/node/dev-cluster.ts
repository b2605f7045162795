// A whole cluster in one process, for the first minutes, for tests, and for killing leaders.

import { join } from 'node:path';
import type { NodeId, SessionId } from '../raft/types.ts';
import { MemoryNetwork, memoryAddress } from '../transport/memory.ts';
import { createNode } from './create-node.ts';
import type { Driver } from './driver.ts';
import type { ProposalSink } from './driver-types.ts';
import { KontikiError } from './errors.ts';
import type { KontikiNode } from './node.ts';
import { SessionClient, type SessionTarget } from './session-client.ts';
import { invalid, type Settings } from './settings.ts';
import {
  type AnyStateMachine,
  type Codec,
  type Codecs,
  type CommandOf,
  jsonCodec,
  type ResultOf,
} from './state-machine.ts';
import { systemClock } from './system-clock.ts';
import { fileStorage, memoryStorage, type StorageKind } from './system-storage.ts';
import { memoryTransport } from './system-transport.ts';

export interface DevClusterOptions<M extends AnyStateMachine> extends Settings {
  /** Makes the state machine of one node; called again at each restart. */
  readonly machine: () => M;
  readonly codecs?: Codecs<M>;
  /** Real files in one directory a node below this one; memory when left out. */
  readonly dir?: string;
}

/** Quick elections: all nodes share one event loop and no network. */
const TIMING = { heartbeatMs: 30, electionMs: 150 };
const NODES_MAX = 9;
const RETRY_MS = 10;

export async function devCluster<M extends AnyStateMachine>(
  size: number,
  options: DevClusterOptions<M>,
): Promise<DevCluster<M>> {
  if (!Number.isInteger(size) || size < 1 || size > NODES_MAX) {
    throw invalid(`a devCluster has 1 to ${NODES_MAX} nodes, not ${size}.`);
  }
  const cluster = new DevCluster(size, options);
  await cluster.start();
  return cluster;
}

export class DevCluster<M extends AnyStateMachine> {
  /** Cut and heal links with it. */
  readonly network: MemoryNetwork;
  readonly #options: DevClusterOptions<M>;
  readonly #requestTimeoutMs: number;
  readonly #peers: Record<number, string> = {};
  readonly #storage = new Map<NodeId, StorageKind>();
  readonly #nodes = new Map<NodeId, KontikiNode<M>>();
  readonly #session: SessionClient<CommandOf<M>, ResultOf<M>>;

  constructor(size: number, options: DevClusterOptions<M>) {
    this.#options = options;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 5000;
    const { now, endOfTurn } = systemClock;
    this.network = new MemoryNetwork({ schedule: endOfTurn, now, encode: true });
    for (let id = 1; id <= size; id++) {
      const { dir } = options;
      this.#peers[id] = memoryAddress(id);
      this.#storage.set(id, dir === undefined ? memoryStorage() : fileStorage(join(dir, `${id}`)));
    }
    const command = (options.codecs?.command ?? jsonCodec) as Codec<CommandOf<M>>;
    const target = new AnyNode(() => this.#any().driver);
    this.#session = new SessionClient(target, systemClock, value => command.encode(value), {
      timeoutMs: this.#requestTimeoutMs,
    });
  }

  async start(): Promise<void> {
    try {
      for (const id of this.#storage.keys()) await this.restart(id);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The nodes that run. */
  get nodes(): KontikiNode<M>[] {
    return [...this.#nodes.values()];
  }

  /** Throws a KontikiError for a node that is not running. */
  node(id: NodeId): KontikiNode<M> {
    const node = this.#nodes.get(id);
    if (node === undefined) {
      throw new KontikiError(
        'STOPPED',
        'not-applied',
        `node ${id} is not running: restart(${id}).`,
      );
    }
    return node;
  }

  /** Resolves to the leader once there is one; rejects as NO_LEADER after the request timeout. */
  async leader(): Promise<KontikiNode<M>> {
    const deadline = systemClock.now() + this.#requestTimeoutMs;
    for (;;) {
      const leader = this.#newestLeader();
      if (leader !== undefined) return leader;
      if (systemClock.now() >= deadline) throw this.#noLeader();
      await pause();
    }
  }

  /** In a session, through any running node: applied exactly once, also when a leader dies. */
  propose(command: CommandOf<M>): Promise<ResultOf<M>> {
    return this.#session.propose(command);
  }

  /** Through any running node; see KontikiNode.read(). */
  read<T>(query: (machine: M) => T): Promise<T> {
    return this.#any().read(query);
  }

  /** Ends a node as a crash would: nothing more is sent or written, its disk stays. */
  async kill(node: NodeId | KontikiNode<M>): Promise<void> {
    const id = typeof node === 'number' ? node : node.id;
    const running = this.node(id);
    this.#nodes.delete(id);
    await running.kill();
  }

  /** Starts a node that does not run, from what its disk holds. */
  async restart(id: NodeId): Promise<KontikiNode<M>> {
    const storage = this.#storage.get(id);
    if (storage === undefined) throw invalid(`the cluster has no node ${id}.`);
    const running = this.#nodes.get(id);
    if (running !== undefined) return running;
    const { machine, dir, ...settings } = this.#options;
    const transport = memoryTransport(this.network);
    const where = { id, peers: this.#peers, storage, transport, machine: machine() };
    const node = await createNode<M>({ ...TIMING, ...settings, ...where });
    this.#nodes.set(id, node);
    return node;
  }

  async close(): Promise<void> {
    const nodes = this.nodes;
    this.#nodes.clear();
    await Promise.all(nodes.map(node => node.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A leader that was cut off may believe in itself a little longer. */
  #newestLeader(): KontikiNode<M> | undefined {
    const leaders = this.nodes.filter(node => node.isLeader);
    const term = (node: KontikiNode<M>) => node.report().raft.currentTerm;
    return leaders.sort((a, b) => term(b) - term(a))[0];
  }

  #any(): KontikiNode<M> {
    const [first] = this.nodes;
    const node = this.nodes.find(({ leader }) => leader !== 0) ?? first;
    if (node !== undefined) return node;
    throw new KontikiError('STOPPED', 'not-applied', 'no node is running: restart() one.');
  }

  #noLeader(): KontikiError {
    const text = `no leader within ${this.#requestTimeoutMs} ms, with nodes`;
    const running = [...this.#nodes.keys()].join(', ') || 'none';
    const next = `${running} of ${this.#storage.size} running. A majority must run.`;
    return new KontikiError('NO_LEADER', 'not-applied', `${text} ${next}`);
  }
}

/** Moves a session on to another node when its node is killed. */
class AnyNode implements SessionTarget {
  readonly #pick: () => Driver;

  constructor(pick: () => Driver) {
    this.#pick = pick;
  }

  openSession(sink: ProposalSink): void {
    this.#pick().openSession(movingOn(sink));
  }

  proposeInSession(id: SessionId, sequence: number, data: Uint8Array, sink: ProposalSink): void {
    this.#pick().proposeInSession(id, sequence, data, movingOn(sink));
  }

  closeSession(id: SessionId, sink: ProposalSink): void {
    this.#pick().closeSession(id, sink);
  }
}

function movingOn(sink: ProposalSink): ProposalSink {
  return {
    applied: (result, index, term) => sink.applied(result, index, term),
    failed(error) {
      if (error.code !== 'STOPPED') return sink.failed(error);
      const text = 'the node that had the command stopped.';
      sink.failed(new KontikiError('LEADER_CHANGED', error.outcome, text, { cause: error }));
    },
  };
}

function pause(): Promise<void> {
  return new Promise(resolve => systemClock.after(RETRY_MS, resolve));
}

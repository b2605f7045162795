// One node of a cluster, in this process: opens its storage and transport, recovers, takes part.

import type { NodeId } from '../raft/types.ts';
import type { LogStore } from '../storage/log-store.ts';
import { startError } from './errors.ts';
import { KontikiNode } from './node.ts';
import { driverSettings, logTo, peerList, REQUEST_TIMEOUT_MS, type Settings } from './settings.ts';
import type { AnyStateMachine, Codecs } from './state-machine.ts';
import { systemClock } from './system-clock.ts';
import type { StorageKind } from './system-storage.ts';
import type { TransportKind } from './system-transport.ts';

export interface NodeOptions<M extends AnyStateMachine> extends Settings {
  /** 1, 2, 3, ...; never given to another node again once it was removed. */
  readonly id: NodeId;
  /** Where the nodes find each other: `{ 1: 'host:port', ... }`, this node included. */
  readonly peers: Readonly<Record<number, string>>;
  readonly machine: M;
  /** fileStorage(dir), or memoryStorage() for a node that may forget. */
  readonly storage: StorageKind;
  /** tcpTransport(), or memoryTransport(network) within one process. */
  readonly transport: TransportKind;
  /** How commands, results and states become bytes; JSON when left out. Equal on all nodes. */
  readonly codecs?: Codecs<M>;
  /** Keeps clusters apart that reach each other by mistake. Equal on all nodes. Default 1. */
  readonly clusterId?: number;
  /** A new node that waits until changeMembership() on another one adds it. Default false. */
  readonly join?: boolean;
  /** Closes the node when aborted. */
  readonly signal?: AbortSignal;
}

/** Rejects with a KontikiError that says which option, file or address is the matter. */
export async function createNode<M extends AnyStateMachine>(
  options: NodeOptions<M>,
): Promise<KontikiNode<M>> {
  const { id, machine, signal, clusterId = 1 } = options;
  const peers = peerList(options.peers, id);
  const voters = options.join === true ? [] : peers.map(peer => peer.id);
  const driver = driverSettings(options, { id, voters, random: Math.random });
  signal?.throwIfAborted();
  const log = logTo(options.logger);
  const address = peers.find(peer => peer.id === id)!.address;
  const { trailingEntries } = driver.raft;
  try {
    const store = await options.storage.open({ clusterId, nodeId: id }, { trailingEntries, log });
    const node = await closingOnError(store, () => {
      const transport = options.transport.create({ clusterId, nodeId: id, address, log });
      const { codecs = {}, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
      const system = { clock: systemClock, store, transport, log };
      return new KontikiNode({ machine, codecs, peers, driver, requestTimeoutMs, ...system });
    });
    await node.start();
    signal?.addEventListener('abort', () => void node.close(), { once: true });
    return node;
  } catch (error) {
    throw startError(error);
  }
}

/** Once the node exists, it closes what it was given. */
async function closingOnError<T>(store: LogStore, create: () => T): Promise<T> {
  try {
    return create();
  } catch (error) {
    await store.close();
    throw error;
  }
}

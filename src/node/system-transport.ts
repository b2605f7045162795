// The kinds of peer links that a node can be given.

import type { NodeId } from '../raft/types.ts';
import type { MemoryNetwork } from '../transport/memory.ts';
import { TcpTransport } from '../transport/tcp.ts';
import type { LinkEvent, Transport } from '../transport/transport.ts';
import type { LogLevel } from './driver-types.ts';

export interface TransportRequest {
  readonly clusterId: number;
  readonly nodeId: NodeId;
  /** Under which the others find this node. */
  readonly address: string;
  /** How log lines call a node; its id when left out. */
  readonly nameOf?: (node: NodeId) => string;
  readonly log: (level: LogLevel, message: string) => void;
}

export interface TransportKind {
  create(request: TransportRequest): Transport;
}

export interface TcpTransportOptions {
  /** `host:port` to listen on, when it is not the address in `peers` (containers, NAT). */
  readonly listen?: string;
}

/** Plain TCP. Anybody who reaches the port can speak for a node: keep it on a private network. */
export function tcpTransport(options: TcpTransportOptions = {}): TransportKind {
  return {
    create({ clusterId, nodeId, address, log, nameOf = String }) {
      const listen = options.listen ?? address;
      return new TcpTransport({ clusterId, nodeId, listen, nameOf, log: linkLog(log) });
    },
  };
}

/** Links within this process. All nodes of the cluster hang on the same network. */
export function memoryTransport(network: MemoryNetwork): TransportKind {
  return {
    create: ({ clusterId, nodeId, address, log }) =>
      network.transport({ clusterId, nodeId, address, log: linkLog(log) }),
  };
}

function linkLog(log: TransportRequest['log']): (event: LinkEvent) => void {
  return ({ code, message }) => {
    const good = code === 'LISTENING' || code === 'PEER_CONNECTED';
    log(good ? 'info' : 'warn', message);
  };
}

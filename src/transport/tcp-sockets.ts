// The one seam between the links and the operating system. A TLS layer, a test's slow proxy or a
// Unix socket replaces these two functions and nothing else.

import net from 'node:net';
import type { NodeId } from '../raft/types.ts';
import type { LinkPurpose } from '../wire/handshake.ts';

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  readonly peer: NodeId;
  readonly purpose: LinkPurpose;
}

export interface SocketLayer {
  /** Begins to connect; `ready` is called once bytes can be exchanged safely. */
  dial(target: DialTarget, ready: () => void): net.Socket;
  /** A server that hands over each connection once bytes can be exchanged safely. */
  createServer(accepted: (socket: net.Socket) => void): net.Server;
}

/** After this silence the kernel probes too: it finds dead hosts while the process is stopped. */
const KEEP_ALIVE_MS = 10_000;

export const plainSockets: SocketLayer = {
  dial({ host, port }, ready) {
    const socket = net.connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    socket.once('connect', ready);
    return socket;
  },
  createServer(accepted) {
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
    return net.createServer(options, accepted);
  },
};

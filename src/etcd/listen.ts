// Listeners for client and metrics URLs. One client port carries gRPC and HTTP/1.1.

import http, { type RequestListener } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { ConfigError, parseUrl } from './config.ts';

/** Connections that the kernel keeps for us while we are busy. */
const BACKLOG = 1024;
/** An HTTP/1.1 connection on which nothing moves for this long is closed. */
const HTTP_IDLE_MS = 60_000;

export interface Listener {
  readonly url: string;
  /** The port in use, also when the URL says 0. */
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects with a ConfigError that names the flag when the address can't be had. */
export function listen(
  flag: string,
  url: string,
  accept: (socket: net.Socket) => void,
): Promise<Listener> {
  const { host, port } = parseUrl(flag, url);
  const server = net.createServer({ noDelay: true }, accept);
  return new Promise((resolve, reject) => {
    server.once('error', error => reject(listenError(flag, url, error)));
    server.listen({ host, port, backlog: BACKLOG }, () => {
      const { port: actual } = server.address() as net.AddressInfo;
      resolve({ url, port: actual, close: () => closed(server) });
    });
  });
}

/**
 * An HTTP/1.1 server that listens nowhere: sockets are handed to it. Such a server neither tracks its
 * connections nor times them out, so both are done here.
 */
export function httpSockets(handler: RequestListener) {
  const server = http.createServer(handler);
  const sockets = new Set<Duplex>();
  return {
    accept(socket: Duplex): void {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      if (socket instanceof net.Socket) {
        socket.setTimeout(HTTP_IDLE_MS, () => socket.destroy());
      }
      server.emit('connection', socket);
    },
    close(): void {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function closed(server: net.Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()));
}

function listenError(flag: string, url: string, error: NodeJS.ErrnoException): ConfigError {
  const reasons: Record<string, string> = {
    EADDRINUSE: 'the address is in use: is another server running?',
    EADDRNOTAVAIL: 'this machine has no such address',
    EACCES: 'not permitted, ports below 1024 need privileges',
    ENOTFOUND: 'the host name is not known',
  };
  return new ConfigError(
    `--${flag}: can't listen on ${url}: ${reasons[error.code ?? ''] ?? error.message}`,
  );
}

// Which ports of this machine a demo can have.

import net from 'node:net';

const HOST = '127.0.0.1';

/** The first one that another process has; null if all are free. */
export async function takenPort(ports: readonly number[]): Promise<number | null> {
  for (const port of ports) {
    const server = await listening(port);
    if (server === null) return port;
    await closed(server);
  }
  return null;
}

/** Different ones, free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: net.Server[] = [];
  while (servers.length < count) {
    const server = await listening(0);
    if (server === null) throw new Error('this machine has no free port');
    servers.push(server);
  }
  const ports = servers.map(server => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map(closed));
  return ports;
}

function listening(port: number): Promise<net.Server | null> {
  return new Promise(resolve => {
    const server = net.createServer();
    server.once('error', () => resolve(null));
    server.listen({ host: HOST, port }, () => resolve(server));
  });
}

function closed(server: net.Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()));
}

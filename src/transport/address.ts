// `host:port` of a node, the one form in which addresses are configured, advertised and shown.

import { TransportError } from './transport.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const HOST_CHARS_MAX = 255;

/** Takes `name:7001`, `10.0.0.1:7001` and `[::1]:7001`. Throws a TransportError BAD_ADDRESS. */
export function parseAddress(address: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || host.length > HOST_CHARS_MAX || !(port <= 65535)) {
    const shown = JSON.stringify(address.slice(0, HOST_CHARS_MAX));
    throw new TransportError('BAD_ADDRESS', `${shown} is not an address of the form host:port`);
  }
  return { host, port };
}

export function formatAddress({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

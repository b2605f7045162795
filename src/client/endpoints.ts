// The servers a client knows, and the connection to each. Calls go to one of them until it fails
// and then to the next. A connection is opened at the first call, and again at the first call after
// it was lost.

import { Code } from '../api/errors.ts';
import { GrpcChannel } from '../grpc/channel.ts';
import type { ChannelOptions } from '../grpc/options.ts';
import { ClientError } from './client-error.ts';

export class Endpoint {
  /** host:port */
  readonly address: string;
  readonly #options: ChannelOptions;
  #channel: GrpcChannel | null = null;

  constructor(address: string, options: ChannelOptions) {
    this.address = address;
    this.#options = options;
  }

  channel(): GrpcChannel {
    if (this.#channel === null || !this.#channel.usable) {
      this.#channel = GrpcChannel.connect(this.address, this.#options);
    }
    return this.#channel;
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }
}

export class EndpointList {
  readonly all: readonly Endpoint[];
  #current = 0;

  /** Throws a ClientError for an empty list and for what is not an endpoint. */
  constructor(endpoints: readonly string[], options: ChannelOptions) {
    if (endpoints.length === 0) throw invalid('no endpoints given');
    this.all = endpoints.map(endpoint => new Endpoint(addressOf(endpoint), options));
  }

  get current(): Endpoint {
    return this.all[this.#current]!;
  }

  /** The endpoint of this name, in any of the forms in which one can be given. */
  get(endpoint: string): Endpoint {
    const address = addressOf(endpoint);
    const found = this.all.find(one => one.address === address);
    if (found === undefined) throw invalid(`not one of the client's endpoints: ${endpoint}`);
    return found;
  }

  /** Turns to the next endpoint, unless another call that failed at this one has done so already. */
  leave(failed: Endpoint): void {
    if (this.current === failed) this.#current = (this.#current + 1) % this.all.length;
  }

  close(): void {
    for (const endpoint of this.all) endpoint.close();
  }
}

/** 'http://host:2379' or 'host:2379', IPv6 hosts in brackets, to host:port. */
export function addressOf(endpoint: string): string {
  const parts = /^(?:(\w+):\/\/)?((?:\[[0-9a-fA-F:.]+\]|[^:[\]/\s@]+):(\d{1,5}))\/?$/.exec(
    endpoint,
  );
  if (parts === null) throw invalid(`not an endpoint (host:port): ${JSON.stringify(endpoint)}`);
  const [, scheme, address, port] = parts;
  if (scheme !== undefined && scheme !== 'http') {
    throw invalid(`endpoint scheme ${scheme} is not supported: ${endpoint}`);
  }
  if (Number(port) < 1 || Number(port) > 65_535) throw invalid(`no such port: ${endpoint}`);
  return address!;
}

function invalid(text: string): ClientError {
  return new ClientError({
    code: Code.INVALID_ARGUMENT,
    text,
    outcome: 'not-applied',
    endpoint: '',
  });
}

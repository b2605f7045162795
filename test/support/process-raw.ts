// Calls below every client's courtesy: any path, any bytes, any socket. What clients would refuse to
// send must reach the server for its answer to be seen.

import { connect, type Socket } from 'node:net';
import { GrpcChannel } from '../../src/grpc/channel.ts';
import { CallError } from '../../src/grpc/status.ts';

const CALL_MS = 15_000;
const BYTES_KEPT_MAX = 1_000_000;

/** How a call ended: `message` on success, else code and text. */
export type RawAnswer =
  | { readonly code: 0; readonly message: Uint8Array }
  | { readonly code: number; readonly text: string };

/** One connection to one server. */
export class RawClient {
  readonly #channel: GrpcChannel;

  constructor(endpoint: string) {
    this.#channel = GrpcChannel.connect(endpoint);
  }

  async call(
    path: string,
    message: Uint8Array,
    metadata?: Record<string, string>,
  ): Promise<RawAnswer> {
    const options = { deadlineMs: CALL_MS, ...(metadata === undefined ? {} : { metadata }) };
    try {
      return { code: 0, message: await this.#channel.request(path, message, options) };
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      return { code: error.code, text: error.message };
    }
  }

  close(): void {
    this.#channel.close();
  }
}

/** A bare TCP connection that keeps what comes back. */
export class RawSocket {
  readonly socket: Socket;
  /** Resolves when the other side, or the network, has ended the connection. */
  readonly closed: Promise<void>;
  #received = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise(resolve => socket.once('close', () => resolve()));
    socket.on('error', () => {}); // a reset is one of the ways to be sent away
    socket.on('data', chunk => {
      if (this.#received.length < BYTES_KEPT_MAX) this.#received += chunk.toString('latin1');
    });
  }

  /** Rejects if nobody listens there. */
  static open(address: string): Promise<RawSocket> {
    const [host, port] = address.split(':') as [string, string];
    const socket = connect(Number(port), host);
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', () => resolve(new RawSocket(socket)));
    });
  }

  /** Everything received, as latin1. */
  get received(): string {
    return this.#received;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

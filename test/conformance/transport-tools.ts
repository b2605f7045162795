// Tools of the transport's own tests: a clock that is moved by hand, and raw ends of connections
// that speak as much or as little of the protocol as a test wants.

import net from 'node:net';
import type { LinkClock } from '../../src/transport/transport.ts';
import type { Hello } from '../../src/wire/handshake.ts';
import {
  encodeHello,
  HELLO_BYTES,
  WIRE_VERSION_MAX,
  WIRE_VERSION_MIN,
} from '../../src/wire/handshake.ts';

export class ManualClock implements LinkClock {
  #now = 0;
  #timers: { atMs: number; fire: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { atMs: this.#now + delayMs, fire };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter(each => each !== timer)) };
  }

  get pending(): number {
    return this.#timers.length;
  }

  /** Fires what is due, in order of time, also what becomes due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(timer => timer.atMs <= end);
      due.sort((a, b) => a.atMs - b.atMs);
      const next = due[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter(timer => timer !== next);
      this.#now = Math.max(this.#now, next.atMs);
      next.fire();
    }
    this.#now = end;
  }
}

export function helloBytes(fields: Partial<Hello>): Uint8Array {
  return encodeHello({
    versionMin: WIRE_VERSION_MIN,
    versionMax: WIRE_VERSION_MAX,
    clusterId: 7,
    nodeId: 2,
    expected: 1,
    purpose: 'messages',
    refusal: null,
    ...fields,
  });
}

/** One end of a connection, with everything that came in. */
export class RawEnd {
  readonly socket: net.Socket;
  received = Buffer.alloc(0);
  #waiters: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', chunk => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#changed();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#changed());
  }

  static dial(address: string): RawEnd {
    const [host, port] = [address.split(':')[0]!, Number(address.split(':')[1])];
    return new RawEnd(net.connect({ host, port }));
  }

  send(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.received.length < count && !this.socket.destroyed) await this.#change();
    return this.received.subarray(0, count);
  }

  async hello(): Promise<Buffer> {
    return await this.bytes(HELLO_BYTES);
  }

  async closed(): Promise<void> {
    while (!this.socket.destroyed) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise(resolve => this.#waiters.push(resolve));
  }

  #changed(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/** A listener whose connections a test answers by hand. */
export class RawServer {
  readonly #server: net.Server;
  readonly ends: RawEnd[] = [];
  #waiters: (() => void)[] = [];

  private constructor(server: net.Server) {
    this.#server = server;
    server.on('connection', socket => {
      this.ends.push(new RawEnd(socket));
      for (const wake of this.#waiters.splice(0)) wake();
    });
  }

  static async listen(): Promise<RawServer> {
    const server = net.createServer();
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return new RawServer(server);
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return `127.0.0.1:${address.port}`;
  }

  async connection(number: number): Promise<RawEnd> {
    while (this.ends.length < number) {
      await new Promise<void>(resolve => this.#waiters.push(resolve));
    }
    return this.ends[number - 1]!;
  }

  async close(): Promise<void> {
    for (const end of this.ends) end.socket.destroy();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }
}

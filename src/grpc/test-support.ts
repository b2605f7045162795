// What the socket tests of this folder share: a server on loopback with one method of every kind.
import { createServer, type Server } from 'node:net';
import type { Handlers, UnaryCall } from './calls.ts';
import { GrpcChannel } from './channel.ts';
import type { GrpcServerOptions } from './options.ts';
import { createGrpcServer, type GrpcServer } from './server.ts';
import { Status } from './status.ts';

export interface TestServer {
  readonly grpc: GrpcServer;
  readonly listener: Server;
  readonly address: string;
  /** Calls of /t.T/Hold, unanswered. */
  readonly held: UnaryCall[];
  /** Cancellations the handlers were told of. */
  readonly cancelled: string[];
  channel(): GrpcChannel;
  stop(): Promise<void>;
}

function handlers(held: UnaryCall[], cancelled: string[]): Handlers {
  const watch = (call: { onCancel: unknown; path: string }): void => {
    call.onCancel = () => void cancelled.push(call.path);
  };
  return {
    '/t.T/Echo': { kind: 'unary', handle: (call, message) => call.respond(message) },
    '/t.T/Meta': {
      kind: 'unary',
      handle: call => call.respond(Buffer.from(JSON.stringify(call.metadata.entries()))),
    },
    '/t.T/Deadline': {
      kind: 'unary',
      handle: call => call.respond(Buffer.from(String(call.deadlineMs))),
    },
    '/t.T/Fail': { kind: 'unary', handle: call => call.fail(Status.NOT_FOUND, 'nöt % found') },
    '/t.T/Hold': {
      kind: 'unary',
      handle: call => {
        watch(call);
        held.push(call);
      },
    },
    '/t.T/Count': {
      kind: 'serverStream',
      handle: (call, message) => {
        for (let i = 0; i < message[0]!; i++) call.send(Uint8Array.of(i));
        call.end();
      },
    },
    '/t.T/Sum': {
      kind: 'clientStream',
      handle: call => {
        let sum = 0;
        call.onMessage = message => void (sum += message.length);
        call.onHalfClose = () => {
          call.send(Buffer.from(String(sum)));
          call.end();
        };
      },
    },
    '/t.T/Bidi': {
      kind: 'bidi',
      handle: call => {
        watch(call);
        call.sendHeaders();
        call.onDrain = () => call.resume();
        call.onMessage = message => {
          if (!call.send(message)) call.pause();
        };
        call.onHalfClose = () => call.end();
      },
    },
  };
}

export async function startServer(
  options: Omit<GrpcServerOptions, 'handlers'> = {},
): Promise<TestServer> {
  const held: UnaryCall[] = [];
  const cancelled: string[] = [];
  const grpc = createGrpcServer({ ...options, handlers: handlers(held, cancelled) });
  const listener = createServer({ noDelay: true }, socket => grpc.accept(socket));
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
  const address = '127.0.0.1:' + (listener.address() as { port: number }).port;
  const channels: GrpcChannel[] = [];
  return {
    grpc,
    listener,
    address,
    held,
    cancelled,
    channel: () => {
      const channel = GrpcChannel.connect(address);
      channels.push(channel);
      return channel;
    },
    stop: () => {
      for (const channel of channels) channel.close();
      grpc.close();
      return new Promise(resolve => listener.close(() => resolve()));
    },
  };
}

/** Resolves when the condition holds; the test's own timeout is the bound. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve));
}

/** The error a promise rejects with; fails when it does not. */
export async function failure(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('expected a rejection');
}

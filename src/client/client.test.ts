// The client against real servers on loopback that answer what a test tells them to.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { etcdErrors } from '../api/errors.ts';
import { encodeHealthCheckResponse } from '../api/health-codec.ts';
import {
  decodePutRequest,
  decodeRangeRequest,
  encodePutResponse,
  encodeRangeResponse,
} from '../api/kv-codec.ts';
import { methods } from '../api/methods.ts';
import { toBytes } from '../api/proto-writer.ts';
import { decodeTxnRequest, encodeTxnResponse } from '../api/txn-codec.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import { createGrpcServer } from '../grpc/server.ts';
import { EtcdClient } from './client.ts';
import { ClientError } from './client-error.ts';
import { op, when } from './operations.ts';

type Handle = (call: UnaryCall, message: Uint8Array) => void;

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const close of cleanup.splice(0)) close();
});

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server with these methods; gives its address. */
async function serve(handlers: Record<string, Handle>): Promise<string> {
  const grpc = createGrpcServer({
    handlers: Object.fromEntries(
      Object.entries(handlers).map(([path, handle]) => [path, { kind: 'unary', handle }]),
    ),
  });
  const server = createServer(socket => grpc.accept(socket));
  cleanup.push(() => {
    server.close();
    grpc.close();
  });
  return listen(server);
}

/** An address where nobody listens. */
async function nobody(): Promise<string> {
  const server = createServer();
  const address = await listen(server);
  server.close();
  await once(server, 'close');
  return address;
}

function clientOf(...endpoints: string[]): EtcdClient {
  const client = new EtcdClient({ endpoints });
  cleanup.push(() => client.close());
  return client;
}

async function errorOf(promise: Promise<unknown>): Promise<ClientError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ClientError);
  return error as ClientError;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const header = { clusterId: 1n, memberId: 2n, revision: 7, raftTerm: 3 };
const kv = (key: Uint8Array) => ({
  key,
  createRevision: 1,
  modRevision: 2,
  version: 1,
  value: bytes('v'),
  lease: 0n,
});
const noMore = { header, more: false, count: 0 };
const answerPut: Handle = call =>
  call.respond(toBytes(encodePutResponse, { header, prevKv: null }));
const answerRange: Handle = (call, message) => {
  const kvs = [kv(decodeRangeRequest(message).key)];
  call.respond(toBytes(encodeRangeResponse, { ...noMore, kvs }));
};
const unavailable: Handle = call => call.fail(14, etcdErrors.noLeader.text);

describe('requests and answers', () => {
  test('put sends key, value and options, and gives the header', async () => {
    let seen: unknown;
    const address = await serve({
      [methods.kv.put.path]: (call, message) => {
        seen = decodePutRequest(message);
        answerPut(call, message);
      },
    });
    const answer = await clientOf(address).put('k', 'v', { lease: 5n, deadlineMs: 2000 });
    expect(answer).toEqual({ header, prevKv: null });
    const flags = { prevKv: false, ignoreValue: false, ignoreLease: false };
    expect(seen).toEqual({ key: bytes('k'), value: bytes('v'), lease: 5n, ...flags });
  });

  test('get gives the key, or null if there is none', async () => {
    const found = await serve({ [methods.kv.range.path]: answerRange });
    expect(await clientOf(found).get('k')).toEqual(kv(bytes('k')));
    const missing = await serve({
      [methods.kv.range.path]: call => {
        call.respond(toBytes(encodeRangeResponse, { ...noMore, kvs: [] }));
      },
    });
    expect(await clientOf(missing).get('k')).toBeNull();
  });

  test('getAll reads page after page at the revision of the first', async () => {
    const asked: unknown[] = [];
    const address = await serve({
      [methods.kv.range.path]: (call, message) => {
        const { key, rangeEnd, revision } = decodeRangeRequest(message);
        asked.push([[...key], [...rangeEnd], revision]);
        const page = { header, kvs: [kv(Uint8Array.of(9, asked.length))], count: 3 };
        call.respond(toBytes(encodeRangeResponse, { ...page, more: asked.length < 3 }));
      },
    });
    const all = await clientOf(address).getAll(Uint8Array.of(9));
    expect(all.map(one => [...one.key])).toEqual([
      [9, 1],
      [9, 2],
      [9, 3],
    ]);
    expect(asked).toEqual([
      [[9], [10], 0],
      [[9, 1, 0], [10], 7],
      [[9, 2, 0], [10], 7],
    ]);
  });

  test('txn sends conditions and both branches', async () => {
    let seen: unknown;
    const address = await serve({
      [methods.kv.txn.path]: (call, message) => {
        seen = decodeTxnRequest(message);
        call.respond(toBytes(encodeTxnResponse, { header, succeeded: true, responses: [] }));
      },
    });
    const request = {
      compare: [when.modRevision('k', '=', 0)],
      success: [op.put('k', 'v')],
      failure: [op.get('k')],
    };
    expect((await clientOf(address).txn(request)).succeeded).toBe(true);
    expect(seen).toEqual(request);
  });

  test('health is about the endpoint that was named', async () => {
    const path = methods.health.check.path;
    const state =
      (status: number): Handle =>
      call =>
        call.respond(toBytes(encodeHealthCheckResponse, { status }));
    const [good, bad] = [await serve({ [path]: state(1) }), await serve({ [path]: state(2) })];
    const client = clientOf(good, bad);
    expect(await client.health({ endpoint: `http://${good}` })).toBe(true);
    expect(await client.health({ endpoint: bad })).toBe(false);
    expect((await errorOf(client.health({ endpoint: 'other:1' }))).code).toBe(3);
  });
});

describe('failures', () => {
  test('a read goes on to the next endpoint when a server is unavailable', async () => {
    const down = await nobody();
    const leaderless = await serve({ [methods.kv.range.path]: unavailable });
    const up = await serve({ [methods.kv.range.path]: answerRange });
    expect(await clientOf(down, leaderless, up).get('k')).not.toBeNull();
  });

  test('a write that no server has seen goes on to the next endpoint', async () => {
    const up = await serve({ [methods.kv.put.path]: answerPut });
    expect((await clientOf(await nobody(), up).put('k', 'v')).header).toEqual(header);
  });

  test('a write that a server may have applied is not repeated, and its outcome is unknown', async () => {
    let puts = 0;
    const count: Handle = (call, message) => {
      puts++;
      unavailable(call, message);
    };
    const one = await serve({ [methods.kv.put.path]: count });
    const other = await serve({ [methods.kv.put.path]: count });
    const error = await errorOf(clientOf(one, other).put('k', 'v'));
    expect(error).toMatchObject({ code: 14, text: 'etcdserver: no leader', outcome: 'unknown' });
    expect(error.endpoint).toBe(one);
    expect(puts).toBe(1);
  });

  test('a write whose connection breaks before the answer has an unknown outcome', async () => {
    const sockets: Socket[] = [];
    const grpc = createGrpcServer({
      handlers: {
        [methods.kv.put.path]: { kind: 'unary', handle: () => sockets[0]!.destroy() },
      },
    });
    const server = createServer(socket => {
      sockets.push(socket);
      grpc.accept(socket);
    });
    cleanup.push(() => server.close());
    const error = await errorOf(clientOf(await listen(server)).put('k', 'v'));
    expect(error).toMatchObject({ code: 14, outcome: 'unknown' });
  });

  test('a refused write was not applied', async () => {
    const { code, text } = etcdErrors.leaseNotFound;
    const address = await serve({ [methods.kv.put.path]: call => call.fail(code, text) });
    const error = await errorOf(clientOf(address).put('k', 'v'));
    expect(error).toMatchObject({ code, text, outcome: 'not-applied' });
  });

  test('a code that did not come from etcd itself leaves the outcome unknown', async () => {
    const address = await serve({
      [methods.kv.put.path]: call => call.fail(8, 'grpc: received message larger than max'),
    });
    expect((await errorOf(clientOf(address).put('k', 'v'))).outcome).toBe('unknown');
  });

  test('a failed read has no outcome', async () => {
    const { code, text } = etcdErrors.compacted;
    const address = await serve({ [methods.kv.range.path]: call => call.fail(code, text) });
    const error = await errorOf(clientOf(address).get('k', { revision: 1 }));
    expect(error).toMatchObject({ code, text, outcome: null });
  });

  test('an answer that is not readable is an INTERNAL error of unknown outcome', async () => {
    const address = await serve({ [methods.kv.put.path]: call => call.respond(Uint8Array.of(7)) });
    const error = await errorOf(clientOf(address).put('k', 'v'));
    expect(error).toMatchObject({ code: 13, outcome: 'unknown' });
  });

  test('a server that never answers costs the deadline, and the next call asks another', async () => {
    const mute = await serve({ [methods.kv.put.path]: () => {} });
    const up = await serve({ [methods.kv.put.path]: answerPut });
    const client = clientOf(mute, up);
    const error = await errorOf(client.put('k', 'v', { deadlineMs: 60 }));
    expect(error).toMatchObject({ code: 4, outcome: 'unknown', endpoint: mute });
    expect((await client.put('k', 'v')).header).toEqual(header);
  });

  test('a read with all endpoints down ends with its deadline and names the reason', async () => {
    const error = await errorOf(clientOf(await nobody()).get('k', { deadlineMs: 120 }));
    expect(error.code).toBe(4);
    expect(error.text).toContain('connection refused');
  });

  test('a lost connection is opened again at the next call', async () => {
    const grpc = createGrpcServer({
      handlers: { [methods.kv.range.path]: { kind: 'unary', handle: answerRange } },
    });
    const sockets: Socket[] = [];
    const server = createServer(socket => {
      sockets.push(socket);
      grpc.accept(socket);
    });
    cleanup.push(() => server.close());
    const client = clientOf(await listen(server));
    await client.get('k');
    sockets[0]!.destroy();
    await once(sockets[0]!, 'close');
    expect(await client.get('k')).not.toBeNull();
    expect(sockets.length).toBe(2);
  });

  test('a closed client refuses calls, and ends those in flight', async () => {
    let arrived = () => {};
    const inFlight = new Promise<void>(resolve => {
      arrived = resolve;
    });
    const address = await serve({ [methods.kv.put.path]: () => arrived() });
    const client = clientOf(address);
    const pending = errorOf(client.put('k', 'v'));
    await inFlight;
    await client[Symbol.asyncDispose]();
    expect(await pending).toMatchObject({ code: 14, outcome: 'unknown' });
    const late = await errorOf(client.put('k', 'v'));
    expect(late).toMatchObject({ code: 14, outcome: 'not-applied', text: 'the client is closed' });
  });

  test('malformed endpoints are refused', () => {
    for (const endpoint of [
      '',
      'host',
      'host:0',
      'host:99999',
      'ftp://host:1',
      'https://h:1',
      'a b:1',
    ]) {
      expect(() => new EtcdClient({ endpoints: [endpoint] })).toThrow(ClientError);
    }
    expect(() => new EtcdClient({ endpoints: [] })).toThrow('no endpoints');
    expect(new EtcdClient({ endpoints: ['http://[::1]:2379/', 'h:1'] }).endpoints).toEqual([
      '[::1]:2379',
      'h:1',
    ]);
  });
});

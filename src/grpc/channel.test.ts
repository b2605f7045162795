// Our client against our server over real sockets: every kind of call, every way to end one.
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClientStream } from './calls.ts';
import { GrpcChannel, parseAddress } from './channel.ts';
import { CallError, Status } from './status.ts';
import { failure, startServer, type TestServer, until } from './test-support.ts';

let server: TestServer;
let channel: GrpcChannel;
beforeEach(async () => {
  server = await startServer();
  channel = server.channel();
});
afterEach(() => server.stop());

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** Everything a stream says until its end. */
function collect(
  stream: ClientStream,
): Promise<{ messages: Uint8Array[]; error: CallError | null }> {
  const messages: Uint8Array[] = [];
  return new Promise(resolve => {
    stream.onMessage = message => void messages.push(message);
    stream.onEnd = error => resolve({ messages, error });
  });
}

describe('unary calls', () => {
  test('a message comes back, empty, small, and larger than every window', async () => {
    for (const size of [0, 1, 300, 70_000, 2_097_152]) {
      const message = new Uint8Array(size).fill(size & 0xff);
      const answer = await channel.request('/t.T/Echo', message);
      expect(Buffer.compare(Buffer.from(answer), Buffer.from(message))).toBe(0);
    }
  });

  test('1000 calls at once all get their own answer on one connection', async () => {
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => channel.request('/t.T/Echo', Buffer.from('n' + i))),
    );
    expect(answers.map(text)).toEqual(Array.from({ length: 1000 }, (_, i) => 'n' + i));
    expect(server.grpc.stats().connectionsTotal).toBe(1);
  });

  test('metadata arrives, repeated and changed', async () => {
    const metadata = { token: 'secret', 'x-y': 'z', 'k-bin': Uint8Array.of(1, 2) };
    for (let i = 0; i < 3; i++) {
      const seen = JSON.parse(
        text(await channel.request('/t.T/Meta', new Uint8Array(1), { metadata })),
      );
      expect(seen).toEqual(
        expect.arrayContaining([
          ['token', 'secret'],
          ['k-bin', 'AQI='],
        ]),
      );
    }
    const other = await channel.request('/t.T/Meta', new Uint8Array(1), {
      metadata: { token: 'b' },
    });
    expect(text(other)).toContain('["token","b"]');
    expect(text(other)).not.toContain('x-y');
  });

  test('an error carries code and text, and says that the server has seen the call', async () => {
    const error = await failure(channel.request('/t.T/Fail', new Uint8Array(1)));
    expect(error).toBeInstanceOf(CallError);
    expect([error['code'], error.message, error['sent']]).toEqual([5, 'nöt % found', true]);
  });

  test("the deadline reaches the handler and ends the call with etcd's words", async () => {
    const told = await channel.request('/t.T/Deadline', new Uint8Array(1), { deadlineMs: 5000 });
    expect(text(told)).toBe('5000');
    const error = await failure(
      channel.request('/t.T/Hold', new Uint8Array(1), { deadlineMs: 30 }),
    );
    expect([error['code'], error.message]).toEqual([4, 'context deadline exceeded']);
    await until(() => server.cancelled.length === 1);
    expect(server.held[0]!.ended).toBe(true);
  });

  test('a cancelled call ends at once and its handler is told', async () => {
    const ended = new Promise<CallError | null>(resolve => {
      const call = channel.unary('/t.T/Hold', new Uint8Array(1), null, error => resolve(error));
      void until(() => server.held.length === 1).then(() => call.cancel());
    });
    expect((await ended)?.code).toBe(Status.CANCELLED);
    await until(() => server.cancelled.length === 1);
    expect(server.held[0]!.cancelled).toBe(true);
  });

  test("a request over the limit is refused in gRPC's words, the connection lives on", async () => {
    const error = await failure(channel.request('/t.T/Echo', new Uint8Array(2_500_010)));
    expect(error.message).toBe('grpc: received message larger than max (2500010 vs. 2097152)');
    expect(error['code']).toBe(Status.RESOURCE_EXHAUSTED);
    expect(text(await channel.request('/t.T/Echo', Buffer.from('on')))).toBe('on');
  });

  test('counters tell calls by method and code, and bytes', async () => {
    await channel.request('/t.T/Echo', new Uint8Array(100));
    await failure(channel.request('/t.T/Fail', new Uint8Array(1)));
    const stats = server.grpc.stats();
    const of = (path: string) => stats.methods.find(method => method.path === path)!;
    expect([of('/t.T/Echo').started, of('/t.T/Echo').handled[0]]).toEqual([1, 1]);
    expect(of('/t.T/Fail').handled[5]).toBe(1);
    expect(stats.bytesIn).toBeGreaterThan(100);
    expect(stats.bytesOut).toBeGreaterThan(100);
    expect(stats.activeCalls).toBe(0);
  });

  test('bad paths, metadata and addresses are told before anything is sent', () => {
    const call = (path: string, metadata = {}): void => {
      channel.unary(path, new Uint8Array(0), { metadata }, () => {});
    };
    expect(() => call('no-slash')).toThrow('not a method path');
    expect(() => call('/a/b', { 'Bad Name': 'x' })).toThrow('bad metadata name');
    expect(() => call('/a/b', { ok: 'line\nend' })).toThrow('bad metadata value');
    for (const bad of ['', 'host', 'host:0', 'host:70000', 'a:b:1', '[::1]']) {
      expect(() => parseAddress(bad)).toThrow('not a host:port');
    }
    expect(parseAddress('[::1]:2379')).toEqual({ host: '::1', port: 2379 });
  });
});

describe('streams', () => {
  test('server, client and both sides stream', async () => {
    const count = channel.stream('/t.T/Count');
    const counted = collect(count);
    count.send(Uint8Array.of(5));
    count.halfClose();
    expect((await counted).messages.map(m => m[0])).toEqual([0, 1, 2, 3, 4]);

    const sum = channel.stream('/t.T/Sum');
    const summed = collect(sum);
    for (let i = 0; i < 20; i++) sum.send(new Uint8Array(50_000));
    sum.halfClose();
    expect(text((await summed).messages[0]!)).toBe('1000000');

    const bidi = channel.stream('/t.T/Bidi');
    const echoed = collect(bidi);
    for (let i = 0; i < 100; i++) bidi.send(new Uint8Array(20_000).fill(i));
    bidi.halfClose();
    const { messages, error } = await echoed;
    expect(error).toBeNull();
    expect(messages.map(m => [m.length, m[0]])).toEqual(
      Array.from({ length: 100 }, (_, i) => [20_000, i]),
    );
  });

  test('a client that does not read slows the server, which slows the client', async () => {
    const stream = channel.stream('/t.T/Bidi');
    let got = 0;
    let drained = false;
    stream.pause();
    stream.onMessage = message => void (got += message.length);
    stream.onDrain = () => void (drained = true);
    const ended = new Promise(resolve => void (stream.onEnd = resolve));
    await channel.ready();
    let sent = 0;
    for (let open = true; open; sent += 100_000) {
      open = stream.send(new Uint8Array(100_000));
      await new Promise(resolve => setImmediate(resolve));
      expect(sent).toBeLessThan(60_000_000);
    }
    expect(got).toBe(0);
    expect(server.grpc.stats().bytesIn).toBeLessThan(sent + 100_000);
    stream.resume();
    await until(() => drained);
    stream.halfClose();
    expect(await ended).toBeNull();
    expect(got).toBe(sent);
  });

  test('cancelling a stream tells its handler', async () => {
    const stream = channel.stream('/t.T/Bidi');
    const ended = collect(stream);
    await new Promise<void>(resolve => void (stream.onHeaders = resolve));
    stream.cancel();
    expect((await ended).error?.code).toBe(Status.CANCELLED);
    await until(() => server.cancelled.length === 1);
    expect(server.grpc.stats().activeCalls).toBe(0);
  });
});

describe('connections', () => {
  test('a refused connection is UNAVAILABLE with the address, and nothing was sent', async () => {
    const free = createServer();
    await new Promise<void>(resolve => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as { port: number };
    await new Promise(resolve => free.close(resolve));
    const nowhere = GrpcChannel.connect('127.0.0.1:' + port);
    const error = await failure(nowhere.request('/t.T/Echo', new Uint8Array(1)));
    expect([error['code'], error['sent']]).toEqual([Status.UNAVAILABLE, false]);
    expect(error.message).toBe('cannot connect to 127.0.0.1:' + port + ': connection refused');
    expect(nowhere.usable).toBe(false);
    await expect(nowhere.ready()).rejects.toThrow('connection refused');
  });

  test('a lost connection ends running calls as sent', async () => {
    const call = channel.request('/t.T/Hold', new Uint8Array(1));
    await until(() => server.held.length === 1);
    const other = failure(call);
    server.grpc.close();
    const error = await other;
    expect([error['code'], error['sent']]).toEqual([Status.UNAVAILABLE, true]);
    expect(error.message).toBe('server is shutting down');
  });

  test('a draining server lets running calls end and takes no new ones', async () => {
    const running = channel.request('/t.T/Hold', new Uint8Array(1));
    await until(() => server.held.length === 1);
    const drained = server.grpc.drain(10_000);
    await until(() => !channel.usable);
    const refused = await failure(channel.request('/t.T/Echo', new Uint8Array(1)));
    expect([refused['code'], refused['sent']]).toEqual([Status.UNAVAILABLE, false]);
    server.held[0]!.respond(Buffer.from('done'));
    expect(text(await running)).toBe('done');
    await drained;
    expect(server.grpc.stats().connections).toBe(0);
  });

  test('a drain past its bound ends the calls that are left', async () => {
    const running = failure(channel.request('/t.T/Hold', new Uint8Array(1)));
    await until(() => server.held.length === 1);
    await server.grpc.drain(30);
    expect((await running)['code']).toBe(Status.UNAVAILABLE);
  });

  test("calls beyond the server's stream limit wait their turn", async () => {
    const small = await startServer({ limits: { concurrentStreamsMax: 3 } });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => small.channel().request('/t.T/Echo', Buffer.from('x'))),
    );
    const one = small.channel();
    const more = await Promise.all(
      Array.from({ length: 200 }, () => one.request('/t.T/Echo', Buffer.from('x'))),
    );
    expect(answers.length + more.length).toBe(220);
    await small.stop();
  });

  test('calls made and given up before the connection stands were never sent', async () => {
    const fresh = server.channel();
    const results: (CallError | null)[] = [];
    const call = fresh.unary('/t.T/Echo', new Uint8Array(1), null, error => results.push(error));
    call.cancel();
    expect(results.map(error => [error?.code, error?.sent])).toEqual([[Status.CANCELLED, false]]);
  });

  test('HTTP/1.1 on the same port reaches the other server, also cut into pieces', async () => {
    const http = createHttpServer((_request, response) => {
      response.setHeader('connection', 'close').end('plain');
    });
    const both = await startServer({
      http1: (socket: Duplex) => void http.emit('connection', socket),
    });
    const response = await fetch('http://' + both.address + '/health');
    expect(await response.text()).toBe('plain');
    const socket: Socket = connect(parseAddress(both.address));
    let heard = '';
    socket.on('data', chunk => void (heard += chunk));
    for (const part of ['P', 'OST / HTTP/1.1\r\nhost: a\r\ncontent-', 'length: 0\r\n\r\n']) {
      socket.write(part);
      await new Promise(resolve => setImmediate(resolve));
    }
    await until(() => heard.includes('plain'));
    socket.destroy();
    expect(text(await both.channel().request('/t.T/Echo', Buffer.from('h2')))).toBe('h2');
    http.closeAllConnections();
    await both.stop();
  });

  test('a socket that says nothing is closed after its time', async () => {
    const strict = await startServer({ limits: { handshakeMs: 20 } });
    const socket = connect(parseAddress(strict.address));
    await new Promise<void>(resolve => socket.on('close', () => resolve()));
    expect(socket.destroyed).toBe(true);
    await strict.stop();
  });

  test('a server that does not speak HTTP/2 is told apart', async () => {
    const http = createHttpServer();
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as { port: number };
    const wrong = GrpcChannel.connect('127.0.0.1:' + port);
    const error = await failure(wrong.request('/t.T/Echo', new Uint8Array(1)));
    expect([error['code'], error['sent']]).toEqual([Status.UNAVAILABLE, false]);
    http.closeAllConnections();
    await new Promise(resolve => http.close(resolve));
  });
});

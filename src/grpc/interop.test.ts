// Our server under stock clients, and our client against a stock server: node:http2 (nghttp2) and
// grpc-js judge what we say, with their own Huffman code, windows, padding and timing.
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { gzipSync } from 'node:zlib';
import * as grpcJs from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GrpcChannel } from './channel.ts';
import { failure, startServer, type TestServer, until } from './test-support.ts';

let server: TestServer;
beforeEach(async () => {
  server = await startServer();
});
afterEach(() => server.stop());

function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

describe('node:http2 as the client', () => {
  interface Answer {
    headers: Record<string, unknown>;
    trailers: Record<string, unknown>;
    body: Buffer;
  }

  async function call(
    path: string,
    body: Buffer,
    extra: Record<string, string> = {},
  ): Promise<Answer> {
    const session = connectHttp2('http://' + server.address, { paddingStrategy: 1 });
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...extra,
    });
    const answer: Answer = { headers: {}, trailers: {}, body: Buffer.alloc(0) };
    const parts: Buffer[] = [];
    stream.on('response', headers => void (answer.headers = { ...headers }));
    stream.on('trailers', trailers => void (answer.trailers = { ...trailers }));
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.end(body);
    await new Promise((resolve, reject) => stream.on('close', resolve).on('error', reject));
    session.close();
    answer.body = Buffer.concat(parts);
    return answer;
  }

  test('an answer has status, content type, message and trailers', async () => {
    const answer = await call('/t.T/Echo', framed(Buffer.from('hello')));
    expect(answer.headers[':status']).toBe(200);
    expect(answer.headers['content-type']).toBe('application/grpc');
    expect(answer.body).toEqual(framed(Buffer.from('hello')));
    expect(answer.trailers['grpc-status']).toBe('0');
  });

  test('headers in any characters, coded by its Huffman coder, arrive unharmed', async () => {
    const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).join('');
    const long = 'aeiost012'.repeat(500);
    const answer = await call('/t.T/Meta', framed(Buffer.alloc(1)), { 'x-all': printable, long });
    const seen = new Map<string, string>(JSON.parse(answer.body.subarray(5).toString()));
    expect(seen.get('x-all')).toBe(printable);
    expect(seen.get('long')).toBe(long);
  });

  test('headers larger than a frame come as CONTINUATION and are read', async () => {
    const big = Array.from({ length: 30_000 }, (_, i) => '{|}~'[i % 4]).join('');
    const answer = await call('/t.T/Meta', framed(Buffer.alloc(1)), { big });
    expect(answer.body.length).toBeGreaterThan(30_000);
  });

  test('messages larger than its default windows pass both ways', async () => {
    const message = Buffer.alloc(1_900_000, 'x');
    const { body } = await call('/t.T/Echo', framed(message));
    expect(body.equals(framed(message))).toBe(true);
  });

  test('a gzip message is inflated, a bomb is not', async () => {
    const gzip = { 'grpc-encoding': 'gzip' };
    const small = await call('/t.T/Echo', framed(gzipSync(Buffer.from('zipped')), 1), gzip);
    expect(small.body).toEqual(framed(Buffer.from('zipped')));
    const bomb = await call('/t.T/Echo', framed(gzipSync(Buffer.alloc(50_000_000)), 1), gzip);
    expect(bomb.headers['grpc-status']).toBe('8');
  });

  test('HTTP errors are HTTP errors', async () => {
    const answer = await call('/t.T/Echo', Buffer.alloc(0), { 'content-type': 'text/plain' });
    expect(answer.headers[':status']).toBe(415);
  });
});

describe('grpc-js as the client', () => {
  const same = (bytes: Buffer): Buffer => bytes;
  let client: grpcJs.Client;
  beforeEach(() => {
    client = new grpcJs.Client(server.address, grpcJs.credentials.createInsecure());
  });
  afterEach(() => client.close());

  function unary(
    path: string,
    message: Buffer,
    options: grpcJs.CallOptions = {},
    metadata = new grpcJs.Metadata(),
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, message, metadata, options, (error, answer) => {
        if (error !== null) reject(error);
        else resolve(answer!);
      });
    });
  }

  test('1000 calls at once all get their own answer', async () => {
    const all = Array.from({ length: 1000 }, (_, i) => Buffer.from('call ' + i));
    expect(await Promise.all(all.map(message => unary('/t.T/Echo', message)))).toEqual(all);
  });

  test('metadata, errors and limits arrive as they are', async () => {
    const metadata = new grpcJs.Metadata();
    metadata.set('hasleader', 'true');
    metadata.set('raw-bin', Buffer.from([0, 255]));
    const seen = String(await unary('/t.T/Meta', Buffer.alloc(1), {}, metadata));
    expect(seen).toContain('["hasleader","true"]');
    expect(seen).toMatch(/\["raw-bin","AP8=?"\]/);
    const notFound = await failure(unary('/t.T/Fail', Buffer.alloc(1)));
    expect([notFound['code'], notFound['details']]).toEqual([5, 'nöt % found']);
    const unknown = await failure(unary('/t.T/Nope', Buffer.alloc(1)));
    expect([unknown['code'], unknown['details']]).toEqual([
      12,
      'unknown method Nope for service t.T',
    ]);
    const large = await failure(unary('/t.T/Echo', Buffer.alloc(2_500_010)));
    expect([large['code'], large['details']]).toEqual([
      8,
      'grpc: received message larger than max (2500010 vs. 2097152)',
    ]);
  });

  test('deadline and cancellation reach the handler', async () => {
    await unary('/t.T/Echo', Buffer.alloc(1)); // connects, so that the deadline is the call's alone
    const deadline = new Date(Date.now() + 300);
    const late = await failure(unary('/t.T/Hold', Buffer.alloc(1), { deadline }));
    expect(late['code']).toBe(4);
    await until(() => server.cancelled.length === 1);
    const call = client.makeUnaryRequest('/t.T/Hold', same, same, Buffer.alloc(1), () => {});
    await until(() => server.held.length === 2);
    call.cancel();
    await until(() => server.cancelled.length === 2);
    expect(server.grpc.stats().activeCalls).toBe(0);
  });

  test('bidirectional streams echo far more than the windows hold', async () => {
    const stream = client.makeBidiStreamRequest('/t.T/Bidi', same, same);
    const sizes: number[] = [];
    stream.on('data', (message: Buffer) => sizes.push(message.length));
    const status = new Promise<grpcJs.StatusObject>(resolve => stream.on('status', resolve));
    for (let i = 0; i < 60; i++) stream.write(Buffer.alloc(i * 2000));
    stream.end();
    expect((await status).code).toBe(0);
    expect(sizes).toEqual(Array.from({ length: 60 }, (_, i) => i * 2000));
  });

  test('a drained server loses it no call', async () => {
    const running = unary('/t.T/Hold', Buffer.alloc(1));
    await until(() => server.held.length === 1);
    const drained = server.grpc.drain(10_000);
    server.held[0]!.respond(Buffer.from('kept'));
    expect(String(await running)).toBe('kept');
    await drained;
  });
});

describe('node:http2 as the server', () => {
  test('our client understands its answers, windows and refusals', async () => {
    const stock = createHttp2Server();
    stock.on('stream', (stream, headers) => {
      stream.on('error', () => {}); // node reports its own refusal here
      if (headers[':path'] === '/t.T/Refuse') return stream.close(7);
      if (headers[':path'] === '/t.T/Web')
        return stream.respond({ ':status': 404 }, { endStream: true });
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () =>
          stream.sendTrailers({ 'grpc-status': '0', 'x-seen': String(headers['token']) }),
        );
        stream.end(Buffer.concat(parts));
      });
    });
    await new Promise<void>(resolve => stock.listen(0, '127.0.0.1', resolve));
    const { port } = stock.address() as { port: number };
    const channel = GrpcChannel.connect('127.0.0.1:' + port);
    const big = new Uint8Array(3_000_000).fill(9);
    expect((await channel.request('/t.T/Echo', big)).length).toBe(big.length);
    const all = await Promise.all(
      Array.from({ length: 300 }, (_, i) => channel.request('/t.T/Echo', Buffer.from('c' + i))),
    );
    expect(all.map(String)).toEqual(Array.from({ length: 300 }, (_, i) => 'c' + i));
    const seen = await new Promise(resolve => {
      const options = { metadata: { token: 't-1' } };
      channel.unary('/t.T/Echo', new Uint8Array(1), options, (_error, _answer, call) =>
        resolve(call.trailers?.get('x-seen')),
      );
    });
    expect(seen).toBe('t-1');
    const refused = await failure(channel.request('/t.T/Refuse', new Uint8Array(1)));
    expect([refused['code'], refused['sent']]).toEqual([14, false]);
    const web = await failure(channel.request('/t.T/Web', new Uint8Array(1)));
    expect([web['code'], web.message]).toEqual([12, 'unexpected HTTP status 404 from the server']);
    channel.close();
    await new Promise(resolve => stock.close(resolve));
  });
});

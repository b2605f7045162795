// Requests that no good client sends, and bytes that are no requests. Each gets a clear answer, with
// etcd's code and text where etcd has one; afterwards every process is up and nothing is lost.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Compare, PutRequest, RequestOp, TxnRequest } from '../../src/api/kv.ts';
import {
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
} from '../../src/api/kv-codec.ts';
import { methods } from '../../src/api/methods.ts';
import { toBytes } from '../../src/api/proto-writer.ts';
import { encodeTxnRequest } from '../../src/api/txn-codec.ts';
import { EtcdClient } from '../../src/client/client.ts';
import {
  deleteRequest,
  keyRange,
  op,
  putRequest,
  rangeRequest,
  when,
} from '../../src/client/operations.ts';
import { type RawAnswer, RawClient, RawSocket } from '../support/process-raw.ts';
import { ProcessCluster } from '../support/processes.ts';

const NO_BYTES = new Uint8Array(0);
const MESSAGE_BYTES_MAX = 2_097_152;
const REQUEST_BYTES_MAX = 1_572_864;
const TXN_OPS_MAX = 128;

let cluster: ProcessCluster;
let client: EtcdClient;
let raw: RawClient;
let endpoint: string;
let pids: number[];
const sockets: RawSocket[] = [];

beforeAll(async () => {
  cluster = await ProcessCluster.start();
  // At a follower: what it lets through must still be refused by the others.
  endpoint = cluster.member(await cluster.follower()).endpoint;
  client = new EtcdClient({ endpoints: [endpoint] });
  raw = new RawClient(endpoint);
  pids = cluster.members.map(member => member.pid);
  await client.put('witness', 'here');
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  expect(cluster.members.map(member => member.isRunning)).toEqual([true, true, true]);
  expect(cluster.members.map(member => member.pid)).toEqual(pids);
  const kv = await client.get('witness');
  expect(kv === null ? null : new TextDecoder().decode(kv.value)).toBe('here');
});

afterAll(async () => {
  raw?.close();
  client?.close();
  await cluster?.stop();
});

async function connect(address: string): Promise<RawSocket> {
  const socket = await RawSocket.open(address);
  sockets.push(socket);
  return socket;
}

function said(answer: RawAnswer): string {
  return 'text' in answer ? `${answer.code} ${answer.text}` : 'OK';
}

const put = (request: Partial<PutRequest>) =>
  raw.call(methods.kv.put.path, toBytes(encodePutRequest, { ...putRequest('k', 'v'), ...request }));
const txn = (request: Partial<TxnRequest>) =>
  raw.call(
    methods.kv.txn.path,
    toBytes(encodeTxnRequest, { compare: [], success: [], failure: [], ...request }),
  );
const many = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));

describe('malformed messages', () => {
  const paths = [
    methods.kv.range.path,
    methods.kv.put.path,
    methods.kv.deleteRange.path,
    methods.kv.txn.path,
    methods.kv.compact.path,
    methods.cluster.memberList.path,
    methods.maintenance.hashKv.path,
    methods.health.check.path,
  ];
  const bytes: [string, Uint8Array][] = [
    ['a length beyond the end', Uint8Array.of(0x0a, 0x7f, 1, 2)],
    ['a varint without end', new Uint8Array(20).fill(0xff)],
    ['field number 0', Uint8Array.of(0x02, 0x00)],
    ['an unknown wire type', Uint8Array.of(0x0f, 0x01)],
    ['an end of a group that never began', Uint8Array.of(0x0c)],
  ];

  test.each(bytes)('%s is an error of every method', async (_, message) => {
    for (const path of paths) {
      const answer = await raw.call(path, message);
      expect(said(answer), path).toMatch(/^13 grpc: error unmarshalling request/);
    }
  });

  test('unknown fields are skipped', async () => {
    const known = toBytes(encodeRangeRequest, rangeRequest('witness'));
    const message = Uint8Array.from([...known, 0xf8, 0x7f, 5]);
    expect(said(await raw.call(methods.kv.range.path, message))).toBe('OK');
  });

  test('transactions nested a thousand deep are refused', async () => {
    let message: Uint8Array = NO_BYTES;
    for (let depth = 0; depth < 1000; depth++) {
      message = wrap(2, wrap(4, message));
    }
    expect(said(await raw.call(methods.kv.txn.path, message))).toMatch(/^(3|13) /);
  });
});

/** A message field around bytes. */
function wrap(field: number, inner: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let rest = inner.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Uint8Array.from([(field << 3) | 2, ...length, ...inner]);
}

describe('requests that are too large', () => {
  test('a message beyond the limit of gRPC is refused by its length', async () => {
    const answer = await put({ value: new Uint8Array(2_500_000) });
    expect(said(answer)).toMatch(
      new RegExp(
        `^8 grpc: received message larger than max \\(\\d+ vs\\. ${MESSAGE_BYTES_MAX}\\)$`,
      ),
    );
  });

  test('a request beyond the limit of etcd is refused by its size', async () => {
    const answer = await put({ value: new Uint8Array(REQUEST_BYTES_MAX + 1) });
    expect(said(answer)).toBe('3 etcdserver: request is too large');
  });

  test('the largest request passes, and its value comes back whole', async () => {
    const value = new Uint8Array(REQUEST_BYTES_MAX - 100).fill(7);
    expect(said(await put({ key: Uint8Array.of(1), value }))).toBe('OK');
    const kv = (await client.get(Uint8Array.of(1)))!;
    // Comparing a million numbers one by one takes the test runner seconds.
    expect(Buffer.compare(kv.value, value)).toBe(0);
  });
});

describe('unknown methods', () => {
  test.each([
    ['/etcdserverpb.KV/Nothing', 'unknown method Nothing for service etcdserverpb.KV'],
    ['/nobody.Nothing/Nothing', 'unknown service nobody.Nothing'],
  ])('%s', async (path, text) => {
    expect(said(await raw.call(path, NO_BYTES))).toBe(`12 ${text}`);
  });
});

describe('requests that contradict themselves', () => {
  test('an empty key, in every place', async () => {
    const refused = '3 etcdserver: key is not provided';
    const empty = rangeRequest('');
    expect(said(await raw.call(methods.kv.range.path, toBytes(encodeRangeRequest, empty)))).toBe(
      refused,
    );
    expect(said(await put({ key: NO_BYTES }))).toBe(refused);
    const gone = toBytes(encodeDeleteRangeRequest, deleteRequest(''));
    expect(said(await raw.call(methods.kv.deleteRange.path, gone))).toBe(refused);
    expect(said(await txn({ compare: [when.version('', '=', 0)] }))).toBe(refused);
    expect(said(await txn({ success: [op.put('', 'v')] }))).toBe(refused);
    expect(said(await txn({ failure: [op.get('')] }))).toBe(refused);
  });

  test('a value or a lease beside the wish to keep the old one', async () => {
    expect(said(await put({ ignoreValue: true }))).toBe('3 etcdserver: value is provided');
    expect(said(await put({ ignoreLease: true, lease: 5n }))).toBe(
      '3 etcdserver: lease is provided',
    );
    const missing = { key: Uint8Array.of(9, 9), value: NO_BYTES, ignoreValue: true };
    expect(said(await put(missing))).toBe('3 etcdserver: key not found');
    expect(said(await put({ lease: 5n }))).toBe('5 etcdserver: requested lease not found');
  });

  test('too many operations, in each of the three lists', async () => {
    const refused = '3 etcdserver: too many operations in txn request';
    const ops = many(TXN_OPS_MAX + 1, i => op.put(`many/${i}`, ''));
    const compare: Compare[] = many(TXN_OPS_MAX + 1, i => when.version(`many/${i}`, '=', 0));
    expect(said(await txn({ success: ops }))).toBe(refused);
    expect(said(await txn({ failure: ops }))).toBe(refused);
    expect(said(await txn({ compare }))).toBe(refused);
    expect(said(await txn({ success: ops.slice(1) }))).toBe('OK');
  });

  test('one key twice: two puts, or a put inside of a delete', async () => {
    const refused = '3 etcdserver: duplicate key given in txn request';
    expect(said(await txn({ success: [op.put('d', ''), op.put('d', '')] }))).toBe(refused);
    const cover = op.delete(keyRange('a', 'z'));
    expect(said(await txn({ failure: [op.put('d', ''), cover] }))).toBe(refused);
    expect(said(await txn({ failure: [cover, op.put('d', '')] }))).toBe(refused);
    const apart = [op.delete(keyRange('x1', 'x2')), op.delete(keyRange('x1', 'x3'))];
    expect(said(await txn({ success: apart }))).toBe('OK');
  });

  test('an operation of no kind', async () => {
    const nothing: RequestOp = null;
    expect(said(await txn({ success: [nothing] }))).toBe('3 etcdserver: key not found');
  });

  test('revisions that are gone, or not there yet', async () => {
    const { header } = await client.put('r', '1');
    await client.compact(header!.revision);
    const compact = (revision: number) =>
      raw.call(
        methods.kv.compact.path,
        toBytes(encodeCompactionRequest, { revision, physical: false }),
      );
    const read = (revision: number) =>
      raw.call(methods.kv.range.path, toBytes(encodeRangeRequest, rangeRequest('r', { revision })));
    const compacted = '11 etcdserver: mvcc: required revision has been compacted';
    const future = '11 etcdserver: mvcc: required revision is a future revision';
    expect(said(await read(header!.revision - 1))).toBe(compacted);
    expect(said(await read(header!.revision + 1_000_000))).toBe(future);
    expect(said(await compact(header!.revision))).toBe(compacted);
    expect(said(await compact(header!.revision + 1_000_000))).toBe(future);
  });

  test('numbers at the ends of their range', async () => {
    const largest = Number.MAX_SAFE_INTEGER;
    const read = (options: object) =>
      raw.call(
        methods.kv.range.path,
        toBytes(encodeRangeRequest, rangeRequest('witness', options)),
      );
    expect(said(await read({ limit: largest }))).toBe('OK');
    expect(said(await read({ limit: -1 }))).toBe('OK');
    expect(said(await read({ maxModRevision: largest, minModRevision: -largest }))).toBe('OK');
    expect(said(await read({ revision: largest }))).toMatch(/^11 /);
  });
});

describe('HTTP/1.1 on the client port', () => {
  const get = (path: string, init: RequestInit = {}) => fetch(`http://${endpoint}${path}`, init);

  test.each([
    ['/health', 200, '{"health":"true","reason":""}'],
    ['/health?serializable=true', 200, '{"health":"true","reason":""}'],
    ['/livez', 200, 'ok\n'],
    ['/readyz', 200, 'ok\n'],
    ['/readyz/linearizable_read', 200, 'ok\n'],
    ['/livez?verbose', 200, '[+]serializable_read ok\nok\n'],
    ['/none', 404, '404 page not found\n'],
    ['/readyz/none', 404, '404 page not found\n'],
  ])('%s', async (path, status, body) => {
    const response = await get(path);
    expect(response.status).toBe(status);
    expect(await response.text()).toBe(body);
  });

  test('/version has purely numeric versions', async () => {
    const version = (await (await get('/version')).json()) as Record<string, string>;
    expect(version['etcdserver']).toMatch(/^\d+\.\d+\.\d+$/);
    expect(version['etcdcluster']).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('/metrics has the metrics that dashboards read', async () => {
    const text = await (await get('/metrics')).text();
    for (const name of ['etcd_server_has_leader', 'etcd_server_proposals_committed_total']) {
      expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'));
    }
  });

  test('other methods are not allowed', async () => {
    for (const path of ['/health', '/livez', '/version']) {
      const response = await get(path, { method: 'POST', body: 'x' });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('GET');
    }
  });

  test('broken requests are answered or cut off', async () => {
    for (const request of [
      'GET /health HTTP/9.9\r\n\r\n',
      'GET\r\n\r\n',
      `GET /${'x'.repeat(100_000)}`,
    ]) {
      const socket = await connect(endpoint);
      socket.socket.write(request);
      await socket.closed;
      expect(socket.received).toMatch(/^(HTTP\/1\.1 4\d\d|$)/);
    }
  });
});

describe('bytes that are no protocol', () => {
  const garbage: [string, Buffer][] = [
    ['zeros', Buffer.alloc(100_000)],
    ['every byte', Buffer.from(many(100_000, i => (i * 7919) & 255))],
    ['the beginning of TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    [
      'an HTTP/2 preface and then nonsense',
      Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'x'.repeat(5000)}`),
    ],
    [
      'an HTTP/2 frame of 16 MB',
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        Buffer.from('ffffff040000000000', 'hex'),
      ]),
    ],
  ];

  test.each(garbage)('%s on the client port end the connection', async (_, bytes) => {
    const socket = await connect(endpoint);
    socket.socket.write(bytes);
    socket.socket.end();
    await socket.closed;
    expect(await client.health()).toBe(true);
  });

  test.each(garbage)('%s on the peer port end the connection', async (_, bytes) => {
    for (const { peerUrl } of cluster.members) {
      const socket = await connect(new URL(peerUrl).host);
      socket.socket.write(bytes);
      socket.socket.end();
      await socket.closed;
    }
    expect(await client.health()).toBe(true);
  });

  test('connections that say nothing do not keep others out', async () => {
    const addresses = cluster.members.flatMap(({ peerUrl }) => [endpoint, new URL(peerUrl).host]);
    await Promise.all(addresses.flatMap(address => many(20, () => connect(address))));
    expect(said(await put({}))).toBe('OK');
  });

  test('a client that goes away in the middle of a request leaves nothing behind', async () => {
    const half = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.from('000000040000000000', 'hex'),
      Buffer.from('0000ff', 'hex'),
    ]);
    for (let i = 0; i < 50; i++) {
      const socket = await connect(endpoint);
      socket.socket.write(half);
      socket.destroy();
    }
    expect(said(await put({}))).toBe('OK');
  });
});

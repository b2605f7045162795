// A member without a quorum: it must not pretend. Writes and linearizable reads fail with etcd's codes
// within the request timeout, serializable reads and health checks still answer honestly, and when
// the others come back everything goes on.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/client-error.ts';
import { when } from '../../src/client/operations.ts';
import { RawClient } from '../support/process-raw.ts';
import { until } from '../support/process-wait.ts';
import { ProcessCluster } from '../support/processes.ts';

/** Five seconds and two election timeouts. */
const REQUEST_TIMEOUT_MS = 7000;
/** On a busy machine. */
const MARGIN_MS = 3000;
const DEADLINE_MS = 2 * REQUEST_TIMEOUT_MS;

let cluster: ProcessCluster;
let alone: number;
let client: EtcdClient;

beforeAll(async () => {
  cluster = await ProcessCluster.start();
  alone = await cluster.follower();
  const endpoints = [cluster.member(alone).endpoint];
  client = new EtcdClient({ endpoints, deadlineMs: DEADLINE_MS });
  await client.put('before', 'v');
  await client.get('before');
  for (const number of others()) await cluster.kill(number);
  await until('the member has noticed', async () => (await cluster.status(alone)).leader === 0n);
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

function others(): number[] {
  return [0, 1, 2].filter(number => number !== alone);
}

async function failure(call: Promise<unknown>): Promise<ClientError> {
  const error = await call.then(
    () => null,
    reason => reason,
  );
  expect(error).toBeInstanceOf(ClientError);
  return error as ClientError;
}

/** Runs it, and fails if it takes longer than a request may. */
async function inTime<T>(run: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const answer = await run();
  expect(performance.now() - from).toBeLessThan(REQUEST_TIMEOUT_MS + MARGIN_MS);
  return answer;
}

describe('a member whose two peers are gone', () => {
  test.concurrent.each([
    ['put', () => client.put('during', 'v')],
    ['delete', () => client.delete('before')],
    [
      'txn',
      () =>
        client.txn({
          compare: [when.version('x', '=', 0)],
          success: [
            {
              kind: 'put',
              put: {
                key: Uint8Array.of(1),
                value: Uint8Array.of(1),
                lease: 0n,
                prevKv: false,
                ignoreValue: false,
                ignoreLease: false,
              },
            },
          ],
        }),
    ],
    ['compaction', () => client.compact(2)],
  ] as const)('%s fails with UNAVAILABLE', { timeout: 30_000 }, async (_, write) => {
    const error = await inTime(() => failure(write()));
    expect(error.code).toBe(14);
    expect(error.message).toMatch(/^etcdserver: (request timed out|no leader)/);
  });

  test.concurrent('a linearizable read fails and does not give old data', {
    timeout: 30_000,
  }, async () => {
    const raw = new RawClient(cluster.member(alone).endpoint);
    const key = new TextEncoder().encode('before');
    const request = Uint8Array.of(0x0a, key.length, ...key);
    const answer = await inTime(() => raw.call('/etcdserverpb.KV/Range', request));
    raw.close();
    expect(answer.code).toBe(14);
    expect('text' in answer && answer.text).toMatch(/^etcdserver: (request timed out|no leader)/);
  });

  test('a serializable read still answers', async () => {
    const kv = await client.get('before', { serializable: true });
    expect(new TextDecoder().decode(kv!.value)).toBe('v');
  });

  test('a client that asks for a leader is told at once that there is none', async () => {
    const raw = new RawClient(cluster.member(alone).endpoint);
    const put = Uint8Array.of(0x0a, 1, 0x6b, 0x12, 1, 0x76);
    const from = performance.now();
    const answer = await raw.call('/etcdserverpb.KV/Put', put, { hasleader: 'true' });
    raw.close();
    expect(answer).toEqual({ code: 14, text: 'etcdserver: no leader' });
    expect(performance.now() - from).toBeLessThan(MARGIN_MS);
  });

  test('status says that there is no leader', async () => {
    const status = await client.status();
    expect(status.leader).toBe(0n);
    expect(status.errors).toContain('etcdserver: no leader');
  });

  test('/health and /readyz say no, /livez says yes', { timeout: 30_000 }, async () => {
    const url = cluster.member(alone).clientUrl;
    const health = await fetch(`${url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toEqual({ health: 'false', reason: 'RAFT NO LEADER' });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain('[-]linearizable_read failed');
    expect(await client.health()).toBe(false);
  });

  test('its log says what it waits for', () => {
    expect(cluster.member(alone).output()).toMatch(/"msg":"PEER_(LOST|UNREACHABLE)/);
  });

  test('when the others are back, it serves, and nothing is lost', {
    timeout: 60_000,
  }, async () => {
    for (const number of others()) cluster.spawn(number);
    await cluster.ready();
    expect((await client.put('after', 'v')).header!.revision).toBeGreaterThan(2);
    expect(new TextDecoder().decode((await client.get('before'))!.value)).toBe('v');
    await cluster.converged();
    const hashes = await Promise.all([0, 1, 2].map(number => hashOf(number)));
    expect(new Set(hashes).size).toBe(1);
  });

  test('a member that was stopped refuses connections, the others serve on', async () => {
    const leader = await cluster.leader();
    expect(await cluster.member(leader).terminate()).toBe(0);
    const gone = new EtcdClient({ endpoints: [cluster.member(leader).endpoint], deadlineMs: 1000 });
    const error = await failure(gone.put('k', 'v'));
    gone.close();
    expect(error.outcome).toBe('not-applied');
    const rest = [0, 1, 2].filter(number => number !== leader);
    const serving = new EtcdClient({ endpoints: rest.map(n => cluster.member(n).endpoint) });
    await serving.put('k', 'v').finally(() => serving.close());
    await cluster.restart(leader);
  });
});

async function hashOf(number: number): Promise<number> {
  const one = new EtcdClient({ endpoints: [cluster.member(number).endpoint] });
  const { hash } = await one.hashKV().finally(() => one.close());
  return hash;
}

// What command lines do not offer: every comparison, nested transactions, filters, odd ranges and the
// headers of the answers, through our own client against three real processes.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RequestOp, SortOrder, SortTarget, type TxnResponse } from '../../src/api/kv.ts';
import { EtcdClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/client-error.ts';
import { keyRange, op, prefixRange, type Relation, when } from '../../src/client/operations.ts';
import { ProcessCluster } from '../support/processes.ts';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const nested = (txn: Partial<Extract<RequestOp, { kind: 'txn' }>['txn']>): RequestOp => ({
  kind: 'txn',
  txn: { compare: [], success: [], failure: [], ...txn },
});

let cluster: ProcessCluster;

beforeAll(async () => {
  cluster = await ProcessCluster.start();
});

afterAll(async () => {
  await cluster?.stop();
});

async function textOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    reason => reason,
  );
  expect(error).toBeInstanceOf(ClientError);
  const { code, message } = error as ClientError;
  return `${code} ${message}`;
}

describe.each(['leader', 'follower'] as const)('at the %s', role => {
  let client: EtcdClient;
  let first: number;

  beforeAll(async () => {
    const member = role === 'leader' ? await cluster.leader() : await cluster.follower();
    client = new EtcdClient({ endpoints: [cluster.member(member).endpoint] });
  });

  afterAll(() => client.close());

  /** k/1 at version 1, k/2 at version 2, k/3 at version 1. */
  beforeEach(async () => {
    await client.delete(prefixRange(''));
    first = (await client.put('k/1', 'a')).header!.revision;
    await client.put('k/2', 'b');
    await client.put('k/2', 'bb');
    await client.put('k/3', 'c');
  });

  const keys = async (options: Parameters<EtcdClient['range']>[1]) =>
    (await client.range(prefixRange('k/'), options)).kvs.map(kv => text(kv.key));

  describe('comparisons', () => {
    const holds = async (...compare: Parameters<typeof client.txn>[0]['compare'] & object) =>
      (await client.txn({ compare })).succeeded;

    const table: [Relation, boolean, boolean, boolean][] = [
      ['=', false, true, false],
      ['!=', true, false, true],
      ['<', false, false, true],
      ['>', true, false, false],
    ];

    test.each(table)('%s compares every number a key has', async (relation, less, equal, more) => {
      for (const [operand, expected] of [
        [-1, less],
        [0, equal],
        [1, more],
      ] as const) {
        expect(await holds(when.version('k/2', relation, 2 + operand))).toBe(expected);
        expect(await holds(when.createRevision('k/2', relation, first + 1 + operand))).toBe(
          expected,
        );
        expect(await holds(when.modRevision('k/2', relation, first + 2 + operand))).toBe(expected);
        if (operand >= 0) {
          expect(await holds(when.lease('k/2', relation, BigInt(operand)))).toBe(expected);
        }
      }
    });

    test.each(table)('%s compares values by their bytes', async (relation, less, equal, more) => {
      expect(await holds(when.value('k/2', relation, 'ba'))).toBe(less);
      expect(await holds(when.value('k/2', relation, 'bb'))).toBe(equal);
      expect(await holds(when.value('k/2', relation, 'bba'))).toBe(more);
    });

    test('a missing key has version, revisions and lease 0', async () => {
      expect(await holds(when.version('none', '=', 0))).toBe(true);
      expect(await holds(when.createRevision('none', '=', 0))).toBe(true);
      expect(await holds(when.modRevision('none', '<', 1))).toBe(true);
      expect(await holds(when.lease('none', '=', 0n))).toBe(true);
      expect(await holds(when.version('none', '>', 0))).toBe(false);
    });

    test('no comparison with the value of a missing key holds', async () => {
      for (const relation of ['=', '!=', '<', '>'] as const) {
        expect(await holds(when.value('none', relation, ''))).toBe(false);
      }
    });

    test('a comparison over a range must hold for each key in it', async () => {
      const range = prefixRange('k/');
      expect(await holds(when.version(range, '>', 0))).toBe(true);
      expect(await holds(when.version(range, '=', 1))).toBe(false);
      expect(await holds(when.version(prefixRange('none/'), '=', 0))).toBe(true);
    });

    test('all comparisons must hold, and none at all holds', async () => {
      expect(await holds(when.version('k/1', '=', 1), when.version('k/2', '=', 2))).toBe(true);
      expect(await holds(when.version('k/1', '=', 1), when.version('k/2', '=', 1))).toBe(false);
      expect(await holds()).toBe(true);
    });
  });

  describe('nested transactions', () => {
    const inner = (answer: TxnResponse, index: number) => {
      const response = answer.responses[index];
      if (response?.kind !== 'txn') throw new Error(`answer ${index} is no transaction`);
      return response.txn;
    };

    test('run their own comparisons and choose their own branch', async () => {
      const answer = await client.txn({
        success: [
          op.put('n/1', 'one'),
          nested({ compare: [when.version('k/1', '=', 9)], failure: [op.put('n/2', 'two')] }),
          nested({ compare: [when.version('k/1', '=', 1)], success: [op.get('n/1')] }),
        ],
      });
      expect(answer.succeeded).toBe(true);
      expect(inner(answer, 1).succeeded).toBe(false);
      expect(inner(answer, 2).succeeded).toBe(true);
      const [read] = inner(answer, 2).responses;
      expect(read?.kind === 'range' && text(read.range.kvs[0]!.value)).toBe('one');
      expect(text((await client.get('n/2'))!.value)).toBe('two');
    });

    test('all of a transaction is one revision', async () => {
      const answer = await client.txn({
        success: [op.put('n/1', ''), nested({ success: [op.put('n/2', ''), op.delete('k/1')] })],
      });
      const { kvs } = await client.range(prefixRange('n/'));
      expect(answer.header!.revision).toBe(first + 4);
      expect(kvs.map(kv => kv.modRevision)).toEqual([first + 4, first + 4]);
    });

    test('may not put a key that the outer one puts', async () => {
      const twice = client.txn({
        success: [op.put('n/1', 'x'), nested({ success: [op.put('n/1', 'y')] })],
      });
      expect(await textOf(twice)).toBe('3 etcdserver: duplicate key given in txn request');
    });

    test('may put one key in either branch', async () => {
      const branches = nested({ success: [op.put('n/1', 'x')], failure: [op.put('n/1', 'y')] });
      expect((await client.txn({ success: [branches] })).succeeded).toBe(true);
      expect(text((await client.get('n/1'))!.value)).toBe('x');
    });
  });

  describe('a failing operation fails the whole transaction', () => {
    test.each([
      [
        'a revision to come',
        op.get('k/1', { revision: 1e9 }),
        '11 etcdserver: mvcc: required revision is a future revision',
      ],
      [
        'a missing lease',
        op.put('n/2', '', { lease: 99n }),
        '5 etcdserver: requested lease not found',
      ],
      [
        'ignoreValue of a missing key',
        op.put('n/2', '', { ignoreValue: true }),
        '3 etcdserver: key not found',
      ],
    ])('%s', async (_, failing, expected) => {
      expect(await textOf(client.txn({ success: [op.put('n/1', 'x'), failing] }))).toBe(expected);
      expect(await client.get('n/1')).toBeNull();
    });
  });

  describe('ranges', () => {
    test('filters by revision include their bounds and do not change the count', async () => {
      const { kvs, count } = await client.range(prefixRange('k/'), {
        minModRevision: first + 2,
        maxModRevision: first + 2,
      });
      expect(kvs.map(kv => text(kv.key))).toEqual(['k/2']);
      expect(count).toBe(3);
      expect(await keys({ minModRevision: first + 2 })).toEqual(['k/2', 'k/3']);
      expect(await keys({ maxModRevision: first })).toEqual(['k/1']);
      expect(await keys({ minCreateRevision: first + 1 })).toEqual(['k/2', 'k/3']);
      expect(await keys({ maxCreateRevision: first + 1 })).toEqual(['k/1', 'k/2']);
    });

    test('filters come before the limit', async () => {
      const { kvs, more } = await client.range(prefixRange('k/'), {
        minModRevision: first + 2,
        limit: 1,
      });
      expect(kvs.map(kv => text(kv.key))).toEqual(['k/2']);
      expect(more).toBe(true);
    });

    test.each([
      [SortTarget.KEY, SortOrder.DESCEND, ['k/3', 'k/2', 'k/1']],
      [SortTarget.VERSION, SortOrder.DESCEND, ['k/2', 'k/1', 'k/3']],
      [SortTarget.CREATE, SortOrder.DESCEND, ['k/3', 'k/2', 'k/1']],
      [SortTarget.MOD, SortOrder.ASCEND, ['k/1', 'k/2', 'k/3']],
      [SortTarget.VALUE, SortOrder.DESCEND, ['k/3', 'k/2', 'k/1']],
    ])('sort target %i in order %i', async (sortTarget, sortOrder, expected) => {
      expect((await keys({ sortTarget, sortOrder }))[0]).toBe(expected[0]);
      expect((await keys({ sortTarget, sortOrder })).sort()).toEqual([...expected].sort());
    });

    test('countOnly gives the count and no keys', async () => {
      expect(await client.range(prefixRange('k/'), { countOnly: true })).toMatchObject({
        kvs: [],
        count: 3,
        more: false,
      });
    });

    test('serializable reads answer too', async () => {
      const read = async () => (await keys({ serializable: true })).length === 3;
      for (let turn = 0; turn < 200 && !(await read()); turn++);
      expect(await keys({ serializable: true })).toEqual(['k/1', 'k/2', 'k/3']);
    });

    test('a negative revision is the newest', async () => {
      expect(await keys({ revision: -5 })).toEqual(['k/1', 'k/2', 'k/3']);
    });

    test('everything from a zero byte on is the whole store', async () => {
      const { count } = await client.range(keyRange(Uint8Array.of(0)));
      expect(count).toBe(3);
    });

    test('an end at or before the start is an empty range, also for delete', async () => {
      expect((await client.range(keyRange('k/2', 'k/2'))).count).toBe(0);
      expect((await client.range(keyRange('k/3', 'k/1'))).count).toBe(0);
      expect((await client.delete(keyRange('k/3', 'k/1'))).deleted).toBe(0);
    });

    test('an unknown sort order or target is refused', async () => {
      const refused = '3 etcdserver: invalid sort option';
      expect(await textOf(client.range('k/1', { sortOrder: 7 }))).toBe(refused);
      expect(await textOf(client.range('k/1', { sortTarget: 9 }))).toBe(refused);
    });
  });

  describe('headers and revisions', () => {
    test('each write moves the revision by one, a read or a write of nothing does not', async () => {
      expect((await client.put('k/1', 'a')).header!.revision).toBe(first + 4);
      expect((await client.range('k/1')).header!.revision).toBe(first + 4);
      expect((await client.delete('none')).header!.revision).toBe(first + 4);
      expect((await client.txn({})).header!.revision).toBe(first + 4);
      expect((await client.delete(prefixRange('k/'))).header!.revision).toBe(first + 5);
    });

    test('a read of the past carries the present revision', async () => {
      const { header, kvs } = await client.range('k/2', { revision: first + 1 });
      expect(header!.revision).toBe(first + 3);
      expect(text(kvs[0]!.value)).toBe('b');
    });

    test('a key that comes back starts again at version 1', async () => {
      await client.delete('k/2');
      await client.put('k/2', 'again');
      const kv = (await client.get('k/2'))!;
      expect(kv).toMatchObject({ version: 1, createRevision: first + 5, modRevision: first + 5 });
    });

    test('previous values come back when asked for', async () => {
      expect(text((await client.put('k/2', 'x', { prevKv: true })).prevKv!.value)).toBe('bb');
      expect((await client.put('new', 'x', { prevKv: true })).prevKv).toBeNull();
      const { deleted, prevKvs } = await client.delete(prefixRange('k/'), { prevKv: true });
      expect(deleted).toBe(3);
      expect(prevKvs.map(kv => text(kv.value))).toEqual(['a', 'x', 'c']);
    });

    test('the header names this cluster, this member and the term', async () => {
      const { header } = await client.put('k/1', 'a');
      const status = await client.status();
      expect(header!.clusterId).toBe(status.header!.clusterId);
      expect(header!.memberId).toBe(status.header!.memberId);
      expect(header!.raftTerm).toBe(status.raftTerm);
    });

    test('member list carries no revision', async () => {
      const { header, members } = await client.memberList();
      expect(header!.revision).toBe(0);
      expect(members.map(member => member.name).sort()).toEqual(['n1', 'n2', 'n3']);
    });
  });

  describe('compaction', () => {
    test('at its revision history begins, before it there is none', async () => {
      await client.compact(first + 2, { physical: true });
      expect(text((await client.get('k/2', { revision: first + 2 }))!.value)).toBe('bb');
      expect(await textOf(client.get('k/2', { revision: first + 1 }))).toBe(
        '11 etcdserver: mvcc: required revision has been compacted',
      );
      const { compactRevision } = await client.hashKV();
      expect(compactRevision).toBe(first + 2);
    });

    test('hashes at a revision agree on all members, compacted or not', async () => {
      const hashes = async (revision: number) => {
        const all = new EtcdClient({ endpoints: cluster.endpoints });
        const asked = cluster.endpoints.map(endpoint => all.hashKV(revision, { endpoint }));
        const answers = await Promise.all(asked).finally(() => all.close());
        return new Set(answers.map(({ hash }) => hash));
      };
      await cluster.converged();
      expect((await hashes(first + 3)).size).toBe(1);
      await client.compact(first + 3, { physical: true });
      await cluster.converged();
      expect((await hashes(first + 3)).size).toBe(1);
    });
  });

  test('a large answer is cut to the limit and read on from there', async () => {
    const count = 300;
    const writes = Array.from({ length: count }, (_, i) =>
      client.put(`big/${String(i).padStart(4, '0')}`, 'v'.repeat(10_000)),
    );
    await Promise.all(writes);
    const all = await client.getAll('big/');
    expect(all.length).toBe(count);
    const { kvs } = await client.range(prefixRange('big/'));
    expect(kvs.reduce((bytes, kv) => bytes + kv.value.length, 0)).toBe(count * 10_000);
  });
});

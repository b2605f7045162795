// The npm client `etcd3`, as programs use it, against three real processes: also through one follower
// alone, and with all members known.

import { Etcd3, EtcdLeaseInvalidError, GRPCOutOfRangeError } from 'etcd3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ProcessCluster } from '../support/processes.ts';

let cluster: ProcessCluster;

beforeAll(async () => {
  cluster = await ProcessCluster.start();
});

afterAll(async () => {
  await cluster?.stop();
});

const roles = ['the leader', 'a follower', 'all members'] as const;

async function hostsOf(role: (typeof roles)[number]): Promise<string[]> {
  if (role === 'all members') return cluster.endpoints;
  const member = role === 'the leader' ? await cluster.leader() : await cluster.follower();
  return [cluster.member(member).endpoint];
}

describe.each(roles)('etcd3 with %s', role => {
  let client: Etcd3;
  let first: number;

  beforeAll(async () => {
    client = new Etcd3({ hosts: await hostsOf(role) });
  });

  afterAll(() => client.close());

  beforeEach(async () => {
    await client.delete().all();
    first = Number((await client.put('k/1').value('3')).header.revision);
    await client.put('k/2').value('2');
    await client.put('k/3').value('1');
  });

  describe('put and get', () => {
    test('strings, numbers, JSON and bytes come back as they went', async () => {
      await client.put('s').value('text ✓');
      await client.put('n').value(42);
      await client.put('j').value(JSON.stringify({ a: [1] }));
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      await client.put(bytes).value(bytes);
      expect(await client.get('s').string()).toBe('text ✓');
      expect(await client.get('n').number()).toBe(42);
      expect(await client.get('j').json()).toEqual({ a: [1] });
      expect(await client.get(bytes).buffer()).toEqual(bytes);
    });

    test('a missing key is null', async () => {
      expect(await client.get('none')).toBeNull();
      expect(await client.get('none').exists()).toBe(false);
      expect(await client.get('k/1').exists()).toBe(true);
    });

    test('put gives the previous value when asked', async () => {
      expect(await client.put('k/1').value('new').getPrevious()).toMatchObject({
        value: Buffer.from('3'),
      });
    });

    test('touch makes a new version of the same value', async () => {
      await client.put('k/1').touch();
      const { kvs } = await client.get('k/1').exec();
      expect(kvs[0]).toMatchObject({ version: '2', value: Buffer.from('3') });
    });

    test('ignoreLease writes the value of a key that exists', async () => {
      await client.put('k/1').value('new').ignoreLease();
      expect(await client.get('k/1')).toBe('new');
    });

    test('a lease that does not exist is its own error', async () => {
      const put = client.put('k/1').value('new').lease('77').exec();
      await expect(put).rejects.toBeInstanceOf(EtcdLeaseInvalidError);
      expect(await client.get('k/1')).toBe('3');
    });

    test('a revision of the past, and one that was compacted', async () => {
      await client.put('k/1').value('new');
      expect(await client.get('k/1').revision(first).string()).toBe('3');
      await client.kv.compact({ revision: first + 3, physical: true });
      const old = client.get('k/1').revision(first).exec();
      await expect(old).rejects.toBeInstanceOf(GRPCOutOfRangeError);
      await expect(old).rejects.toThrow('etcdserver: mvcc: required revision has been compacted');
    });

    test('serializable reads answer', async () => {
      expect(await client.get('k/1').serializable(true).exists()).toBeTypeOf('boolean');
    });
  });

  describe('ranges', () => {
    test('prefix, count, keys and limit', async () => {
      expect(await client.getAll().prefix('k/').strings()).toEqual({
        'k/1': '3',
        'k/2': '2',
        'k/3': '1',
      });
      expect(await client.getAll().prefix('k/').count()).toBe(3);
      expect(await client.getAll().prefix('k/').keys()).toEqual(['k/1', 'k/2', 'k/3']);
      expect(await client.getAll().prefix('k/').limit(2).keys()).toEqual(['k/1', 'k/2']);
      expect(await client.getAll().keys()).toHaveLength(3);
      const { more, count } = await client.getAll().prefix('k/').limit(2).exec();
      expect({ more, count }).toEqual({ more: true, count: '3' });
    });

    test('a half-open range', async () => {
      const range = { start: 'k/1', end: 'k/3' };
      expect(await client.getAll().inRange(range).keys()).toEqual(['k/1', 'k/2']);
    });

    test.each(['Key', 'Version', 'Create', 'Mod', 'Value'] as const)('sort by %s', async target => {
      const keys = ['k/1', 'k/2', 'k/3'];
      const sorted = (order: 'Ascend' | 'Descend') =>
        client.getAll().prefix('k/').sort(target, order).keys();
      if (target === 'Value') keys.reverse();
      expect(await sorted('Ascend')).toEqual(keys);
      if (target !== 'Version') expect(await sorted('Descend')).toEqual([...keys].reverse());
    });

    test('filters by revision', async () => {
      const all = () => client.getAll().prefix('k/');
      expect(
        await all()
          .minModRevision(first + 1)
          .keys(),
      ).toEqual(['k/2', 'k/3']);
      expect(
        await all()
          .maxModRevision(first + 1)
          .keys(),
      ).toEqual(['k/1', 'k/2']);
      expect(
        await all()
          .minCreateRevision(first + 2)
          .keys(),
      ).toEqual(['k/3']);
      expect(await all().maxCreateRevision(first).keys()).toEqual(['k/1']);
    });

    test('namespaces see their own keys only', async () => {
      const space = client.namespace('space/');
      await space.put('k').value('v');
      expect(await space.getAll().strings()).toEqual({ k: 'v' });
      expect(await client.get('space/k')).toBe('v');
    });
  });

  describe('delete', () => {
    test('one key, a prefix, a range, all', async () => {
      expect((await client.delete().key('k/1')).deleted).toBe('1');
      expect((await client.delete().inRange({ start: 'k/2', end: 'k/3' })).deleted).toBe('1');
      expect((await client.delete().prefix('k/')).deleted).toBe('1');
      expect((await client.delete().all()).deleted).toBe('0');
    });

    test('gives what it deleted when asked', async () => {
      const previous = await client.delete().prefix('k/').getPrevious();
      expect(previous.map(kv => String(kv.value))).toEqual(['3', '2', '1']);
    });
  });

  describe('transactions', () => {
    test.each([
      ['Value', '==', '3', true],
      ['Value', '!=', '3', false],
      ['Version', '==', 1, true],
      ['Version', '>', 1, false],
      ['Create', '>', 0, true],
      ['Mod', '<', 2, false],
      ['Lease', '==', 0, true],
    ] as const)('%s %s %s', async (column, relation, value, holds) => {
      const answer = await client
        .if('k/1', column, relation, value)
        .then(client.put('then').value('yes'))
        .else(client.put('else').value('yes'))
        .commit();
      expect(answer.succeeded).toBe(holds);
      expect(await client.get(holds ? 'then' : 'else')).toBe('yes');
      expect(await client.get(holds ? 'else' : 'then')).toBeNull();
    });

    test('several comparisons and operations of all kinds', async () => {
      const answer = await client
        .if('k/1', 'Value', '==', '3')
        .and('none', 'Create', '==', 0)
        .then(client.put('k/4').value('0'), client.get('k/1'), client.delete().key('k/2'))
        .commit();
      expect(answer.succeeded).toBe(true);
      expect(
        answer.responses.map(one => Object.keys(one).find(name => name !== 'response')),
      ).toEqual(['response_put', 'response_range', 'response_delete_range']);
      expect(await client.getAll().prefix('k/').keys()).toEqual(['k/1', 'k/3', 'k/4']);
    });

    test('nested, through its raw client', async () => {
      const inner = {
        compare: [],
        success: [{ request_put: { key: Buffer.from('n'), value: Buffer.from('1') } }],
        failure: [],
      };
      const answer = await client.kv.txn({
        compare: [],
        success: [{ request_txn: inner }] as never,
        failure: [],
      });
      expect(answer.succeeded).toBe(true);
    });

    test('transactional memory retries until nobody was in the way', async () => {
      await client.put('counter').value(0);
      const increment = () =>
        client.stm({ retries: 100 }).transact(async tx => {
          const value = Number(await tx.get('counter'));
          await tx.put('counter').value(value + 1);
        });
      await Promise.all(Array.from({ length: 8 }, increment));
      expect(await client.get('counter').number()).toBe(8);
    });
  });

  describe('cluster and maintenance', () => {
    test('member list and status', async () => {
      const { members } = await client.cluster.memberList({});
      expect(members.map(member => member.name).sort()).toEqual(['n1', 'n2', 'n3']);
      const status = await client.maintenance.status();
      expect(status.version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(members.map(member => member.ID)).toContain(status.leader);
    });

    test('hash', async () => {
      expect((await client.maintenance.hash()).hash).toBeGreaterThan(0);
    });
  });

  test('a hundred writes and reads at once all succeed', async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `many/${i}`);
    await Promise.all(keys.map(key => client.put(key).value(key)));
    expect(await Promise.all(keys.map(key => client.get(key)))).toEqual(keys);
  });
});

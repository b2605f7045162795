// The stock etcdctl against three real processes: the same commands at the leader and at a follower,
// and the answers that a user of etcd expects from them.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../src/client/client.ts';
import { prefixRange } from '../../src/client/operations.ts';
import { Etcdctl, hasEtcdctl } from '../support/process-etcdctl.ts';
import { ProcessCluster } from '../support/processes.ts';

const installed = hasEtcdctl();

let cluster: ProcessCluster;
let client: EtcdClient;
const base64 = (text: string) => Buffer.from(text).toString('base64');

beforeAll(async () => {
  if (!installed) return;
  cluster = await ProcessCluster.start();
  client = new EtcdClient({ endpoints: cluster.endpoints });
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

describe.skipIf(!installed).each(['leader', 'follower'] as const)('etcdctl at the %s', role => {
  let ctl: Etcdctl;
  /** The revision of the first key of the fixture. */
  let first: number;

  beforeAll(async () => {
    const member = role === 'leader' ? await cluster.leader() : await cluster.follower();
    ctl = new Etcdctl(cluster.member(member).endpoint);
  });

  /** f/a..f/e, values in the opposite order; f/b is at version 3. */
  beforeEach(async () => {
    await client.delete(prefixRange(''));
    const { header } = await client.put('f/a', '5');
    first = header!.revision;
    await client.put('f/b', 'x');
    await client.put('f/b', 'y');
    await client.put('f/b', '4');
    await client.put('f/c', '3');
    await client.put('f/d', '2');
    await client.put('f/e', '1');
  });

  const keysOf = (...args: string[]) => ctl.lines(['get', '--keys-only', ...args]);

  describe('put', () => {
    test('answers OK, and the key is there', async () => {
      expect(await ctl.ok(['put', 'k', 'v'])).toBe('OK\n');
      expect(await ctl.ok(['get', 'k'])).toBe('k\nv\n');
    });

    test('takes the value from standard input', async () => {
      await ctl.ok(['put', 'k'], 'two\nlines');
      expect(await ctl.ok(['get', 'k', '--print-value-only'])).toBe('two\nlines\n');
    });

    test('--prev-kv prints what was there', async () => {
      expect(await ctl.ok(['put', 'f/a', 'new', '--prev-kv'])).toBe('OK\nf/a\n5\n');
      expect(await ctl.ok(['put', 'fresh', 'new', '--prev-kv'])).toBe('OK\n');
    });

    test('--ignore-value makes a new version with the old value', async () => {
      await ctl.ok(['put', '--ignore-value', 'f/a']);
      const { kvs } = await ctl.json(['get', 'f/a']);
      expect(kvs[0]).toMatchObject({ version: 2, value: base64('5') });
      expect(await ctl.error(['put', '--ignore-value', 'none'])).toBe(
        'Error: etcdserver: key not found',
      );
    });

    test('--ignore-lease keeps the lease and needs the key', async () => {
      expect(await ctl.ok(['put', '--ignore-lease', 'f/a', 'v'])).toBe('OK\n');
      expect(await ctl.error(['put', '--ignore-lease', 'none', 'v'])).toBe(
        'Error: etcdserver: key not found',
      );
    });

    test('a lease that does not exist is refused, and nothing is written', async () => {
      expect(await ctl.error(['put', '--lease=1234', 'f/a', 'v'])).toBe(
        'Error: etcdserver: requested lease not found',
      );
      expect(await ctl.ok(['get', 'f/a', '--print-value-only'])).toBe('5\n');
    });
  });

  describe('get', () => {
    test('a key that does not exist prints nothing', async () => {
      expect(await ctl.ok(['get', 'none'])).toBe('');
    });

    test('--prefix, --from-key and a range give keys in order', async () => {
      expect(await keysOf('f/', '--prefix')).toEqual(['f/a', 'f/b', 'f/c', 'f/d', 'f/e']);
      expect(await keysOf('f/d', '--from-key')).toEqual(['f/d', 'f/e']);
      expect(await keysOf('f/b', 'f/d')).toEqual(['f/b', 'f/c']);
      expect(await keysOf('', '--prefix')).toHaveLength(5);
    });

    test('a range whose end lies before its start is empty', async () => {
      expect(await ctl.json(['get', 'f/d', 'f/b'])).not.toHaveProperty('kvs');
    });

    test('--limit cuts the answer, says so, and counts all', async () => {
      const answer = await ctl.json(['get', 'f/', '--prefix', '--limit', '2']);
      expect(answer).toMatchObject({ more: true, count: 5 });
      expect(answer.kvs.map((kv: { key: string }) => kv.key)).toEqual(['f/a', 'f/b'].map(base64));
      expect(await ctl.json(['get', 'f/', '--prefix', '--limit', '5'])).not.toHaveProperty('more');
    });

    test.each([
      ['KEY', ['f/a', 'f/b', 'f/c', 'f/d', 'f/e']],
      ['CREATE', ['f/a', 'f/b', 'f/c', 'f/d', 'f/e']],
      ['MODIFY', ['f/a', 'f/b', 'f/c', 'f/d', 'f/e']],
      ['VALUE', ['f/e', 'f/d', 'f/c', 'f/b', 'f/a']],
    ])('--sort-by %s sorts, and --order DESCEND turns it round', async (target, expected) => {
      const sort = ['f/', '--prefix', '--sort-by', target];
      expect(await keysOf(...sort)).toEqual(expected);
      expect(await keysOf(...sort, '--order', 'ASCEND')).toEqual(expected);
      expect(await keysOf(...sort, '--order', 'DESCEND')).toEqual([...expected].reverse());
    });

    test('--sort-by VERSION puts the key with most versions last', async () => {
      expect((await keysOf('f/', '--prefix', '--sort-by', 'VERSION')).at(-1)).toBe('f/b');
    });

    test('sorting comes before the limit', async () => {
      const sort = ['--sort-by', 'VALUE', '--order', 'ASCEND', '--limit', '2'];
      expect(await keysOf('f/', '--prefix', ...sort)).toEqual(['f/e', 'f/d']);
    });

    test('--rev shows the past', async () => {
      const at = (revision: number) => ctl.ok(['get', 'f/b', `--rev=${revision}`]);
      expect(await at(first)).toBe('');
      expect(await at(first + 1)).toBe('f/b\nx\n');
      expect(await at(first + 2)).toBe('f/b\ny\n');
      expect(await at(first + 6)).toBe('f/b\n4\n');
    });

    test('a deleted key is still there in the past', async () => {
      const { header } = await client.delete('f/b');
      expect(await ctl.ok(['get', 'f/b'])).toBe('');
      expect(await ctl.ok(['get', 'f/b', `--rev=${header!.revision - 1}`])).toBe('f/b\n4\n');
    });

    test('--keys-only leaves the values out', async () => {
      const { kvs } = await ctl.json(['get', 'f/a', '--keys-only']);
      expect(kvs[0]).not.toHaveProperty('value');
    });

    test('--consistency=s answers from the member itself', async () => {
      expect(await ctl.ok(['get', 'f/a', '--consistency=s'])).toBe('f/a\n5\n');
    });

    test('-w fields, --hex and -w protobuf carry the same facts', async () => {
      const fields = await ctl.lines(['get', 'f/b', '-w', 'fields']);
      expect(fields).toContain('"Key" : "f/b"');
      expect(fields).toContain(`"CreateRevision" : ${first + 1}`);
      expect(fields).toContain(`"ModRevision" : ${first + 3}`);
      expect(fields).toContain('"Version" : 3');
      expect(await ctl.lines(['get', 'f/a', '--hex'])).toEqual(['\\x66\\x2f\\x61', '\\x35']);
      expect(await ctl.ok(['get', 'f/a', '-w', 'protobuf'])).toContain('f/a');
    });

    test('-w json has a whole header', async () => {
      const { header, count } = await ctl.json(['get', 'f/a']);
      expect(count).toBe(1);
      expect(header.revision).toBe(first + 6);
      expect(header.cluster_id).toBeGreaterThan(0);
      expect(header.member_id).toBeGreaterThan(0);
      expect(header.raft_term).toBeGreaterThan(0);
    });
  });

  describe('del', () => {
    test('prints how many keys it deleted', async () => {
      expect(await ctl.ok(['del', 'f/a'])).toBe('1\n');
      expect(await ctl.ok(['del', 'f/a'])).toBe('0\n');
      expect(await ctl.ok(['del', 'f/b', 'f/d'])).toBe('2\n');
      expect(await ctl.ok(['del', 'f/', '--prefix'])).toBe('2\n');
    });

    test('--prev-kv prints what was deleted', async () => {
      expect(await ctl.lines(['del', 'f/d', '--from-key', '--prev-kv'])).toEqual([
        ...['2', 'f/d', '2', 'f/e', '1'],
      ]);
    });

    test('deleting nothing makes no revision, deleting many makes one', async () => {
      expect((await ctl.json(['del', 'none'])).header.revision).toBe(first + 6);
      expect((await ctl.json(['del', 'f/', '--prefix'])).header.revision).toBe(first + 7);
    });
  });

  describe('txn', () => {
    test('runs the first list when all comparisons hold', async () => {
      const compares = [
        `mod("f/a") = "${first}"`,
        `create("f/b") < "${first + 2}"`,
        'ver("f/b") > "2"',
        'val("f/c") = "3"',
        'create("none") = "0"',
      ];
      const input = `${compares.join('\n')}\n\nput t/1 one\nget f/a\ndel f/e\n\nput t/2 two\n\n`;
      expect(await ctl.lines(['txn'], input)).toEqual(['SUCCESS', 'OK', 'f/a', '5', '1']);
      expect(await keysOf('t/', '--prefix')).toEqual(['t/1']);
    });

    test('runs the second list when one does not', async () => {
      const input = 'val("f/a") = "5"\nval("f/b") = "wrong"\n\nput t/1 one\n\nput t/2 two\n\n';
      expect(await ctl.lines(['txn'], input)).toEqual(['FAILURE', 'OK']);
      expect(await keysOf('t/', '--prefix')).toEqual(['t/2']);
    });

    test('sees its own writes, and all of them are one revision', async () => {
      const answer = await ctl.json(['txn'], '\nput t/1 one\nput t/2 two\nget t/1\n\n\n');
      expect(answer.header.revision).toBe(first + 7);
      const { kvs } = answer.responses[2].Response.ResponseRange;
      expect(kvs[0]).toMatchObject({ value: base64('one'), mod_revision: first + 7 });
      const both = await ctl.json(['get', 't/', '--prefix']);
      expect(both.kvs.map((kv: { mod_revision: number }) => kv.mod_revision)).toEqual([
        first + 7,
        first + 7,
      ]);
    });

    test('may not put one key twice', async () => {
      expect(await ctl.error(['txn'], '\nput k 1\nput k 2\n\n\n')).toBe(
        'Error: etcdserver: duplicate key given in txn request',
      );
      expect(await ctl.ok(['get', 'k'])).toBe('');
    });
  });

  describe('compaction', () => {
    test('drops the history before a revision and keeps that revision', async () => {
      expect(await ctl.ok(['compaction', `${first + 2}`])).toBe(
        `compacted revision ${first + 2}\n`,
      );
      expect(await ctl.error(['get', 'f/b', `--rev=${first + 1}`])).toBe(
        'Error: etcdserver: mvcc: required revision has been compacted',
      );
      expect(await ctl.ok(['get', 'f/b', `--rev=${first + 2}`])).toBe('f/b\ny\n');
      expect(await ctl.ok(['get', 'f/b'])).toBe('f/b\n4\n');
    });

    test('--physical answers when the history is gone', async () => {
      const revision = `${first + 3}`;
      expect(await ctl.ok(['compaction', revision, '--physical'])).toBe(
        `compacted revision ${revision}\n`,
      );
      expect(await ctl.ok(['get', 'f/b'])).toBe('f/b\n4\n');
    });

    test('the same again, and a future revision, are refused', async () => {
      await ctl.ok(['compaction', `${first}`]);
      expect(await ctl.error(['compaction', `${first}`])).toBe(
        'Error: etcdserver: mvcc: required revision has been compacted',
      );
      expect(await ctl.error(['compaction', `${first + 1000}`])).toBe(
        'Error: etcdserver: mvcc: required revision is a future revision',
      );
      expect(await ctl.error(['get', 'f/a', `--rev=${first + 1000}`])).toBe(
        'Error: etcdserver: mvcc: required revision is a future revision',
      );
    });
  });

  test('an empty key is refused', async () => {
    expect(await ctl.error(['get', ''])).toBe('Error: etcdserver: key is not provided');
    expect(await ctl.error(['put', '', 'v'])).toBe('Error: etcdserver: key is not provided');
    expect(await ctl.error(['del', ''])).toBe('Error: etcdserver: key is not provided');
  });
});

describe.skipIf(!installed)('etcdctl about the cluster', () => {
  const everybody = () => new Etcdctl(...cluster.endpoints);

  test('member list names the three members, the same at each of them', async () => {
    const lists = await Promise.all(
      cluster.endpoints.map(endpoint => new Etcdctl(endpoint).lines(['member', 'list'])),
    );
    const names = lists[0]!.map(line => line.split(', ').slice(1, 3).join(' ')).sort();
    expect(names).toEqual(['started n1', 'started n2', 'started n3']);
    for (const list of lists) expect(list).toEqual(lists[0]);
    for (const { clientUrl, peerUrl } of cluster.members) {
      expect(lists[0]!.join('\n')).toContain(`${peerUrl}, ${clientUrl}, false`);
    }
    expect(await everybody().ok(['member', 'list', '-w', 'table'])).toContain('IS LEARNER');
  });

  test('endpoint status agrees on the leader', async () => {
    const statuses = await everybody().json(['endpoint', 'status']);
    const leaders = new Set(
      statuses.map((one: { Status: { leader: number } }) => one.Status.leader),
    );
    expect(statuses).toHaveLength(3);
    expect(leaders.size).toBe(1);
    for (const { Status } of statuses) {
      expect(Status.version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(Status.raftIndex).toBeGreaterThan(0);
      expect(Status.dbSize).toBeGreaterThan(0);
    }
    const cells = await everybody().ok(['endpoint', 'status', '--cluster', '-w', 'table']);
    expect(cells.match(/\| +true \|/g)).toHaveLength(1);
  });

  test('endpoint health finds all members healthy', async () => {
    const { code, stdout, stderr } = await everybody().run(['endpoint', 'health', '--cluster']);
    expect(code).toBe(0);
    expect((stdout + stderr).match(/is healthy: successfully committed proposal/g)).toHaveLength(3);
  });

  test('endpoint hashkv is the same at all members', async () => {
    await cluster.converged();
    const hashes = await everybody().json(['endpoint', 'hashkv', '--cluster']);
    const values = new Set(hashes.map((one: { HashKV: { hash: number } }) => one.HashKV.hash));
    expect(hashes).toHaveLength(3);
    expect(values.size).toBe(1);
  });
});

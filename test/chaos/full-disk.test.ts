// A disk that fills up under one of three members. The member must stop and say why, rather than go on
// with half of its data; the others go on; with space again it catches up and nothing is lost.
//
// The small disk is a tmpfs of its own, which needs the right to mount; without it the test is skipped.

import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../src/client/client.ts';
import { prefixRange } from '../../src/client/operations.ts';
import { WaitError } from '../support/process-wait.ts';
import { ProcessCluster } from '../support/processes.ts';

const MB = 1024 * 1024;
const DISK_MB = 96;
/** Left free, so that the disk fills up in the middle of the work and not at once. */
const FREE_BYTES = 4 * MB;
const VALUE_BYTES = 4000;
const WRITES_AT_ONCE = 32;
/** Much more than the disk can take, also behind what the log has preallocated. */
const WRITES_MAX = 30_000;

const canMount = mayMount();

let cluster: ProcessCluster;
let client: EtcdClient;
let small: string;
const acknowledged: string[] = [];

function mount(...args: string[]): boolean {
  return spawnSync('mount', args).status === 0;
}

function mayMount(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'kontiki-mount-'));
  const mounted = mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory);
  if (mounted) spawnSync('umount', [directory]);
  else console.warn('SKIPPED: no right to mount a small disk, the full disk is not tested');
  rmdirSync(directory);
  return mounted;
}

beforeAll(async () => {
  if (!canMount) return;
  cluster = await ProcessCluster.create();
  small = cluster.member(0).dataDir;
  mkdirSync(small);
  if (!mount('-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', small)) {
    throw new Error(`cannot mount ${small}`);
  }
  for (const member of cluster.members.keys()) cluster.spawn(member);
  await cluster.ready();
  client = new EtcdClient({ endpoints: cluster.endpoints });
});

afterAll(async () => {
  client?.close();
  await cluster?.killAll();
  if (small !== undefined) spawnSync('umount', [small]);
  await cluster?.stop();
});

/** Takes the disk but FREE_BYTES, piece by piece: the server takes some of it at the same time. */
function fill(): void {
  for (;;) {
    const { bavail, bsize } = statfsSync(small);
    if (bavail * bsize < FREE_BYTES + MB) return;
    appendFileSync(join(small, 'ballast'), Buffer.alloc(MB));
  }
}

/** Writes until the member has ended. A write that fails is simply not counted. */
async function writeUntilEnded(): Promise<void> {
  let next = 0;
  const value = 'v'.repeat(VALUE_BYTES);
  const writer = async () => {
    while (cluster.member(0).isRunning && next < WRITES_MAX) {
      const key = `full/${next++}`;
      await client.put(key, value).then(
        () => acknowledged.push(key),
        () => {},
      );
    }
  };
  await Promise.all(Array.from({ length: WRITES_AT_ONCE }, writer));
  if (cluster.member(0).isRunning) throw new WaitError(`${next} writes did not fill the disk`);
}

describe.skipIf(!canMount)('a member whose disk is full', () => {
  test('stops and says that there is no space', { timeout: 120_000 }, () =>
    cluster.explain(async () => {
      fill();
      await writeUntilEnded();
      expect(cluster.member(0).output()).toMatch(/ENOSPC|no space|disk is full|STORAGE_FULL/i);
    }),
  );

  test('does not keep the others from serving', { timeout: 30_000 }, async () => {
    await cluster.leader();
    await client.put('after', 'v');
    expect(await client.get('after')).not.toBeNull();
  });

  test('catches up once there is space, and nothing is lost', { timeout: 120_000 }, () =>
    cluster.explain(async () => {
      rmSync(join(small, 'ballast'));
      expect(mount('-o', `remount,size=${8 * DISK_MB}m`, small)).toBe(true);
      await cluster.restart(0, 60_000);
      await cluster.converged(60_000);
      const stored = new Set(
        (await client.getAll('full/')).map(kv => new TextDecoder().decode(kv.key)),
      );
      expect(acknowledged.length).toBeGreaterThan(0);
      expect(acknowledged.filter(key => !stored.has(key))).toEqual([]);
      const hashes = await Promise.all(
        cluster.endpoints.map(endpoint => client.hashKV(0, { endpoint, deadlineMs: 20_000 })),
      );
      expect(new Set(hashes.map(({ hash }) => hash)).size).toBe(1);
      const { count } = await client.range(prefixRange('full/'), { countOnly: true });
      console.log(
        `acknowledged ${acknowledged.length} writes before the disk was full, ${count} stored`,
      );
    }),
  );
});

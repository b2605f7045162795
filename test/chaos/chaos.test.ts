// The promise of the whole project, on real processes and a real disk: under kill -9, whatever was
// acknowledged stays, whatever was refused never happened, and writes go on within seconds.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkRevisions } from '../../src/check/revision.ts';
import { EtcdClient } from '../../src/client/client.ts';
import { isOnDisk } from '../support/process-ports.ts';
import { pause } from '../support/process-wait.ts';
import { ProcessCluster } from '../support/processes.ts';
import { unclaimedEvents } from './evidence.ts';
import { judge, Workload } from './workload.ts';

const CLIENTS = 32;
const LEADER_KILLS = 10;
const KILLS_OF_ALL = 2;
const LEADER_PAUSES = 2;
/** Longer than the longest election timeout, so that the others elect a leader meanwhile. */
const PAUSE_MS = 3000;
const AGAIN_MS_MAX = 3000;
/** How long to wait at all before giving up: more than the bound, so that the report can tell. */
const GIVE_UP_MS = 20_000;
/** Undisturbed work between two faults. */
const CALM_MS = 500;

interface Outage {
  readonly what: string;
  readonly ms: number;
}

let cluster: ProcessCluster;
let client: EtcdClient;
let workload: Workload;
const outages: Outage[] = [];

beforeAll(async () => {
  cluster = await ProcessCluster.start();
  client = new EtcdClient({ endpoints: cluster.endpoints });
  workload = new Workload(cluster.endpoints, CLIENTS);
});

afterAll(async () => {
  await workload?.stop();
  client?.close();
  await cluster?.stop();
});

async function note(what: string): Promise<void> {
  outages.push({ what, ms: await workload.timeToWrite(GIVE_UP_MS) });
}

async function killLeader(): Promise<void> {
  const leader = await cluster.leader();
  const killed = cluster.kill(leader);
  await note('leader killed');
  await killed;
  await cluster.restart(leader);
  await pause(CALM_MS);
}

async function killAll(): Promise<void> {
  const killed = cluster.killAll();
  const again = note('all killed');
  await killed;
  for (let member = 0; member < cluster.members.length; member++) cluster.spawn(member);
  await again;
  await cluster.ready();
  await pause(CALM_MS);
}

async function pauseLeader(): Promise<void> {
  const leader = await cluster.leader();
  cluster.member(leader).pause();
  const again = note('leader paused');
  await Promise.all([again, pause(PAUSE_MS)]);
  cluster.member(leader).resume();
  await cluster.serving(leader);
  await pause(CALM_MS);
}

function worst(what: string): number {
  return Math.max(...outages.filter(outage => outage.what === what).map(({ ms }) => ms));
}

function describeOutages(): string {
  const kinds = [...new Set(outages.map(({ what }) => what))];
  const line = (kind: string) => {
    const times = outages
      .filter(({ what }) => what === kind)
      .map(({ ms }) => (ms / 1000).toFixed(2));
    return `${kind}: writes again after ${times.join(', ')} s`;
  };
  return kinds.map(line).join('\n');
}

describe('32 clients, three processes, SIGKILL and SIGSTOP', () => {
  test('the data lies on a disk, not in memory', () => {
    expect(isOnDisk(cluster.directory)).toBe(true);
  });

  test('writes go on within three seconds of each kill of the leader', { timeout: 180_000 }, () =>
    cluster.explain(async () => {
      for (let kill = 0; kill < LEADER_KILLS; kill++) await killLeader();
      expect(worst('leader killed')).toBeLessThan(AGAIN_MS_MAX);
    }),
  );

  test('writes go on within three seconds of a kill of all nodes', { timeout: 90_000 }, () =>
    cluster.explain(async () => {
      for (let kill = 0; kill < KILLS_OF_ALL; kill++) await killAll();
      expect(worst('all killed')).toBeLessThan(AGAIN_MS_MAX);
    }),
  );

  test('a leader that stands still for three seconds is replaced', { timeout: 90_000 }, () =>
    cluster.explain(async () => {
      for (let turn = 0; turn < LEADER_PAUSES; turn++) await pauseLeader();
      expect(worst('leader paused')).toBeLessThan(AGAIN_MS_MAX);
    }),
  );

  test('nothing acknowledged is lost, nothing refused is there', { timeout: 60_000 }, () =>
    cluster.explain(async () => {
      await workload.stop();
      const stored = await client.getAll('own/');
      const judgement = judge(workload.history, stored);
      const counts = workload.counts();
      console.log(
        [
          '',
          describeOutages(),
          `acknowledged ${counts.acknowledged}, refused ${counts.refused}, ` +
            `unknown ${counts.unknown} (${judgement.unknownFound} of them found applied), ` +
            `reads ${counts.reads}, failed reads ${counts.failedReads}`,
          `lost ${judgement.lost.length}, applied though refused ${judgement.ghosts.length}, ` +
            `strange ${judgement.strange.length}`,
        ].join('\n'),
      );
      expect(counts.acknowledged).toBeGreaterThan(1000);
      const { lost, ghosts, strange } = judgement;
      expect({ lost, ghosts, strange }).toEqual({ lost: [], ghosts: [], strange: [] });
    }),
  );

  test('the history of all reads and writes is linearizable', { timeout: 60_000 }, async () => {
    const events = await unclaimedEvents(client, workload.history);
    const from = performance.now();
    const { verdict, violation, unknownWrites } = checkRevisions(workload.history, { events });
    console.log(
      `linearizability of ${workload.history.length} operations: ${verdict}, ` +
        `${unknownWrites.length} revisions by writes of unknown outcome, ` +
        `checked in ${Math.round(performance.now() - from)} ms`,
    );
    expect(violation).toBeUndefined();
    expect(verdict).toBe('legal');
  });

  test('all members hold the same data', { timeout: 60_000 }, () =>
    cluster.explain(async () => {
      await cluster.converged();
      const hashes = await Promise.all(
        cluster.endpoints.map(endpoint => client.hashKV(0, { endpoint })),
      );
      const [first] = hashes;
      expect(first!.hashRevision).toBeGreaterThan(1000);
      for (const { hash, hashRevision } of hashes) {
        expect({ hash, hashRevision }).toEqual({
          hash: first!.hash,
          hashRevision: first!.hashRevision,
        });
      }
    }),
  );
});

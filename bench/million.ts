// A million small keys: how long they take to load, how long the server then takes to serve again
// after a kill and after a clean stop, and what memory it holds.
//
//   npm run bench:million -- [--keys 1000000] [--size 1] [--peer etcd]

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EtcdClient } from '../src/client/client.ts';
import { op, prefixRange } from '../src/client/operations.ts';
import { until } from '../test/support/process-wait.ts';
import { ProcessCluster } from '../test/support/processes.ts';

const KEYS_A_TXN = 100;
const TXNS_AT_ONCE = 16;
const KEY_BYTES = 16;
const VALUE_BYTES = 64;
const RESTART_MS_MAX = 120_000;

const { values: flags } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    size: { type: 'string', default: '1' },
    peer: { type: 'string' },
  },
});
const total = Number(flags.keys);
const value = 'v'.repeat(VALUE_BYTES);
const keyOf = (i: number) => String(i).padStart(KEY_BYTES, '0');

/** Resident memory now and at its peak, in MB. */
function memory(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1000;
  return { now: field('VmRSS'), peak: field('VmHWM') };
}

async function load(client: EtcdClient): Promise<void> {
  let next = 0;
  const writer = async () => {
    while (next < total) {
      const from = next;
      next = Math.min(total, from + KEYS_A_TXN);
      const success = Array.from({ length: next - from }, (_, i) => op.put(keyOf(from + i), value));
      await client.txn({ success }, { deadlineMs: 60_000 });
    }
  };
  await Promise.all(Array.from({ length: TXNS_AT_ONCE }, writer));
}

/** From the start of the processes to the first linearizable read of the last key. */
async function timeRestart(cluster: ProcessCluster, client: EtcdClient): Promise<number> {
  const from = performance.now();
  for (let member = 0; member < cluster.members.length; member++) cluster.spawn(member);
  const read = async () => (await client.get(keyOf(total - 1), { deadlineMs: 1000 })) !== null;
  await until('the last key is served', read, RESTART_MS_MAX);
  return performance.now() - from;
}

function report(name: string, what: string, ms: number, cluster: ProcessCluster): void {
  const { now, peak } = memory(cluster.member(0).pid);
  console.log(
    `${name}: ${what} ${(ms / 1000).toFixed(2)} s, RSS ${now.toFixed(0)} MB (peak ${peak.toFixed(0)} MB)`,
  );
}

async function run(name: string, cluster: ProcessCluster): Promise<void> {
  const client = new EtcdClient({ endpoints: cluster.endpoints });
  try {
    const from = performance.now();
    await load(client);
    report(name, `${total.toLocaleString('en')} keys loaded in`, performance.now() - from, cluster);
    const counting = performance.now();
    const { count } = await client.range(prefixRange(''), { countOnly: true, deadlineMs: 60_000 });
    console.log(`${name}: counted ${count} keys in ${Math.round(performance.now() - counting)} ms`);
    await cluster.killAll();
    report(name, 'after kill -9 it serves again in', await timeRestart(cluster, client), cluster);
    await Promise.all(cluster.members.map(member => member.terminate()));
    report(
      name,
      'after a clean stop it serves again in',
      await timeRestart(cluster, client),
      cluster,
    );
    await client.put('one more', value);
    report(name, 'a put later:', 0, cluster);
  } catch (error) {
    console.error(cluster.logs());
    throw error;
  } finally {
    client.close();
  }
}

async function main(name: string, command: readonly string[] | null): Promise<void> {
  const peer = command === null ? {} : { command, flags: ['--log-level', 'error'] };
  await using cluster = await ProcessCluster.start({ size: Number(flags.size), ...peer });
  await run(name, cluster);
}

await main('kontiki', null);
if (flags.peer !== undefined) await main(flags.peer, [flags.peer]);

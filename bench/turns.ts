// Whether any long work holds the event loop: the longest turn of a real server while it does each
// kind of it on a large store, and the same for a node with a state machine of the user's.
//
//   npm run bench -- turns [--keys 1000000] [--only delete]
//
// How a turn is measured is told in turn-meter.ts. Other processes take part in the machine, so the
// figures of one run vary; the exit code is 1 only if a turn is absurdly long.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { SortOrder, SortTarget } from '../src/api/kv.ts';
import { encodeRangeRequest } from '../src/api/kv-codec.ts';
import { encodeHashKVRequest } from '../src/api/maintenance-codec.ts';
import { methods } from '../src/api/methods.ts';
import { toBytes } from '../src/api/proto-writer.ts';
import { encodeTxnRequest } from '../src/api/txn-codec.ts';
import { EtcdClient } from '../src/client/client.ts';
import { op, prefixRange, type RangeOptions, rangeRequest } from '../src/client/operations.ts';
import { GrpcChannel } from '../src/grpc/channel.ts';
import type { MemberProcess } from '../test/support/process-member.ts';
import { removeDirectory, temporaryDirectory } from '../test/support/process-ports.ts';
import { until } from '../test/support/process-wait.ts';
import { ProcessCluster } from '../test/support/processes.ts';
import { BOUND_MS, type TurnReport } from './turn-meter.ts';

const KEYS_A_TXN = 100;
const TXNS_AT_ONCE = 16;
const LONG_MS = 600_000;
const ABSURD_MS = 250;

const { values: flags } = parseArgs({
  options: { keys: { type: 'string', default: '1000000' }, only: { type: 'string' } },
});
const total = Number(flags.keys);
const value = 'v'.repeat(64);
const keyOf = (i: number) => `registry/pods/${String(i).padStart(8, '0')}`;
const everything = prefixRange('registry/');
let isAbsurd = false;

/** Turns the measurement of a process on, runs the work, and reads what was measured. */
async function measured(pid: number, directory: string, work: () => Promise<void>) {
  process.kill(pid, 'SIGUSR2');
  const from = performance.now();
  await work();
  const elapsedMs = performance.now() - from;
  process.kill(pid, 'SIGUSR2');
  const file = join(directory, `turns-${pid}.json`);
  const read = () => {
    const text = readFileSync(file, 'utf8');
    return text.endsWith('}') ? (JSON.parse(text) as TurnReport) : null;
  };
  const report = await until('the turns are reported', read, LONG_MS);
  removeDirectory(file);
  return { report, elapsedMs };
}

/** A whole state is one turn by contract, so that is only shown. */
function print(
  what: string,
  { report, elapsedMs }: { report: TurnReport; elapsedMs: number },
  counts = true,
) {
  const { longestMs, longestGcMs, p999Ms, longestOwnMs, p999OwnMs, longestElapsedMs } = report;
  const turns = [longestMs, longestGcMs, p999Ms, longestOwnMs, p999OwnMs, longestElapsedMs];
  const figures = turns.map(ms => ms.toFixed(1).padStart(9));
  const totals = [elapsedMs, report.busyMs, report.gcMs].map(ms =>
    (ms / 1000).toFixed(2).padStart(7),
  );
  const excess = longestMs <= ABSURD_MS ? 'above' : counts ? 'ABSURD' : 'by contract';
  const verdict = longestOwnMs <= BOUND_MS ? 'kept' : excess;
  const long = `${report.longTurns}/${report.busyTurns}`.padStart(10);
  if (counts && longestMs > ABSURD_MS) isAbsurd = true;
  console.log(`${what.padEnd(44)}${figures.join('')}${totals.join('')}${long} ${verdict}`);
}

/** A call whose answer nobody decodes. A refusal is told, not thrown: the work is what counts. */
function call(channel: GrpcChannel, path: string, message: Uint8Array): Promise<void> {
  return new Promise(resolve => {
    channel.unary(path, message, { deadlineMs: LONG_MS }, error => {
      if (error !== null) console.log(`  (${path} answered: ${error.message})`);
      resolve();
    });
  });
}

async function write(client: EtcdClient, from: number, to: number): Promise<void> {
  let next = from;
  const writer = async () => {
    while (next < to) {
      const first = next;
      next = Math.min(to, first + KEYS_A_TXN);
      const puts = Array.from({ length: next - first }, (_, i) => op.put(keyOf(first + i), value));
      await client.txn({ success: puts }, { deadlineMs: LONG_MS });
    }
  };
  await Promise.all(Array.from({ length: TXNS_AT_ONCE }, writer));
}

async function puts(client: EtcdClient, clients: number, seconds: number): Promise<void> {
  const until = performance.now() + seconds * 1000;
  const one = async () => {
    while (performance.now() < until) {
      // Refused while the disk is behind: that is no matter of turns.
      await client.put(keyOf(Math.floor(Math.random() * total)), value).catch(() => pause(20));
    }
  };
  await Promise.all(Array.from({ length: clients }, one));
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

async function counted(client: EtcdClient, count: number): Promise<void> {
  const isSo = async () => {
    const options = { countOnly: true, serializable: true, deadlineMs: LONG_MS };
    return (await client.range(everything, options)).count === count;
  };
  await until(`${count} keys are left`, isSo, LONG_MS);
}

interface Scene {
  readonly client: EtcdClient;
  readonly channel: GrpcChannel;
}

const range = ({ channel }: Scene, options: RangeOptions = {}) =>
  call(
    channel,
    methods.kv.range.path,
    toBytes(encodeRangeRequest, rangeRequest(everything, options)),
  );
const txn = ({ channel }: Scene, request: Parameters<typeof encodeTxnRequest>[0]) =>
  call(channel, methods.kv.txn.path, toBytes(encodeTxnRequest, request));

/** In this order: each finds the store as the one before has left it. */
const SINGLE: readonly (readonly [string, string, (scene: Scene) => Promise<void>])[] = [
  ['idle', 'nothing, to know the noise of the machine', () => pause(5000)],
  ['load', 'loading, 100 keys a transaction', ({ client }) => write(client, 0, total)],
  ['puts', 'saturating puts, 256 clients', ({ client }) => puts(client, 256, 5)],
  ['range', 'range of all keys', scene => range(scene)],
  ['keys', 'range of all keys, without values', scene => range(scene, { keysOnly: true })],
  ['count', 'count of all keys', scene => range(scene, { countOnly: true })],
  [
    'sort',
    'range of all keys by value, 10 of them',
    scene =>
      range(scene, { sortTarget: SortTarget.VALUE, sortOrder: SortOrder.DESCEND, limit: 10 }),
  ],
  [
    'descend',
    'range of all keys, last 10',
    scene => range(scene, { sortTarget: SortTarget.KEY, sortOrder: SortOrder.DESCEND, limit: 10 }),
  ],
  [
    'txn',
    'transaction that only reads all keys',
    scene =>
      txn(scene, {
        compare: [],
        success: [op.get(everything, { limit: 10, sortOrder: SortOrder.DESCEND })],
        failure: [],
      }),
  ],
  [
    'hash',
    'HashKV',
    ({ channel }) =>
      call(channel, methods.maintenance.hashKv.path, toBytes(encodeHashKVRequest, { revision: 0 })),
  ],
  ['update', 'a quarter of the keys written again', ({ client }) => write(client, 0, total / 4)],
  [
    'compact',
    'compaction, physical',
    async ({ client }) => {
      const { header } = await client.put('registry/last', value);
      await client.compact(header!.revision, { physical: true, deadlineMs: LONG_MS });
      await client.delete('registry/last');
    },
  ],
  [
    'delete',
    'delete range of all keys',
    async ({ client }) => {
      await client.delete(everything, { deadlineMs: LONG_MS }).catch(error => {
        console.log(`  (the delete answered: ${error.message})`);
      });
      await counted(client, 0);
    },
  ],
  ['after', 'counting while the deletion is written', ({ client }) => puts(client, 4, 3)],
];

async function single(meter: readonly string[], directory: string): Promise<void> {
  const environment = { TURN_METER_DIRECTORY: directory };
  await using cluster = await ProcessCluster.start({
    size: 1,
    environment,
    nodeFlags: () => meter,
  });
  const [endpoint] = cluster.endpoints as [string];
  await using client = new EtcdClient({ endpoints: [endpoint], deadlineMs: LONG_MS });
  const channel = GrpcChannel.connect(endpoint);
  await channel.ready();
  for (const [name, what, work] of SINGLE) {
    const isWanted = flags.only === undefined || flags.only.split(',').includes(name);
    const run = () => work({ client, channel });
    if (isWanted) print(what, await measured(cluster.member(0).pid, directory, run));
    else if (name === 'load') await run();
  }
  channel.close();
}

/** A follower that is far behind: what the leader's snapshot and its own restore cost. */
async function transfer(meter: readonly string[], directory: string): Promise<void> {
  const cluster = await ProcessCluster.start({
    environment: { TURN_METER_DIRECTORY: directory },
    nodeFlags: () => meter,
    flags: ['--snapshot-count', '1000', '--snapshot-catchup-entries', '100'],
  });
  try {
    const away = await cluster.follower();
    const leader = await cluster.leader();
    await cluster.kill(away);
    const endpoints = [cluster.member(leader).endpoint];
    await using client = new EtcdClient({ endpoints, deadlineMs: LONG_MS });
    await write(client, 0, total);
    cluster.spawn(away);
    const caughtUp = async () => {
      await cluster.serving(away, LONG_MS);
      await cluster.converged(LONG_MS);
    };
    await until('it has come up', () => isUp(cluster.member(away)));
    let follower: Awaited<ReturnType<typeof measured>> | null = null;
    const both = async () => {
      follower = await measured(cluster.member(away).pid, directory, caughtUp);
    };
    print('snapshot: leader', await measured(cluster.member(leader).pid, directory, both));
    print('snapshot: follower', follower!);
  } finally {
    await cluster.stop();
  }
}

/** The meter listens from the first line that the server logs. */
function isUp(member: MemberProcess): boolean {
  return member.output().length > 0;
}

/** A state machine of the user's own, as large; its snapshot and restore. */
async function embedded(directory: string): Promise<void> {
  const program = await bundled('turns-embedded', directory);
  for (const how of ['whole', 'parts']) {
    const child = fork(program, [how, String(total)], { execArgv: [] });
    const from = performance.now();
    const [reports] = (await once(child, 'message')) as [Record<string, TurnReport>];
    const elapsedMs = performance.now() - from;
    await once(child, 'exit');
    for (const [what, report] of Object.entries(reports)) {
      print(`own state machine, ${what} ${how}`, { report, elapsedMs }, how === 'parts');
    }
  }
}

async function bundled(name: string, directory: string): Promise<string> {
  const outfile = join(directory, `${name}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, `${name}.ts`)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
  });
  return outfile;
}

const directory = temporaryDirectory();
try {
  const meter = ['--import', await bundled('turn-meter', directory)];
  console.log(`${total.toLocaleString('en')} keys; turns in ms, without waiting for a processor`);
  console.log(`${''.padEnd(44)}          of which            without GC`);
  console.log(
    `${''.padEnd(44)}  longest       GC    p99.9  longest    p99.9  elapsed took s busy s   GC s   over ${BOUND_MS} ms`,
  );
  const isWanted = (name: string) =>
    flags.only === undefined || flags.only.split(',').includes(name);
  if (isWanted('embedded')) await embedded(directory);
  if (SINGLE.some(([name]) => isWanted(name))) await single(meter, directory);
  if (isWanted('snapshot')) await transfer(meter, directory);
} finally {
  removeDirectory(directory);
}
if (isAbsurd) process.exitCode = 1;

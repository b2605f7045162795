// Writes and reads a second of a three-node cluster of real processes on this machine, with latencies
// and the CPU of each node; on request beside a real etcd under the very same load.
//
//   npm run bench -- [--peer etcd] [--clients 1,64,512] [--seconds 5] [--conns 8] [--kinds put,read]
//                    [--targets leader|all] [--profile DIRECTORY]

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { removeDirectory, temporaryDirectory } from '../test/support/process-ports.ts';
import { ProcessCluster } from '../test/support/processes.ts';
import type { LoadKind, LoadRequest, LoadResult } from './load.ts';

const KEY_BYTES = 16;
const VALUE_BYTES = 256;
const KEYS = 100_000;
const WARM_UP_SECONDS = 1;
/** Clock ticks a second in /proc; fixed by the kernel's interface. */
const TICKS_A_SECOND = 100;

const { values: flags } = parseArgs({
  options: {
    peer: { type: 'string' },
    clients: { type: 'string', default: '1,64,512' },
    seconds: { type: 'string', default: '5' },
    conns: { type: 'string', default: '8' },
    kinds: { type: 'string', default: 'put,read,serializable' },
    targets: { type: 'string', default: 'leader' },
    size: { type: 'string', default: '3' },
    profile: { type: 'string' },
  },
});

interface Row {
  readonly kind: LoadKind;
  readonly clients: number;
  readonly load: LoadResult;
  /** CPU seconds of each node in the measured time. */
  readonly nodes: readonly number[];
  readonly leader: number;
}

/** The generator as a process of its own, bundled: a loader would cost CPU while we measure. */
class Generator {
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  static async start(): Promise<Generator> {
    const directory = temporaryDirectory();
    const outfile = join(directory, 'load.mjs');
    await build({
      entryPoints: [join(import.meta.dirname, 'load.ts')],
      bundle: true,
      outfile,
      format: 'esm',
      platform: 'node',
    });
    return new Generator(fork(outfile, [], { execArgv: [] }), directory);
  }

  run(request: LoadRequest): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const failed = (code: number | null) => reject(new Error(`the generator ended with ${code}`));
      this.#child.once('exit', failed);
      this.#child.once('message', result => {
        this.#child.off('exit', failed);
        resolve(result as LoadResult);
      });
      this.#child.send(request);
    });
  }

  stop(): void {
    this.#child.kill();
    removeDirectory(this.#directory);
  }
}

/** User and system time of a process since its start. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name in parentheses and may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

async function measure(
  cluster: ProcessCluster,
  generator: Generator,
  kind: LoadKind,
  clients: number,
): Promise<Row> {
  const leader = await cluster.leader();
  const endpoints = flags.targets === 'all' ? cluster.endpoints : [cluster.member(leader).endpoint];
  const request: LoadRequest = {
    kind,
    endpoints,
    clients,
    connections: Math.min(clients, Number(flags.conns)),
    seconds: Number(flags.seconds),
    warmUpSeconds: WARM_UP_SECONDS,
    keyBytes: KEY_BYTES,
    valueBytes: VALUE_BYTES,
    keys: KEYS,
  };
  const before = cluster.members.map(member => cpuSeconds(member.pid));
  const load = await generator.run(request);
  // The warm-up is in the difference; its share is that of its time.
  const share = load.seconds / (load.seconds + WARM_UP_SECONDS);
  const nodes = cluster.members.map((m, i) => (cpuSeconds(m.pid) - before[i]!) * share);
  return { kind, clients, load, nodes, leader };
}

function print(name: string, { kind, clients, load, nodes, leader }: Row): void {
  const { operations, seconds, p50Ms, p99Ms, maxMs, errors, firstError } = load;
  const perOperation = (cpu: number) => ((cpu * 1e6) / operations).toFixed(1).padStart(6);
  const others = nodes.filter((_, i) => i !== leader).map(perOperation);
  const ms = (value: number) => value.toFixed(2).padStart(8);
  console.log(
    name.padEnd(8) + kind.padEnd(13) + String(clients).padStart(4),
    Math.round(operations / seconds)
      .toLocaleString('en')
      .padStart(9) + '/s',
    ms(p50Ms) + ms(p99Ms) + ms(maxMs),
    '  ' + perOperation(nodes[leader]!) + ' |' + others.join(''),
    '  ' + perOperation(load.cpuSeconds),
    errors > 0 ? `  ${errors} errors, first: ${firstError}` : '',
  );
}

async function bench(name: string, cluster: ProcessCluster): Promise<Row[]> {
  const generator = await Generator.start();
  const rows: Row[] = [];
  try {
    for (const kind of flags.kinds.split(',') as LoadKind[]) {
      for (const clients of flags.clients.split(',').map(Number)) {
        const row = await measure(cluster, generator, kind, clients);
        print(name, row);
        rows.push(row);
      }
    }
  } finally {
    generator.stop();
  }
  return rows;
}

/** --cpu-prof of every member, written when they end by themselves. */
function profileFlags(member: number): readonly string[] {
  if (flags.profile === undefined) return [];
  return [
    '--cpu-prof',
    `--cpu-prof-dir=${flags.profile}`,
    `--cpu-prof-name=n${member + 1}.cpuprofile`,
  ];
}

async function benchOurs(): Promise<Row[]> {
  const size = Number(flags.size);
  const cluster = await ProcessCluster.start({ size, nodeFlags: profileFlags });
  try {
    const rows = await bench('kontiki', cluster);
    if (flags.profile !== undefined) {
      console.log(`profiles in ${flags.profile}; the leader was n${(await cluster.leader()) + 1}`);
      await Promise.all(cluster.members.map(member => member.terminate()));
    }
    return rows;
  } finally {
    await cluster.stop();
  }
}

async function benchPeer(program: string): Promise<Row[]> {
  if (spawnSync(program, ['--version']).error !== undefined) {
    console.log(`${program} is not installed here: nothing to compare with`);
    return [];
  }
  const options = {
    size: Number(flags.size),
    command: [program],
    flags: ['--log-level', 'error'],
    environment: { ETCD_UNSUPPORTED_ARCH: process.arch },
  };
  await using cluster = await ProcessCluster.start(options);
  return await bench(program, cluster);
}

function printRatios(ours: readonly Row[], theirs: readonly Row[]): void {
  for (const row of ours) {
    const other = theirs.find(({ kind, clients }) => kind === row.kind && clients === row.clients);
    if (other === undefined) continue;
    const rate = ({ load }: Row) => load.operations / load.seconds;
    const cpu = ({ nodes, load }: Row) => nodes.reduce((a, b) => a + b, 0) / load.operations;
    console.log(
      `${row.kind} with ${row.clients} clients: ${(rate(row) / rate(other)).toFixed(2)} times the ` +
        `operations a second, ${(cpu(row) / cpu(other)).toFixed(2)} times the CPU an operation`,
    );
  }
}

console.log(
  `node ${process.version}, ${cpus().length} x ${cpus()[0]?.model.trim()}, load average ` +
    `${loadavg()[0]!.toFixed(1)}, data under ${tmpdir()}; ${flags.size} nodes and the load ` +
    `generator share the machine; keys of ${KEY_BYTES} B, values of ${VALUE_BYTES} B, ` +
    `${flags.conns} connections to ${flags.targets === 'all' ? 'all nodes' : 'the leader'}`,
);
console.log(
  '        kind       clients    rate     p50 ms  p99 ms  max ms   CPU us/op: leader | followers   generator',
);
const ours = await benchOurs();
if (flags.peer !== undefined) printRatios(ours, await benchPeer(flags.peer));

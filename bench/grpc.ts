// CPU per unary gRPC call on the server, measured with a canned answer: our server against one on
// node:http2, in the same run, under the same client in a second process.
//
//   npx tsx bench/grpc.ts [calls] [connections] [concurrency]
import { type ChildProcess, fork } from 'node:child_process';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type Server } from 'node:net';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { GrpcChannel } from '../src/grpc/channel.ts';
import { createGrpcServer } from '../src/grpc/server.ts';

const PATH = '/etcdserverpb.KV/Put';
const REQUEST = new Uint8Array(256 + 16);
const RESPONSE = new Uint8Array(28);

interface Load {
  port: number;
  calls: number;
  connections: number;
  concurrency: number;
}

interface LoadResult {
  seconds: number;
  clientMicros: number;
  p50Ms: number;
  p99Ms: number;
}

// ---- the client process

async function runClient(load: Load): Promise<LoadResult> {
  const channels = Array.from({ length: load.connections }, () =>
    GrpcChannel.connect('127.0.0.1:' + load.port),
  );
  await Promise.all(channels.map(channel => channel.ready()));
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const latencies = await pump(channels, load);
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  for (const channel of channels) channel.close();
  latencies.sort();
  const at = (q: number): number => latencies[Math.floor(q * (latencies.length - 1))]!;
  const clientMicros = (cpu.user + cpu.system) / load.calls;
  return { seconds, clientMicros, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Keeps `concurrency` calls under way until all are done. */
function pump(channels: GrpcChannel[], load: Load): Promise<Float64Array> {
  const latencies = new Float64Array(load.calls);
  let started = 0;
  let done = 0;
  return new Promise((resolve, reject) => {
    const next = (): void => {
      if (started === load.calls) return;
      const channel = channels[started % channels.length]!;
      started += 1;
      const sentAt = performance.now();
      channel.unary(PATH, REQUEST, null, error => {
        if (error !== null) return reject(error);
        latencies[done] = performance.now() - sentAt;
        done += 1;
        if (done === load.calls) resolve(latencies);
        else next();
      });
    };
    for (let i = 0; i < load.concurrency; i++) next();
  });
}

// ---- the servers

function ourServer(): Server {
  const grpc = createGrpcServer({
    handlers: { [PATH]: { kind: 'unary', handle: call => call.respond(RESPONSE) } },
  });
  return createServer({ noDelay: true }, socket => grpc.accept(socket));
}

function nodeServer(): Server {
  const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, RESPONSE.length]), RESPONSE]);
  const server = createHttp2Server();
  server.on('stream', stream => {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(framed);
    });
  });
  return server as unknown as Server;
}

async function measure(name: string, server: Server, load: Omit<Load, 'port'>): Promise<void> {
  const port = await new Promise<number>(resolve => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  await inChild({ ...load, port, calls: Math.min(load.calls, 20_000) }); // warms the code up
  const before = process.cpuUsage();
  const result = await inChild({ ...load, port });
  const cpu = process.cpuUsage(before);
  const micros = (value: number): string => (value / load.calls).toFixed(2).padStart(6);
  console.log(
    name.padEnd(11),
    String(load.connections).padStart(4) + '/' + String(load.concurrency).padEnd(5),
    String(Math.round(load.calls / result.seconds)).padStart(8) + '/s',
    ' server CPU us/call' + micros(cpu.user + cpu.system),
    '(user' + micros(cpu.user) + ' sys' + micros(cpu.system) + ')',
    ' client' + result.clientMicros.toFixed(2).padStart(6),
    ' p50 ' + result.p50Ms.toFixed(2) + ' ms  p99 ' + result.p99Ms.toFixed(2) + ' ms',
  );
  server.close();
}

function inChild(load: Load): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(fileURLToPath(import.meta.url), ['client']);
    child.once('message', result => {
      resolve(result as LoadResult);
      child.disconnect();
    });
    child.once('error', reject);
    child.once('exit', code => reject(new Error('client process ended with ' + code)));
    child.send(load);
  });
}

async function main(): Promise<void> {
  const [calls = 200_000, connections, concurrency] = process.argv.slice(2).map(Number);
  const shapes: [number, number][] = connections
    ? [[connections, concurrency ?? connections]]
    : [
        [1, 1],
        [10, 100],
        [100, 1000],
      ];
  console.log('node', process.version, 'on', cpus().length, 'x', cpus()[0]?.model ?? 'unknown CPU');
  for (const [c, n] of shapes) {
    const load = { calls: n === 1 ? Math.ceil(calls / 10) : calls, connections: c, concurrency: n };
    await measure('kontiki', ourServer(), load);
    await measure('node:http2', nodeServer(), { ...load, calls: Math.ceil(load.calls / 4) });
  }
}

if (process.argv[2] === 'client') {
  process.once('message', load => {
    runClient(load as Load).then(
      result => process.send?.(result),
      error => {
        console.error(error);
        process.exit(1);
      },
    );
  });
} else {
  await main();
}

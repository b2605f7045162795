// The load generator of bench/server.ts: one process with our own gRPC client, a fixed number of
// clients in a closed loop over a few connections. Requests are encoded by hand into one buffer a
// client, so that the generator takes less of the machine than what it measures.

import { GrpcChannel } from '../src/grpc/channel.ts';
import type { CallError } from '../src/grpc/status.ts';

export type LoadKind = 'put' | 'read' | 'serializable';

export interface LoadRequest {
  readonly kind: LoadKind;
  readonly endpoints: readonly string[];
  readonly clients: number;
  readonly connections: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Keys are numbered from 0; writers take random ones. */
  readonly keys: number;
}

export interface LoadResult {
  readonly operations: number;
  readonly errors: number;
  readonly firstError: string | null;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** CPU of this process, user and system, in the measured time. */
  readonly cpuSeconds: number;
}

const PATHS: Readonly<Record<LoadKind, string>> = {
  put: '/etcdserverpb.KV/Put',
  read: '/etcdserverpb.KV/Range',
  serializable: '/etcdserverpb.KV/Range',
};
/** Errors in a row that a client survives; more, and the run makes no sense. */
const ERRORS_MAX = 10_000;
const LATENCIES_MAX = 20_000_000;

/** A request whose key is the only thing that changes. */
class Template {
  readonly #bytes: Uint8Array;
  readonly #keyAt = 2;
  readonly #keyBytes: number;

  constructor(request: LoadRequest) {
    const { keyBytes, valueBytes, kind } = request;
    if (keyBytes > 127) throw new RangeError('keys of at most 127 bytes');
    this.#keyBytes = keyBytes;
    const key = [0x0a, keyBytes, ...new Array<number>(keyBytes).fill(0x30)];
    const value = [0x12, (valueBytes & 0x7f) | 0x80, valueBytes >> 7];
    const body =
      kind === 'put' ? [...key, ...value, ...new Array<number>(valueBytes).fill(0x76)] : key;
    // Field 7: serializable.
    this.#bytes = Uint8Array.from(kind === 'serializable' ? [...body, 0x38, 1] : body);
  }

  /** A fresh copy: a channel may hold on to the bytes until they are sent. */
  with(key: number): Uint8Array {
    const bytes = this.#bytes.slice();
    let at = this.#keyAt + this.#keyBytes - 1;
    for (let rest = key; rest > 0 && at >= this.#keyAt; rest = Math.floor(rest / 10)) {
      bytes[at--] = 0x30 + (rest % 10);
    }
    return bytes;
  }
}

class LoadRun {
  readonly #request: LoadRequest;
  readonly #channels: readonly GrpcChannel[];
  readonly #template: Template;
  readonly #path: string;
  readonly #latencies: Float64Array;
  #measuring = false;
  #stopped = false;
  #operations = 0;
  #errors = 0;
  #firstError: string | null = null;
  #open = 0;
  #idle: () => void = () => {};

  constructor(request: LoadRequest, channels: readonly GrpcChannel[]) {
    this.#request = request;
    this.#channels = channels;
    this.#template = new Template(request);
    this.#path = PATHS[request.kind];
    this.#latencies = new Float64Array(
      Math.min(LATENCIES_MAX, Math.ceil(request.seconds * 200_000)),
    );
  }

  async run(): Promise<LoadResult> {
    for (let client = 0; client < this.#request.clients; client++) this.#next(client);
    await wait(this.#request.warmUpSeconds);
    const cpuBefore = process.cpuUsage();
    const from = performance.now();
    this.#measuring = true;
    await wait(this.#request.seconds);
    this.#measuring = false;
    const seconds = (performance.now() - from) / 1000;
    const cpu = process.cpuUsage(cpuBefore);
    await this.#drain();
    return { ...this.#summary(), seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6 };
  }

  #next(client: number): void {
    const channel = this.#channels[client % this.#channels.length]!;
    const message = this.#template.with(Math.floor(Math.random() * this.#request.keys));
    this.#open += 1;
    const sentAt = performance.now();
    channel.unary(this.#path, message, null, error => this.#answered(client, sentAt, error));
  }

  #answered(client: number, sentAt: number, error: CallError | null): void {
    this.#open -= 1;
    if (error !== null) this.#failed(error);
    else if (this.#measuring && this.#operations < this.#latencies.length) {
      this.#latencies[this.#operations++] = performance.now() - sentAt;
    }
    if (!this.#stopped) this.#next(client);
    else if (this.#open === 0) this.#idle();
  }

  #failed(error: CallError): void {
    this.#errors += 1;
    this.#firstError ??= `${error.code} ${error.message}`;
    if (this.#errors > ERRORS_MAX) this.#stopped = true;
  }

  #drain(): Promise<void> {
    this.#stopped = true;
    if (this.#open === 0) return Promise.resolve();
    return new Promise(resolve => {
      this.#idle = resolve;
    });
  }

  #summary() {
    const sorted = this.#latencies.subarray(0, this.#operations).sort();
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
    return {
      operations: this.#operations,
      errors: this.#errors,
      firstError: this.#firstError,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
    };
  }
}

function wait(seconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, seconds * 1000));
}

async function runLoad(request: LoadRequest): Promise<LoadResult> {
  const channels = Array.from({ length: request.connections }, (_, i) =>
    GrpcChannel.connect(request.endpoints[i % request.endpoints.length]!),
  );
  await Promise.all(channels.map(channel => channel.ready()));
  const result = await new LoadRun(request, channels).run();
  for (const channel of channels) channel.close();
  return result;
}

process.on('message', request => {
  runLoad(request as LoadRequest).then(
    result => process.send?.(result),
    error => {
      console.error(error);
      process.exit(1);
    },
  );
});

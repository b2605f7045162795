// Clients that write unique values and read them back, and a record of everything they were told. The
// record is judged twice: by hand, key by key (what was acknowledged is there, what was refused is
// not), and as a whole by the linearizability checker.

import type { KeyValue } from '../../src/api/common.ts';
import type { Operation } from '../../src/check/history.ts';
import type { KvOperation, KvOutput, KvRequest } from '../../src/check/kv-history.ts';
import { EtcdClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/client-error.ts';
import { pause } from '../support/process-wait.ts';

/** Keys that all clients write to, so that their writes meet. */
const SHARED_KEYS = 8;
/** A client waits this long between calls: the servers, not the clients, should use the machine. */
const THINK_MS = 10;
/** As long as etcd's Go client waits at the most in its own robustness tests, times ten. */
const DEADLINE_MS = 2000;
const OPERATIONS_MAX = 400_000;

const text = new TextDecoder();

export interface Counts {
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly reads: number;
  readonly failedReads: number;
}

export class Workload {
  readonly history: KvOperation[] = [];
  readonly #clients: EtcdClient[] = [];
  readonly #loops: Promise<void>[] = [];
  #running = true;
  #nextValue = 0;
  #ackListeners: ((calledAt: number, ackedAt: number) => void)[] = [];

  /** Each client starts at another endpoint and turns to the next when one fails. */
  constructor(endpoints: readonly string[], clients: number) {
    for (let id = 0; id < clients; id++) {
      const turned = endpoints.map((_, i) => endpoints[(i + id) % endpoints.length]!);
      const client = new EtcdClient({ endpoints: turned, deadlineMs: DEADLINE_MS });
      this.#clients.push(client);
      this.#loops.push(this.#loop(id, client));
    }
  }

  /** Resolves with the time from now until a write that was called after now is acknowledged. */
  timeToWrite(timeoutMs: number): Promise<number> {
    const from = performance.now();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no write was accepted for ${timeoutMs} ms`));
      }, timeoutMs);
      const heard = (calledAt: number, ackedAt: number) => {
        if (calledAt < from) return;
        clearTimeout(timer);
        this.#ackListeners = this.#ackListeners.filter(listener => listener !== heard);
        resolve(ackedAt - from);
      };
      this.#ackListeners.push(heard);
    });
  }

  /** Ends all loops; calls under way are waited for. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#loops);
    for (const client of this.#clients) client.close();
  }

  counts(): Counts {
    const writes = this.history.filter(({ input }) => input.kind === 'put');
    const reads = this.history.filter(({ input }) => input.kind === 'range');
    const having = (list: readonly KvOperation[], outcome: Operation['outcome']) =>
      list.filter(one => one.outcome === outcome).length;
    return {
      acknowledged: having(writes, 'ok'),
      refused: having(writes, 'failed'),
      unknown: having(writes, 'unknown'),
      reads: having(reads, 'ok'),
      failedReads: reads.length - having(reads, 'ok'),
    };
  }

  async #loop(id: number, client: EtcdClient): Promise<void> {
    // Spread over the think time, so that they do not march in step.
    await pause((THINK_MS * id) / this.#clients.length);
    for (let n = 0; this.#running && this.history.length < OPERATIONS_MAX; n++) {
      const shared = `shared/${(id + n) % SHARED_KEYS}`;
      if (n % 8 === 5) await this.#read(id, client, shared);
      else await this.#write(id, client, n % 8 === 2 ? shared : `own/${id}/${n}`);
      await pause(THINK_MS);
    }
  }

  async #write(id: number, client: EtcdClient, key: string): Promise<void> {
    const value = `${id}:${this.#nextValue++}`;
    const callTime = performance.now();
    const output = await client
      .put(key, value)
      .then(
        ({ header }): KvOutput => ({ revision: header!.revision, response: { kind: 'put' } }),
        outcomeOf,
      );
    this.#record(id, callTime, { kind: 'put', key, value }, output);
  }

  async #read(id: number, client: EtcdClient, key: string): Promise<void> {
    const callTime = performance.now();
    const output = await client.range(key).then(
      ({ header, kvs, count }): KvOutput => ({
        revision: header!.revision,
        response: { kind: 'range', kvs: kvs.map(plain), count },
      }),
      outcomeOf,
    );
    // A read that failed has changed nothing, whatever became of it.
    this.#record(id, callTime, { kind: 'range', key }, output === 'unknown' ? 'failed' : output);
  }

  #record(
    process: number,
    callTime: number,
    input: KvRequest,
    output: KvOutput | 'failed' | 'unknown',
  ): void {
    const returnTime = performance.now();
    const times = { process, callTime, returnTime, input };
    if (typeof output === 'string') {
      this.history.push({ ...times, outcome: output });
      return;
    }
    this.history.push({ ...times, output, outcome: 'ok' });
    if (input.kind !== 'put') return;
    for (const listener of this.#ackListeners) listener(callTime, returnTime);
  }
}

function outcomeOf(error: unknown): 'failed' | 'unknown' {
  if (!(error instanceof ClientError)) throw error;
  return error.outcome === 'not-applied' ? 'failed' : 'unknown';
}

function plain(kv: KeyValue) {
  const { createRevision, modRevision, version } = kv;
  return {
    key: text.decode(kv.key),
    value: text.decode(kv.value),
    createRevision,
    modRevision,
    version,
  };
}

export interface Judgement {
  /** Acknowledged, and not there. */
  readonly lost: string[];
  /** Refused, and there. */
  readonly ghosts: string[];
  /** There, and never written by anyone, or with another value than was written. */
  readonly strange: string[];
  readonly unknownFound: number;
}

/** Compares the keys that were written once each with what the store holds in the end. */
export function judge(history: readonly KvOperation[], stored: readonly KeyValue[]): Judgement {
  const found = new Map(stored.map(kv => [text.decode(kv.key), text.decode(kv.value)]));
  const judgement = { lost: [] as string[], ghosts: [] as string[], strange: [] as string[] };
  const written = new Set<string>();
  let unknownFound = 0;
  for (const { input, outcome } of history) {
    if (input.kind !== 'put' || !input.key.startsWith('own/')) continue;
    written.add(input.key);
    const value = found.get(input.key);
    if (outcome === 'ok' && value === undefined) judgement.lost.push(input.key);
    if (outcome === 'failed' && value !== undefined) judgement.ghosts.push(input.key);
    if (outcome === 'unknown' && value !== undefined) unknownFound += 1;
    if (value !== undefined && value !== input.value) judgement.strange.push(input.key);
  }
  for (const key of found.keys()) {
    if (key.startsWith('own/') && !written.has(key)) judgement.strange.push(key);
  }
  return { ...judgement, unknownFound };
}

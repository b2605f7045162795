// Clients of the key-value store: puts, deletes, ranges and transactions, and compactions in
// between. What they saw is judged by the revision-ordered checker over the whole store; the
// replicas are compared by every answer and, at round revisions, by the hash of all history.

import { HistoryRecorder } from '../check/history.ts';
import type { KvOutput, KvRequest, KvResponse } from '../check/kv-history.ts';
import { checkRevisions } from '../check/revision.ts';
import { type CommandResult, CommandTag, encodeCommand } from '../kv/command.ts';
import { KvMachine } from '../kv/kv-machine.ts';
import { MemoryBackend } from '../kv/memory-backend.ts';
import { isRefusal } from '../kv/store.ts';
import type { ReplyCodec } from '../node/driver-types.ts';
import type { ApplyBatch, Machine } from '../node/machine.ts';
import { jsonCodec } from '../node/state-machine.ts';
import type { LogId, NodeId } from '../raft/types.ts';
import { decodeKeyValue, encodeCompaction, encodeRequest } from './kv-protocol.ts';
import { hashText, type Prng } from './prng.ts';
import type { Process } from './process.ts';
import type { Operation, Workload, WorkloadParts } from './workload.ts';

/** The hash of the store is compared at every so many revisions. */
const HASH_EVERY = 64;
const KEEP_REVISIONS = 200;
const STEPS_MAX = 20_000_000;
const encoder = new TextEncoder();
const TAGS = { put: CommandTag.PUT, delete: CommandTag.DELETE_RANGE, txn: CommandTag.TXN } as const;

/** Null for a compaction, which no client can see. */
type Input = KvRequest | null;

export class KvWorkload implements Workload {
  /** The store takes no commands of sessions: etcd's clients have none. */
  readonly replies = jsonCodec as ReplyCodec;
  readonly #parts: WorkloadParts;
  readonly #history = new HistoryRecorder<KvRequest, KvOutput>();
  /** The recorder's number of each call; -1 for what is not recorded. */
  readonly #calls: number[] = [];
  readonly #hashes = new Map<number, number>();
  #revision = 1;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
  }

  createMachine(process: Process, node: NodeId): Machine {
    const looked = (index: number, hash: number) => this.#parts.applied.state(node, index, hash);
    return new HeardKvMachine(process, looked, (revision, hash) => {
      const known = this.#hashes.get(revision);
      if (known === undefined) this.#hashes.set(revision, hash);
      this.#parts.judge.check('A-13', node, known === undefined || known === hash, () => {
        return `the hash of the store at revision ${revision} differs on node ${node}`;
      });
    });
  }

  next(number: number, _client: number, chance: Prng): Operation {
    const { readShare } = this.#parts;
    if (chance.chance(readShare)) return { ...this.#of(number, this.#range(chance)), isRead: true };
    if (this.#revision > 2 * KEEP_REVISIONS && chance.chance(0.01)) {
      const data = encodeCompaction(this.#revision - KEEP_REVISIONS);
      const command = encodeCommand(CommandTag.COMPACT, data);
      return { number, isRead: false, data: command, input: null };
    }
    const what = chance.float();
    if (what < 0.5) return this.#of(number, this.#put(number, chance));
    if (what < 0.65) return this.#of(number, this.#delete(chance));
    return this.#of(number, this.#txn(number, chance));
  }

  read(machine: Machine, operation: Operation): unknown {
    return (machine as HeardKvMachine).range(operation.input as KvRequest & { kind: 'range' });
  }

  called(process: number, operation: Operation): number {
    const input = operation.input as Input;
    this.#calls.push(input === null ? -1 : this.#history.call(process, input));
    return this.#calls.length - 1;
  }

  ok(call: number, result: unknown): void {
    const id = this.#calls[call]!;
    if (id < 0) return;
    const output = outputOf(result as CommandResult);
    this.#revision = Math.max(this.#revision, output.revision);
    this.#history.ok(id, output);
  }

  failed(call: number): void {
    const id = this.#calls[call]!;
    if (id >= 0) this.#history.failed(id);
  }

  unknown(call: number): void {
    const id = this.#calls[call]!;
    if (id >= 0) this.#history.unknown(id);
  }

  finish(): void {
    const { judge } = this.#parts;
    const { verdict, violation } = checkRevisions(this.#history.history(), { stepsMax: STEPS_MAX });
    judge.check('A-24', 0, verdict !== 'illegal', () => violation?.message ?? 'illegal');
    if (verdict === 'undecided') judge.mark('undecidedHistory');
  }

  #of(number: number, request: KvRequest): Operation {
    const bytes = encodeRequest(request);
    if (request.kind === 'range') return { number, isRead: false, data: bytes, input: request };
    const tag = TAGS[request.kind as keyof typeof TAGS];
    return { number, isRead: false, data: encodeCommand(tag, bytes), input: request };
  }

  #key(chance: Prng): string {
    return `k${chance.below(this.#parts.keys)}`;
  }

  #range(chance: Prng): KvRequest {
    if (chance.chance(0.7)) return { kind: 'range', key: this.#key(chance) };
    return { kind: 'range', key: 'k', rangeEnd: 'l' };
  }

  #put(number: number, chance: Prng): KvRequest {
    return { kind: 'put', key: this.#key(chance), value: `v${number}` };
  }

  #delete(chance: Prng): KvRequest {
    if (chance.chance(0.8)) return { kind: 'delete', key: this.#key(chance) };
    return { kind: 'delete', key: this.#key(chance), rangeEnd: 'k5' };
  }

  #txn(number: number, chance: Prng): KvRequest {
    const key = this.#key(chance);
    const other = this.#key(chance);
    const put = (name: string, i: number): KvRequest => {
      return { kind: 'put', key: name, value: `v${number}.${i}` };
    };
    // One key twice in one transaction is refused.
    const success = other === key ? [put(key, 1)] : [put(key, 1), put(other, 2)];
    const guess = Math.max(0, this.#revision - chance.below(4));
    return {
      kind: 'txn',
      compare: [
        chance.chance(0.5)
          ? { key, target: 'mod', relation: chance.pick(['<', '>', '!=']), operand: guess }
          : { key, target: 'version', relation: '=', operand: 0 },
      ],
      success,
      failure: [{ kind: 'range', key }],
    };
  }
}

/** The store of one node, with an ear to it. */
class HeardKvMachine implements Machine {
  readonly #machine: KvMachine;
  readonly #process: Process;
  readonly #looked: (index: number, hash: number) => void;
  readonly #hashed: (revision: number, hash: number) => void;
  #nextHash = HASH_EVERY;

  constructor(
    process: Process,
    looked: (index: number, hash: number) => void,
    hashed: (revision: number, hash: number) => void,
  ) {
    this.#machine = new KvMachine(new MemoryBackend());
    this.#process = process;
    this.#looked = looked;
    this.#hashed = hashed;
  }

  get applied(): LogId {
    return this.#machine.applied;
  }

  get durable(): LogId {
    return this.#machine.durable;
  }

  apply(batch: ApplyBatch): unknown[] {
    const results = this.#machine.apply(batch);
    for (let i = 0; i < results.length; i++) {
      this.#looked(batch.commands[i]!.index, hashText(show(results[i])));
    }
    this.#compareHash();
    return results;
  }

  flush(): Promise<LogId> {
    this.#process.stirred = true;
    return this.#machine.flush();
  }

  bookkeeping(prefix: string): Iterable<[name: string, value: Uint8Array]> {
    return this.#machine.bookkeeping(prefix);
  }

  snapshot(): { readonly last: LogId; content(): AsyncIterable<Uint8Array> } {
    this.#process.stirred = true;
    return this.#machine.snapshot();
  }

  async restore(last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#machine.restore(last, content);
    this.#nextHash = roundUp(this.#machine.store.revision);
  }

  close(): Promise<void> {
    return this.#machine.close();
  }

  range(request: KvRequest & { kind: 'range' }): unknown {
    return this.#machine.range({
      key: encoder.encode(request.key),
      rangeEnd: encoder.encode(request.rangeEnd ?? ''),
      limit: 0,
      revision: 0,
      sortOrder: 0,
      sortTarget: 0,
      serializable: false,
      keysOnly: false,
      countOnly: false,
      minModRevision: 0,
      maxModRevision: 0,
      minCreateRevision: 0,
      maxCreateRevision: 0,
    });
  }

  #compareHash(): void {
    const { revision, compactRevision } = this.#machine.store;
    if (revision < this.#nextHash) return;
    const at = this.#nextHash;
    this.#nextHash = roundUp(revision);
    // The hash speaks of what compaction has left, so equal only at equal compactions.
    if (at < compactRevision) return;
    const hash = this.#machine.hash(at);
    if (isRefusal(hash)) return;
    this.#hashed(at + compactRevision / 2 ** 24, Number(hash.hash));
  }
}

function roundUp(revision: number): number {
  return (Math.floor(revision / HASH_EVERY) + 1) * HASH_EVERY;
}

function show(result: unknown): string {
  return JSON.stringify(result, (_key, value) => {
    if (typeof value === 'bigint') return String(value);
    return value instanceof Uint8Array ? [...value] : value;
  });
}

type OneResult = { readonly revision: number } & object;

function outputOf(result: CommandResult | OneResult): KvOutput {
  if (isRefusal(result)) throw new Error(`the store refuses what it should do: ${show(result)}`);
  return { revision: (result as OneResult).revision, response: responseOf(result) };
}

/** The kind of an answer shows in its fields. */
function responseOf(result: object): KvResponse {
  if ('encodedKvs' in result) {
    const { encodedKvs, count } = result as { encodedKvs: Uint8Array[]; count: number };
    return { kind: 'range', kvs: encodedKvs.map(decodeKeyValue), count };
  }
  if ('deleted' in result) {
    const { deleted, encodedPrevKvs } = result as { deleted: number; encodedPrevKvs: Uint8Array[] };
    return { kind: 'delete', deleted, prevKvs: encodedPrevKvs.map(decodeKeyValue) };
  }
  if ('succeeded' in result) {
    const { succeeded, responses } = result as {
      succeeded: boolean;
      responses: { kind: string; [kind: string]: unknown }[];
    };
    const inner = responses.map(op => responseOf(op[op.kind] as object));
    return { kind: 'txn', succeeded, responses: inner };
  }
  const { encodedPrevKv } = result as { encodedPrevKv: Uint8Array | null };
  return { kind: 'put', prevKv: encodedPrevKv === null ? null : decodeKeyValue(encodedPrevKv) };
}

// Clients of the key-value store: puts, deletes, ranges and transactions, compactions in between,
// and watches. What they saw is judged by the revision-ordered checker over the whole store, and the
// watches by what the committed commands do to a model; the replicas are compared by every answer
// and, at round revisions, by the hash of all history.

import { explainRevisions } from '../check/explain.ts';
import { HistoryRecorder } from '../check/history.ts';
import type { KvOutput, KvRequest, KvResponse } from '../check/kv-history.ts';
import { checkRevisions } from '../check/revision.ts';
import { type CommandResult, CommandTag, encodeCommand } from '../kv/command.ts';
import { isRefusal } from '../kv/store.ts';
import type { ReplyCodec } from '../node/driver-types.ts';
import type { Machine } from '../node/machine.ts';
import { jsonCodec } from '../node/state-machine.ts';
import type { NodeId } from '../raft/types.ts';
import { HeardKvMachine } from './heard-kv-machine.ts';
import { failExplained, UNDECIDED } from './judge-history.ts';
import { decodeKeyValue, encodeCompaction, encodeRequest } from './kv-protocol.ts';
import { KvTruth } from './kv-truth.ts';
import { Prng } from './prng.ts';
import type { Process } from './process.ts';
import { drawSettings, WatchClients } from './watch-clients.ts';
import type { Operation, Surroundings, Workload, WorkloadParts } from './workload.ts';

/** Compactions leave so many revisions: none but the newest, or as many as most watches need. */
const KEEP_REVISIONS = [0, 3, 30, 200] as const;
/** Members sweep at different speeds, one perhaps not at all: nobody may notice. */
const SWEEPS = [0, 1, 8, 32] as const;
const COMPACT_FROM = 20;
const STEPS_MAX = 5_000_000;
const TAGS = { put: CommandTag.PUT, delete: CommandTag.DELETE_RANGE, txn: CommandTag.TXN } as const;

/** Null for what no client records: compactions, and reads of the past, which may be refused. */
type Input = KvRequest | null;

export class KvWorkload implements Workload {
  /** The store takes no commands of sessions: etcd's clients have none. */
  readonly replies = jsonCodec as ReplyCodec;
  readonly #parts: WorkloadParts;
  readonly #history = new HistoryRecorder<KvRequest, KvOutput>();
  /** The recorder's number of each call; -1 for what is not recorded. */
  readonly #calls: number[] = [];
  readonly #hashes = new Map<number, number>();
  readonly #truth: KvTruth;
  readonly #watching: ReturnType<typeof drawSettings>;
  #watches: WatchClients | null = null;
  #revision = 1;
  /** The last compaction that was asked for. */
  #compactedAt = 1;
  /** A revision that deleted something. */
  #deletedAt = 1;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#truth = new KvTruth();
    this.#watching = drawSettings(parts.seed);
  }

  createMachine(process: Process, node: NodeId): Machine {
    const { applied, judge, seed } = this.#parts;
    const sweepPerBatch = Prng.stream(seed, 'sweep', node).pick(SWEEPS);
    return new HeardKvMachine(
      process,
      { ...this.#watching, sweepPerBatch },
      {
        willApply: batch => this.#truth.apply(batch.commands),
        looked: (index, hash) => applied.state(node, index, hash),
        hashed: (revision, hash) => {
          const known = this.#hashes.get(revision);
          if (known === undefined) this.#hashes.set(revision, hash);
          judge.check('A-13', node, known === undefined || known === hash, () => {
            return `the hash of the store at revision ${Math.floor(revision)} differs on node ${node}`;
          });
        },
        restored: watchers => {
          if (watchers > 0) judge.mark('watchAfterRestore');
        },
      },
    );
  }

  begin(surroundings: Surroundings): void {
    const { judge } = this.#parts;
    this.#watches = new WatchClients({ ...surroundings, judge, truth: this.#truth });
    this.#watches.start();
  }

  caughtUp(nodes: ReadonlySet<NodeId>): boolean {
    return this.#watches?.caughtUp(nodes) ?? true;
  }

  next(number: number, _client: number, chance: Prng): Operation {
    const { readShare } = this.#parts;
    if (chance.chance(readShare)) return { ...this.#of(number, this.#range(chance)), isRead: true };
    if (this.#revision > COMPACT_FROM && chance.chance(0.03)) return this.#compact(number, chance);
    if (this.#revision > COMPACT_FROM && chance.chance(0.03)) return this.#readPast(number, chance);
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
    if (id < 0) {
      const isRefused = isRefusal(result as CommandResult);
      return this.#parts.judge.mark(isRefused ? 'refusedAsCompacted' : 'pastReadOrCompacted');
    }
    const output = outputOf(result as CommandResult);
    this.#revision = Math.max(this.#revision, output.revision);
    const { response } = output;
    if (response.kind === 'delete' && response.deleted > 0) this.#deletedAt = output.revision;
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
    const history = this.#history.history();
    // The log tells which writes of unknown outcome took effect: no need to search for them.
    const events = this.#truth.revisions;
    const result = checkRevisions(history, { events, stepsMax: STEPS_MAX });
    judge.count('A-24');
    if (result.verdict === 'illegal') failExplained(judge, explainRevisions(history, result)!);
    judge.check(UNDECIDED, 0, result.verdict !== 'undecided', () => {
      return `${STEPS_MAX} steps did not tell which writes of unknown outcome took effect`;
    });
    this.#watches?.finish();
  }

  #compact(number: number, chance: Prng): Operation {
    const some = Math.max(1, this.#revision - chance.pick(KEEP_REVISIONS));
    // A deletion can be watched from the compacted revision, and is easily lost there.
    const revision = chance.chance(0.5) ? this.#deletedAt : some;
    const data = encodeCommand(CommandTag.COMPACT, encodeCompaction(revision));
    this.#truth.learn(data, { compact: revision });
    this.#compactedAt = revision;
    return { number, isRead: false, data, input: null };
  }

  /** In the log, where it races compactions: its answer must be the same on every node (K04). */
  #readPast(number: number, chance: Prng): Operation {
    const revision = Math.max(1, this.#compactedAt + chance.between(-3, 3));
    const range: KvRequest = { kind: 'range', key: 'k', rangeEnd: 'l', revision };
    const txn: KvRequest = { kind: 'txn', compare: [], success: [range], failure: [] };
    const data = encodeCommand(CommandTag.TXN, encodeRequest(txn));
    this.#truth.learn(data, null);
    return { number, isRead: false, data, input: null };
  }

  #of(number: number, request: KvRequest): Operation {
    const bytes = encodeRequest(request);
    if (request.kind === 'range') return { number, isRead: false, data: bytes, input: request };
    const tag = TAGS[request.kind as keyof typeof TAGS];
    const data = encodeCommand(tag, bytes);
    this.#truth.learn(data, request);
    return { number, isRead: false, data, input: request };
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

type OneResult = { readonly revision: number } & object;

function outputOf(result: CommandResult | OneResult): KvOutput {
  if (isRefusal(result)) throw new Error(`the store refuses what it should do: ${result.text}`);
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

// Puts a user's own state machine under the same faults as ours: the same cluster, the same disks
// and wires, their apply(). After every entry the replicas' results and states are compared, so an
// apply() that is not deterministic is named by the first entry at which two replicas differ.

import type { HistoryRecorder } from '../check/history.ts';
import { HistoryRecorder as Recorder } from '../check/history.ts';
import type { Model } from '../check/models.ts';
import { STEPS_MAX_DEFAULT } from '../check/wgl.ts';
import type { ReplyCodec } from '../node/driver-types.ts';
import type { Machine } from '../node/machine.ts';
import {
  type AnyStateMachine,
  type ApplyContext,
  type Codec,
  type Codecs,
  type CommandOf,
  jsonCodec,
  leavesInParts,
  type ResultOf,
  type StateMachine,
  type StateMachineInParts,
} from '../node/state-machine.ts';
import { TypedMachine } from '../node/typed-machine.ts';
import type { LogIndex, NodeId } from '../raft/types.ts';
import type { Judge } from './judge.ts';
import { judgeLinearizable } from './judge-history.ts';
import { hashBytes, type Prng } from './prng.ts';
import type { Process } from './process.ts';
import { simulateWorkload } from './run.ts';
import type { SimResult, SimulateOptions } from './types.ts';
import type {
  CreateWorkload,
  MachineCell,
  Operation,
  Workload,
  WorkloadParts,
} from './workload.ts';

export interface OwnMachine<M extends AnyStateMachine> {
  /** Called once for every start of every node. */
  readonly create: () => M;
  /** The next command of a client; `random` is uniform in [0, 1). */
  readonly command: (random: () => number, number: number) => CommandOf<M>;
  readonly codecs?: Codecs<M>;
  /** A sequential specification; then what clients saw is checked against it as well. */
  readonly model?: Model<unknown, CommandOf<M>, ResultOf<M>>;
}

/** Larger states are compared after every STATE_EVERY-th entry only. */
const STATE_BYTES_MAX = 16 * 1024;
const STATE_EVERY = 64;

/** Runs one seed with the user's machine. */
export function simulateMachine<M extends AnyStateMachine>(
  own: OwnMachine<M>,
  options: SimulateOptions,
): Promise<SimResult> {
  return simulateWorkload({ ...options, stack: 'own' }, workloadOf(own));
}

/** For sweep() and shrink(). */
export function workloadOf<M extends AnyStateMachine>(own: OwnMachine<M>): CreateWorkload {
  return parts => new OwnWorkload(own, parts);
}

interface Outcome {
  readonly node: NodeId;
  readonly command: string;
  readonly result: string;
  /** Null when the state was not looked at. */
  readonly state: number | null;
}

/** What each entry led to, from whichever replica was first. */
class Outcomes {
  readonly #judge: Judge;
  readonly #first = new Map<LogIndex, Outcome>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  look(index: LogIndex, outcome: Outcome): void {
    const first = this.#first.get(index);
    if (first === undefined) {
      this.#first.set(index, outcome);
      return;
    }
    const sameState = first.state === null || outcome.state === null;
    const same = first.result === outcome.result && (sameState || first.state === outcome.state);
    this.#judge.check('own', outcome.node, same, () => {
      const what = `NON_DETERMINISTIC_APPLY: entry ${index}, ${outcome.command}`;
      if (first.result !== outcome.result) {
        const [a, b] = [first.result, outcome.result];
        return `${what}: node ${first.node} answers ${a}, node ${outcome.node} answers ${b}`;
      }
      return `${what}: nodes ${first.node} and ${outcome.node} have different states after it`;
    });
  }
}

/** The user's machine with an ear to it. */
abstract class HeardMachine<M extends AnyStateMachine> {
  protected readonly user: M;
  readonly #node: NodeId;
  readonly #outcomes: Outcomes;
  #stateBytes = 0;

  constructor(user: M, node: NodeId, outcomes: Outcomes) {
    this.user = user;
    this.#node = node;
    this.#outcomes = outcomes;
  }

  apply(command: never, context: ApplyContext): unknown {
    const result = this.user.apply(command, context);
    const { index } = context;
    const look = this.#stateBytes <= STATE_BYTES_MAX || index % STATE_EVERY === 0;
    this.#outcomes.look(index, {
      node: this.#node,
      command: show(command),
      result: show(result),
      state: look ? this.#hash() : null,
    });
    return result;
  }

  protected abstract encoded(): Iterable<Uint8Array>;

  #hash(): number {
    let hash = 0;
    this.#stateBytes = 0;
    for (const bytes of this.encoded()) {
      this.#stateBytes += bytes.length;
      hash = hashBytes(hash, bytes);
    }
    return hash;
  }
}

class HeardWhole extends HeardMachine<StateMachine<never, unknown, unknown>> {
  readonly #codec: Codec<unknown>;

  constructor(
    codec: Codec<unknown>,
    ...machine: HeardParts<StateMachine<never, unknown, unknown>>
  ) {
    super(...machine);
    this.#codec = codec;
  }

  snapshot(): unknown {
    return this.user.snapshot();
  }

  restore(state: never): void {
    this.user.restore(state);
  }

  protected override encoded(): Iterable<Uint8Array> {
    return [this.#codec.encode(this.user.snapshot())];
  }
}

class HeardInParts extends HeardMachine<StateMachineInParts<never, unknown, unknown>> {
  readonly #codec: Codec<unknown>;

  constructor(
    codec: Codec<unknown>,
    ...machine: HeardParts<StateMachineInParts<never, unknown, unknown>>
  ) {
    super(...machine);
    this.#codec = codec;
  }

  snapshotParts(): Iterable<unknown> {
    return this.user.snapshotParts();
  }

  restoreParts(parts: AsyncIterable<never>): Promise<void> {
    return this.user.restoreParts(parts);
  }

  protected override *encoded(): Iterable<Uint8Array> {
    for (const part of this.user.snapshotParts()) yield this.#codec.encode(part);
  }
}

type HeardParts<M> = [user: M, node: NodeId, outcomes: Outcomes];

class OwnWorkload<M extends AnyStateMachine> implements Workload {
  readonly replies: ReplyCodec;
  readonly #own: OwnMachine<M>;
  readonly #parts: WorkloadParts;
  readonly #outcomes: Outcomes;
  readonly #history: HistoryRecorder<CommandOf<M>, ResultOf<M>> = new Recorder();

  constructor(own: OwnMachine<M>, parts: WorkloadParts) {
    this.#own = own;
    this.#parts = parts;
    this.replies = (own.codecs?.result as ReplyCodec | undefined) ?? (jsonCodec as ReplyCodec);
    this.#outcomes = new Outcomes(parts.judge);
  }

  createMachine(_process: Process, node: NodeId, _cell: MachineCell | null): Machine {
    const codecs = this.#own.codecs as Codecs<AnyStateMachine> | undefined;
    const user: AnyStateMachine = this.#own.create();
    const kind = leavesInParts(user) ? codecs?.part : codecs?.state;
    const codec = (kind as Codec<unknown> | undefined) ?? jsonCodec;
    const heard = leavesInParts(user)
      ? new HeardInParts(codec, user, node, this.#outcomes)
      : new HeardWhole(codec, user, node, this.#outcomes);
    return new TypedMachine<AnyStateMachine>(heard, codecs ?? {});
  }

  next(number: number, _client: number, chance: Prng): Operation {
    const command = this.#own.command(() => chance.float(), number);
    const codec = (this.#own.codecs?.command as Codec<unknown> | undefined) ?? jsonCodec;
    return { number, isRead: false, data: codec.encode(command), input: command };
  }

  read(): unknown {
    return undefined;
  }

  called(process: number, operation: Operation): number {
    return this.#history.call(process, operation.input as CommandOf<M>);
  }

  ok(call: number, result: unknown): void {
    this.#history.ok(call, result as ResultOf<M>);
  }

  failed(call: number): void {
    this.#history.failed(call);
  }

  unknown(call: number): void {
    this.#history.unknown(call);
  }

  finish(): void {
    const { model } = this.#own;
    if (model === undefined) return;
    const { judge } = this.#parts;
    judge.count('A-24');
    judgeLinearizable(judge, this.#history.history(), model, STEPS_MAX_DEFAULT);
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

// Clients of the register machine, and the judgement of what they saw: does the order of the log
// explain it, and if not, does any? Every key by itself, by the searching checker. Values are unique,
// so that a stale read can't look like a fresh one.

import { HistoryRecorder } from '../check/history.ts';
import {
  type AppendInput,
  type AppendOutput,
  appendModel,
  type KeyedRegisterInput,
  keyedRegisterModel,
  type Model,
  type RegisterOutput,
} from '../check/models.ts';
import { isExplainedBy } from '../check/witness.ts';
import type { Machine } from '../node/machine.ts';
import { type LogIndex, NO_DATA, type NodeId } from '../raft/types.ts';
import { judgeLinearizable } from './judge-history.ts';
import type { Prng } from './prng.ts';
import type { Process } from './process.ts';
import {
  APPEND,
  CAS,
  EPOCH_KEYS,
  encodeRegisterCommand,
  type RegisterCommand,
  RegisterMachine,
  registerReplies,
  WRITE,
} from './register-machine.ts';
import type { MachineCell, Operation, Workload, WorkloadParts } from './workload.ts';

/** Keys are used this many operations long: searching a history costs more than its length. */
const EPOCH_OPERATIONS = 120;
/** Texts have the keys from here on. */
const FIRST_TEXT = EPOCH_KEYS / 2;
const STEPS_MAX = 2_000_000;

type Input =
  | { readonly of: 'register'; readonly key: number; readonly input: KeyedRegisterInput }
  | { readonly of: 'text'; readonly key: number; readonly input: AppendInput };

export class RegisterWorkload implements Workload {
  readonly replies = registerReplies;
  readonly #parts: WorkloadParts;
  readonly #registers = new HistoryRecorder<KeyedRegisterInput, RegisterOutput>();
  readonly #texts = new HistoryRecorder<AppendInput, AppendOutput>();
  /** The value last seen of a key by anyone: a good guess for a compare-and-set. */
  readonly #seen = new Map<number, number>();
  readonly #calls: { readonly of: Input; readonly id: number }[] = [];
  /** The operation of each call of the two histories. */
  readonly #operations = { register: [] as number[], text: [] as number[] };
  /** The entry after which each read looked, by operation. */
  readonly #readAt = new Map<number, LogIndex>();

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
  }

  createMachine(process: Process, _node: NodeId, cell: MachineCell | null): Machine {
    return new RegisterMachine(process, this.#parts.applied, cell);
  }

  next(number: number, _client: number, chance: Prng): Operation {
    const { keys, readShare } = this.#parts;
    const isRead = chance.chance(readShare);
    const epoch = Math.floor(number / EPOCH_OPERATIONS) * EPOCH_KEYS;
    const key = epoch + chance.below(keys);
    if (chance.chance(0.4)) {
      const text = key + FIRST_TEXT;
      const name = `t${text}`;
      if (isRead) {
        const input = { kind: 'get', key: name } as const;
        return { number, isRead, data: NO_DATA, input: { of: 'text', key: text, input } };
      }
      const input = { kind: 'append', key: name, value: String(number) } as const;
      return this.#command(number, APPEND, text, 0, {
        of: 'text',
        key: text,
        input: appended(input),
      });
    }
    const name = `r${key}`;
    if (isRead) {
      const input = { kind: 'read', key: name } as const;
      return { number, isRead, data: NO_DATA, input: { of: 'register', key, input } };
    }
    const from = this.#seen.get(key);
    if (from !== undefined && chance.chance(0.4)) {
      const input = { kind: 'cas', from, to: number, key: name } as const;
      return this.#command(number, CAS, key, from, { of: 'register', key, input });
    }
    const input = { kind: 'write', value: number, key: name } as const;
    return this.#command(number, WRITE, key, 0, { of: 'register', key, input });
  }

  read(machine: Machine, operation: Operation): unknown {
    const { of, key } = operation.input as Input;
    const registers = machine as RegisterMachine;
    this.#readAt.set(operation.number, registers.applied.index);
    return of === 'text' ? registers.text(key) : registers.register(key);
  }

  called(process: number, operation: Operation): number {
    const of = operation.input as Input;
    const id =
      of.of === 'text'
        ? this.#texts.call(process, of.input)
        : this.#registers.call(process, of.input);
    this.#calls.push({ of, id });
    this.#operations[of.of].push(operation.number);
    return this.#calls.length - 1;
  }

  ok(call: number, result: unknown): void {
    const { of, id } = this.#calls[call]!;
    if (of.of === 'text') {
      const isGet = of.input.kind === 'get';
      const text = typeof result === 'string' && result !== '' ? `${result},` : '';
      return this.#texts.ok(id, isGet ? text : null);
    }
    const { input } = of;
    if (input.kind === 'read') {
      if (typeof result === 'number') this.#seen.set(of.key, result);
      this.#registers.ok(id, { value: result as number | null });
    } else if (input.kind === 'cas') this.#registers.ok(id, { swapped: result as boolean });
    else this.#registers.ok(id, {});
  }

  failed(call: number): void {
    const { of, id } = this.#calls[call]!;
    (of.of === 'text' ? this.#texts : this.#registers).failed(id);
  }

  unknown(call: number): void {
    const { of, id } = this.#calls[call]!;
    (of.of === 'text' ? this.#texts : this.#registers).unknown(id);
  }

  finish(): void {
    this.#judge(this.#registers, keyedRegisterModel(), this.#operations.register);
    this.#judge(this.#texts, appendModel(), this.#operations.text);
  }

  #judge<S, In, Out>(
    recorder: HistoryRecorder<In, Out>,
    model: Model<S, In, Out>,
    operations: readonly number[],
  ): void {
    const history = recorder.history();
    this.#parts.judge.count('A-24');
    // The order of the log should explain everything. Only when it does not, there is to search for
    // another one that does.
    if (isExplainedBy(history, model, this.#logOrder(operations))) return;
    judgeLinearizable(this.#parts.judge, history, model, STEPS_MAX);
  }

  /** The calls that had an effect, by the entry that they are in or that they read after. */
  #logOrder(operations: readonly number[]): number[] {
    const places = operations.map(operation => {
      const index = this.#parts.applied.indexOf(operation);
      return index ?? (this.#readAt.get(operation) ?? Number.NaN) + 0.5;
    });
    const order = [...places.keys()].filter(call => !Number.isNaN(places[call]));
    return order.sort((a, b) => places[a]! - places[b]! || a - b);
  }

  #command(
    number: number,
    kind: RegisterCommand['kind'],
    key: number,
    from: number,
    input: Input,
  ): Operation {
    const data = encodeRegisterCommand({ kind, operation: number, key, value: number, from });
    return { number, isRead: false, data, input };
  }
}

/** The model appends text to text; a comma after each value keeps 1 and 12 apart. */
function appended(input: Extract<AppendInput, { kind: 'append' }>): AppendInput {
  return { ...input, value: `${input.value},` };
}

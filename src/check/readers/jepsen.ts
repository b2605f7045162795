// Jepsen histories: as EDN, one map an event, or as lines of the log Jepsen writes while it runs, the
// form in which its etcd histories were published. Of one register, or of texts by key.
//
//   {:process 4, :type :invoke, :f :write, :value 2}
//   {:process 4, :type :invoke, :f :append, :key "a", :value "x"}
//   INFO  jepsen.util - 4  :invoke  :cas  [3 1]
//
// `:ok` returns, `:fail` had no effect, `:info` nobody knows, and the process is never used again.

import { HistoryError, type Operation } from '../history.ts';
import type {
  AppendInput,
  AppendOutput,
  RegisterInput,
  RegisterOutput,
  RegisterValue,
} from '../models.ts';
import { type EdnValue, readEdn } from './edn.ts';

interface JepsenEvent {
  readonly process: number;
  readonly type: string;
  readonly f: string;
  /** Undefined in histories of one register. */
  readonly key?: EdnValue | undefined;
  readonly value: EdnValue;
  /** Something went wrong, beyond what the type says. */
  readonly hasError: boolean;
}

/** What the events of one kind of object mean. */
interface Meaning<In, Out> {
  input(event: JepsenEvent): In;
  output(input: In, event: JepsenEvent): Out;
  /** The answer that a failure is, undefined if it tells nothing. */
  refusal(input: In, event: JepsenEvent): Out | undefined;
}

/** Reads EDN maps or a log; a log may hold any other lines. Times are ordinals of the events. */
export function readJepsenRegister(text: string): Operation<RegisterInput, RegisterOutput>[] {
  return assemble(eventsOf(text), REGISTER);
}

/** Puts, appends and gets of texts, which events name by their `:key`. For `appendModel`. */
export function readJepsenAppend(text: string): Operation<AppendInput, AppendOutput>[] {
  return assemble(eventsOf(text), TEXTS);
}

function eventsOf(text: string): JepsenEvent[] {
  const events = logEvents(text);
  return events.length > 0 || !/^\s*[[{(;#]/.test(text) ? events : ednEvents(text);
}

const LOG_LINE = /^INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(invoke|ok|fail|info)\s+:([\w-]+)\s*(.*)$/;

function logEvents(text: string): JepsenEvent[] {
  const events: JepsenEvent[] = [];
  for (const line of text.split('\n')) {
    const match = LOG_LINE.exec(line.trimEnd());
    if (match === null) continue;
    const values = valuesOf(match[4]!);
    events.push({
      process: Number(match[1]),
      type: match[2]!,
      f: match[3]!,
      value: values[0] ?? null,
      hasError: values.length > 1,
    });
  }
  return events;
}

function valuesOf(text: string): EdnValue[] {
  try {
    return readEdn(text);
  } catch {
    return [{ keyword: 'unreadable' }];
  }
}

function ednEvents(text: string): JepsenEvent[] {
  let values = readEdn(text);
  if (values.length === 1 && Array.isArray(values[0])) values = values[0] as EdnValue[];
  const events: JepsenEvent[] = [];
  for (const item of values) {
    if (!(item instanceof Map)) throw new HistoryError('an event is not a map');
    const fields = new Map<string, EdnValue>();
    for (const [key, field] of item as ReadonlyMap<EdnValue, EdnValue>) {
      const name = keywordOf(key);
      if (name !== undefined) fields.set(name, field);
    }
    const process = fields.get('process');
    // The nemesis breaks things; it is no client.
    if (typeof process !== 'number') continue;
    const type = keywordOf(fields.get('type')) ?? '';
    const f = keywordOf(fields.get('f')) ?? '';
    const hasError = (fields.get('error') ?? null) !== null;
    const value = fields.get('value') ?? null;
    events.push({ process, type, f, key: fields.get('key'), value, hasError });
  }
  return events;
}

function assemble<In, Out>(
  events: readonly JepsenEvent[],
  meaning: Meaning<In, Out>,
): Operation<In, Out>[] {
  const history: Operation<In, Out>[] = [];
  const open = new Map<number, number>();
  for (let time = 0; time < events.length; time++) {
    const event = events[time]!;
    const { process } = event;
    const at = open.get(process);
    if (event.type === 'invoke') {
      if (at !== undefined) throw new HistoryError(`process ${process} invokes twice at ${time}`);
      open.set(process, history.length);
      const input = meaning.input(event);
      history.push({ process, callTime: time, returnTime: Infinity, input, outcome: 'unknown' });
      continue;
    }
    if (at === undefined) throw new HistoryError(`process ${process} returns nothing at ${time}`);
    // After :info the process stays open for ever, which is what its unknown outcome means.
    if (event.type === 'info') continue;
    open.delete(process);
    history[at] = returned(history[at]!, event, time, meaning);
  }
  return history;
}

function returned<In, Out>(
  op: Operation<In, Out>,
  event: JepsenEvent,
  returnTime: number,
  meaning: Meaning<In, Out>,
): Operation<In, Out> {
  if (event.type === 'ok') {
    return { ...op, returnTime, outcome: 'ok', output: meaning.output(op.input, event) };
  }
  if (event.type !== 'fail') {
    throw new HistoryError(`unknown event type ${event.type} at ${returnTime}`);
  }
  const output = meaning.refusal(op.input, event);
  if (output === undefined) return { ...op, returnTime, outcome: 'failed' };
  return { ...op, returnTime, outcome: 'ok', output };
}

const REGISTER: Meaning<RegisterInput, RegisterOutput> = {
  input: event => {
    switch (event.f) {
      case 'read':
        return { kind: 'read' };
      case 'write':
        return { kind: 'write', value: registerValue(event.value) };
      case 'cas': {
        if (!Array.isArray(event.value) || event.value.length !== 2) {
          throw new HistoryError('a cas needs a pair of values');
        }
        const [from, to] = event.value as EdnValue[];
        return { kind: 'cas', from: registerValue(from!), to: registerValue(to!) };
      }
      default:
        throw new HistoryError(`unknown operation ${event.f}`);
    }
  },
  output: (input, event) => {
    if (input.kind === 'read') return { value: registerValue(event.value) };
    return input.kind === 'cas' ? { swapped: true } : {};
  },
  // A compare-and-set that found another value was answered. With an error, or without its values,
  // it may just as well never have arrived.
  refusal: (input, event) => {
    const answered = input.kind === 'cas' && Array.isArray(event.value) && !event.hasError;
    return answered ? { swapped: false } : undefined;
  },
};

function registerValue(value: EdnValue): RegisterValue {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value;
  throw new HistoryError('a register holds numbers, texts or nil');
}

const TEXTS: Meaning<AppendInput, AppendOutput> = {
  input: event => {
    const key = textOf(event.key);
    switch (event.f) {
      case 'get':
        return { kind: 'get', key };
      case 'put':
      case 'append':
        return { kind: event.f, key, value: textOf(event.value) };
      default:
        throw new HistoryError(`unknown operation ${event.f}`);
    }
  },
  output: (input, event) => {
    if (input.kind !== 'get') return null;
    return event.value === null ? '' : textOf(event.value);
  },
  refusal: () => undefined,
};

function textOf(value: EdnValue | undefined): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new HistoryError('keys and values are texts or numbers');
}

function keywordOf(value: EdnValue | undefined): string | undefined {
  if (value === null || value === undefined || typeof value !== 'object') return undefined;
  return 'keyword' in value ? value.keyword : undefined;
}

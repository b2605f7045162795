// Jepsen register histories: as EDN, one map an event, or as lines of the log Jepsen writes while
// it runs, the form in which its etcd histories were published.
//
//   {:process 4, :type :invoke, :f :write, :value 2}
//   INFO  jepsen.util - 4  :invoke  :cas  [3 1]
//
// `:ok` returns, `:fail` had no effect, `:info` nobody knows, and the process is never used again.

import { HistoryError, type Operation } from '../history.ts';
import type { RegisterInput, RegisterOutput, RegisterValue } from '../models.ts';
import { type EdnValue, readEdn } from './edn.ts';

interface JepsenEvent {
  readonly process: number;
  readonly type: string;
  readonly f: string;
  readonly value: EdnValue;
  /** Something went wrong, beyond what the type says. */
  readonly hasError: boolean;
}

/** Reads EDN maps or a log; a log may hold any other lines. Times are ordinals of the events. */
export function readJepsenRegister(text: string): Operation<RegisterInput, RegisterOutput>[] {
  const events = logEvents(text);
  return assemble(events.length > 0 || !/^\s*[[{(;#]/.test(text) ? events : ednEvents(text));
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
  for (const value of values) {
    if (!(value instanceof Map)) throw new HistoryError('an event is not a map');
    const fields = new Map<string, EdnValue>();
    for (const [key, field] of value as ReadonlyMap<EdnValue, EdnValue>) {
      const name = keywordOf(key);
      if (name !== undefined) fields.set(name, field);
    }
    const process = fields.get('process');
    // The nemesis breaks things; it is no client.
    if (typeof process !== 'number') continue;
    const type = keywordOf(fields.get('type')) ?? '';
    const f = keywordOf(fields.get('f')) ?? '';
    const hasError = (fields.get('error') ?? null) !== null;
    events.push({ process, type, f, value: fields.get('value') ?? null, hasError });
  }
  return events;
}

function assemble(events: readonly JepsenEvent[]): Operation<RegisterInput, RegisterOutput>[] {
  const history: Operation<RegisterInput, RegisterOutput>[] = [];
  const open = new Map<number, number>();
  for (let time = 0; time < events.length; time++) {
    const event = events[time]!;
    const { process } = event;
    const at = open.get(process);
    if (event.type === 'invoke') {
      if (at !== undefined) throw new HistoryError(`process ${process} invokes twice at ${time}`);
      open.set(process, history.length);
      const input = inputOf(event);
      history.push({ process, callTime: time, returnTime: Infinity, input, outcome: 'unknown' });
      continue;
    }
    if (at === undefined) throw new HistoryError(`process ${process} returns nothing at ${time}`);
    // After :info the process stays open for ever, which is what its unknown outcome means.
    if (event.type === 'info') continue;
    open.delete(process);
    const op = history[at]!;
    if (event.type === 'fail') {
      history[at] = failed(op, event, time);
    } else if (event.type === 'ok') {
      history[at] = { ...op, returnTime: time, outcome: 'ok', output: outputOf(op.input, event) };
    } else {
      throw new HistoryError(`unknown event type ${event.type} at ${time}`);
    }
  }
  return history;
}

// A compare-and-set that found another value was answered. With an error, or without its values,
// it may just as well never have arrived.
function failed(
  op: Operation<RegisterInput, RegisterOutput>,
  event: JepsenEvent,
  returnTime: number,
): Operation<RegisterInput, RegisterOutput> {
  const answered = op.input.kind === 'cas' && Array.isArray(event.value) && !event.hasError;
  if (!answered) return { ...op, returnTime, outcome: 'failed' };
  return { ...op, returnTime, outcome: 'ok', output: { swapped: false } };
}

function inputOf(event: JepsenEvent): RegisterInput {
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
}

function outputOf(input: RegisterInput, event: JepsenEvent): RegisterOutput {
  if (input.kind === 'read') return { value: registerValue(event.value) };
  return input.kind === 'cas' ? { swapped: true } : {};
}

function registerValue(value: EdnValue): RegisterValue {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value;
  throw new HistoryError('a register holds numbers, texts or nil');
}

function keywordOf(value: EdnValue | undefined): string | undefined {
  if (value === null || value === undefined || typeof value !== 'object') return undefined;
  return 'keyword' in value ? value.keyword : undefined;
}

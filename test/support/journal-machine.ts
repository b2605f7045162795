// A state machine for tests that shows what it was given: it keeps every command and batch. Durable
// or in memory, as a test asks; a durable one keeps its state in a JournalDisk.

import type { ApplyBatch, Machine } from '../../src/node/machine.ts';
import type { Entry, LogId } from '../../src/raft/types.ts';
import { ORIGIN } from '../../src/raft/types.ts';

interface State {
  applied: LogId;
  commands: string[];
  names: [string, string][];
}

export class JournalDisk {
  state: State = { applied: ORIGIN, commands: [], names: [] };
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class JournalMachine implements Machine {
  commands: string[] = [];
  applied: LogId = ORIGIN;
  /** The commands of each apply() call. */
  readonly batches: string[][] = [];
  restores = 0;
  closed = false;
  /** Runs before each command; may throw. */
  onApply: (command: string) => void = () => {};
  readonly #disk: JournalDisk | null;
  #names = new Map<string, Uint8Array>();

  constructor(disk: JournalDisk | null = null) {
    this.#disk = disk;
    if (disk !== null) this.#load(disk.state);
  }

  get durable(): LogId {
    return this.#disk?.state.applied ?? ORIGIN;
  }

  apply({ last, commands, bookkeeping }: ApplyBatch): unknown[] {
    const texts = commands.map((entry: Entry) => decoder.decode(entry.data));
    const results: string[] = [];
    for (const text of texts) {
      this.onApply(text);
      this.commands.push(text);
      results.push(`${text}#${this.commands.length}`);
    }
    if (texts.length > 0) this.batches.push(texts);
    bookkeeping.settle(results);
    for (const [name, value] of bookkeeping.puts) {
      if (value === null) this.#names.delete(name);
      else this.#names.set(name, value);
    }
    this.applied = last;
    return results;
  }

  async flush(): Promise<LogId> {
    if (this.#disk === null) return ORIGIN;
    this.#disk.state = this.#state();
    return this.applied;
  }

  *bookkeeping(prefix: string): Iterable<[string, Uint8Array]> {
    for (const name of [...this.#names.keys()].sort()) {
      if (name.startsWith(prefix)) yield [name, this.#names.get(name)!];
    }
  }

  snapshot() {
    const bytes = encoder.encode(JSON.stringify(this.#state()));
    return {
      last: this.applied,
      async *content() {
        for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
      },
    };
  }

  async restore(_last: LogId, content: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const part of content) parts.push(part);
    this.#load(JSON.parse(Buffer.concat(parts).toString()));
    this.restores += 1;
    if (this.#disk !== null) this.#disk.state = this.#state();
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #state(): State {
    const names = [...this.#names].map(([name, value]): [string, string] => [
      name,
      Buffer.from(value).toString('hex'),
    ]);
    return { applied: this.applied, commands: [...this.commands], names };
  }

  #load({ applied, commands, names }: State): void {
    this.applied = applied;
    this.commands = [...commands];
    this.#names = new Map(
      names.map(([name, hex]) => [name, Uint8Array.from(Buffer.from(hex, 'hex'))]),
    );
  }
}

import { describe, expect, test } from 'vitest';
import { command } from '../../test/support/scripted-core.ts';
import type { Bookkeeping } from './machine.ts';
import { TypedMachine } from './typed-machine.ts';

class Ledger {
  accounts: Record<string, number> = {};

  apply({ name, amount }: { name: string; amount: number }): number | null {
    const balance = (this.accounts[name] ?? 0) + amount;
    if (balance < 0) return null;
    this.accounts[name] = balance;
    return balance;
  }

  snapshot() {
    return this.accounts;
  }

  restore(accounts: Record<string, number>) {
    this.accounts = accounts;
  }
}

function names(entries: [string, Uint8Array | null][]): Bookkeeping {
  return { puts: new Map(entries), settle() {} };
}

function deposit(index: number, amount: number) {
  return command(index, JSON.stringify({ name: 'a', amount }));
}

function batch(index: number, amounts: number[], bookkeeping = names([])) {
  const commands = amounts.map(amount => deposit(index, amount));
  return { last: { term: 1, index }, commands, bookkeeping };
}

async function copy(from: TypedMachine<Ledger>): Promise<TypedMachine<Ledger>> {
  const image = from.snapshot();
  const to = new TypedMachine(new Ledger());
  await to.restore(image.last, image.content());
  return to;
}

describe('a typed machine', () => {
  test('gives one result a command, refusals too', () => {
    const machine = new TypedMachine(new Ledger());
    expect(machine.apply(batch(3, [5, -9, 1]))).toEqual([5, null, 6]);
    expect(machine.applied).toEqual({ term: 1, index: 3 });
  });

  test('keeps bookkeeping beside the state, sorted, and forgets what is removed', () => {
    const machine = new TypedMachine(new Ledger());
    const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
    machine.apply(
      batch(
        1,
        [],
        names([
          ['s/2', two],
          ['s/1', one],
          ['t/1', one],
        ]),
      ),
    );
    expect([...machine.bookkeeping('s/')]).toEqual([
      ['s/1', one],
      ['s/2', two],
    ]);
    machine.apply(batch(2, [], names([['s/1', null]])));
    expect([...machine.bookkeeping('s/')].map(([name]) => name)).toEqual(['s/2']);
  });

  test('reads the bookkeeping only after it was settled with the results', () => {
    const machine = new TypedMachine(new Ledger());
    const puts = new Map<string, Uint8Array | null>();
    const settle = (results: readonly unknown[]) => {
      puts.set('last', Uint8Array.of(Number(results[1])));
    };
    machine.apply(batch(1, [3, 4], { puts, settle }));
    expect([...machine.bookkeeping('')]).toEqual([['last', Uint8Array.of(7)]]);
  });

  test('is restored from its image, with bookkeeping and index', async () => {
    const machine = new TypedMachine(new Ledger());
    machine.apply(batch(9, [5], names([['s/1', Uint8Array.of(1, 2)]])));
    const restored = await copy(machine);
    expect(restored.user.accounts).toEqual({ a: 5 });
    expect(restored.applied).toEqual({ term: 1, index: 9 });
    expect([...restored.bookkeeping('')]).toEqual([['s/1', Uint8Array.of(1, 2)]]);
  });

  test('fixes an image when it is asked for, in pieces of at most 64 KiB', async () => {
    const machine = new TypedMachine(new Ledger());
    machine.user.accounts['x'.repeat(200_000)] = 1;
    const image = machine.snapshot();
    machine.apply(batch(1, [5]));
    const sizes: number[] = [];
    for await (const piece of image.content()) sizes.push(piece.length);
    expect(Math.max(...sizes)).toBe(65536);
    const restored = new TypedMachine(new Ledger());
    await restored.restore(image.last, image.content());
    expect(restored.user.accounts['a']).toBe(undefined);
  });

  test('refuses a foreign or cut image with a clear error', async () => {
    const machine = new TypedMachine(new Ledger());
    machine.apply(batch(9, [5], names([['s/1', Uint8Array.of(1, 2)]])));
    const parts: Uint8Array[] = [];
    for await (const piece of machine.snapshot().content()) parts.push(piece);
    const whole = parts[0]!;
    for (const bytes of [whole.slice(0, 3), whole.slice(0, 14), new Uint8Array(20)]) {
      const content = async function* () {
        yield bytes;
      };
      const restored = machine.restore({ term: 1, index: 1 }, content());
      await expect(restored).rejects.toMatchObject({ code: 'STORAGE_CORRUPT' });
    }
    expect(machine.user.accounts).toEqual({ a: 5 });
  });

  test('names the index of a command that is no JSON', () => {
    const machine = new TypedMachine(new Ledger());
    const bad = {
      last: { term: 1, index: 4 },
      commands: [command(4, '{')],
      bookkeeping: names([]),
    };
    expect(() => machine.apply(bad)).toThrow(/MACHINE_FAILED.*index 4/);
  });
});

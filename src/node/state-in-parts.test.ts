import { describe, expect, test } from 'vitest';
import { command } from '../../test/support/scripted-core.ts';
import type { LogLevel } from './driver-types.ts';
import type { Codecs, StateMachineInParts } from './state-machine.ts';
import { type TurnWatch, TypedMachine } from './typed-machine.ts';

type Item = readonly [name: string, count: number];
const PART_ITEMS = 100;

/** Hands out a copy of the references, made when the first part is asked for. */
class Inventory implements StateMachineInParts<Item, number, readonly Item[]> {
  items = new Map<string, number>();
  partsTaken = 0;

  apply([name, count]: Item): number {
    this.items.set(name, count);
    return this.items.size;
  }

  *snapshotParts(): Iterable<readonly Item[]> {
    const items = [...this.items];
    for (let at = 0; at < items.length; at += PART_ITEMS) yield items.slice(at, at + PART_ITEMS);
  }

  async restoreParts(parts: AsyncIterable<readonly Item[]>) {
    const items = new Map<string, number>();
    for await (const part of parts) {
      this.partsTaken += 1;
      for (const [name, count] of part) items.set(name, count);
    }
    this.items = items;
  }
}

function applied(machine: TypedMachine<never>, index: number, items: Item[]): void {
  const commands = items.map(item => command(index, JSON.stringify(item)));
  const bookkeeping = { puts: new Map([['s/1', Uint8Array.of(index)]]), settle() {} };
  machine.apply({ last: { term: 1, index }, commands, bookkeeping });
}

function filled(count: number, codecs: Codecs<Inventory> = {}): TypedMachine<Inventory> {
  const machine = new TypedMachine(new Inventory(), codecs);
  const items = Array.from({ length: count }, (_, i): Item => [`item ${i}`, i]);
  applied(machine as TypedMachine<never>, 7, items);
  return machine;
}

async function bytesOf(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece.slice());
  return Buffer.concat(pieces);
}

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('a state that leaves and comes in parts', () => {
  test('is the same after a restore, with bookkeeping and index, however the image is cut', async () => {
    const machine = filled(1234);
    const bytes = await bytesOf(machine.snapshot().content());
    for (const size of [1, 7, 1000, 64 * 1024, bytes.length]) {
      const restored = new TypedMachine(new Inventory());
      await restored.restore({ term: 1, index: 7 }, inPieces(bytes, size));
      expect(restored.user.items).toEqual(machine.user.items);
      expect(restored.user.partsTaken).toBe(13);
      expect([...restored.bookkeeping('')]).toEqual([['s/1', Uint8Array.of(7)]]);
      expect(restored.applied).toEqual({ term: 1, index: 7 });
    }
  });

  test('an empty one too', async () => {
    const restored = filled(50);
    const { last, content } = filled(0).snapshot();
    await restored.restore(last, content());
    expect(restored.user.items.size).toBe(0);
  });

  test('does not hold what is applied while it is handed out', async () => {
    const machine = filled(5000);
    const before = new Map(machine.user.items);
    const image = machine.snapshot();
    let index = 7;
    const pieces: Uint8Array[] = [];
    for await (const piece of image.content()) {
      pieces.push(piece.slice());
      index += 1;
      applied(machine as TypedMachine<never>, index, [
        ['item 0', -index],
        [`item ${4990 + index}`, -index],
      ]);
    }
    expect(pieces.length).toBeGreaterThan(1);
    const restored = new TypedMachine(new Inventory());
    await restored.restore(image.last, inPieces(Buffer.concat(pieces), 999));
    expect(restored.user.items).toEqual(before);
    expect(restored.applied.index).toBe(7);
  });

  test('is asked for a part only when the one before it has gone', async () => {
    let encoded = 0;
    const part = {
      encode: (items: readonly Item[]) => {
        encoded += 1;
        return new TextEncoder().encode(JSON.stringify(items).padEnd(64 * 1024));
      },
      decode: (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Item[],
    };
    const machine = filled(1000, { part });
    const pieces = machine.snapshot().content()[Symbol.asyncIterator]();
    expect(encoded).toBe(1);
    await pieces.next();
    expect(encoded).toBe(1);
    await pieces.next();
    expect(encoded).toBe(2);
  });

  test('a stream that is given up ends the iterator', async () => {
    let ended = false;
    const machine = filled(5000);
    machine.user.snapshotParts = function* () {
      try {
        for (;;) yield [['x'.repeat(70_000), 1] as const];
      } finally {
        ended = true;
      }
    };
    for await (const _ of machine.snapshot().content()) break;
    expect(ended).toBe(true);
  });

  test('an image that is cut short or damaged leaves the old state in force', async () => {
    const bytes = await bytesOf(filled(1234).snapshot().content());
    const machine = filled(3);
    const damaged = bytes.slice();
    damaged[damaged.length - 4]! += 1;
    const longer = Buffer.concat([bytes, Uint8Array.of(0)]);
    for (const image of [bytes.subarray(0, -1), bytes.subarray(0, 20_000), damaged, longer]) {
      const restored = machine.restore({ term: 2, index: 9 }, inPieces(image, 5000));
      await expect(restored).rejects.toMatchObject({ code: 'STORAGE_CORRUPT' });
    }
    expect(machine.user.items.size).toBe(3);
    expect(machine.applied.index).toBe(7);
  });

  test('restoreParts() that leaves parts out is an error', async () => {
    class Lazy extends Inventory {
      override async restoreParts(parts: AsyncIterable<readonly Item[]>) {
        for await (const _ of parts) break;
      }
    }
    const { last, content } = filled(1234).snapshot();
    const restored = new TypedMachine(new Lazy()).restore(last, content());
    await expect(restored).rejects.toMatchObject({ code: 'MACHINE_FAILED' });
  });

  test('a machine that has both takes the image of a whole state as well', async () => {
    class Grown extends Inventory {
      snapshot = () => [...this.items];
      restore(items: Item[]) {
        this.items = new Map(items);
      }
    }
    class Former {
      items = new Map<string, number>([['a', 1]]);
      apply = () => null;
      snapshot = () => [...this.items];
      restore() {}
    }
    const whole = new TypedMachine(new Former()).snapshot();
    const grown = new TypedMachine(new Grown());
    await grown.restore(whole.last, whole.content());
    expect([...grown.user.items]).toEqual([['a', 1]]);

    const full = filled(1).snapshot();
    const former = new TypedMachine(new Former()).restore(full.last, full.content());
    await expect(former).rejects.toThrow(/in parts, and the state machine has no restoreParts/);
  });
});

describe('the warning about a state that holds the event loop', () => {
  function watch(stepMs: number) {
    const lines: [LogLevel, string][] = [];
    let time = 0;
    const clock: TurnWatch = {
      now: () => {
        time += stepMs;
        return time;
      },
      log: (level, text) => lines.push([level, text]),
    };
    return { clock, lines };
  }

  class Whole {
    apply = () => null;
    snapshot = () => 1;
    restore() {}
  }

  test('comes once, and names the way out', async () => {
    const { clock, lines } = watch(11);
    const machine = new TypedMachine(new Whole(), {}, clock);
    const image = machine.snapshot();
    await machine.restore(image.last, image.content());
    expect(lines).toHaveLength(1);
    expect(lines[0]![0]).toBe('warn');
    expect(lines[0]![1]).toMatch(/snapshot\(\).* 11 ms.*Give the state machine snapshotParts\(\)/);
  });

  test('asks for smaller parts of a state in parts, and does not come for a quick one', async () => {
    const slow = watch(11);
    const image = new TypedMachine(new Inventory(), {}, slow.clock).snapshot();
    expect(slow.lines[0]![1]).toMatch(/Make the parts smaller/);
    const quick = watch(9);
    const machine = new TypedMachine(new Whole(), {}, quick.clock);
    machine.snapshot();
    await bytesOf(image.content());
    expect(quick.lines).toEqual([]);
  });
});

// A node in this process with a large state of the user's own, for bench/turns.ts: it makes a snapshot
// of it, and another node restores that. Whole or in parts, as the first argument says.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNode, fileStorage, MemoryNetwork, memoryTransport } from '../src/node/index.ts';
import { Turns } from './turn-meter.ts';

const ENTRIES_A_PART = 500;
const [how, keys] = [process.argv[2], Number(process.argv[3])];
type Entry = [key: string, value: { readonly name: string; readonly count: number }];

class Whole {
  entries = new Map<string, Entry[1]>();

  apply([key, value]: Entry): number {
    this.entries.set(key, value);
    return this.entries.size;
  }

  snapshot(): Entry[] {
    return [...this.entries];
  }

  restore(entries: Entry[]): void {
    this.entries = new Map(entries);
  }

  fill(count: number): void {
    for (let i = 0; i < count; i++) this.entries.set(`key ${i}`, { name: `number ${i}`, count: i });
  }
}

class InParts extends Whole {
  *snapshotParts(): Iterable<Entry[]> {
    const entries = [...this.entries];
    for (let at = 0; at < entries.length; at += ENTRIES_A_PART) {
      yield entries.slice(at, at + ENTRIES_A_PART);
    }
  }

  async restoreParts(parts: AsyncIterable<Entry[]>): Promise<void> {
    const entries = new Map<string, Entry[1]>();
    for await (const part of parts) for (const [key, value] of part) entries.set(key, value);
    this.entries = entries;
  }
}

const directory = mkdtempSync(join(tmpdir(), 'kontiki-turns-'));
const network = new MemoryNetwork({ schedule: setImmediate, now: () => performance.now() });
const start = (machine: Whole) =>
  createNode({
    id: 1,
    peers: { 1: 'one' },
    machine,
    storage: fileStorage(directory),
    transport: memoryTransport(network),
    snapshotCount: 10,
    trailingEntries: 0,
  });
const turns = new Turns();
try {
  const machine = how === 'parts' ? new InParts() : new Whole();
  machine.fill(keys);
  const node = await start(machine);
  turns.start();
  for (let i = 0; i < 10; i++) await node.propose(['key 0', { name: 'again', count: i }]);
  while (node.report().newestSnapshot === null)
    await new Promise(resolve => setTimeout(resolve, 5));
  const snapshot = await turns.stop();
  await node.close();
  turns.start();
  const again = how === 'parts' ? new InParts() : new Whole();
  const restarted = await start(again);
  const restore = await turns.stop();
  if (again.entries.size !== keys) throw new Error(`${again.entries.size} entries came back`);
  await restarted.close();
  process.send!({ snapshot, restore });
} finally {
  rmSync(directory, { recursive: true, force: true });
}

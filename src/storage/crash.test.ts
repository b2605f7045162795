// Exhaustive: a script of everything a log store does, cut off before and after every single disk
// operation, under every loss model; then recovery, itself cut off at some operation.

import { describe, expect, test } from 'vitest';
import {
  append,
  batch,
  digest,
  entries,
  FIRST_STATE,
  hardState,
  IDENTITY,
  image,
  LogModel,
  seededRandom,
  snapshotAt,
} from '../../test/conformance/storage-fixtures.ts';
import type { SnapshotMeta } from '../raft/types.ts';
import { crc32c } from '../wire/crc32c.ts';
import { type LogBatch, StorageError } from './log-store.ts';
import { type DiskOp, MemoryDisk } from './memory-disk.ts';
import type { LossModel } from './memory-inode.ts';
import { type FileLogStore, openLogStore } from './open.ts';

const OPTIONS = { segmentBytes: 4096, alignBytes: 512, trailingEntries: 2 };

function open(disk: MemoryDisk): Promise<FileLogStore> {
  return openLogStore({ disk, identity: IDENTITY, options: OPTIONS });
}

/** Keeps the states that were asked for and how many of them were acknowledged. */
class Witness {
  readonly #model = new LogModel();
  /** Image 0 is the empty directory, image 1 the state after bootstrap. */
  readonly images: unknown[] = [null];
  acknowledged = 0;

  async bootstrap(store: FileLogStore): Promise<void> {
    this.images.push(image(FIRST_STATE));
    await store.bootstrap(FIRST_STATE);
    this.acknowledged = 1;
  }

  async append(store: FileLogStore, parts: Partial<LogBatch>): Promise<void> {
    this.#model.append(parts);
    const number = this.#record();
    await append(store, parts);
    this.#acknowledge(number);
  }

  async compact(store: FileLogStore, meta: SnapshotMeta): Promise<void> {
    this.#model.compact(meta);
    const number = this.#record();
    await store.compact(meta);
    this.#acknowledge(number);
  }

  /** What is known now, whatever happens later. */
  freeze(): Witness {
    const frozen = new Witness();
    frozen.acknowledged = this.acknowledged;
    frozen.images.splice(0, 1, ...this.images);
    return frozen;
  }

  isLegal(found: unknown): boolean {
    const text = JSON.stringify(found);
    return this.images.slice(this.acknowledged).some(legal => JSON.stringify(legal) === text);
  }

  #record(): number {
    return this.images.push(image(this.#model.state)) - 1;
  }

  #acknowledge(number: number): void {
    expect(number, 'completions come in order').toBeGreaterThan(this.acknowledged);
    this.acknowledged = number;
  }
}

async function receive(store: FileLogStore, from: FileLogStore, meta: SnapshotMeta) {
  const reader = (await from.openSnapshot(meta))!;
  const writer = await store.receiveSnapshot(1, meta);
  while (writer.offset < reader.size) await writer.write(await reader.read(writer.offset, 700));
  await writer.finish();
  await reader.close();
}

async function sender(...metas: SnapshotMeta[]): Promise<FileLogStore> {
  const store = await open(new MemoryDisk());
  for (const meta of metas) {
    const writer = await store.createSnapshot(meta);
    await writer.write(new Uint8Array(1500).fill(meta.last.index));
    await writer.finish();
  }
  return store;
}

async function script(disk: MemoryDisk, witness: Witness, peer: FileLogStore): Promise<void> {
  let store = await open(disk);
  await witness.bootstrap(store);
  await witness.append(store, { hardState: hardState(1, 2), entries: entries(1, 3, 1) });
  const together = [
    witness.append(store, { entries: entries(4, 6, 1, 300) }),
    witness.append(store, { hardState: hardState(2, 3) }),
    witness.append(store, { entries: entries(5, 9, 2, 100) }),
  ];
  await Promise.all(together);
  await witness.append(store, { entries: entries(10, 12, 2, 900) });
  const own = await store.createSnapshot(snapshotAt(8, 2));
  await own.write(new Uint8Array(3000).fill(8));
  await own.finish();
  await witness.compact(store, snapshotAt(8, 2));
  await store.removeSnapshotsExcept({ term: 2, index: 8 });
  await witness.append(store, { entries: entries(13, 16, 2, 700) });
  await witness.append(store, { hardState: hardState(3, 0), entries: entries(14, 15, 3, 10) });
  await store.close();

  store = await open(disk);
  await witness.append(store, { entries: entries(16, 18, 3, 800) });
  await receive(store, peer, snapshotAt(17, 3));
  await witness.append(store, { snapshot: snapshotAt(17, 3), entries: entries(19, 19, 3) });
  await receive(store, peer, snapshotAt(40, 4));
  const last = [
    witness.append(store, { hardState: hardState(4, 1), snapshot: snapshotAt(40, 4) }),
    witness.append(store, { entries: entries(41, 44, 4, 600) }),
  ];
  await Promise.all(last);
  await witness.compact(store, snapshotAt(43, 4));
  await store.close();
}

/** The disk and what was promised at one moment of the script. */
interface Moment {
  readonly where: string;
  readonly disk: MemoryDisk;
  readonly witness: Witness;
}

/** All moments at which the process can die: before each operation and after its effect. */
async function moments(): Promise<Moment[]> {
  const peer = await sender(snapshotAt(17, 3), snapshotAt(40, 4));
  const disk = new MemoryDisk();
  const witness = new Witness();
  const result: Moment[] = [];
  const note = (where: string) => {
    result.push({ where, disk: disk.clone(), witness: witness.freeze() });
  };
  disk.fault = op => {
    note(`before ${op.number} (${op.kind} ${op.path})`);
    return null;
  };
  disk.schedule = (complete, op) => {
    void Promise.resolve().then(() => {
      complete();
      // Done on the disk, but nobody has heard of it yet: promises resolve later.
      note(`after ${op.number} (${op.kind} ${op.path})`);
    });
  };
  await script(disk, witness, peer);
  return result;
}

function fingerprint(disk: MemoryDisk, witness: Witness): string {
  const files = disk.files().map(path => `${path}:${crc32c(disk.peek(path)!)}`);
  return [witness.acknowledged, witness.images.length, ...files].join(' ');
}

const LOSSES: readonly [name: string, loss: (seed: number) => LossModel][] = [
  ['all unsynced changes are lost', () => ({ unsynced: 'lost' })],
  ['no unsynced change is lost', () => ({ unsynced: 'kept' })],
  ['the last write is torn', seed => ({ unsynced: 'tornTail', random: seededRandom(seed) })],
  ['any part is lost', seed => ({ unsynced: 'random', random: seededRandom(seed) })],
];

/** Recovery, then one more batch, then recovery again: old bytes must not come back to life. */
async function checkRecovery(disk: MemoryDisk, witness: Witness, where: string): Promise<void> {
  disk.fault = null;
  const store = await open(disk);
  const found = image(store.recovered);
  if (!witness.isLegal(found)) {
    expect.fail(
      `${where}: recovered ${JSON.stringify(found)}, acknowledged ${witness.acknowledged}`,
    );
  }
  if (store.recovered === null) return store.close();
  const { snapshot, entries: held } = store.recovered;
  const next = (held.at(-1)?.index ?? snapshot.last.index) + 1;
  const term = store.recovered.hardState.currentTerm + 5;
  const more = { hardState: hardState(term, 1), entries: entries(next, next, term) };
  await append(store, more);
  disk.crash({ unsynced: 'lost' });
  const again = await open(disk);
  expect(digest(again.recovered!.entries), where).toBe(digest([...held, ...more.entries]));
  await again.close();
}

describe.each(LOSSES)('P01: after a crash at any operation in which %s', (_, lossOf) => {
  test('recovery gives a legal state that has all that was acknowledged', async () => {
    const all = await moments();
    expect(all.length).toBeGreaterThan(300);
    const seen = new Set<string>();
    for (let i = 0; i < all.length; i++) {
      const { where, disk, witness } = all[i]!;
      disk.crash(lossOf(i));
      const print = fingerprint(disk, witness);
      if (seen.has(print)) continue;
      seen.add(print);
      await checkRecovery(disk.clone(), witness, where);
      await crashDuringRecovery(disk, witness, where, lossOf, i);
    }
    expect(seen.size).toBeGreaterThan(50);
  });
});

/** Cuts recovery off at one of its operations, another one each time, and recovers again. */
async function crashDuringRecovery(
  disk: MemoryDisk,
  witness: Witness,
  where: string,
  lossOf: (seed: number) => LossModel,
  seed: number,
): Promise<void> {
  const number = 1 + (seed % 37);
  let halted = false;
  await new Promise<void>((resolve, reject) => {
    disk.fault = op => {
      if (op.number !== number) return null;
      halted = true;
      resolve();
      return { kind: 'halt', applied: seed % 2 === 0 };
    };
    open(disk).then(() => resolve(), reject);
  });
  if (halted) disk.crash(lossOf(seed));
  else disk.killProcess();
  await checkRecovery(disk, witness, `${where}, then operation ${number} of recovery`);
}

test('D07: a full disk at any operation stops the log and loses nothing acknowledged', async () => {
  const peer = await sender(snapshotAt(17, 3), snapshotAt(40, 4));
  const writing = /^(open|makeDir|write|writeAndSync|allocate)$/;
  const numbers: number[] = [];
  const note = (op: DiskOp) => {
    if (writing.test(op.kind)) numbers.push(op.number);
    return null;
  };
  await script(new MemoryDisk({ fault: note }), new Witness(), peer);
  expect(numbers.length).toBeGreaterThan(60);
  for (const number of numbers) {
    const disk = new MemoryDisk();
    const witness = new Witness();
    const random = seededRandom(number);
    disk.fault = op => {
      if (op.number < number || !writing.test(op.kind)) return null;
      const error = new StorageError('FULL', 'no space');
      return { kind: 'fail', error, writtenBytes: Math.floor(random() * op.length) };
    };
    const outcome = await script(disk, witness, peer).then(
      () => null,
      error => error,
    );
    if (outcome !== null) expect(outcome).toMatchObject({ name: 'StorageError', code: 'FULL' });
    disk.fault = null;
    disk.crash({ unsynced: 'random', random });
    await checkRecovery(disk, witness, `disk full from operation ${number}`);
  }
});

test('D06: after a failed write or sync nothing is ever acknowledged again', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await store.bootstrap(FIRST_STATE);
  await append(store, { entries: entries(1, 2, 1) });
  let failures = 0;
  disk.fault = op => {
    if (op.kind !== 'writeAndSync' || failures++ > 0) return null;
    return { kind: 'fail', error: new StorageError('IO', 'EIO'), writtenBytes: op.length };
  };
  const outcomes: string[] = [];
  const note = (name: string) => (error: Error | null) => {
    outcomes.push(`${name} ${error === null ? 'durable' : 'failed'}`);
  };
  store.append(batch({ entries: entries(3, 3, 1) }), note('first'));
  await Promise.resolve();
  store.append(batch({ entries: entries(4, 4, 1) }), note('second'));
  await expect(append(store, { entries: entries(5, 5, 1) })).rejects.toThrow('EIO');
  // The disk is healthy again by now; the store must not be.
  await expect(append(store, { entries: entries(6, 6, 1) })).rejects.toThrow('EIO');
  await expect(store.compact(snapshotAt(1, 1))).rejects.toThrow('EIO');
  expect(outcomes).toEqual(['first failed', 'second failed']);
  expect(failures).toBe(1);
  await store.close();
});

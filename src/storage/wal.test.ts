import { describe, expect, test } from 'vitest';
import {
  append,
  batch,
  digest,
  entries,
  FIRST_STATE,
  hardState,
  IDENTITY,
  snapshotAt,
} from '../../test/conformance/storage-fixtures.ts';
import { StorageError } from './log-store.ts';
import { type DiskOp, MemoryDisk } from './memory-disk.ts';
import { type FileLogStore, openLogStore } from './open.ts';

const OPTIONS = { segmentBytes: 8192, alignBytes: 512, trailingEntries: 0 };

function open(disk: MemoryDisk): Promise<FileLogStore> {
  return openLogStore({ disk, identity: IDENTITY, options: OPTIONS });
}

async function begun(): Promise<{ disk: MemoryDisk; store: FileLogStore }> {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await store.bootstrap(FIRST_STATE);
  return { disk, store };
}

/** Counts the operations of these kinds from now on. */
function counted(disk: MemoryDisk, ...kinds: DiskOp['kind'][]): () => number {
  let count = 0;
  disk.fault = op => {
    if (kinds.includes(op.kind)) count += 1;
    return null;
  };
  return () => count;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

describe('group commit', () => {
  test('writes and syncs the appends of one turn once', async () => {
    const { disk, store } = await begun();
    const writes = counted(disk, 'writeAndSync');
    const all: Promise<void>[] = [];
    for (let i = 1; i <= 40; i++) all.push(append(store, { entries: entries(i, i, 1) }));
    await Promise.all(all);
    expect(writes()).toBe(1);
  });

  test('gathers what comes while a write is under way into one more', async () => {
    const { disk, store } = await begun();
    const held: (() => void)[] = [];
    const writes = counted(disk, 'writeAndSync');
    disk.schedule = complete => held.push(complete);
    const all = [append(store, { entries: entries(1, 1, 1) })];
    await turns(3);
    for (let i = 2; i <= 40; i++) {
      all.push(append(store, { entries: entries(i, i, 1) }));
      await turns(2);
    }
    expect([writes(), held.length]).toEqual([1, 1]);
    held.pop()!();
    await all[0];
    expect([writes(), held.length]).toEqual([2, 1]);
    held.pop()!();
    await Promise.all(all);
    expect(store.queuedBytes).toBe(0);
  });

  test('flush() begins the write within the call, of all that was appended', async () => {
    const { disk, store } = await begun();
    const held: (() => void)[] = [];
    disk.schedule = complete => void held.push(complete);
    let done = 0;
    store.append(batch({ entries: entries(1, 1, 1) }), () => (done += 1));
    store.append(batch({ entries: entries(2, 2, 1) }), () => (done += 1));
    store.flush();
    expect(held.length).toBe(1);
    held.pop()!();
    await turns(5);
    expect([done, held.length]).toEqual([2, 0]);
  });

  test('acknowledges nothing before its own write is through', async () => {
    const { disk, store } = await begun();
    disk.schedule = () => {};
    let heard = false;
    store.append(batch({ hardState: hardState(1, 1) }), () => {
      heard = true;
    });
    await turns(20);
    expect(heard).toBe(false);
    expect(store.queuedBytes).toBe(0);
  });
});

describe('segments', () => {
  test('the next one is ready before it is needed', async () => {
    const { disk, store } = await begun();
    await append(store, { entries: entries(1, 2, 1, 3000) });
    await turns(50);
    expect(disk.files()).toContain('log/0000000002.log');
    // From here on no file is ever created, allocated or synced to the end.
    disk.schedule = (complete, { kind }) => {
      if (kind === 'writeAndSync' || kind === 'close') void Promise.resolve().then(complete);
    };
    await append(store, { entries: entries(3, 3, 1, 3000) });
    expect(disk.peek('log/0000000002.log')!.some(byte => byte !== 0)).toBe(true);
  });

  test('a full disk stops the log only when the space is needed', async () => {
    const { disk, store } = await begun();
    await append(store, { entries: entries(1, 1, 1, 3000) });
    await turns(50);
    let full = true;
    disk.fault = op =>
      full && op.kind === 'allocate'
        ? { kind: 'fail', error: new StorageError('FULL', 'no space') }
        : null;
    // The second segment is ready; making the third one fails, and nobody is hurt.
    await append(store, { entries: entries(2, 2, 1, 3000) });
    await append(store, { entries: entries(3, 3, 1, 3000) });
    await turns(50);
    full = false;
    await append(store, { entries: entries(4, 5, 1, 3000) });
    await turns(50);
    full = true;
    await append(store, { entries: entries(6, 6, 1, 3000) });
    await append(store, { entries: entries(7, 7, 1, 3000) });
    await expect(append(store, { entries: entries(8, 11, 1, 3000) })).rejects.toMatchObject({
      code: 'FULL',
    });
    disk.fault = null;
    disk.crash({ unsynced: 'lost' });
    const again = await open(disk);
    expect(digest(again.recovered!.entries)).toBe(digest(entries(1, 7, 1, 3000)));
  });

  test('a failed sync in the background stops the log too', async () => {
    const { disk, store } = await begun();
    await turns(50);
    disk.fault = op =>
      op.kind === 'sync' ? { kind: 'fail', error: new StorageError('IO', 'EIO') } : null;
    await append(store, { entries: entries(1, 1, 1, 3000) });
    await turns(50);
    await expect(append(store, { hardState: hardState(2) })).rejects.toThrow('EIO');
    expect(store.failure).toMatchObject({ code: 'IO' });
  });

  test('B22: a sync that fails while the log waits for its next file leaves no hole', async () => {
    const disk = new MemoryDisk();
    const options = { segmentBytes: 16_384, alignBytes: 4096, trailingEntries: 0 };
    const store = await openLogStore({ disk, identity: IDENTITY, options });
    await store.bootstrap(FIRST_STATE);
    await turns(50);
    await append(store, { entries: entries(1, 1, 1, 9000) });
    let fails = 0;
    let release = () => {};
    disk.fault = ({ kind }) => {
      if (kind !== 'syncDir' || fails++ > 0) return null;
      return { kind: 'fail', error: new StorageError('IO', 'EIO') };
    };
    disk.schedule = (complete, { kind }) => {
      if (kind === 'syncDir' && fails === 1) release = complete;
      else void turns(kind === 'close' ? 20 : 1).then(complete);
    };
    await append(store, { entries: entries(2, 2, 1, 9000) });
    const waits = append(store, { entries: entries(3, 3, 1, 9000) });
    await turns(50);
    expect(fails).toBe(1);
    release();
    await expect(waits).rejects.toThrow('EIO');
    await turns(400);
    disk.crash({ unsynced: 'kept' });
    disk.fault = null;
    disk.schedule = complete => void Promise.resolve().then(complete);
    const again = await openLogStore({ disk, identity: IDENTITY, options });
    expect(digest(again.recovered!.entries)).toBe(digest(entries(1, 2, 1, 9000)));
  });

  test('are not removed on the strength of a snapshot that is not durable yet', async () => {
    const { disk, store } = await begun();
    for (let i = 1; i <= 20; i++) await append(store, { entries: entries(i, i, 1, 2000) });
    const held: (() => void)[] = [];
    disk.fault = op => {
      if (op.kind !== 'remove' || held.length > 0) return null;
      // While compaction removes its first segment, a snapshot arrives that replaces everything;
      // its record hangs in the disk.
      disk.schedule = (complete, { kind }) =>
        kind === 'writeAndSync' ? held.push(complete) : void Promise.resolve().then(complete);
      store.append(batch({ snapshot: snapshotAt(100, 9) }), () => {});
      return null;
    };
    await store.compact(snapshotAt(5, 1));
    await turns(400);
    expect(held.length).toBe(1);
    disk.crash({ unsynced: 'lost' });
    disk.fault = null;
    disk.schedule = complete => void Promise.resolve().then(complete);
    const again = await open(disk);
    expect(again.recovered!.snapshot).toEqual(snapshotAt(5, 1));
    expect(again.recovered!.entries.at(-1)!.index).toBe(20);
  });

  test('all go once a snapshot has replaced what they hold', async () => {
    const { disk, store } = await begun();
    for (let i = 1; i <= 20; i++) await append(store, { entries: entries(i, i, 1, 2000) });
    await append(store, { snapshot: snapshotAt(100, 9), entries: entries(101, 110, 9) });
    await store.compact(snapshotAt(101, 9));
    await store.close();
    const again = await open(disk);
    expect(again.recovered!.entries.at(-1)!.index).toBe(110);
    expect(again.logBytes).toBeLessThan(3 * OPTIONS.segmentBytes);
  });
});

describe('a start', () => {
  const options = { segmentBytes: 16 * 1024 * 1024, alignBytes: 4096, trailingEntries: 0 };
  const openLarge = (disk: MemoryDisk) => openLogStore({ disk, identity: IDENTITY, options });
  const sizes = (disk: MemoryDisk) =>
    disk
      .files()
      .filter(path => path.startsWith('log/'))
      .map(path => disk.peek(path)!.length / 1024);

  test('makes a small segment, and a large one only once the log grows', async () => {
    const disk = new MemoryDisk();
    const store = await openLarge(disk);
    await store.bootstrap(FIRST_STATE);
    await turns(50);
    expect(sizes(disk)).toEqual([1024]);
    await append(store, { entries: entries(1, 1, 1, 300_000) });
    await turns(50);
    expect(sizes(disk)).toEqual([1024, 4096]);
    await append(store, { entries: entries(2, 2, 1, 1_500_000) });
    await turns(50);
    expect(sizes(disk)).toEqual([1024, 4096, 16_384]);
  });

  test('after a clean close has nothing to read but what is used', async () => {
    const disk = new MemoryDisk();
    const store = await openLarge(disk);
    await store.bootstrap(FIRST_STATE);
    await append(store, { entries: entries(1, 1, 1, 300_000) });
    await store.close();
    expect(sizes(disk)).toEqual([304 + 4]);
    const again = await openLarge(disk);
    expect(digest(again.recovered!.entries)).toBe(digest(entries(1, 1, 1, 300_000)));
  });

  test('reads a preallocated segment a megabyte at a time', async () => {
    const disk = new MemoryDisk();
    const store = await openLogStore({ disk, identity: IDENTITY, options: { ...options } });
    await store.bootstrap(FIRST_STATE);
    await append(store, { entries: entries(1, 100, 1, 10) });
    disk.crash({ unsynced: 'lost' });
    const reads = counted(disk, 'read');
    await openLarge(disk);
    // The identity, the segment, its tail.
    expect(reads()).toBeLessThanOrEqual(4);
  });

  test('on a full disk says how much room the log needs, and works once there is', async () => {
    const { disk, store } = await begun();
    await append(store, { entries: entries(1, 2, 1) });
    disk.crash({ unsynced: 'lost' });
    disk.fault = op =>
      op.kind === 'allocate'
        ? { kind: 'fail', error: new StorageError('FULL', 'the disk of x is full: free some') }
        : null;
    await expect(open(disk)).rejects.toMatchObject({
      code: 'FULL',
      message: 'no room for the next 8 KiB of the log: the disk of x is full: free some',
    });
    disk.fault = null;
    expect((await open(disk)).recovered!.entries.length).toBe(2);
  });
});

test('where there is no room for a large segment, a small one will do', async () => {
  const disk = new MemoryDisk();
  const options = { segmentBytes: 16 * 1024 * 1024, alignBytes: 4096, trailingEntries: 0 };
  const store = await openLogStore({ disk, identity: IDENTITY, options });
  await store.bootstrap(FIRST_STATE);
  disk.fault = op =>
    op.kind === 'allocate' && op.offset > 1024 * 1024
      ? { kind: 'fail', error: new StorageError('FULL', 'no space') }
      : null;
  const all = entries(1, 8, 1, 300_000);
  for (const entry of all) await append(store, { entries: [entry] });
  disk.crash({ unsynced: 'lost' });
  const again = await openLogStore({ disk, identity: IDENTITY, options });
  expect(digest(again.recovered!.entries)).toBe(digest(all));
});

test('an entry larger than anything the log was made for is refused, not written', async () => {
  const { store } = await begun();
  const huge = { ...entries(1, 1, 1)[0]!, data: new Uint8Array(65 * 1024 * 1024) };
  await expect(append(store, { entries: [huge] })).rejects.toThrow('entry 1 has');
});

test('options that make no sense are refused', async () => {
  const wrong = [{ alignBytes: 100 }, { alignBytes: 0 }, { segmentBytes: 1000 }];
  for (const options of wrong) {
    const request = { disk: new MemoryDisk(), identity: IDENTITY, options };
    await expect(openLogStore(request)).rejects.toBeInstanceOf(RangeError);
  }
});

// Bit rot, lost sectors, misdirected and missing files: what was acknowledged is never dropped
// silently, and nothing but a StorageError comes out.

import { beforeAll, describe, expect, test } from 'vitest';
import {
  append,
  entries,
  FIRST_STATE,
  hardState,
  IDENTITY,
  image,
  snapshotAt,
} from '../../test/conformance/storage-fixtures.ts';
import { batchBytes } from './batch.ts';
import { StorageError } from './log-store.ts';
import { MemoryDisk } from './memory-disk.ts';
import { type FileLogStore, openLogStore } from './open.ts';

const OPTIONS = { segmentBytes: 4096, alignBytes: 512, trailingEntries: 0 };

function open(disk: MemoryDisk, nodeId = IDENTITY.nodeId): Promise<FileLogStore> {
  const identity = { ...IDENTITY, nodeId };
  return openLogStore({ disk, identity, options: OPTIONS });
}

/** The code and message of the StorageError that open() throws; null when it opens. */
async function problem(disk: MemoryDisk): Promise<{ code: string; message: string } | null> {
  try {
    await (await open(disk)).close();
    return null;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** A log of several segments whose process died right after the last acknowledgement. */
async function crashedLog(): Promise<MemoryDisk> {
  const disk = new MemoryDisk({ name: 'data' });
  const store = await open(disk);
  await store.bootstrap(FIRST_STATE);
  await append(store, { hardState: hardState(1, 2), entries: entries(1, 4, 1, 60) });
  await append(store, { entries: entries(5, 9, 1, 500) });
  await append(store, { entries: entries(10, 12, 1, 300) });
  await append(store, { entries: entries(13, 14, 1, 30), hardState: hardState(2, 1) });
  disk.crash({ unsynced: 'kept' });
  return disk;
}

/** How far the segment's bytes are in use: up to its last byte that is not zero. */
function usedBytes(disk: MemoryDisk, path: string): number {
  return disk.peek(path)!.findLastIndex(byte => byte !== 0) + 1;
}

function segments(disk: MemoryDisk): string[] {
  return disk.files().filter(path => path.startsWith('log/') && usedBytes(disk, path) > 0);
}

describe('a log whose last batch was acknowledged', () => {
  let disk: MemoryDisk;
  let intact: unknown;

  beforeAll(async () => {
    disk = await crashedLog();
    intact = image((await open(disk.clone())).recovered);
  });

  test('D02: a flipped bit anywhere is refused or harmless, in the last batch too', async () => {
    const paths = segments(disk);
    expect(paths.length).toBe(3);
    let refused = 0;
    for (const path of paths) {
      const used = usedBytes(disk, path);
      for (let at = 0; at < used; at++) {
        const copy = disk.clone();
        const byte = disk.peek(path)![at]!;
        copy.poke(path, at, Uint8Array.of(byte ^ (1 << (at & 7))));
        const found = await openedOr(copy);
        if (found === 'CORRUPT') refused += 1;
        // Harmless only in bytes that nobody reads: the rest of a header's block.
        else expect(found, `${path} at ${at}`).toEqual(intact);
      }
    }
    expect(refused).toBeGreaterThan(4000);
  });

  async function openedOr(copy: MemoryDisk): Promise<unknown> {
    try {
      return image((await open(copy)).recovered);
    } catch (error) {
      expect(error).toBeInstanceOf(StorageError);
      expect((error as StorageError).message).toMatch(/data\/log\/\d{10}\.log.*(remove|run)/s);
      const { code } = error as StorageError;
      expect(['CORRUPT', 'UNSUPPORTED_VERSION']).toContain(code);
      return 'CORRUPT';
    }
  }

  test('a zeroed sector before the last batch is damage, named with file and offset', async () => {
    const copy = disk.clone();
    copy.poke('log/0000000001.log', 1024, new Uint8Array(512));
    const found = await problem(copy);
    expect(found?.code).toBe('CORRUPT');
    expect(found?.message).toContain('data/log/0000000001.log is damaged at offset 1024');
  });

  test('D03: a batch that was written in the place of another is refused', async () => {
    const copy = disk.clone();
    const path = segments(copy).at(-1)!;
    const used = Math.ceil(usedBytes(copy, path) / 512) * 512;
    const last = copy.peek(path)!.slice(used - 512, used);
    copy.poke(path, used, last);
    expect((await problem(copy))?.message).toContain('another batch stands in the place');
  });

  test('a missing segment is damage', async () => {
    const copy = disk.clone();
    await copy.remove('log/0000000002.log');
    expect((await problem(copy))?.message).toContain(
      '0000000002.log is damaged: the file is missing',
    );
    const noFirst = disk.clone();
    await noFirst.remove('log/0000000001.log');
    expect((await problem(noFirst))?.message).toContain('entries 1 to');
  });

  test('a segment of another node is refused', async () => {
    const other = new MemoryDisk();
    const store = await open(other, 3);
    await store.bootstrap(FIRST_STATE);
    const copy = disk.clone();
    copy.poke('log/0000000001.log', 0, other.peek('log/0000000001.log')!.subarray(0, 512));
    expect((await problem(copy))?.message).toContain('copied here from elsewhere');
  });

  test('a deleted log is noticed, so that a vote cannot be forgotten', async () => {
    const copy = disk.clone();
    await copy.removeTree('log');
    const found = await problem(copy);
    expect(found?.code).toBe('CORRUPT');
    expect(found?.message).toContain('its log was lost');
  });

  test('a damaged identity is refused', async () => {
    const copy = disk.clone();
    copy.poke('identity', 45, Uint8Array.of(0x39));
    expect((await problem(copy))?.code).toBe('CORRUPT');
    await copy.remove('identity');
    expect((await problem(copy))?.message).toContain('identity file is missing');
  });
});

describe('a tail that was never acknowledged', () => {
  /** A log with `alive` acknowledged and one more batch of three sectors written, not acknowledged. */
  async function withUnacknowledged(): Promise<{ disk: MemoryDisk; path: string; at: number }> {
    const disk = await crashedLog();
    const store = await open(disk);
    await append(store, { entries: entries(15, 15, 2, 10) });
    const path = segments(disk).at(-1)!;
    const at = Math.ceil(usedBytes(disk, path) / 512) * 512;
    disk.fault = op => (op.kind === 'writeAndSync' ? { kind: 'halt', applied: true } : null);
    void append(store, { entries: entries(16, 16, 2, 1200) });
    for (let i = 0; i < 5; i++) await Promise.resolve();
    disk.crash({ unsynced: 'kept' });
    disk.fault = null;
    return { disk, path, at };
  }

  test('D01: is kept when it is whole', async () => {
    const { disk } = await withUnacknowledged();
    const { recovered } = await open(disk);
    expect(recovered!.entries.at(-1)!.index).toBe(16);
  });

  test('D04: is cut when any of its sectors is missing, and stays away', async () => {
    const { disk, path, at } = await withUnacknowledged();
    const total = batchBytes(1200, 512);
    expect(total).toBe(3 * 512);
    for (let missing = 0; missing < total; missing += 512) {
      const copy = disk.clone();
      copy.poke(path, at + missing, new Uint8Array(512));
      const store = await open(copy);
      expect(store.recovered!.entries.at(-1)!.index).toBe(15);
      await append(store, { entries: entries(16, 16, 9, 5) });
      copy.crash({ unsynced: 'lost' });
      const again = await open(copy);
      expect(again.recovered!.entries.at(-1)).toMatchObject({ index: 16, term: 9 });
    }
  });

  test('D04: is cut when its write stopped at any byte', async () => {
    const { disk, path, at } = await withUnacknowledged();
    const whole = disk.peek(path)!.slice(at, at + 3 * 512);
    for (let length = 0; length < whole.length; length += 7) {
      const copy = disk.clone();
      copy.poke(path, at + length, new Uint8Array(whole.length - length));
      const { recovered } = await open(copy);
      expect(recovered!.entries.at(-1)!.index, `cut at ${length}`).toBe(15);
    }
  });

  test('B18: is dropped when the header of a new segment is missing, and its first batch is not', async () => {
    const disk = await crashedLog();
    const options = { ...OPTIONS, segmentBytes: 65_536 };
    const start = () => openLogStore({ disk, identity: IDENTITY, options });
    // A start begins a segment: header and checkpoint are one write, torn here.
    await start();
    const path = segments(disk).at(-1)!;
    expect(path).toBe('log/0000000004.log');
    disk.crash({ unsynced: 'kept' });
    disk.poke(path, 0, new Uint8Array(512));
    const store = await start();
    expect(store.recovered!.entries.at(-1)!.index).toBe(14);
    expect(segments(disk).at(-1)).toBe(path);
    // With a second batch it was in use, so that its header was durable once.
    await append(store, { entries: entries(15, 15, 2, 10) });
    disk.crash({ unsynced: 'kept' });
    disk.poke(path, 0, new Uint8Array(512));
    expect((await problem(disk))?.code).toBe('CORRUPT');
  });

  test('the person in charge is told', async () => {
    const { disk, path, at } = await withUnacknowledged();
    disk.poke(path, at + 512, new Uint8Array(512));
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);
    await openLogStore({ disk, identity: IDENTITY, options: OPTIONS, log });
    expect(lines.join('\n')).toMatch(
      /offset \d+ was cut short by a crash before it was acknowledged/,
    );
  });
});

test('D05: a disk that lies about one sync is caught once the next batch was written', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await store.bootstrap(FIRST_STATE);
  await append(store, { entries: entries(1, 1, 1) });
  disk.fault = op => (op.kind === 'writeAndSync' ? { kind: 'lie' } : null);
  await append(store, { entries: entries(2, 2, 1) });
  const lost = disk.clone();
  lost.crash({ unsynced: 'lost' });
  // Nothing on one disk can tell this from a log that ended here.
  expect((await open(lost)).recovered!.entries.length).toBe(1);
  disk.fault = null;
  await append(store, { entries: entries(3, 3, 1) });
  disk.poke('log/0000000001.log', 1536, new Uint8Array(512));
  disk.crash({ unsynced: 'lost' });
  expect((await problem(disk))?.code).toBe('CORRUPT');
});

test('B23: an identity that a killed process left unsynced is durable before there is a log', async () => {
  const disk = new MemoryDisk();
  let named = false;
  disk.fault = ({ kind }) => {
    named ||= kind === 'rename';
    return named && kind === 'syncDir' ? { kind: 'halt', applied: false } : null;
  };
  void open(disk);
  for (let i = 0; i < 200; i++) await Promise.resolve();
  disk.killProcess();
  disk.fault = null;
  const store = await open(disk);
  disk.fault = ({ kind }) => (kind === 'rename' ? { kind: 'halt', applied: false } : null);
  void store.bootstrap(FIRST_STATE);
  for (let i = 0; i < 200; i++) await Promise.resolve();
  disk.crash({ unsynced: 'lost' });
  disk.fault = null;
  expect(await problem(disk)).toBe(null);
});

test('D05: condemned data is never opened again, and says why', async () => {
  const disk = await crashedLog();
  await (await open(disk)).condemn('entries 4 to 9 are lost.');
  disk.crash({ unsynced: 'lost' });
  for (let i = 0; i < 2; i++) {
    const found = await problem(disk);
    expect(found?.code).toBe('LOST');
    expect(found?.message).toBe('data/condemned says: entries 4 to 9 are lost.');
  }
});

test('a process crash does not make unsynced bytes count as durable', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await store.bootstrap(FIRST_STATE);
  // The write reaches the page cache, and the process dies before the sync is through.
  disk.schedule = () => {};
  void append(store, { entries: entries(1, 1, 1) });
  for (let i = 0; i < 5; i++) await Promise.resolve();
  disk.killProcess();
  disk.schedule = complete => void Promise.resolve().then(complete);
  const second = await open(disk);
  expect(second.recovered!.entries.length).toBe(1);
  disk.crash({ unsynced: 'lost' });
  expect((await open(disk)).recovered!.entries.length).toBe(1);
});

test('IDENTITY_MISMATCH names both nodes', async () => {
  const disk = await crashedLog();
  await expect(open(disk, 9)).rejects.toMatchObject({ code: 'IDENTITY_MISMATCH' });
  await expect(open(disk, 9)).rejects.toThrow(/node 2 of cluster 4711.*node 9 of cluster 4711/s);
});

test('S04: a snapshot file newer than the log changes nothing in what is recovered', async () => {
  const disk = await crashedLog();
  const store = await open(disk);
  const before = image(store.recovered);
  const writer = await store.createSnapshot(snapshotAt(99, 7));
  await writer.finish();
  disk.crash({ unsynced: 'lost' });
  const again = await open(disk);
  expect(image(again.recovered)).toEqual(before);
  expect(again.newestSnapshot).toEqual(snapshotAt(99, 7));
});

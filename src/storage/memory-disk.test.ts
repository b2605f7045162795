import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../test/conformance/storage-fixtures.ts';
import { MemoryDisk } from './memory-disk.ts';

const ONES = new Uint8Array(2000).fill(1);

function count(bytes: Uint8Array | null): number {
  return bytes?.reduce((sum, byte) => sum + byte, 0) ?? -1;
}

async function withFile(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const file = await disk.open('f', 'new');
  await file.write(0, ONES);
  await file.sync();
  await disk.syncDir('');
  return disk;
}

describe('a crash', () => {
  test('keeps what was synced and drops the rest', async () => {
    const disk = await withFile();
    const file = await disk.open('f', 'never');
    await file.write(2000, ONES);
    await file.truncate(100);
    expect(count(disk.peek('f'))).toBe(100);
    disk.crash({ unsynced: 'lost' });
    expect(count(disk.peek('f'))).toBe(2000);
  });

  test('may keep everything', async () => {
    const disk = await withFile();
    await (await disk.open('f', 'never')).write(2000, ONES);
    disk.crash({ unsynced: 'kept' });
    expect(count(disk.peek('f'))).toBe(4000);
  });

  test('may tear the last write at any byte', async () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const disk = await withFile();
      await (await disk.open('f', 'never')).write(2000, ONES);
      disk.crash({ unsynced: 'tornTail', random: seededRandom(seed) });
      lengths.add(count(disk.peek('f')));
    }
    expect(lengths.size).toBeGreaterThan(30);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(2000);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(4000);
  });

  test('may keep any sectors of a write, so a later one without an earlier one', async () => {
    let holes = 0;
    for (let seed = 0; seed < 100; seed++) {
      const disk = await withFile();
      await (await disk.open('f', 'never')).write(2048, ONES);
      disk.crash({ unsynced: 'random', random: seededRandom(seed) });
      const bytes = disk.peek('f')!;
      if (bytes.length > 3000 && bytes[2100] === 0) holes += 1;
    }
    expect(holes).toBeGreaterThan(5);
  });

  test('D08: forgets names whose directory was not synced', async () => {
    const disk = await withFile();
    const file = await disk.open('new', 'new');
    await file.write(0, ONES);
    await file.sync();
    await disk.rename('f', 'g');
    const kept = disk.clone();
    disk.crash({ unsynced: 'lost' });
    expect(disk.files()).toEqual(['f']);
    await kept.syncDir('');
    kept.crash({ unsynced: 'lost' });
    expect(kept.files()).toEqual(['g', 'new']);
  });

  test('drops files whose directory was never durable', async () => {
    const disk = new MemoryDisk();
    await disk.makeDir('d');
    const file = await disk.open('d/f', 'new');
    await file.sync();
    await disk.syncDir('d');
    disk.crash({ unsynced: 'lost' });
    expect(disk.files()).toEqual([]);
  });

  test('ends all that was under way, and all locks', async () => {
    const disk = await withFile();
    const file = await disk.open('f', 'never');
    await disk.lock('lock');
    let completed = false;
    file.writeAndSync(0, new Uint8Array(1), () => {
      completed = true;
    });
    disk.crash({ unsynced: 'lost' });
    void file.sync().then(() => {
      completed = true;
    });
    await disk.lock('lock');
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(completed).toBe(false);
    expect(count(disk.peek('f'))).toBe(2000);
  });
});

test('a sync covers what came before it, not what came while it was under way', async () => {
  const disk = await withFile();
  const file = await disk.open('f', 'never');
  const synced = file.sync();
  void file.write(2000, ONES);
  await synced;
  disk.crash({ unsynced: 'lost' });
  expect(count(disk.peek('f'))).toBe(2000);
});

test('a scheduler decides when operations complete', async () => {
  const waiting: (() => void)[] = [];
  const disk = new MemoryDisk({ schedule: complete => waiting.push(complete) });
  let opened = false;
  const opening = disk.open('f', 'new').then(() => {
    opened = true;
  });
  for (let i = 0; i < 5; i++) await Promise.resolve();
  expect([opened, waiting.length]).toEqual([false, 1]);
  waiting[0]!();
  await opening;
  expect(opened).toBe(true);
});

test('a fault can fail an operation after part of it, or make a sync lie', async () => {
  const disk = await withFile();
  const file = await disk.open('f', 'never');
  disk.fault = op =>
    op.kind === 'write' ? { kind: 'fail', error: new Error('EIO'), writtenBytes: 7 } : null;
  await expect(file.write(2000, ONES)).rejects.toThrow('EIO');
  expect(count(disk.peek('f'))).toBe(2007);
  disk.fault = () => ({ kind: 'lie' });
  await file.sync();
  disk.crash({ unsynced: 'lost' });
  expect(count(disk.peek('f'))).toBe(2000);
});

test('a clone goes its own way', async () => {
  const disk = await withFile();
  const copy = disk.clone();
  await (await disk.open('f', 'never')).write(0, new Uint8Array(2000));
  await disk.open('other', 'new');
  expect(count(copy.peek('f'))).toBe(2000);
  expect(copy.files()).toEqual(['f']);
  copy.poke('f', 0, Uint8Array.of(9));
  copy.crash({ unsynced: 'lost' });
  expect(copy.peek('f')![0]).toBe(9);
  expect(disk.peek('f')![0]).toBe(0);
});

// What every Disk must do; run on the real one and on the one in memory.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { StorageError } from '../../src/storage/log-store.ts';

interface Subject {
  readonly disk: Disk;
  dispose(): Promise<void>;
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function writeAndSync(file: DiskFile, offset: number, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    file.writeAndSync(offset, data, error => (error === null ? resolve() : reject(error)));
  });
}

export function diskConformance(name: string, create: () => Promise<Subject>): void {
  describe(`${name} is a Disk`, () => {
    let subject: Subject;
    let disk: Disk;

    beforeEach(async () => {
      subject = await create();
      disk = subject.disk;
    });
    afterEach(() => subject.dispose());

    test('a file is created when asked, and only then', async () => {
      await expect(disk.open('a', 'never')).rejects.toBeInstanceOf(StorageError);
      await (await disk.open('a', 'new')).close();
      await expect(disk.open('a', 'new')).rejects.toBeInstanceOf(StorageError);
      await (await disk.open('a', 'ifMissing')).close();
      await (await disk.open('b', 'ifMissing')).close();
      expect(await disk.list('')).toEqual(['a', 'b']);
    });

    test('bytes come back from where they were written', async () => {
      const file = await disk.open('f', 'new');
      await file.write(0, bytes(1, 2, 3));
      await file.write(5, bytes(9));
      await writeAndSync(file, 1, bytes(7));
      await file.sync();
      expect(await file.size()).toBe(6);
      expect(await file.read(0, 6)).toEqual(bytes(1, 7, 3, 0, 0, 9));
      await file.close();
      const again = await disk.open('f', 'never');
      expect(await again.read(0, 6)).toEqual(bytes(1, 7, 3, 0, 0, 9));
      await again.close();
    });

    test('a read gives fewer bytes at the end of the file, none behind it', async () => {
      const file = await disk.open('f', 'new');
      await file.write(0, bytes(1, 2, 3));
      expect(await file.read(1, 100)).toEqual(bytes(2, 3));
      expect(await file.read(3, 1)).toEqual(bytes());
      expect(await file.read(1000, 2 ** 40)).toEqual(bytes());
      await file.close();
    });

    test('allocate() gives zeros and never shrinks or clears', async () => {
      const file = await disk.open('f', 'new');
      await file.write(0, bytes(1, 2, 3));
      await file.allocate(3_000_000);
      expect(await file.size()).toBe(3_000_000);
      expect(await file.read(0, 5)).toEqual(bytes(1, 2, 3, 0, 0));
      expect(await file.read(2_999_999, 5)).toEqual(bytes(0));
      await file.allocate(10);
      expect(await file.size()).toBe(3_000_000);
      await file.close();
    });

    test('truncate() cuts, and what grows back is zero', async () => {
      const file = await disk.open('f', 'new');
      await file.write(0, bytes(1, 2, 3, 4));
      await file.truncate(2);
      expect(await file.size()).toBe(2);
      await file.truncate(4);
      expect(await file.read(0, 4)).toEqual(bytes(1, 2, 0, 0));
      await file.close();
    });

    test('writeAndSync() completes later, never during the call', async () => {
      const file = await disk.open('f', 'new');
      const order: string[] = [];
      await new Promise<void>(resolve => {
        file.writeAndSync(0, bytes(1), () => {
          order.push('done');
          resolve();
        });
        order.push('returned');
      });
      expect(order).toEqual(['returned', 'done']);
      await file.close();
    });

    test('a closed file takes no more operations, and closes twice', async () => {
      const file = await disk.open('f', 'new');
      await file.close();
      await expect(file.write(0, bytes(1))).rejects.toBeInstanceOf(StorageError);
      await expect(file.sync()).rejects.toBeInstanceOf(StorageError);
      await expect(writeAndSync(file, 0, bytes(1))).rejects.toBeInstanceOf(StorageError);
      await file.close();
    });

    test('directories nest, list what is in them, and go with all they hold', async () => {
      await disk.makeDir('d');
      await disk.makeDir('d/e');
      await disk.makeDir('d');
      await (await disk.open('d/x', 'new')).close();
      await (await disk.open('d/e/y', 'new')).close();
      expect(await disk.list('d')).toEqual(['e', 'x']);
      expect(await disk.list('d/e')).toEqual(['y']);
      await disk.syncDir('d');
      await disk.removeTree('d');
      expect(await disk.list('d')).toEqual([]);
      expect(await disk.list('')).toEqual([]);
      await disk.removeTree('d');
    });

    test('a file needs its directory', async () => {
      await expect(disk.open('no/x', 'new')).rejects.toBeInstanceOf(StorageError);
      expect(await disk.list('no')).toEqual([]);
    });

    test('rename() replaces its target', async () => {
      const [from, to] = [await disk.open('from', 'new'), await disk.open('to', 'new')];
      await from.write(0, bytes(1));
      await to.write(0, bytes(2, 2));
      await from.close();
      await to.close();
      await disk.rename('from', 'to');
      expect(await disk.list('')).toEqual(['to']);
      const file = await disk.open('to', 'never');
      expect(await file.read(0, 10)).toEqual(bytes(1));
      await file.close();
      await expect(disk.rename('from', 'to')).rejects.toBeInstanceOf(StorageError);
    });

    test('a removed file stays readable for those who have it open', async () => {
      const file = await disk.open('f', 'new');
      await file.write(0, bytes(1, 2));
      await disk.remove('f');
      expect(await disk.list('')).toEqual([]);
      expect(await file.read(0, 2)).toEqual(bytes(1, 2));
      await file.close();
      await expect(disk.remove('f')).rejects.toBeInstanceOf(StorageError);
    });

    test('a lock has one holder at a time', async () => {
      const lock = await disk.lock('lock');
      await expect(disk.lock('lock')).rejects.toMatchObject({ code: 'LOCKED' });
      await lock.release();
      await (await disk.lock('lock')).release();
    });

    test('describe() names the path', () => {
      expect(disk.describe('log/x')).toMatch(/log\/x$/);
    });
  });
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { IDENTITY } from '../../test/conformance/storage-fixtures.ts';
import { NodeDisk } from './node-disk.ts';
import { openLogStore } from './open.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kontiki-node-disk-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the lock of a data directory', () => {
  async function holder(): Promise<ChildProcess> {
    const script = fileURLToPath(new URL('../../test/conformance/hold-lock.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, root], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    return child;
  }

  test('locks a second process out, names the first, and goes with it at kill -9', async () => {
    const child = await holder();
    const disk = new NodeDisk(root);
    await expect(disk.lock('lock')).rejects.toMatchObject({ code: 'LOCKED' });
    await expect(disk.lock('lock')).rejects.toThrow(`held by process ${child.pid}`);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    const lock = await disk.lock('lock');
    await lock.release();
  });

  test('keeps a second store of the same process out until the first is closed', async () => {
    const open = () => openLogStore({ disk: new NodeDisk(root), identity: IDENTITY });
    const first = await open();
    await expect(open()).rejects.toMatchObject({ code: 'LOCKED' });
    await first.close();
    await (await open()).close();
  });

  test.runIf(process.platform === 'linux')('holds without a flock program too', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = join(root, 'nothing-here');
    try {
      const lock = await new NodeDisk(root).lock('lock');
      const refusal = { code: 'LOCKED' };
      await expect(new NodeDisk(root).lock('lock')).rejects.toMatchObject(refusal);
      await lock.release();
      await (await new NodeDisk(root).lock('lock')).release();
    } finally {
      process.env['PATH'] = path;
    }
  });

  test('is given back when the store cannot be opened', async () => {
    const disk = new NodeDisk(root);
    await (await openLogStore({ disk, identity: IDENTITY })).close();
    const stranger = { ...IDENTITY, clusterId: 1 };
    await expect(openLogStore({ disk, identity: stranger })).rejects.toMatchObject({
      code: 'IDENTITY_MISMATCH',
    });
    await (await openLogStore({ disk, identity: IDENTITY })).close();
  });
});

test.runIf(existsSync('/dev/full'))('a full disk is a StorageError FULL', async () => {
  const file = await new NodeDisk('/dev').open('full', 'never');
  const full = { name: 'StorageError', code: 'FULL' };
  await expect(file.write(0, new Uint8Array(10))).rejects.toMatchObject(full);
  const error = await new Promise(resolve => file.writeAndSync(0, new Uint8Array(10), resolve));
  expect(error).toMatchObject(full);
  await file.close();
});

test('files and directories are private to their owner', async () => {
  const disk = new NodeDisk(join(root, 'data'));
  await disk.makeDir('log');
  await (await disk.open('secret', 'new')).close();
  expect((await stat(join(root, 'data/secret'))).mode & 0o077).toBe(0);
  expect((await stat(join(root, 'data/log'))).mode & 0o077).toBe(0);
});

test('an error names the file', async () => {
  await expect(new NodeDisk(root).open('absent', 'never')).rejects.toThrow(join(root, 'absent'));
});

describe('D09: a system that transfers fewer bytes than it was asked to', () => {
  type Transfer = (
    fd: number,
    bytes: Uint8Array,
    from: number,
    length: number,
    at: number,
    done: (error: Error | null, count: number) => void,
  ) => void;

  /** At most so many bytes a call; the number of calls is counted. */
  function limit(name: 'read' | 'write', bytesMax: number): { calls: number } {
    const real = fs[name] as unknown as Transfer;
    const counter = { calls: 0 };
    const short: Transfer = (fd, bytes, from, length, at, done) => {
      counter.calls += 1;
      if (bytesMax === 0) return void process.nextTick(done, null, 0);
      real(fd, bytes, from, Math.min(length, bytesMax), at, done);
    };
    vi.spyOn(fs, name).mockImplementation(short as never);
    return counter;
  }
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);

  test('is asked until all is there, in reads and in both kinds of writes', async () => {
    const file = await new NodeDisk(root).open('file', 'new');
    const writes = limit('write', 300);
    await file.write(0, BYTES);
    await new Promise<void>((resolve, reject) => {
      file.writeAndSync(1000, BYTES, error => (error === null ? resolve() : reject(error)));
    });
    expect(writes.calls).toBe(8);
    const reads = limit('read', 130);
    expect(await file.read(0, 1000)).toEqual(BYTES);
    expect(await file.read(1000, 5000)).toEqual(BYTES);
    expect(reads.calls).toBeGreaterThanOrEqual(16);
    await file.close();
  });

  test('and takes none at all is a full disk, not a loop', async () => {
    const file = await new NodeDisk(root).open('file', 'new');
    limit('write', 0);
    await expect(file.write(0, BYTES)).rejects.toMatchObject({ code: 'FULL' });
    const written = new Promise((_, reject) => file.writeAndSync(0, BYTES, reject));
    await expect(written).rejects.toMatchObject({ code: 'FULL' });
    await file.close();
  });
});

// One process per data directory. The lock must vanish with its process, also after kill -9, must
// hold between containers that share a volume, and must never be stale; of the usual ways only the
// kernel's file locks do all that (a pid file doesn't, nor does a socket in the network namespace).
//
// Node has no call for them, so: on Linux util-linux's (or busybox's) `flock` locks a descriptor it
// inherits. The lock belongs to the open file, not to the process that asked for it, so it stays
// with us after `flock` has ended and goes when our descriptor closes. On BSD and macOS open(2)
// itself can take it. Where neither works, a Linux abstract socket named after the file's inode
// holds within one network namespace.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import type { DiskLock } from './disk.ts';
import { StorageError } from './log-store.ts';

/** open(2) flags that Node does not name. */
const O_EXLOCK = 0x20;
const O_NONBLOCK_BSD = 0x4;
/** What `flock --nonblock` answers when somebody else has the lock. */
const FLOCK_HELD = 1;
const FILE_MODE = 0o600;

export async function lockFile(name: string): Promise<DiskLock> {
  const { O_RDWR, O_CREAT } = fs.constants;
  const native = process.platform === 'darwin' || process.platform.endsWith('bsd');
  const flags = O_RDWR | O_CREAT | (native ? O_EXLOCK | O_NONBLOCK_BSD : 0);
  let handle: fs.promises.FileHandle;
  try {
    handle = await fs.promises.open(name, flags, FILE_MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') throw await held(name);
    throw error;
  }
  try {
    const also = native ? null : await lockOnLinux(name, handle);
    await handle.truncate(0);
    await handle.write(`${process.pid}\n`, 0);
    return {
      release: async () => {
        await also?.release();
        await handle.close();
      },
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function lockOnLinux(name: string, handle: fs.promises.FileHandle): Promise<DiskLock | null> {
  const status = await runFlock(handle.fd);
  if (status === 0) return null;
  if (status === FLOCK_HELD) throw await held(name);
  return lockBySocket(name, handle);
}

/** The exit status of `flock`, null when there is no such program. */
function runFlock(fd: number): Promise<number | null> {
  return new Promise(resolve => {
    const stdio = ['ignore', 'ignore', 'ignore', fd] as const;
    const child = spawn('flock', ['-x', '-n', '3'], { stdio: [...stdio] });
    child.on('error', () => resolve(null));
    child.on('close', code => resolve(code));
  });
}

async function lockBySocket(name: string, handle: fs.promises.FileHandle): Promise<DiskLock> {
  const { dev, ino } = await handle.stat();
  const server = net.createServer(socket => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') return void held(name).then(reject);
      const reason = `cannot lock ${name}: no flock program, and ${error.message}`;
      reject(new StorageError('IO', reason, { cause: error }));
    });
    server.listen({ path: `\0kontiki-lock-${dev}-${ino}` }, resolve);
  });
  server.unref();
  return { release: () => new Promise(resolve => server.close(() => resolve())) };
}

async function held(name: string): Promise<StorageError> {
  const pid = (await fs.promises.readFile(name, 'utf8').catch(() => '')).trim();
  const who = /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
  return new StorageError(
    'LOCKED',
    `${name} is held by ${who}: only one node can use a data directory. Stop the other one, or ` +
      'give this one a directory of its own',
  );
}

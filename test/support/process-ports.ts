// Free ports and directories for real processes. Ports lie below the range from which the kernel
// takes the ports of outgoing connections: a member that is down for a while must get its port back.

import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FIRST_PORT = 12_000;
const LAST_PORT = 32_000;
const ATTEMPTS_MAX = 1000;
const TMPFS_MAGIC = 0x01021994;

const handedOut = new Set<number>();

/** Ports of loopback on which nobody listens now, none given twice by this process. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let attempt = 0; ports.length < count; attempt++) {
    if (attempt === ATTEMPTS_MAX) throw new Error(`found no ${count} free ports`);
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (handedOut.has(port) || !(await isFree(port))) continue;
    handedOut.add(port);
    ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A directory of its own, on a disk if there is one: memory forgets nothing in a power cut. */
export function temporaryDirectory(): string {
  const parents = [tmpdir(), '/var/tmp'];
  const parent = parents.find(isOnDisk) ?? tmpdir();
  return mkdtempSync(join(parent, 'kontiki-processes-'));
}

export function isOnDisk(path: string): boolean {
  try {
    return statfsSync(path).type !== TMPFS_MAGIC;
  } catch {
    return false;
  }
}

export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

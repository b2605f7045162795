// A data directory that has lost what its node had acknowledged. The file `condemned` says so, for a
// supervisor starts a server that stopped again and again, and each time it could vote.

import type { Disk } from './disk.ts';
import { StorageError } from './log-store.ts';

const FILE = 'condemned';
const REASON_BYTES_MAX = 4096;

/** Durable when it returns. */
export async function condemn(disk: Disk, reason: string): Promise<void> {
  const file = await disk.open(FILE, 'ifMissing');
  await file.write(0, new TextEncoder().encode(reason));
  await file.sync();
  await file.close();
  await disk.syncDir('');
}

/** Rejects with a StorageError `LOST` that gives the reason. */
export async function checkNotCondemned(disk: Disk): Promise<void> {
  if (!(await disk.list('')).includes(FILE)) return;
  const file = await disk.open(FILE, 'never');
  const reason = new TextDecoder().decode(await file.read(0, REASON_BYTES_MAX));
  await file.close();
  throw new StorageError('LOST', `${disk.describe(FILE)} says: ${reason}`);
}

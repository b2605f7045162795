// The file `identity` says whose data a directory holds, in a few lines that people can read. It
// also says whether the node has ever begun, so that a log that somebody deleted is noticed: a node
// that forgot its vote must not come back under its old name.

import { crc32c } from '../wire/crc32c.ts';
import type { Disk } from './disk.ts';
import { type Identity, StorageError } from './log-store.ts';
import { FORMAT_VERSION } from './segment.ts';

const FILE = 'identity';
const TEMPORARY = 'identity.tmp';
const FILE_BYTES_MAX = 4096;
const FORMAT =
  /^kontiki data directory\nformat (\d{1,9})\ncluster (\d{1,16})\nnode (\d{1,16})\nstate (new|begun)\nchecksum ([0-9a-f]{8})\n$/;

export interface StoredIdentity extends Identity {
  /** bootstrap() has completed: there must be a log. */
  readonly begun: boolean;
}

/** Null in a directory without an identity; `names` is what the directory has. */
export async function readIdentity(
  disk: Disk,
  names: readonly string[],
): Promise<StoredIdentity | null> {
  if (!names.includes(FILE)) return null;
  const file = await disk.open(FILE, 'never');
  const bytes = await file.read(0, FILE_BYTES_MAX);
  await file.close();
  const text = new TextDecoder().decode(bytes);
  const match = FORMAT.exec(text);
  const checked = text.slice(0, text.lastIndexOf('checksum '));
  if (match === null || checksum(checked) !== match[5]) {
    throw new StorageError(
      'CORRUPT',
      `${disk.describe(FILE)} is damaged, so it is unknown whose data this is. Restore the file, ` +
        'or remove this node from the cluster, empty its data directory and add it again',
    );
  }
  if (Number(match[1]) !== FORMAT_VERSION) {
    throw new StorageError(
      'UNSUPPORTED_VERSION',
      `${disk.describe('')} has data format ${match[1]}, but this program reads ${FORMAT_VERSION}`,
    );
  }
  return { clusterId: Number(match[2]), nodeId: Number(match[3]), begun: match[4] === 'begun' };
}

/** Writes or replaces the file, atomically and durably. */
export async function writeIdentity(disk: Disk, identity: StoredIdentity): Promise<void> {
  const lines =
    `kontiki data directory\nformat ${FORMAT_VERSION}\ncluster ${identity.clusterId}\n` +
    `node ${identity.nodeId}\nstate ${identity.begun ? 'begun' : 'new'}\n`;
  const bytes = new TextEncoder().encode(`${lines}checksum ${checksum(lines)}\n`);
  const file = await disk.open(TEMPORARY, 'ifMissing');
  await file.truncate(0);
  await file.write(0, bytes);
  await file.sync();
  await file.close();
  await disk.rename(TEMPORARY, FILE);
  await disk.syncDir('');
}

export function checkIdentity(disk: Disk, stored: Identity, asked: Identity): void {
  if (stored.clusterId === asked.clusterId && stored.nodeId === asked.nodeId) return;
  throw new StorageError(
    'IDENTITY_MISMATCH',
    `${disk.describe('')} belongs to node ${stored.nodeId} of cluster ${stored.clusterId}, but was ` +
      `opened as node ${asked.nodeId} of cluster ${asked.clusterId}. Check the data directory and ` +
      'the ids that the node was started with',
  );
}

function checksum(text: string): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, '0');
}

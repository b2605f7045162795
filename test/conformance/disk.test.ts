import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../src/storage/memory-disk.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { diskConformance } from './disk.ts';

diskConformance('MemoryDisk', async () => ({
  disk: new MemoryDisk(),
  dispose: async () => {},
}));

diskConformance('NodeDisk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kontiki-disk-'));
  return { disk: new NodeDisk(root), dispose: () => rm(root, { recursive: true, force: true }) };
});

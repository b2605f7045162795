import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../src/storage/memory-disk.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { openLogStore } from '../../src/storage/open.ts';
import { logStoreConformance } from './log-store.ts';
import { IDENTITY } from './storage-fixtures.ts';

const SMALL = { segmentBytes: 64 * 1024, alignBytes: 512, trailingEntries: 10 };
const OTHER = { ...IDENTITY, nodeId: 1 };

logStoreConformance('FileLogStore over MemoryDisk', async () => {
  const disk = new MemoryDisk();
  const other = new MemoryDisk();
  return {
    open: () => openLogStore({ disk, identity: IDENTITY, options: SMALL }),
    openOther: () => openLogStore({ disk: other, identity: OTHER, options: SMALL }),
    dispose: async () => {},
  };
});

logStoreConformance('FileLogStore over NodeDisk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kontiki-store-'));
  const disk = new NodeDisk(join(root, 'own'));
  const other = new NodeDisk(join(root, 'other'));
  const options = { ...SMALL, alignBytes: 4096 };
  return {
    open: () => openLogStore({ disk, identity: IDENTITY, options }),
    openOther: () => openLogStore({ disk: other, identity: OTHER, options }),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
});

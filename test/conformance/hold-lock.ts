// A process that takes the lock of a data directory and keeps it until it is killed.

import { NodeDisk } from '../../src/storage/node-disk.ts';

async function hold(root: string): Promise<void> {
  const lock = await new NodeDisk(root).lock('lock');
  console.log('locked');
  setInterval(() => void lock, 1000);
}

void hold(process.argv[2]!);

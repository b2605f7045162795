// The kinds of storage that a node can be given.

import type { Identity, LogStore } from '../storage/log-store.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { NodeDisk } from '../storage/node-disk.ts';
import { openLogStore } from '../storage/open.ts';
import type { LogLevel } from './driver-types.ts';

export interface StorageRequest {
  readonly trailingEntries: number;
  readonly log: (level: LogLevel, message: string) => void;
}

export interface StorageKind {
  open(identity: Identity, request: StorageRequest): Promise<LogStore>;
}

/** A directory of this node alone. Created when absent; locked while the node runs. */
export function fileStorage(dir: string): StorageKind {
  return {
    async open(identity, { trailingEntries, log }) {
      const disk = new NodeDisk(dir);
      const options = { trailingEntries };
      return openLogStore({ disk, identity, options, log: line => log('warn', line) });
    },
  };
}

/**
 * Gone with the process: a node that comes back without its memory must join under a new id, or a
 * majority may forget what it has promised. The same object keeps its content from one open to the
 * next, as a disk would.
 */
export function memoryStorage(): StorageKind {
  const disk = new MemoryDisk();
  return {
    async open(identity, { trailingEntries, log }) {
      const options = { trailingEntries, segmentBytes: 1024 * 1024 };
      return openLogStore({ disk, identity, options, log: line => log('warn', line) });
    },
  };
}

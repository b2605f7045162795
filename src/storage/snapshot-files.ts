// The snapshot files of a node: snapshots/<index>-<term>.snap when complete; own-*.tmp and
// from-<node>-*.part while they are written. A file gets its final name only after all of it is
// durable, so whatever has that name is complete, and anything else can go.

import type { LogId, NodeId, SnapshotMeta } from '../raft/types.ts';
import { WireError } from '../wire/bytes.ts';
import type { Disk, DiskFile, Path } from './disk.ts';
import { type SnapshotReader, type SnapshotWriter, StorageError } from './log-store.ts';
import { END_BYTES, SnapshotParser } from './snapshot-format.ts';
import {
  OwnSnapshotWriter,
  ReceivedSnapshotWriter,
  type SnapshotPlace,
} from './snapshot-writers.ts';

export const SNAPSHOT_DIR: Path = 'snapshots';
const COMPLETE = /^(\d{16})-(\d{1,16})\.snap$/;
const READ_BYTES = 256 * 1024;

export class SnapshotFiles {
  readonly #disk: Disk;
  readonly #clusterId: number;
  readonly #notes: string[] = [];
  /** Complete files, by name. */
  readonly #complete = new Map<string, SnapshotMeta>();
  /** Names of the files being written. */
  readonly #unfinished = new Set<string>();
  /** The transfer that is under way; a new one takes its place. */
  #receiving: ReceivedSnapshotWriter | null = null;

  constructor(disk: Disk, clusterId: number) {
    this.#disk = disk;
    this.#clusterId = clusterId;
  }

  /** What open() found amiss, for the log of the program. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  get newest(): SnapshotMeta | null {
    let newest: SnapshotMeta | null = null;
    for (const meta of this.#complete.values()) {
      if (newest === null || meta.last.index > newest.last.index) newest = meta;
    }
    return newest;
  }

  /** Lists the directory and removes what a crash left half written, but a peer's transfer. */
  async open(): Promise<void> {
    const names = await this.#disk.list(SNAPSHOT_DIR);
    for (const name of names) {
      if (COMPLETE.test(name)) await this.#admit(name);
      else if (!isPart(name)) await this.#disk.remove(pathOf(name));
    }
    // A process that died may have renamed a file and not synced its new name.
    if (names.length > 0) await this.#disk.syncDir(SNAPSHOT_DIR);
  }

  async create(meta: SnapshotMeta): Promise<SnapshotWriter> {
    const name = `own-${nameOf(meta.last)}.tmp`;
    const file = await this.#disk.open(pathOf(name), 'ifMissing');
    await file.truncate(0);
    this.#unfinished.add(name);
    return new OwnSnapshotWriter(file, this.#place(name, meta), this.#clusterId, meta);
  }

  async receive(from: NodeId, meta: SnapshotMeta): Promise<SnapshotWriter> {
    await this.#receiving?.close();
    this.#receiving = null;
    const name = `from-${from}-${nameOf(meta.last)}.part`;
    await this.#removeParts(name);
    const file = await this.#disk.open(pathOf(name), 'ifMissing');
    this.#unfinished.add(name);
    const { parser, offset } = await this.#takeUp(file, meta);
    const place = this.#place(name, meta);
    this.#receiving = new ReceivedSnapshotWriter({ file, parser, meta, offset, place });
    return this.#receiving;
  }

  /** Keeps the intact blocks of a partial file, so that the transfer goes on behind them. */
  async #takeUp(file: DiskFile, meta: SnapshotMeta) {
    const found = new SnapshotParser(this.#clusterId);
    await parseFile(file, found);
    const same = found.meta !== null && sameMeta(found.meta, meta);
    const offset = same ? found.validBytes : 0;
    await file.truncate(offset);
    const parser = new SnapshotParser(this.#clusterId);
    await parseFile(file, parser);
    return { parser, offset };
  }

  async openReader(meta: SnapshotMeta): Promise<SnapshotReader | null> {
    const name = nameOf(meta.last);
    const known = this.#complete.get(name);
    if (known === undefined) return null;
    const file = await this.#disk.open(pathOf(name), 'never');
    const described = this.#disk.describe(pathOf(name));
    return new FileReader(file, await file.size(), known, this.#clusterId, described);
  }

  async removeExcept(keep: LogId | null): Promise<void> {
    const kept = keep === null ? null : nameOf(keep);
    for (const name of await this.#disk.list(SNAPSHOT_DIR)) {
      if (name === kept || this.#unfinished.has(name)) continue;
      this.#complete.delete(name);
      await this.#disk.remove(pathOf(name));
    }
    await this.#disk.syncDir(SNAPSHOT_DIR);
  }

  async close(): Promise<void> {
    await this.#receiving?.close();
    this.#receiving = null;
  }

  async #removeParts(except: string): Promise<void> {
    for (const name of await this.#disk.list(SNAPSHOT_DIR)) {
      if (!isPart(name) || name === except) continue;
      this.#unfinished.delete(name);
      await this.#disk.remove(pathOf(name));
    }
  }

  #place(name: string, meta: SnapshotMeta): SnapshotPlace {
    return {
      describe: this.#disk.describe(pathOf(name)),
      finish: () => this.#finish(name, meta),
      remove: async () => {
        if (!this.#unfinished.delete(name)) return;
        await this.#disk.remove(pathOf(name));
      },
    };
  }

  async #finish(name: string, meta: SnapshotMeta): Promise<void> {
    const final = nameOf(meta.last);
    await this.#disk.rename(pathOf(name), pathOf(final));
    await this.#disk.syncDir(SNAPSHOT_DIR);
    this.#unfinished.delete(name);
    this.#complete.set(final, meta);
  }

  /** Takes a complete file into the list if its beginning and its end are intact. */
  async #admit(name: string): Promise<void> {
    const file = await this.#disk.open(pathOf(name), 'never');
    try {
      const parser = new SnapshotParser(this.#clusterId);
      const size = await file.size();
      let at = 0;
      while (parser.meta === null && at < size) {
        const bytes = await file.read(at, READ_BYTES);
        parser.push(bytes);
        at += bytes.length;
      }
      const { meta } = parser;
      if (meta === null || size < END_BYTES) throw new WireError('the file is too short');
      if (nameOf(meta.last) !== name) throw new WireError('the file has the name of another');
      this.#complete.set(name, meta);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      // Kept for inspection, and so that nobody takes a damaged snapshot for one never made.
      this.#notes.push(
        `${this.#disk.describe(pathOf(name))} is damaged: ${error.message}; ignored`,
      );
    } finally {
      await file.close();
    }
  }
}

class FileReader implements SnapshotReader {
  readonly meta: SnapshotMeta;
  readonly size: number;
  readonly #file: DiskFile;
  readonly #clusterId: number;
  readonly #name: string;

  constructor(file: DiskFile, size: number, meta: SnapshotMeta, clusterId: number, name: string) {
    this.#file = file;
    this.size = size;
    this.meta = meta;
    this.#clusterId = clusterId;
    this.#name = name;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#file.read(offset, Math.max(0, Math.min(length, this.size - offset)));
  }

  async *content(): AsyncIterable<Uint8Array> {
    let blocks: Uint8Array[] = [];
    const parser = new SnapshotParser(this.#clusterId, content => blocks.push(content));
    for (let at = 0; at < this.size; ) {
      const bytes = await this.#file.read(at, READ_BYTES);
      if (bytes.length === 0) break;
      at += bytes.length;
      this.#push(parser, bytes);
      yield* blocks;
      blocks = [];
    }
    if (!parser.done) throw this.#damaged('it ends too early');
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #push(parser: SnapshotParser, bytes: Uint8Array): void {
    try {
      parser.push(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw this.#damaged(error.message);
    }
  }

  #damaged(what: string): StorageError {
    return new StorageError(
      'CORRUPT',
      `${this.#name} is damaged: ${what}. Remove this node from the cluster, empty its data ` +
        'directory and add it again as a new member, or restore it from a backup',
    );
  }
}

/** Feeds a file to the parser, as far as it is intact. */
async function parseFile(file: DiskFile, parser: SnapshotParser): Promise<void> {
  try {
    for (let at = 0; ; ) {
      const bytes = await file.read(at, READ_BYTES);
      if (bytes.length === 0) return;
      parser.push(bytes);
      at += bytes.length;
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

function sameMeta(a: SnapshotMeta, b: SnapshotMeta): boolean {
  return (
    a.last.index === b.last.index &&
    a.last.term === b.last.term &&
    a.configIndex === b.configIndex &&
    JSON.stringify(lists(a)) === JSON.stringify(lists(b))
  );
}

function lists({ config }: SnapshotMeta) {
  return [config.voters, config.outgoing, config.learners, config.learnersNext];
}

function nameOf(last: LogId): string {
  return `${String(last.index).padStart(16, '0')}-${last.term}.snap`;
}

function pathOf(name: string): Path {
  return `${SNAPSHOT_DIR}/${name}`;
}

function isPart(name: string): boolean {
  return name.startsWith('from-') && name.endsWith('.part');
}

// The tables in LMDB: for servers. Writes go into an overlay in memory that reads look into first;
// the overlay is written to LMDB as one transaction when it is old or large enough, on LMDB's own
// thread. LMDB thus always holds the state of some commit(), at most a little behind, and the Raft
// log has what it lacks. Nothing here waits for a disk on the thread that applies commands.

import { statfsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import {
  type Backend,
  BackendError,
  type BackendSize,
  type Count,
  type Position,
  type Replacement,
  type Snapshot,
  type Table,
} from './backend.ts';
import type { Cursor } from './cursor.ts';
import {
  adoptBuilding,
  discardBuilding,
  LmdbEnvironment,
  openBuilding,
  openNewest,
} from './lmdb-environment.ts';
import type { LmdbView } from './lmdb-view.ts';
import { LayeredView, Overlay } from './overlay.ts';

export interface LmdbOptions {
  /** How long a commit may wait before it is written. */
  readonly flushIntervalMs?: number;
  /** Pending changes that start a write at once. */
  readonly flushChangesMax?: number;
  /** Address space set aside for the file; a larger file has to be mapped anew as it grows. */
  readonly mapBytes?: number;
}

const FLUSH_INTERVAL_MS = 100;
/**
 * Fewer would cost throughput: with 1536, and layers of 6144, random puts took twice the time of the
 * thread, since LMDB fell behind.
 */
const FLUSH_CHANGES_MAX = 4096;
/**
 * When the disk is slower than the changes, they wait in layers, so that no turn has all of them to
 * hand to LMDB. Every layer costs every read a look: the more there are, the larger is the next, up
 * to this many times the least.
 */
const LAYER_GROWTH_MAX = 16;
/** With less than this free, a failed write is blamed on the space. */
const FULL_BYTES = 8 * 1024 * 1024;
const MAP_BYTES = 64 * 1024 ** 3;

/** Changes that belong to commits which are complete. */
interface Layer {
  readonly changes: Overlay;
  /** The last of those commits. */
  readonly at: Position;
  readonly commits: number;
}

interface Waiter {
  readonly commit: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class LmdbBackend implements Backend {
  readonly #directory: string;
  readonly #flushIntervalMs: number;
  readonly #flushChangesMax: number;
  readonly #mapBytes: number;
  #environment: LmdbEnvironment;
  #base: LmdbView;
  /** Changes since the last layer was closed. */
  #active = new Overlay();
  /** Layers that wait until the one that is being written is through, the oldest first. */
  #waiting: Layer[] = [];
  /** Changes that are being written now; null when none are. */
  #writing: Overlay | null = null;
  #view: LayeredView;

  /** The last commit() that is on disk. */
  #durable: Position;
  #committed: Position;
  /** Commits are numbered, for a position may repeat. */
  #commits = 0;
  #durableCommits = 0;
  /** Whether there are writes that no commit() has taken in yet. */
  #isMidway = false;
  /** A write was due in the middle of a group. */
  #isOverdue = false;
  #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | null = null;
  #failure: BackendError | null = null;
  #isClosed = false;
  #isGivenUp = false;
  /** The environments that were replaced are closed and removed behind our back. */
  #retiring: Promise<unknown> = Promise.resolve();

  constructor(directory: string, options: LmdbOptions = {}) {
    this.#directory = directory;
    this.#flushIntervalMs = options.flushIntervalMs ?? FLUSH_INTERVAL_MS;
    this.#flushChangesMax = options.flushChangesMax ?? FLUSH_CHANGES_MAX;
    this.#mapBytes = options.mapBytes ?? MAP_BYTES;
    this.#environment = openNewest(directory, this.#mapBytes);
    this.#base = this.#environment.view();
    this.#view = new LayeredView([this.#active], this.#base);
    this.#durable = this.#environment.position();
    this.#committed = this.#durable;
  }

  get durable(): Position {
    return this.#durable;
  }

  get pendingBytes(): number {
    let bytes = this.#active.bytes + (this.#writing?.bytes ?? 0);
    for (let i = 0; i < this.#waiting.length; i++) bytes += this.#waiting[i]!.changes.bytes;
    return bytes;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#view.get(table, key);
  }

  peek(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#view.peek(table, key);
  }

  scan(table: Table, from: Uint8Array, to: Uint8Array | null): Cursor {
    return this.#view.scan(table, from, to);
  }

  count(table: Table, from: Uint8Array, to: Uint8Array | null, max: number): Count {
    return this.#view.count(table, from, to, max);
  }

  put(table: Table, key: Uint8Array, value: Uint8Array, isNew: boolean): void {
    this.#isMidway = true;
    this.#active.put(table, key, value, isNew);
  }

  remove(table: Table, key: Uint8Array): void {
    this.#isMidway = true;
    this.#active.remove(table, key);
  }

  commit(at: Position): void {
    if (this.#failure !== null) throw this.#failure;
    this.#isMidway = false;
    this.#committed = at;
    this.#commits++;
    const { changes } = this.#active;
    if (this.#writing !== null) {
      if (changes >= this.#layerChangesMax()) this.#closeLayer();
      this.#prepareNext();
    } else if (changes >= this.#flushChangesMax || this.#isOverdue) this.#startWriting();
    else this.#timer ??= setTimeout(() => this.#startWriting(), this.#flushIntervalMs).unref();
  }

  flush(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#durableCommits === this.#commits) return Promise.resolve();
    const done = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ commit: this.#commits, resolve, reject });
    });
    if (this.#writing === null) this.#startWriting();
    return done;
  }

  snapshot(): Snapshot {
    const layers = [this.#active.freeze(), ...this.#closedLayers()];
    return new LmdbSnapshot(layers, this.#base, this.#environment);
  }

  async replace(): Promise<Replacement> {
    const building = openBuilding(this.#directory, this.#mapBytes);
    return new LmdbReplacement(building, {
      finish: async switched => this.#adopt(await adoptBuilding(this.#directory), switched),
      abandon: () => discardBuilding(this.#directory),
    });
  }

  size(): BackendSize {
    return this.#environment.sizes();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      if (this.#isMidway) this.#giveUp();
      else await this.flush();
    } finally {
      this.#stopTimer();
      this.#base.release();
      await this.#environment.release();
      await this.#retiring;
    }
  }

  #startWriting(): void {
    this.#stopTimer();
    this.#isOverdue = this.#waiting.length === 0 && this.#isMidway;
    if (this.#isOverdue) return;
    if (this.#waiting.length === 0) this.#closeLayer();
    const { changes, at, commits } = this.#waiting.shift()!;
    this.#writing = changes;
    const environment = this.#environment;
    environment.write(changes, at).then(
      () => environment === this.#environment && this.#finishWriting(at, commits),
      (cause: unknown) => this.#fail(cause),
    );
    this.#prepareNext();
  }

  #prepareNext(): void {
    const [next] = this.#waiting;
    if (next !== undefined) this.#environment.prepare(next.changes, next.at);
  }

  #finishWriting(at: Position, commits: number): void {
    if (this.#isGivenUp) return;
    const old = this.#base;
    this.#base = this.#environment.view();
    old.release();
    this.#writing = null;
    this.#renewView();
    this.#becameDurable(at, commits);
    if (this.#waiting.length > 0) return this.#startWriting();
    if (this.#commits === commits) return;
    const isUrgent = this.#waiters.length > 0 || this.#active.changes >= this.#flushChangesMax;
    if (isUrgent) this.#startWriting();
    else this.#timer ??= setTimeout(() => this.#startWriting(), this.#flushIntervalMs).unref();
  }

  /** How many changes the layer at hand takes in before the next one begins. */
  #layerChangesMax(): number {
    const growth = Math.min(LAYER_GROWTH_MAX, Math.max(1, this.#waiting.length));
    return this.#flushChangesMax * growth;
  }

  #closeLayer(): void {
    if (this.#isMidway) throw new BackendError('a group of changes is not complete');
    const layer = { changes: this.#active, at: this.#committed, commits: this.#commits };
    this.#waiting.push(layer);
    this.#active = new Overlay();
    this.#renewView();
  }

  /** The newest first. */
  #closedLayers(): Overlay[] {
    const layers = this.#waiting.map(({ changes }) => changes).reverse();
    if (this.#writing !== null) layers.push(this.#writing);
    return layers;
  }

  #renewView(): void {
    this.#view = new LayeredView([this.#active, ...this.#closedLayers()], this.#base);
  }

  #becameDurable(at: Position, commits: number): void {
    this.#durable = at;
    this.#durableCommits = commits;
    const done = this.#waiters.filter(waiter => waiter.commit <= commits);
    this.#waiters = this.#waiters.filter(waiter => waiter.commit > commits);
    for (const waiter of done) waiter.resolve();
  }

  /** A write that failed may or may not be on the disk: nothing after it can be trusted. */
  #fail(cause: unknown): void {
    this.#failure = writeFailure(this.#directory, cause);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(this.#failure);
  }

  /** A write that is running goes on, but nobody hears of it any more. */
  #giveUp(): void {
    this.#isGivenUp = true;
    const waiters = this.#waiters;
    this.#waiters = [];
    const error = new BackendError('closed in the middle of a group of changes');
    for (const waiter of waiters) waiter.reject(error);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /**
   * The built environment becomes ours; what is pending belongs to the old one and goes with it. All
   * in one turn: what a commit, a read or the end of the old one's write saw of a half-made switch
   * would mix the two contents.
   */
  #adopt(path: string, switched: () => void): void {
    const old = this.#environment;
    this.#environment = new LmdbEnvironment(path, this.#mapBytes);
    this.#stopTimer();
    this.#base.release();
    this.#base = this.#environment.view();
    this.#active = new Overlay();
    this.#waiting = [];
    this.#writing = null;
    this.#renewView();
    this.#isMidway = false;
    this.#isOverdue = false;
    this.#committed = this.#environment.position();
    this.#becameDurable(this.#committed, this.#commits);
    this.#retiring = Promise.all([this.#retiring, removeOld(old)]);
    switched();
  }
}

/** A snapshot may still read the old files; they vanish from the disk when it closes them. */
async function removeOld(old: LmdbEnvironment): Promise<void> {
  try {
    await old.release();
    await rm(old.path, { recursive: true, force: true });
  } catch {
    // Only space is lost, until the next start removes what is not the newest.
  }
}

class LmdbSnapshot extends LayeredView implements Snapshot {
  readonly #base: LmdbView;
  readonly #environment: LmdbEnvironment;
  #isReleased = false;

  constructor(layers: readonly Overlay[], base: LmdbView, environment: LmdbEnvironment) {
    super(layers, base);
    this.#base = base;
    this.#environment = environment;
    base.use();
    environment.use();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#base.release();
    // Closing an environment that was replaced; nobody waits for it.
    void this.#environment.release();
  }
}

interface ReplacementOwner {
  finish(switched: () => void): Promise<void>;
  abandon(): void;
}

class LmdbReplacement implements Replacement {
  readonly #building: LmdbEnvironment;
  readonly #owner: ReplacementOwner;
  #changes = new Overlay();

  constructor(building: LmdbEnvironment, owner: ReplacementOwner) {
    this.#building = building;
    this.#owner = owner;
  }

  put(table: Table, key: Uint8Array, value: Uint8Array): void {
    this.#changes.put(table, key, value, true);
  }

  async drain(): Promise<void> {
    await this.#write({ term: 0, index: 0 });
  }

  async finish(at: Position, switched: () => void = () => {}): Promise<void> {
    await this.#write(at);
    await this.#building.sync();
    await this.#building.release();
    await this.#owner.finish(switched);
  }

  async abandon(): Promise<void> {
    await this.#building.release();
    this.#owner.abandon();
  }

  async #write(at: Position): Promise<void> {
    const changes = this.#changes;
    this.#changes = new Overlay();
    await this.#building.fill(changes, at);
  }
}

/** LMDB reports a full disk in several ways, so the disk itself is asked. */
function writeFailure(directory: string, cause: unknown): BackendError {
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize < FULL_BYTES) {
    const text = `the database in ${directory} could not be written: no space left on the disk`;
    return new BackendError(text, { cause, diskProblem: 'full' });
  }
  const text = `the database in ${directory} could not be written`;
  return new BackendError(text, { cause, diskProblem: 'failed' });
}

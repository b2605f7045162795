// Writes layers of changes into an environment: each as one transaction, or by way of the journal, and
// made ready in slices, so that no turn of the event loop has many changes to hand to LMDB.

import type { Database, RootDatabase } from 'lmdb';
import type { Position } from './backend.ts';
import { InstructionList } from './lmdb-instructions.ts';
import { ChangeWalk, nextBlob } from './lmdb-journal.ts';
import type { Overlay } from './overlay.ts';

export const POSITION_KEY = new TextEncoder().encode('position');
/** The position of a journal that is complete; there is none without it. */
export const JOURNAL_KEY = new TextEncoder().encode('journal');
/** Changes that are handed to LMDB's thread in one turn: less than a millisecond. */
const TURN_CHANGES_MAX = 1024;
/** The same by bytes, as far as values are not huge. */
const TURN_BYTES_MAX = 256 * 1024;
/**
 * A layer with more is written by way of the journal: everything twice, but in transactions of
 * bounded size. Layers are that large only where a single command is.
 */
const ATOMIC_CHANGES_MAX = 100_000;
/** Turns that one transaction takes where several of them will do. */
const TRANSACTION_TURNS_MAX = 16;
/** Journal blobs of 64 KiB in one transaction. A turn makes one. */
const TRANSACTION_BLOBS_MAX = 32;

type Table = Database<Uint8Array, Uint8Array>;

/** LMDB's own numbers of the tables. */
interface Numbers {
  readonly header: number;
  readonly journal: number;
  readonly tables: readonly number[];
}
interface ReadyLayer {
  readonly changes: Overlay;
  readonly list: InstructionList;
  readonly ready: Promise<void>;
}

export class LayerWriter {
  readonly #root: RootDatabase<Uint8Array, Uint8Array>;
  readonly #numbers: Numbers;
  /** A layer that is being made ready while the one before it is written. */
  #next: ReadyLayer | null = null;
  #isMakingReady = false;
  #spareList: InstructionList | null = null;

  constructor(
    root: RootDatabase<Uint8Array, Uint8Array>,
    parts: { readonly header: Table; readonly journal: Table; readonly tables: readonly Table[] },
  ) {
    this.#root = root;
    this.#numbers = {
      header: numberOf(parts.header),
      journal: numberOf(parts.journal),
      tables: parts.tables.map(numberOf),
    };
  }

  prepare(changes: Overlay, at: Position): void {
    if (this.#isMakingReady || changes.changes > ATOMIC_CHANGES_MAX) return;
    this.#next ??= this.#makeReady(changes, at);
  }

  /** All or nothing. One at a time. */
  write(changes: Overlay, at: Position): Promise<void> {
    const isLarge = changes.changes > ATOMIC_CHANGES_MAX;
    return isLarge ? this.#writeByJournal(changes, at) : this.#writeAtOnce(changes, at);
  }

  /** Not atomic: the position comes last. */
  async fill(changes: Overlay, at: Position): Promise<void> {
    const { header } = this.#numbers;
    await this.#writeTables(changes);
    await this.#inOneTurn(list => list.put(header, POSITION_KEY, encodePosition(at)));
  }

  async #writeAtOnce(changes: Overlay, at: Position): Promise<void> {
    const isReady = this.#next?.changes === changes;
    const { list, ready } = isReady ? this.#next! : this.#makeReady(changes, at);
    if (isReady) this.#next = null;
    await ready;
    await this.#carryOut(list);
  }

  #makeReady(changes: Overlay, at: Position): ReadyLayer {
    const list = this.#takeList();
    const walk = new ChangeWalk(changes);
    this.#isMakingReady = true;
    const ready = overTurns(() => {
      const isEnded = this.#addChanges(list, walk);
      if (isEnded) list.put(this.#numbers.header, POSITION_KEY, encodePosition(at));
      this.#isMakingReady = !isEnded;
      return isEnded;
    });
    // Who writes the layer hears of it.
    ready.catch(() => {});
    return { changes, list, ready };
  }

  /**
   * Too much to be in memory once more. What is in the journal is written for certain, once it is complete: after a
   * crash the next start finishes it. Each of the steps can be done twice.
   */
  async #writeByJournal(changes: Overlay, at: Position): Promise<void> {
    const header = this.#numbers.header;
    const blobs = await this.#writeJournal(changes);
    await this.#inOneTurn(list => list.put(header, JOURNAL_KEY, encodePosition(at)));
    await this.#writeTables(changes);
    await this.#inOneTurn(list => {
      list.put(header, POSITION_KEY, encodePosition(at));
      list.remove(header, JOURNAL_KEY);
    });
    await this.#removeJournal(blobs);
  }

  /** Returns the number of its blobs. */
  async #writeJournal(changes: Overlay): Promise<number> {
    const journal = this.#numbers.journal;
    const walk = new ChangeWalk(changes);
    let blobs = 0;
    for (let isEnded = false; !isEnded; ) {
      const last = blobs + TRANSACTION_BLOBS_MAX;
      await this.#transaction(list => {
        const blob = nextBlob(walk);
        isEnded = blob === null;
        if (blob !== null) list.put(journal, journalKey(blobs++), blob);
        return isEnded || blobs >= last;
      });
    }
    return blobs;
  }

  async #removeJournal(blobs: number): Promise<void> {
    const journal = this.#numbers.journal;
    let blob = 0;
    await this.#transaction(list => {
      const end = Math.min(blobs, blob + TURN_CHANGES_MAX);
      for (; blob < end; blob++) list.remove(journal, journalKey(blob));
      return blob === blobs;
    });
  }

  async #writeTables(changes: Overlay): Promise<void> {
    const walk = new ChangeWalk(changes);
    for (let isEnded = false; !isEnded; ) {
      let turns = TRANSACTION_TURNS_MAX;
      await this.#transaction(list => {
        isEnded = this.#addChanges(list, walk);
        turns--;
        return isEnded || turns === 0;
      });
    }
  }

  #inOneTurn(add: (list: InstructionList) => void): Promise<void> {
    return this.#transaction(list => {
      add(list);
      return true;
    });
  }

  /** One transaction, to which `add` adds once a turn until it returns true. */
  async #transaction(add: (list: InstructionList) => boolean): Promise<void> {
    const list = this.#takeList();
    await overTurns(() => add(list));
    await this.#carryOut(list);
  }

  async #carryOut(list: InstructionList): Promise<void> {
    await list.carryOut(this.#root);
    this.#spareList = list;
  }

  #takeList(): InstructionList {
    const list = this.#spareList ?? new InstructionList();
    this.#spareList = null;
    return list;
  }

  /** What one turn takes of a walk; true at its end. */
  #addChanges(list: InstructionList, walk: ChangeWalk): boolean {
    let bytes = 0;
    for (let i = 0; i < TURN_CHANGES_MAX && bytes < TURN_BYTES_MAX; i++) {
      if (!walk.next()) return true;
      const { table, key, value } = walk;
      const number = this.#numbers.tables[table]!;
      if (value === null) list.remove(number, key);
      else list.put(number, key, value);
      bytes += key.length + (value?.length ?? 0);
    }
    return false;
  }
}

/** LMDB's own number of a table. */
function numberOf(table: Table): number {
  return (table as unknown as { db: { dbi: number } }).db.dbi;
}

/** Calls `work` in each of the next turns, until it returns true. */
async function overTurns(work: () => boolean): Promise<void> {
  do await new Promise(resolve => setImmediate(resolve));
  while (!work());
}

export function encodePosition({ term, index }: Position): Uint8Array {
  const position = new DataView(new ArrayBuffer(16));
  position.setFloat64(0, term);
  position.setFloat64(8, index);
  return new Uint8Array(position.buffer);
}

function journalKey(blob: number): Uint8Array {
  const key = new DataView(new ArrayBuffer(4));
  key.setUint32(0, blob);
  return new Uint8Array(key.buffer);
}

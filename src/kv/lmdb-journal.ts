// Changes as LMDB gets them, and as a journal keeps them that are too many for one transaction.
//
//     table(1)  keyLength(4) key  valueLength(4) value      a removal has the length 0xffffffff
//
// Such changes are first written into a journal beside the tables, then into the tables, in as many
// transactions as it takes; see write() in lmdb-layer-writer.ts.

import { TABLE_COUNT } from './backend.ts';
import { EMPTY } from './bytes.ts';
import { physicalKey, physicalValue } from './lmdb-keys.ts';
import type { Overlay } from './overlay.ts';

const HEAD_BYTES = 9;
const REMOVED = 0xffff_ffff;
/** A blob ends with the change that reaches this. */
const BLOB_BYTES = 64 * 1024;

export interface PhysicalChange {
  table: number;
  key: Uint8Array;
  /** Null for a removal. */
  value: Uint8Array | null;
}

/** Walks over a layer of changes, which must not change meanwhile. One object for all of them. */
export class ChangeWalk implements PhysicalChange {
  table = -1;
  key = EMPTY;
  value: Uint8Array | null = null;
  readonly #changes: Overlay;
  #cursor: ReturnType<Overlay['cursor']> | null = null;

  constructor(changes: Overlay) {
    this.#changes = changes;
  }

  next(): boolean {
    while (this.#cursor?.next() !== true) {
      this.table++;
      if (this.table >= TABLE_COUNT) return false;
      this.#cursor = this.#changes.cursor(this.table as 0, EMPTY, null);
    }
    const { key, value } = this.#cursor;
    this.key = physicalKey(key);
    this.value = value === null ? null : physicalValue(key, value);
    return true;
  }
}

/** The next changes of a walk as one blob; null at its end. */
export function nextBlob(walk: ChangeWalk): Uint8Array | null {
  const parts: { table: number; key: Uint8Array; value: Uint8Array | null }[] = [];
  let size = 0;
  while (size < BLOB_BYTES && walk.next()) {
    const { table, key, value } = walk;
    parts.push({ table, key, value });
    size += HEAD_BYTES + key.length + (value?.length ?? 0);
  }
  if (parts.length === 0) return null;
  const blob = new Uint8Array(size);
  const view = new DataView(blob.buffer);
  let at = 0;
  for (const { table, key, value } of parts) {
    view.setUint8(at, table);
    view.setUint32(at + 1, key.length);
    blob.set(key, at + 5);
    at += 5 + key.length;
    view.setUint32(at, value?.length ?? REMOVED);
    if (value !== null) blob.set(value, at + 4);
    at += 4 + (value?.length ?? 0);
  }
  return blob;
}

export function readBlob(blob: Uint8Array, take: (change: PhysicalChange) => void): void {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const part = (at: number, length: number) => blob.slice(at, at + length);
  for (let at = 0; at < blob.length; ) {
    const table = view.getUint8(at);
    const keyLength = view.getUint32(at + 1);
    const key = part(at + 5, keyLength);
    at += 5 + keyLength;
    const length = view.getUint32(at);
    at += 4;
    take({ table, key, value: length === REMOVED ? null : part(at, length) });
    if (length !== REMOVED) at += length;
  }
}

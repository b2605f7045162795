// The store's counters, kept in one record that changes with every batch of commands.

import { RecordReader, type RecordWriter } from './bytes.ts';
import type { Revision } from './record.ts';

const RECORD_BYTES_MAX = 64;
const FORMAT_VERSION = 1;

export interface StoreState {
  /** Main revision of the last change. An empty store is at 1. */
  revision: number;
  /** Reads below it are refused; -1 before the first compaction. */
  compactRevision: number;
  /**
   * Superseded records are removed up to here, in small steps, and behind the answers: whatever a
   * client can see depends on compactRevision alone.
   */
  sweptTo: Revision;
  /** The compaction whose removals are all done; -1 when there was none. */
  sweptRevision: number;
  /** Entries in the table of deleted keys. 0 saves every put of a new key a look there. */
  deadCount: number;
}

export function initialState(): StoreState {
  return {
    revision: 1,
    compactRevision: -1,
    sweptTo: { main: 0, sub: 0 },
    sweptRevision: -1,
    deadCount: 0,
  };
}

export function encodeState(state: StoreState, writer: RecordWriter): Uint8Array {
  writer.begin(RECORD_BYTES_MAX);
  writer.byte(FORMAT_VERSION);
  writer.varint(state.revision);
  writer.varint(state.compactRevision + 1);
  writer.varint(state.sweptTo.main);
  writer.varint(state.sweptTo.sub);
  writer.varint(state.sweptRevision + 1);
  writer.varint(state.deadCount);
  return writer.end();
}

/** Undefined when the record is not one of this version's. */
export function decodeState(bytes: Uint8Array): StoreState | undefined {
  const reader = new RecordReader();
  reader.reset(bytes);
  if (bytes.length < 7 || reader.byte() !== FORMAT_VERSION) return undefined;
  const state = {
    revision: reader.varint(),
    compactRevision: reader.varint() - 1,
    sweptTo: { main: reader.varint(), sub: reader.varint() },
    sweptRevision: reader.varint() - 1,
    deadCount: reader.varint(),
  };
  return Number.isSafeInteger(state.deadCount) ? state : undefined;
}

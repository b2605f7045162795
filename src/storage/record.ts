// Log records, the payload of batches. One stream holds everything that must be durable in order:
// entries, hard states, installed snapshots and compactions.

import type { Entry, HardState, LogId, SnapshotMeta } from '../raft/types.ts';
import { type ByteReader, type ByteWriter, WireError } from '../wire/bytes.ts';
import {
  decodeEntries,
  decodeSnapshotMeta,
  encodeEntries,
  encodeSnapshotMeta,
} from '../wire/entry.ts';

/** All that the log's older segments amount to; each segment begins with one. */
export interface Checkpoint {
  readonly hardState: HardState;
  readonly base: SnapshotMeta;
  readonly last: LogId;
}

export type LogRecord =
  /** Replaces what the log has from the first entry's index on. */
  | { readonly kind: 'entries'; readonly entries: readonly Entry[] }
  | { readonly kind: 'hardState'; readonly hardState: HardState }
  /** A received snapshot became the log's base; `keepSuffix`: what followed it matched (IS6). */
  | { readonly kind: 'install'; readonly meta: SnapshotMeta; readonly keepSuffix: boolean }
  /** The entries up to `meta.last` are no longer needed. */
  | { readonly kind: 'compact'; readonly meta: SnapshotMeta }
  | ({ readonly kind: 'checkpoint' } & Checkpoint)
  /** The store was closed in good order; everything before was complete. */
  | { readonly kind: 'closed' };

const ENTRIES = 1;
const HARD_STATE = 2;
const INSTALL = 3;
const COMPACT = 4;
const CHECKPOINT = 5;
const CLOSED = 6;

export function writeEntriesRecord(
  writer: ByteWriter,
  entries: readonly Entry[],
  from: number,
  to: number,
): void {
  writer.u8(ENTRIES);
  encodeEntries(writer, entries, from, to);
}

export function writeHardStateRecord(writer: ByteWriter, hardState: HardState): void {
  writer.u8(HARD_STATE);
  writeHardState(writer, hardState);
}

export function writeInstallRecord(
  writer: ByteWriter,
  meta: SnapshotMeta,
  keepSuffix: boolean,
): void {
  writer.u8(INSTALL);
  writer.u8(keepSuffix ? 1 : 0);
  encodeSnapshotMeta(writer, meta);
}

export function writeCompactRecord(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.u8(COMPACT);
  encodeSnapshotMeta(writer, meta);
}

export function writeCheckpointRecord(writer: ByteWriter, checkpoint: Checkpoint): void {
  writer.u8(CHECKPOINT);
  writeHardState(writer, checkpoint.hardState);
  encodeSnapshotMeta(writer, checkpoint.base);
  writer.varint(checkpoint.last.term);
  writer.varint(checkpoint.last.index);
}

export function writeClosedRecord(writer: ByteWriter): void {
  writer.u8(CLOSED);
}

function writeHardState(writer: ByteWriter, hardState: HardState): void {
  writer.varint(hardState.currentTerm);
  writer.varint(hardState.votedFor);
  writer.varint(hardState.commitIndex);
}

export function readRecord(reader: ByteReader): LogRecord {
  const kind = reader.u8();
  switch (kind) {
    case ENTRIES:
      return { kind: 'entries', entries: decodeEntries(reader) };
    case HARD_STATE:
      return { kind: 'hardState', hardState: readHardState(reader) };
    case INSTALL: {
      const keepSuffix = reader.bool();
      return { kind: 'install', meta: decodeSnapshotMeta(reader), keepSuffix };
    }
    case COMPACT:
      return { kind: 'compact', meta: decodeSnapshotMeta(reader) };
    case CHECKPOINT: {
      const hardState = readHardState(reader);
      const base = decodeSnapshotMeta(reader);
      const last = { term: reader.varint(), index: reader.varint() };
      return { kind: 'checkpoint', hardState, base, last };
    }
    case CLOSED:
      return { kind: 'closed' };
    default:
      throw new WireError(`unknown kind of log record ${kind}`);
  }
}

function readHardState(reader: ByteReader): HardState {
  const currentTerm = reader.varint();
  const votedFor = reader.varint();
  const commitIndex = reader.varint();
  return { currentTerm, votedFor, commitIndex };
}

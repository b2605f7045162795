// Entries and configurations as bytes. Log records and append messages share this format, a run of
// consecutive entries:
//
//   count, first index, first term, then for each entry
//     tag byte: kind (3 bits) | has a term of its own | has a session
//     data length, [term], [session, sequence], data, [configuration]
//
// Index and term follow from the run, so a plain command costs two or three bytes beside its data.

import {
  type Configuration,
  type Entry,
  type EntryKind,
  NO_DATA,
  type NodeId,
  type SnapshotMeta,
} from '../raft/types.ts';
import { type ByteReader, type ByteWriter, WireError } from './bytes.ts';

/** Bounds what one message or log record can make a decoder allocate. */
export const ENTRIES_PER_RUN_MAX = 65_536;
const NODES_PER_LIST_MAX = 4096;
/** An upper bound of what an entry costs beside its data and configuration. */
export const ENTRY_OVERHEAD_BYTES = 32;

const KINDS: readonly EntryKind[] = ['command', 'noop', 'config', 'openSession', 'closeSession'];
const KIND_MASK = 7;
const HAS_TERM = 8;
const HAS_SESSION = 16;
const TAG_MAX = 31;
const CONFIG_KIND = 2;

function kindCode(kind: EntryKind): number {
  switch (kind) {
    case 'command':
      return 0;
    case 'noop':
      return 1;
    case 'config':
      return CONFIG_KIND;
    case 'openSession':
      return 3;
    case 'closeSession':
      return 4;
  }
}

/** Writes entries[from, to), which are consecutive. */
export function encodeEntries(
  writer: ByteWriter,
  entries: readonly Entry[],
  from = 0,
  to = entries.length,
): void {
  const count = to - from;
  if (count > ENTRIES_PER_RUN_MAX) throw new WireError(`${count} entries in one run`);
  writer.varint(count);
  if (count === 0) return;
  const first = entries[from]!;
  writer.varint(first.index);
  writer.varint(first.term);
  let term = first.term;
  let index = first.index;
  for (let i = from; i < to; i++) {
    const entry = entries[i]!;
    if (entry.index !== index) throw new WireError(`entry ${entry.index} stands at ${index}`);
    encodeEntry(writer, entry, term);
    term = entry.term;
    index += 1;
  }
}

function encodeEntry(writer: ByteWriter, entry: Entry, previousTerm: number): void {
  const kind = kindCode(entry.kind);
  const hasSession = entry.session !== 0 || entry.sequence !== 0;
  const hasTerm = entry.term !== previousTerm;
  writer.u8(kind | (hasTerm ? HAS_TERM : 0) | (hasSession ? HAS_SESSION : 0));
  writer.varint(entry.data.length);
  if (hasTerm) writer.varint(entry.term);
  if (hasSession) {
    writer.varint(entry.session);
    writer.varint(entry.sequence);
  }
  writer.raw(entry.data);
  if (kind !== CONFIG_KIND) return;
  if (entry.config === null) throw new WireError('a config entry without a configuration');
  encodeConfiguration(writer, entry.config);
}

/** The data of the entries are views of the reader's bytes, which must not change afterwards. */
export function decodeEntries(reader: ByteReader): Entry[] {
  const count = reader.count(2, ENTRIES_PER_RUN_MAX);
  const entries: Entry[] = [];
  if (count === 0) return entries;
  const firstIndex = reader.varint();
  let term = reader.varint();
  if (!Number.isSafeInteger(firstIndex + count)) throw new WireError('entry index exceeds 53 bits');
  for (let i = 0; i < count; i++) {
    const entry = decodeEntry(reader, firstIndex + i, term);
    term = entry.term;
    entries.push(entry);
  }
  return entries;
}

function decodeEntry(reader: ByteReader, index: number, previousTerm: number): Entry {
  const tag = reader.u8();
  const kind = KINDS[tag & KIND_MASK];
  if (kind === undefined || tag > TAG_MAX) throw new WireError(`unknown kind of entry ${tag}`);
  const length = reader.varint();
  const term = tag & HAS_TERM ? reader.varint() : previousTerm;
  const session = tag & HAS_SESSION ? reader.varint() : 0;
  const sequence = tag & HAS_SESSION ? reader.varint() : 0;
  const data = length === 0 ? NO_DATA : reader.raw(length);
  const config = kind === 'config' ? decodeConfiguration(reader) : null;
  return { term, index, kind, data, session, sequence, config };
}

export function encodeConfiguration(writer: ByteWriter, config: Configuration): void {
  encodeNodes(writer, config.voters);
  encodeNodes(writer, config.outgoing);
  encodeNodes(writer, config.learners);
  encodeNodes(writer, config.learnersNext);
}

export function decodeConfiguration(reader: ByteReader): Configuration {
  const voters = decodeNodes(reader);
  const outgoing = decodeNodes(reader);
  const learners = decodeNodes(reader);
  const learnersNext = decodeNodes(reader);
  return { voters, outgoing, learners, learnersNext };
}

function encodeNodes(writer: ByteWriter, nodes: readonly NodeId[]): void {
  if (nodes.length > NODES_PER_LIST_MAX) throw new WireError(`${nodes.length} nodes in a list`);
  writer.varint(nodes.length);
  for (let i = 0; i < nodes.length; i++) writer.varint(nodes[i]!);
}

function decodeNodes(reader: ByteReader): NodeId[] {
  const count = reader.count(1, NODES_PER_LIST_MAX);
  const nodes: NodeId[] = [];
  for (let i = 0; i < count; i++) nodes.push(reader.varint());
  return nodes;
}

export function encodeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.varint(meta.last.term);
  writer.varint(meta.last.index);
  writer.varint(meta.configIndex);
  encodeConfiguration(writer, meta.config);
}

export function decodeSnapshotMeta(reader: ByteReader): SnapshotMeta {
  const term = reader.varint();
  const index = reader.varint();
  const configIndex = reader.varint();
  return { last: { term, index }, config: decodeConfiguration(reader), configIndex };
}

// How the store's tables are written: records of the log and entries of the key index.
//
// The log has one record a change, by (main, sub) revision. A record leads back to the key's record
// before it, so that the versions of a key form a chain; a read at an old revision walks it. Long
// chains have anchors as well: the latest record whose depth is a multiple of 16, of 256, and so
// on, which makes the walk logarithmic. The index entry of a key says where its chain begins.
//
//     depth    0 <- 1 <- 2 ... <- 15 <- 16 <- 17 ... <- 32 <- 33
//     anchors                           ^------------- 16 <---'    (33 knows 32, 32 knows 16)
//
// Compaction removes records from old ends of chains only, and no walk for a readable revision
// steps onto a removed one: it ends at the first record at or below that revision.

import { EMPTY, RecordReader, RecordWriter } from './bytes.ts';

export const REVISION_BYTES = 10;
const MAIN_BYTES = 6;
const SUB_BYTES = 4;
const VARINT_BYTES_MAX = 8;
const LEASE_BYTES = 8;

const ANCHOR_STEP = 16;
/** 16^8 versions of one key are more than a file can hold. */
const ANCHORS_MAX = 8;
const POINTER_BYTES_MAX = 2 * VARINT_BYTES_MAX;
const ANCHORS_BYTES_MAX = 1 + ANCHORS_MAX * POINTER_BYTES_MAX;

const TOMBSTONE = 1;
const LEASED = 1;

const writer = new RecordWriter();
const reader = new RecordReader();

/** The store's clock: main counts transactions that changed something, sub the changes in one. */
export interface Revision {
  main: number;
  sub: number;
}

/** An index entry: the newest version of a key, and the head of its chain. */
export class IndexEntry {
  main = 0;
  sub = 0;
  createRevision = 0;
  /** 0 in a tombstone. */
  version = 0;
  lease = 0n;
  /** Records in the chain before this one, counted over all generations. */
  depth = 0;
  /** Main and sub of the anchors in turn, finest level first. */
  anchors: number[] = [];
}

export interface LogRecord {
  readonly isTombstone: boolean;
  /** main is 0 when this is the first record of the key's chain. */
  readonly previous: Revision;
  readonly anchors: readonly number[];
  /** The KeyValue as protobuf; of a tombstone, with key and mod_revision only. */
  readonly encodedKv: Uint8Array;
}

export function revisionKey(main: number, sub: number): Uint8Array {
  writer.begin(REVISION_BYTES);
  writer.ordered(main, MAIN_BYTES);
  writer.ordered(sub, SUB_BYTES);
  return writer.end();
}

const lookupKey = new Uint8Array(REVISION_BYTES);

/** The same to look a record up by; good until the next call. */
export function revisionLookup(main: number, sub: number): Uint8Array {
  let rest = main;
  for (let i = MAIN_BYTES - 1; i >= 0; i--) {
    lookupKey[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  lookupKey[MAIN_BYTES] = sub >>> 24;
  lookupKey[MAIN_BYTES + 1] = sub >>> 16;
  lookupKey[MAIN_BYTES + 2] = sub >>> 8;
  lookupKey[MAIN_BYTES + 3] = sub;
  return lookupKey;
}

export function readRevisionKey(key: Uint8Array): Revision {
  reader.reset(key);
  const main = reader.ordered(MAIN_BYTES);
  return { main, sub: reader.ordered(SUB_BYTES) };
}

/** A lease id's place in the tables of leases. Ids are positive, so their bytes are in order. */
export function leaseKey(lease: bigint, key: Uint8Array = EMPTY): Uint8Array {
  const bytes = new Uint8Array(LEASE_BYTES + key.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, lease));
  bytes.set(key, LEASE_BYTES);
  return bytes;
}

export function readLeaseKey(bytes: Uint8Array): { lease: bigint; key: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { lease: view.getBigInt64(0), key: bytes.subarray(LEASE_BYTES) };
}

/** Moves an entry on to the next version of its key: what was the head becomes `previous`. */
export function advance(entry: IndexEntry, main: number, sub: number): void {
  if (entry.main !== 0) {
    advanceAnchors(entry);
    entry.depth++;
  }
  entry.main = main;
  entry.sub = sub;
}

function advanceAnchors(entry: IndexEntry): void {
  const { anchors, depth, main, sub } = entry;
  let unit = ANCHOR_STEP;
  // A chain shorter than a level's step has no use for that level.
  for (let level = 0; level < ANCHORS_MAX && depth >= unit; level++) {
    if (depth % unit === 0) {
      anchors[2 * level] = main;
      anchors[2 * level + 1] = sub;
    }
    unit *= ANCHOR_STEP;
  }
}

export function encodeEntry(entry: IndexEntry): Uint8Array {
  writer.begin(1 + LEASE_BYTES + 5 * VARINT_BYTES_MAX + ANCHORS_BYTES_MAX);
  const isLeased = entry.lease !== 0n;
  writer.byte(isLeased ? LEASED : 0);
  if (isLeased) writeLease(entry.lease);
  writer.varint(entry.main);
  writer.varint(entry.sub);
  writer.varint(entry.createRevision);
  writer.varint(entry.version);
  writer.varint(entry.depth);
  writeAnchors(entry.anchors);
  return writer.end();
}

/** Fills `entry`, which callers use again and again. */
export function decodeEntry(bytes: Uint8Array, entry: IndexEntry): void {
  reader.reset(bytes);
  const isLeased = reader.byte() === LEASED;
  entry.lease = isLeased ? readLease() : 0n;
  entry.main = reader.varint();
  entry.sub = reader.varint();
  entry.createRevision = reader.varint();
  entry.version = reader.varint();
  entry.depth = reader.varint();
  readAnchors(entry.anchors);
}

/**
 * A log record and its parts, cut from one piece of memory. `key` is the user's key inside of the
 * encoded KeyValue: whoever indexes by it needs no copy of its own.
 */
export interface WrittenRecord {
  logKey: Uint8Array;
  logValue: Uint8Array;
  key: Uint8Array;
}

/** Writes the record of `entry`, whose revisions are the new ones, after the version `previous`. */
export function writeRecord(
  key: Uint8Array,
  value: Uint8Array,
  entry: IndexEntry,
  previousMain: number,
  previousSub: number,
): WrittenRecord {
  const anchorBytes = 1 + entry.anchors.length * VARINT_BYTES_MAX;
  writer.begin(
    REVISION_BYTES + 1 + POINTER_BYTES_MAX + anchorBytes + kvBytesMax(key.length, value.length),
  );
  writer.ordered(entry.main, MAIN_BYTES);
  writer.ordered(entry.sub, SUB_BYTES);
  writer.byte(entry.version === 0 ? TOMBSTONE : 0);
  writer.varint(previousMain);
  if (previousMain !== 0) {
    writer.varint(previousSub);
    writeAnchors(entry.anchors);
  }
  const keyStart = writeKeyValue(key, value, entry);
  const logValue = writer.end(REVISION_BYTES);
  return {
    logKey: writer.slice(0, REVISION_BYTES),
    logValue,
    key: writer.slice(keyStart, keyStart + key.length),
  };
}

export function decodeRecord(bytes: Uint8Array): LogRecord {
  reader.reset(bytes);
  const isTombstone = reader.byte() === TOMBSTONE;
  const previous = { main: reader.varint(), sub: 0 };
  const anchors: number[] = [];
  if (previous.main !== 0) {
    previous.sub = reader.varint();
    readAnchors(anchors);
  }
  return { isTombstone, previous, anchors, encodedKv: bytes.subarray(reader.at) };
}

/** The encoded KeyValue of a record, when its chain does not matter. */
export function kvOfRecord(bytes: Uint8Array): Uint8Array {
  reader.reset(bytes, 1);
  if (reader.varint() !== 0) {
    reader.varint();
    const count = reader.byte();
    for (let i = 0; i < count; i++) reader.varint();
  }
  return bytes.subarray(reader.at);
}

/**
 * Where to go from a record on the way to the newest version at or before revision `target`: the
 * farthest anchor that is still too new, or else the record before.
 */
export function stepBack(previous: Revision, anchors: readonly number[], target: number): Revision {
  for (let i = anchors.length - 2; i >= 0; i -= 2) {
    const main = anchors[i]!;
    if (main > target) return { main, sub: anchors[i + 1]! };
  }
  return previous;
}

function kvBytesMax(keyBytes: number, valueBytes: number): number {
  return keyBytes + valueBytes + 6 + 2 * 5 + 4 * 10;
}

/** The protobuf of mvccpb.KeyValue; returns where in the record the key begins. */
function writeKeyValue(key: Uint8Array, value: Uint8Array, entry: IndexEntry): number {
  let keyStart = writer.length;
  if (key.length > 0) {
    writer.byte(0x0a);
    writer.varint(key.length);
    keyStart = writer.length;
    writer.raw(key);
  }
  if (entry.version !== 0) {
    writer.byte(0x10);
    writer.varint(entry.createRevision);
  }
  writer.byte(0x18);
  writer.varint(entry.main);
  if (entry.version === 0) return keyStart;
  writer.byte(0x20);
  writer.varint(entry.version);
  if (value.length > 0) {
    writer.byte(0x2a);
    writer.varint(value.length);
    writer.raw(value);
  }
  if (entry.lease !== 0n) {
    writer.byte(0x30);
    writeVarint64(entry.lease);
  }
  return keyStart;
}

function writeVarint64(value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    writer.byte(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  writer.byte(Number(rest));
}

function writeLease(lease: bigint): void {
  const bits = BigInt.asUintN(64, lease);
  writer.ordered(Number(bits >> 32n), 4);
  writer.ordered(Number(bits & 0xffff_ffffn), 4);
}

function readLease(): bigint {
  const high = reader.ordered(4);
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(reader.ordered(4)));
}

function writeAnchors(anchors: readonly number[]): void {
  writer.byte(anchors.length);
  for (let i = 0; i < anchors.length; i++) writer.varint(anchors[i]!);
}

function readAnchors(into: number[]): void {
  const count = reader.byte();
  into.length = count;
  for (let i = 0; i < count; i++) into[i] = reader.varint();
}

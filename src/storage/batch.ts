// A batch is what one write and one sync make durable: a header, log records, and padding up to a
// multiple of the alignment, so that no later write touches a sector with acknowledged bytes.
//
//   0 magic  4 header CRC (of 8-39)  8 body CRC (of 40-end)  12 segment CRC  16 previous header CRC
//   20 payload bytes  24 sequence u64  32 reserved u64  40 payload, moved bytes, zeros
//
// Batches form a chain: a header contains its sequence number, the CRC of the segment's header and
// that of the batch before, so a stale, misdirected or foreign batch is told from the right one.
//
// The last byte of every 512-byte sector is a stamp; the payload bytes that would stand there are
// moved behind the payload. Segments are zero before use, and a disk writes a sector either whole
// or as a prefix. So after a power loss a batch with a sector lacking its stamp was torn, and never
// acknowledged; a batch with all its stamps was written completely, and if its checksum fails, the
// damage came later. That tells the two apart even for the very last batch.

import type { ByteWriter } from '../wire/bytes.ts';
import { crc32c, crc32cZeros } from '../wire/crc32c.ts';
import type { PayloadSlab } from './payload-slab.ts';

export const SECTOR_BYTES = 512;
export const BATCH_HEADER_BYTES = 40;
export const PAYLOAD_BYTES_MAX = 128 * 1024 * 1024;

const MAGIC = 0x42544e4b;
/** Several bits are set, so that no single flipped bit turns a stamp into a zero. */
const STAMP = 0xb5;
const STAMP_AT = SECTOR_BYTES - 1;
const TWO_32 = 0x1_0000_0000;
const WORD_BYTES = 4;
/** Up to here a loop copies faster than a call. */
const LOOP_BYTES_MAX = 256;

/** What ties a batch to its place. */
export interface BatchLink {
  readonly sequence: number;
  readonly segmentCrc: number;
  readonly previousCrc: number;
}

export interface BatchHeader extends BatchLink {
  readonly headerCrc: number;
  readonly bodyCrc: number;
  readonly payloadBytes: number;
}

/** Bytes on disk of a batch with this payload. Every sector carries 511 bytes beside its stamp. */
export function batchBytes(payloadBytes: number, alignBytes: number): number {
  const sectors = Math.ceil((BATCH_HEADER_BYTES + payloadBytes) / STAMP_AT);
  return Math.ceil((sectors * SECTOR_BYTES) / alignBytes) * alignBytes;
}

/** Begins a batch in an empty writer; records follow. */
export function beginBatch(writer: ByteWriter): void {
  writer.reset();
  writer.reserve(BATCH_HEADER_BYTES);
}

/** Completes the batch in the writer and returns its header CRC, the next batch's `previousCrc`. */
export function sealBatch(writer: ByteWriter, link: BatchLink, alignBytes: number): number {
  const contentBytes = writer.length;
  const payloadBytes = contentBytes - BATCH_HEADER_BYTES;
  const total = batchBytes(payloadBytes, alignBytes);
  writer.zeros(total - contentBytes);
  const bytes = writer.buffer;
  let free = contentBytes;
  for (let at = STAMP_AT; at < total; at += SECTOR_BYTES) {
    if (at < contentBytes) {
      if (free % SECTOR_BYTES === STAMP_AT) free += 1;
      bytes[free++] = bytes[at]!;
    }
    bytes[at] = STAMP;
  }
  writer.patchU32(0, MAGIC);
  writer.patchU32(8, bodyCrc(bytes, 0, free, total));
  writer.patchU32(12, link.segmentCrc);
  writer.patchU32(16, link.previousCrc);
  writer.patchU32(20, payloadBytes);
  writer.patchU32(24, link.sequence % TWO_32);
  writer.patchU32(28, Math.floor(link.sequence / TWO_32));
  writer.patchU32(32, 0);
  writer.patchU32(36, 0);
  const headerCrc = crc32c(bytes, 8, BATCH_HEADER_BYTES);
  writer.patchU32(4, headerCrc);
  return headerCrc;
}

/** Null unless a header with a right checksum of its own stands at `at`. */
export function readBatchHeader(bytes: Uint8Array, at: number): BatchHeader | null {
  if (at + BATCH_HEADER_BYTES > bytes.length || u32(bytes, at) !== MAGIC) return null;
  const headerCrc = u32(bytes, at + 4);
  if (crc32c(bytes, at + 8, at + BATCH_HEADER_BYTES) !== headerCrc) return null;
  const payloadBytes = u32(bytes, at + 20);
  const sequence = u32(bytes, at + 28) * TWO_32 + u32(bytes, at + 24);
  if (payloadBytes > PAYLOAD_BYTES_MAX || !Number.isSafeInteger(sequence)) return null;
  return {
    sequence,
    segmentCrc: u32(bytes, at + 12),
    previousCrc: u32(bytes, at + 16),
    headerCrc,
    bodyCrc: u32(bytes, at + 8),
    payloadBytes,
  };
}

/**
 * The payload of the batch that fills bytes[at, at + total), as a copy in memory of the slab; null when
 * the body checksum does not match.
 */
export function readPayload(
  bytes: Uint8Array,
  at: number,
  total: number,
  header: BatchHeader,
  slab: PayloadSlab,
): Uint8Array | null {
  const contentBytes = BATCH_HEADER_BYTES + header.payloadBytes;
  const payload = slab.take(header.payloadBytes);
  copyInto(payload, bytes, at + BATCH_HEADER_BYTES);
  let free = contentBytes;
  for (let stamp = STAMP_AT; stamp < contentBytes; stamp += SECTOR_BYTES) {
    if (free % SECTOR_BYTES === STAMP_AT) free += 1;
    payload[stamp - BATCH_HEADER_BYTES] = bytes[at + free++]!;
  }
  if (!isPadding(bytes, at, free, total)) return null;
  return bodyCrc(bytes, at, free, total) === header.bodyCrc ? payload : null;
}

function copyInto(target: Uint8Array, bytes: Uint8Array, from: number): void {
  const { length } = target;
  if (length > LOOP_BYTES_MAX) target.set(bytes.subarray(from, from + length));
  else for (let i = 0; i < length; i++) target[i] = bytes[from + i]!;
}

/**
 * The checksum of the body of a batch whose content ends at `used`. Most of a small batch is padding,
 * zeros and stamps: it is not read for this, so whoever can't be sure of it looks at it first.
 */
function bodyCrc(bytes: Uint8Array, at: number, used: number, total: number): number {
  let crc = crc32c(bytes, at + BATCH_HEADER_BYTES, at + used);
  for (let from = used; from < total; ) {
    const stamp = from - (from % SECTOR_BYTES) + STAMP_AT;
    crc = crc32cZeros(stamp - from, crc);
    crc = crc32c(bytes, at + stamp, at + stamp + 1, crc);
    from = stamp + 1;
  }
  return crc;
}

/**
 * True when there are only zeros and stamps between `used` and the end. A log of small batches is
 * mostly padding, so it is looked at in words where memory allows it.
 */
function isPadding(bytes: Uint8Array, at: number, used: number, total: number): boolean {
  const start = bytes.byteOffset + at;
  if (start % WORD_BYTES !== 0) return isZero(bytes, at, used, total);
  const words = new Int32Array(bytes.buffer, start, total / WORD_BYTES);
  let any = 0;
  for (let from = used; from < total; ) {
    const stamp = from - (from % SECTOR_BYTES) + STAMP_AT;
    const first = Math.min(stamp, Math.ceil(from / WORD_BYTES) * WORD_BYTES);
    const last = Math.max(first, stamp - (stamp % WORD_BYTES));
    for (let i = from; i < first; i++) any |= bytes[at + i]!;
    for (let i = first; i < last; i += WORD_BYTES) any |= words[i / WORD_BYTES]!;
    for (let i = last; i < stamp; i++) any |= bytes[at + i]!;
    from = stamp + 1;
  }
  return any === 0;
}

function isZero(bytes: Uint8Array, at: number, used: number, total: number): boolean {
  for (let i = used; i < total; i++) {
    if (bytes[at + i] !== 0 && i % SECTOR_BYTES !== STAMP_AT) return false;
  }
  return true;
}

/** True when every sector of bytes[at, at + length) was written. */
export function isStamped(bytes: Uint8Array, at: number, length: number): boolean {
  if (at + length > bytes.length) return false;
  for (let stamp = at + STAMP_AT; stamp < at + length; stamp += SECTOR_BYTES) {
    if (bytes[stamp] === 0) return false;
  }
  return true;
}

/** Stamps the first sector of a block that is no batch (a segment's header). */
export function stampSector(bytes: Uint8Array): void {
  bytes[STAMP_AT] = STAMP;
}

export function u32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

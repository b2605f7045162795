// Segments, the files of the log: log/0000000001.log and so on. A segment begins with a header block
// and a checkpoint batch, both written at once when it comes into use; before that it is all zeros.
// A segment is written by one process only: after a restart a new one begins, so old bytes behind
// the log's end can never be taken for new ones.
//
//   0 magic  4 CRC of 8-63  8 format version  12 align  16 cluster id u64  24 node id u64
//   32 segment number u64  40 first sequence u64  48 previous header CRC  52-63 zero
//   511 stamp, then zeros up to the alignment

import { ByteReader, ByteWriter, WireError } from '../wire/bytes.ts';
import { crc32c } from '../wire/crc32c.ts';
import { SECTOR_BYTES, stampSector, u32 } from './batch.ts';
import type { Path } from './disk.ts';
import { type Identity, StorageError } from './log-store.ts';

export const LOG_DIR: Path = 'log';
export const FORMAT_VERSION = 1;
export const ALIGN_BYTES_MAX = 65_536;

const MAGIC = 0x53544e4b;
const HEADER_BYTES = 64;
const NAME = /^(\d{10})\.log$/;

export interface SegmentHeader {
  readonly alignBytes: number;
  readonly identity: Identity;
  readonly number: number;
  /** Of the checkpoint batch; every batch before it was durable when this segment began. */
  readonly firstSequence: number;
  readonly previousCrc: number;
}

export function segmentPath(number: number): Path {
  return `${LOG_DIR}/${String(number).padStart(10, '0')}.log`;
}

/** Null for a name that is no segment's. */
export function segmentNumber(name: string): number | null {
  const match = NAME.exec(name);
  return match === null ? null : Number(match[1]);
}

/** A block of `alignBytes` bytes, and the CRC that the segment's batches repeat. */
export function encodeSegmentHeader(header: SegmentHeader): { block: Uint8Array; crc: number } {
  const writer = new ByteWriter(header.alignBytes);
  writer.u32(MAGIC);
  writer.u32(0);
  writer.u32(FORMAT_VERSION);
  writer.u32(header.alignBytes);
  writer.u64(header.identity.clusterId);
  writer.u64(header.identity.nodeId);
  writer.u64(header.number);
  writer.u64(header.firstSequence);
  writer.u32(header.previousCrc);
  writer.zeros(header.alignBytes - writer.length);
  const crc = crc32c(writer.buffer, 8, HEADER_BYTES);
  writer.patchU32(4, crc);
  const block = writer.view();
  stampSector(block);
  return { block, crc };
}

/**
 * Null when no intact header stands in this first sector. Throws for one of another version, and
 * for an intact header that is not what `expected` says: a file in the wrong place.
 */
export function decodeSegmentHeader(
  sector: Uint8Array,
  expected: { readonly identity: Identity; readonly number: number; readonly name: string },
): { header: SegmentHeader; crc: number } | null {
  if (sector.length < SECTOR_BYTES || u32(sector, 0) !== MAGIC) return null;
  const crc = u32(sector, 4);
  if (crc32c(sector, 8, HEADER_BYTES) !== crc) return null;
  const reader = new ByteReader(sector, 8);
  const version = reader.u32();
  if (version !== FORMAT_VERSION) {
    throw new StorageError(
      'UNSUPPORTED_VERSION',
      `${expected.name} has log format ${version}, but this program reads ${FORMAT_VERSION}: ` +
        'run the program version that wrote it',
    );
  }
  const header = readFields(reader, expected.name);
  const { identity } = expected;
  const sameNode =
    header.identity.clusterId === identity.clusterId && header.identity.nodeId === identity.nodeId;
  if (!sameNode || header.number !== expected.number) {
    throw new StorageError(
      'CORRUPT',
      `${expected.name} is segment ${header.number} of cluster ${header.identity.clusterId}, node ` +
        `${header.identity.nodeId}; it was copied here from elsewhere. Remove this node from the ` +
        'cluster, empty its data directory and add it again',
    );
  }
  return { header, crc };
}

function readFields(reader: ByteReader, name: string): SegmentHeader {
  try {
    const alignBytes = reader.u32();
    const identity = { clusterId: reader.u64(), nodeId: reader.u64() };
    const [number, firstSequence, previousCrc] = [reader.u64(), reader.u64(), reader.u32()];
    const aligned = alignBytes > 0 && alignBytes <= ALIGN_BYTES_MAX;
    if (!aligned || alignBytes % SECTOR_BYTES !== 0) throw new WireError('bad alignment');
    return { alignBytes, identity, number, firstSequence, previousCrc };
  } catch (error) {
    throw new StorageError('CORRUPT', `${name} has a header that makes no sense`, { cause: error });
  }
}

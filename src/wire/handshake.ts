// The first record on a peer link, in both directions, before any frame. Fixed size, so that it can
// be read before a version is agreed on. It keeps strangers out by mistake (another cluster, another
// version, a reused address), not by force: that is what TLS is for.
//
//   0 magic "KNTK"  4 version min  5 version max  6 purpose  7 refusal
//   8 cluster id u64  16 node id u64  24 expected peer u64  32 CRC-32C of bytes 0-31

import type { NodeId } from '../raft/types.ts';
import { ByteReader, ByteWriter, WireError } from './bytes.ts';
import { crc32c } from './crc32c.ts';
import { WIRE_VERSION } from './message.ts';

export const HELLO_BYTES = 36;
export const WIRE_VERSION_MIN = WIRE_VERSION;
export const WIRE_VERSION_MAX = WIRE_VERSION;

const MAGIC = 0x4b544e4b;

/** `messages`: consensus traffic. `snapshot`: bulk chunks on a connection of their own. */
export type LinkPurpose = 'messages' | 'snapshot';
const PURPOSES: readonly LinkPurpose[] = ['messages', 'snapshot'];

/** Why the answering side will not talk; it closes after sending this. */
export type HelloRefusal = 'version' | 'cluster' | 'notMe' | 'unknownPeer' | 'busy';
const REFUSALS: readonly (HelloRefusal | null)[] = [
  null,
  'version',
  'cluster',
  'notMe',
  'unknownPeer',
  'busy',
];

export interface Hello {
  readonly versionMin: number;
  readonly versionMax: number;
  readonly clusterId: number;
  readonly nodeId: NodeId;
  /** Whom the sender means to talk to; NO_NODE when it can't know. */
  readonly expected: NodeId;
  readonly purpose: LinkPurpose;
  readonly refusal: HelloRefusal | null;
}

export function encodeHello(hello: Hello): Uint8Array {
  const writer = new ByteWriter(HELLO_BYTES);
  writer.u32(MAGIC);
  writer.u8(hello.versionMin);
  writer.u8(hello.versionMax);
  writer.u8(PURPOSES.indexOf(hello.purpose));
  writer.u8(REFUSALS.indexOf(hello.refusal));
  writer.u64(hello.clusterId);
  writer.u64(hello.nodeId);
  writer.u64(hello.expected);
  writer.u32(crc32c(writer.buffer, 0, writer.length));
  return writer.copy();
}

/** Takes exactly HELLO_BYTES bytes. */
export function decodeHello(bytes: Uint8Array): Hello {
  if (bytes.length !== HELLO_BYTES) throw new WireError('a hello of the wrong size');
  const reader = new ByteReader(bytes);
  if (reader.u32() !== MAGIC) throw new WireError('not a Kontiki peer (wrong magic number)');
  const versionMin = reader.u8();
  const versionMax = reader.u8();
  const purpose = PURPOSES[reader.u8()];
  const refusal = REFUSALS[reader.u8()];
  const clusterId = reader.u64();
  const nodeId = reader.u64();
  const expected = reader.u64();
  if (reader.u32() !== crc32c(bytes, 0, HELLO_BYTES - 4)) {
    throw new WireError('hello checksum does not match');
  }
  if (purpose === undefined) throw new WireError('unknown purpose of a link');
  if (refusal === undefined) throw new WireError('unknown refusal of a link');
  if (versionMin > versionMax) throw new WireError('hello with an empty version range');
  return { versionMin, versionMax, clusterId, nodeId, expected, purpose, refusal };
}

type VersionRange = Pick<Hello, 'versionMin' | 'versionMax'>;

/** The highest version both sides speak, or null. */
export function agreeOnVersion(a: VersionRange, b: VersionRange): number | null {
  const version = Math.min(a.versionMax, b.versionMax);
  return version >= Math.max(a.versionMin, b.versionMin) ? version : null;
}

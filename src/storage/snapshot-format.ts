// The format of snapshot files, the same on every node, so that a file can be sent as it is.
//
//   "KNSN" | body length u32 | body CRC u32 | body: version, cluster id, meta
//   blocks: length u32 (1 to 64 KiB) | CRC u32 | content
//   end:    0 u32 | CRC u32 | content bytes u64
//
// Each CRC continues the one before, so a missing, repeated or exchanged block is noticed at once,
// and nobody is given content that was not checked: neither a receiver that takes up an interrupted
// transfer, nor the state machine.

import type { SnapshotMeta } from '../raft/types.ts';
import { ByteReader, ByteWriter, WireError } from '../wire/bytes.ts';
import { crc32c } from '../wire/crc32c.ts';
import { decodeSnapshotMeta, encodeSnapshotMeta } from '../wire/entry.ts';
import { u32 } from './batch.ts';

export const BLOCK_BYTES_MAX = 64 * 1024;
export const END_BYTES = 16;
const VERSION = 1;
const MAGIC = 0x4e534e4b;
const HEADER_BYTES = 12;
const HEADER_BODY_BYTES_MAX = 256 * 1024;
const BLOCK_HEADER_BYTES = 8;

/** Begins a file; returns the CRC that the first block continues. */
export function writeSnapshotHeader(
  writer: ByteWriter,
  clusterId: number,
  meta: SnapshotMeta,
): number {
  const start = writer.reserve(HEADER_BYTES);
  writer.varint(VERSION);
  writer.varint(clusterId);
  encodeSnapshotMeta(writer, meta);
  const body = start + HEADER_BYTES;
  const crc = crc32c(writer.buffer, body, writer.length);
  writer.patchU32(start, MAGIC);
  writer.patchU32(start + 4, writer.length - body);
  writer.patchU32(start + 8, crc);
  return crc;
}

/** Appends one block of at most BLOCK_BYTES_MAX bytes; returns the CRC to continue. */
export function writeSnapshotBlock(writer: ByteWriter, content: Uint8Array, previous: number) {
  const crc = crc32c(content, 0, content.length, previous);
  writer.u32(content.length);
  writer.u32(crc);
  writer.raw(content);
  return crc;
}

export function writeSnapshotEnd(writer: ByteWriter, contentBytes: number, previous: number): void {
  const total = new ByteWriter(8);
  total.u64(contentBytes);
  writer.u32(0);
  writer.u32(crc32c(total.view(), 0, 8, previous));
  writer.raw(total.view());
}

type Part = 'header' | 'headerBody' | 'block' | 'content' | 'end' | 'done';

/** Checks a snapshot file as its bytes come in, in any pieces. Throws a WireError at damage. */
export class SnapshotParser {
  readonly #clusterId: number;
  readonly #onContent: ((content: Uint8Array) => void) | null;
  #part: Part = 'header';
  /** Collects the current part when it does not lie within one piece. */
  #buffer: Uint8Array = new Uint8Array(1024);
  #held = 0;
  #needed = HEADER_BYTES;
  #meta: SnapshotMeta | null = null;
  #crc = 0;
  #expectedCrc = 0;
  #offset = 0;
  #validBytes = 0;
  #contentBytes = 0;

  constructor(clusterId: number, onContent: ((content: Uint8Array) => void) | null = null) {
    this.#clusterId = clusterId;
    this.#onContent = onContent;
  }

  /** Null until the header is complete. */
  get meta(): SnapshotMeta | null {
    return this.#meta;
  }

  /** Where the last complete and intact part ends: a transfer can be taken up here. */
  get validBytes(): number {
    return this.#validBytes;
  }

  get done(): boolean {
    return this.#part === 'done';
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#part === 'done') throw new WireError('bytes after the end of the snapshot');
      const count = Math.min(bytes.length - at, this.#needed - this.#held);
      const whole = this.#held === 0 && count === this.#needed;
      if (!whole) this.#hold(bytes, at, count);
      at += count;
      this.#offset += count;
      if (!whole && this.#held < this.#needed) return;
      // The buffer is used again at once, while the content's receiver may still hold the part.
      const part = whole ? bytes.subarray(at - count, at) : this.#buffer.slice(0, this.#needed);
      this.#held = 0;
      this.#take(part);
    }
  }

  #hold(bytes: Uint8Array, at: number, count: number): void {
    if (this.#needed > this.#buffer.length) this.#buffer = new Uint8Array(this.#needed);
    this.#buffer.set(bytes.subarray(at, at + count), this.#held);
    this.#held += count;
  }

  #take(part: Uint8Array): void {
    switch (this.#part) {
      case 'header':
        return this.#takeHeader(part);
      case 'headerBody':
        return this.#takeHeaderBody(part);
      case 'block':
        return this.#takeBlock(part);
      case 'content':
        return this.#takeContent(part);
      case 'end':
        return this.#takeEnd(part);
      case 'done':
        throw new WireError('bytes after the end of the snapshot');
    }
  }

  #expect(part: Part, needed: number): void {
    this.#part = part;
    this.#needed = needed;
  }

  #takeHeader(part: Uint8Array): void {
    if (u32(part, 0) !== MAGIC) throw new WireError('not a snapshot file (wrong magic number)');
    const length = u32(part, 4);
    if (length === 0 || length > HEADER_BODY_BYTES_MAX) throw new WireError('bad header length');
    this.#expectedCrc = u32(part, 8);
    this.#expect('headerBody', length);
  }

  #takeHeaderBody(part: Uint8Array): void {
    this.#crc = crc32c(part);
    if (this.#crc !== this.#expectedCrc) throw new WireError('header checksum does not match');
    const reader = new ByteReader(part);
    const version = reader.varint();
    if (version !== VERSION) throw new WireError(`unsupported snapshot version ${version}`);
    const clusterId = reader.varint();
    if (clusterId !== this.#clusterId) throw new WireError(`snapshot of cluster ${clusterId}`);
    this.#meta = decodeSnapshotMeta(reader);
    reader.finish();
    this.#validBytes = this.#offset;
    this.#expect('block', BLOCK_HEADER_BYTES);
  }

  #takeBlock(part: Uint8Array): void {
    const length = u32(part, 0);
    if (length > BLOCK_BYTES_MAX) throw new WireError(`block of ${length} bytes`);
    this.#expectedCrc = u32(part, 4);
    if (length === 0) this.#expect('end', END_BYTES - BLOCK_HEADER_BYTES);
    else this.#expect('content', length);
  }

  #takeContent(part: Uint8Array): void {
    this.#check(part);
    this.#contentBytes += part.length;
    this.#validBytes = this.#offset;
    this.#expect('block', BLOCK_HEADER_BYTES);
    this.#onContent?.(part);
  }

  #takeEnd(part: Uint8Array): void {
    this.#check(part);
    if (new ByteReader(part).u64() !== this.#contentBytes) throw new WireError('wrong length');
    this.#validBytes = this.#offset;
    this.#expect('done', 0);
  }

  #check(part: Uint8Array): void {
    this.#crc = crc32c(part, 0, part.length, this.#crc);
    if (this.#crc !== this.#expectedCrc) throw new WireError('block checksum does not match');
  }
}

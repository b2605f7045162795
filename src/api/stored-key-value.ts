// Reads single fields of a KeyValue in the encoded form in which the store keeps it, without making
// the object. Throws ProtoError if the bytes are not a KeyValue.

import type { KeyValue } from './common.ts';
import { encodeKeyValue } from './common-codec.ts';
import { EMPTY_BYTES, ProtoReader } from './proto-reader.ts';
import { type ProtoWriter, toBytes } from './proto-writer.ts';

const KEY = 1;
const CREATE_REVISION = 2;
const MOD_REVISION = 3;
const VERSION = 4;
const VALUE = 5;
const LEASE = 6;

// One reader for all: nothing here calls out while it is in use.
const reader = new ProtoReader(EMPTY_BYTES);

/** The bytes to store for a KeyValue. */
export function toStoredKeyValue(kv: KeyValue): Uint8Array {
  return toBytes(encodeKeyValue, kv);
}

/** A view, like every part given out here. */
export function readKey(encoded: Uint8Array): Uint8Array {
  return seek(encoded, KEY) ? reader.bytes() : EMPTY_BYTES;
}

export function readCreateRevision(encoded: Uint8Array): number {
  return seek(encoded, CREATE_REVISION) ? reader.int() : 0;
}

export function readModRevision(encoded: Uint8Array): number {
  return seek(encoded, MOD_REVISION) ? reader.int() : 0;
}

export function readVersion(encoded: Uint8Array): number {
  return seek(encoded, VERSION) ? reader.int() : 0;
}

export function readValue(encoded: Uint8Array): Uint8Array {
  return seek(encoded, VALUE) ? reader.bytes() : EMPTY_BYTES;
}

export function readLease(encoded: Uint8Array): bigint {
  return seek(encoded, LEASE) ? reader.int64() : 0n;
}

/** The same KeyValue without its value, for keysOnly; a copy unless it has none. */
export function withoutValue(encoded: Uint8Array): Uint8Array {
  return seek(encoded, VALUE) ? toBytes(writeWithoutValue, encoded) : encoded;
}

/** Copies the parts around the value rather than decoding and encoding them. */
function writeWithoutValue(encoded: Uint8Array, w: ProtoWriter): void {
  reader.reset(encoded);
  let valueStart = 0;
  let field: number;
  let before = 0;
  while ((field = reader.next()) !== 0) {
    reader.skip();
    if (field === VALUE) {
      valueStart = before;
      w.raw(encoded.subarray(reader.position));
      break;
    }
    before = reader.position;
  }
  w.raw(encoded.subarray(0, valueStart));
}

/** Puts the reader before the field's value. Fields are stored in order, each at most once. */
function seek(encoded: Uint8Array, wanted: number): boolean {
  reader.reset(encoded);
  let field: number;
  while ((field = reader.next()) !== 0) {
    if (field === wanted) return true;
    reader.skip();
  }
  return false;
}

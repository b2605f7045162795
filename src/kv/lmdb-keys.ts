// LMDB's keys end at 1978 bytes, etcd's only at the size of a request. A longer key is stored under
// its first bytes, a zero and a hash of the whole; its rest stands before the value:
//
//     "aa...a"  (1900 bytes)          itself
//     "aa...a" 00 hash(k1)            k1 = "aa...a" + rest; value = length(rest) rest value
//     "aa...a" 00 hash(k2)            k2, in no order relative to k1
//     "aa...a" 01 ...                 never: a key that long is stored as above
//
// So all long keys with one prefix lie together, after that prefix and before any other short key:
// the order of the tables is right but for the inside of such a bucket, which a scan sorts as it
// goes. Point reads and writes cost the same for any number of keys in a bucket, and every key is
// one LMDB entry, so that LMDB's own counting stays right.

import { createHash } from 'node:crypto';

/** Keys up to this length are stored as they are. */
export const SHORT_KEY_BYTES_MAX = 1900;
const HASH_BYTES = 16;
const REST_LENGTH_BYTES = 4;

export function isLong(key: Uint8Array): boolean {
  return key.length > SHORT_KEY_BYTES_MAX;
}

/** Where LMDB keeps the key. */
export function physicalKey(key: Uint8Array): Uint8Array {
  if (!isLong(key)) return key;
  const physical = new Uint8Array(SHORT_KEY_BYTES_MAX + 1 + HASH_BYTES);
  physical.set(key.subarray(0, SHORT_KEY_BYTES_MAX));
  const hash = createHash('sha256').update(key).digest();
  physical.set(hash.subarray(0, HASH_BYTES), SHORT_KEY_BYTES_MAX + 1);
  return physical;
}

/** What LMDB keeps there. */
export function physicalValue(key: Uint8Array, value: Uint8Array): Uint8Array {
  if (!isLong(key)) return value;
  const restLength = key.length - SHORT_KEY_BYTES_MAX;
  const physical = new Uint8Array(REST_LENGTH_BYTES + restLength + value.length);
  new DataView(physical.buffer).setUint32(0, restLength);
  physical.set(key.subarray(SHORT_KEY_BYTES_MAX), REST_LENGTH_BYTES);
  physical.set(value, REST_LENGTH_BYTES + restLength);
  return physical;
}

/** A long key's own value. */
export function valueOfLong(physical: Uint8Array): Uint8Array {
  return physical.subarray(REST_LENGTH_BYTES + restLengthOf(physical));
}

/** The bytes of a long key that its bucket's name does not have. */
export function restOfLong(physical: Uint8Array): Uint8Array {
  return physical.subarray(REST_LENGTH_BYTES, REST_LENGTH_BYTES + restLengthOf(physical));
}

/** Before everything in the bucket of a long key, or after it. */
export function bucketBound(key: Uint8Array, end: boolean): Uint8Array {
  const bound = new Uint8Array(SHORT_KEY_BYTES_MAX + 1);
  bound.set(key.subarray(0, SHORT_KEY_BYTES_MAX));
  bound[SHORT_KEY_BYTES_MAX] = end ? 1 : 0;
  return bound;
}

function restLengthOf(physical: Uint8Array): number {
  return physical[0]! * 0x100_0000 + (physical[1]! << 16) + (physical[2]! << 8) + physical[3]!;
}

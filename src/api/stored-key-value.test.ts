import { describe, expect, test } from 'vitest';
import type { KeyValue } from './common.ts';
import { decodeKeyValue } from './common-codec.ts';
import { ProtoError } from './proto-error.ts';
import {
  readCreateRevision,
  readKey,
  readLease,
  readModRevision,
  readValue,
  readVersion,
  toStoredKeyValue,
  withoutValue,
} from './stored-key-value.ts';

const full: KeyValue = {
  key: Uint8Array.of(1, 2),
  createRevision: 300,
  modRevision: 2 ** 40,
  version: 12,
  value: new Uint8Array(500).fill(9),
  lease: -(2n ** 60n),
};
const nothing: KeyValue = {
  key: new Uint8Array(0),
  createRevision: 0,
  modRevision: 0,
  version: 0,
  value: new Uint8Array(0),
  lease: 0n,
};

describe('stored KeyValues', () => {
  test('each field can be read alone, present or not', () => {
    for (const kv of [
      full,
      nothing,
      { ...nothing, lease: 5n },
      { ...full, value: nothing.value },
    ]) {
      const stored = toStoredKeyValue(kv);
      expect({
        key: readKey(stored),
        createRevision: readCreateRevision(stored),
        modRevision: readModRevision(stored),
        version: readVersion(stored),
        value: readValue(stored),
        lease: readLease(stored),
      }).toEqual(kv);
    }
  });

  test('without its value a KeyValue keeps everything else', () => {
    for (const kv of [full, { ...full, lease: 0n }, { ...nothing, value: full.value }, nothing]) {
      const rest = decodeKeyValue(withoutValue(toStoredKeyValue(kv)));
      expect(rest).toEqual({ ...kv, value: nothing.value });
    }
  });

  test('bytes that are no KeyValue give a ProtoError', () => {
    expect(() => readLease(Uint8Array.of(0x0a, 9, 1))).toThrow(ProtoError);
    expect(() => readModRevision(Uint8Array.of(0x1a, 0))).toThrow(ProtoError);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { snapshotAt } from '../../test/conformance/storage-fixtures.ts';
import { ByteWriter, WireError } from '../wire/bytes.ts';
import {
  SnapshotParser,
  writeSnapshotBlock,
  writeSnapshotEnd,
  writeSnapshotHeader,
} from './snapshot-format.ts';

const CLUSTER = 5;
const META = snapshotAt(12, 3);

function file(...blocks: Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  let crc = writeSnapshotHeader(writer, CLUSTER, META);
  let total = 0;
  for (const block of blocks) {
    crc = writeSnapshotBlock(writer, block, crc);
    total += block.length;
  }
  writeSnapshotEnd(writer, total, crc);
  return writer.copy();
}

const BLOCKS = [new Uint8Array(90).fill(1), new Uint8Array(40).fill(2), new Uint8Array(1)];
const BYTES = file(...BLOCKS);

describe('the parser of snapshot files', () => {
  test('gives the content block by block, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), cuts => {
        const found: Uint8Array[] = [];
        const parser = new SnapshotParser(CLUSTER, content => found.push(content));
        for (let at = 0, i = 0; at < BYTES.length; i++) {
          const end = at + cuts[i % cuts.length]!;
          parser.push(BYTES.subarray(at, end));
          at = end;
        }
        expect(found).toEqual(BLOCKS);
        expect(parser.done).toBe(true);
        expect(parser.meta).toEqual(META);
        expect(parser.validBytes).toBe(BYTES.length);
      }),
    );
  });

  test('refuses a flipped bit anywhere, or never finishes', () => {
    for (let bit = 0; bit < BYTES.length * 8; bit++) {
      const damaged = BYTES.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const parser = new SnapshotParser(CLUSTER);
      try {
        parser.push(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
      expect(parser.done, `bit ${bit}`).toBe(false);
    }
  });

  test('refuses blocks in another order, and blocks of another snapshot', () => {
    const [one, two] = [new Uint8Array(50).fill(1), new Uint8Array(50).fill(2)];
    const whole = file(one, two);
    const second = whole.length - 16 - 58;
    const repeated = whole.slice();
    repeated.set(whole.subarray(second, second + 58), second - 58);
    expect(() => new SnapshotParser(CLUSTER).push(repeated)).toThrow('checksum does not match');
    const foreign = whole.slice();
    foreign.set(file(two, two).subarray(second, second + 58), second);
    expect(() => new SnapshotParser(CLUSTER).push(foreign)).toThrow('checksum does not match');
  });

  test('refuses a snapshot of another cluster', () => {
    expect(() => new SnapshotParser(CLUSTER + 1).push(BYTES)).toThrow('snapshot of cluster 5');
  });

  test('says where the last intact block ends', () => {
    const parser = new SnapshotParser(CLUSTER);
    const boundaries = new Set<number>();
    for (const byte of BYTES) {
      parser.push(Uint8Array.of(byte));
      boundaries.add(parser.validBytes);
    }
    // Nothing, the header, three blocks, the end.
    expect(boundaries.size).toBe(6);
  });

  test('refuses bytes after the end', () => {
    const parser = new SnapshotParser(CLUSTER);
    parser.push(BYTES);
    expect(() => parser.push(Uint8Array.of(0))).toThrow('after the end');
  });

  test('random bytes are a WireError or unfinished', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 100 }), bytes => {
        expect(() => new SnapshotParser(CLUSTER).push(bytes)).toThrow(WireError);
      }),
    );
  });
});

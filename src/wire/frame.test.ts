import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter, WireError } from './bytes.ts';
import { beginFrame, endFrame, FRAME_HEADER_BYTES, FrameSplitter } from './frame.ts';

function framed(...bodies: Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(16);
  for (const body of bodies) {
    const start = beginFrame(writer);
    writer.raw(body);
    endFrame(writer, start);
  }
  return writer.copy();
}

function split(splitter: FrameSplitter, chunk: Uint8Array): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  splitter.push(chunk, body => bodies.push(body));
  return bodies;
}

describe('the splitter', () => {
  test('finds the same frames however the stream is cut', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
    const cuts = fc.array(fc.nat(40), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(bodies, cuts, (bodies, cuts) => {
        const stream = framed(...bodies);
        const splitter = new FrameSplitter();
        const found: Uint8Array[] = [];
        let at = 0;
        for (let i = 0; at < stream.length; i++) {
          const end = Math.min(stream.length, at + cuts[i % cuts.length]! + 1);
          found.push(...split(splitter, stream.slice(at, end)));
          at = end;
        }
        expect(found).toEqual(bodies);
        expect(splitter.heldBytes).toBe(0);
      }),
    );
  });

  test('does not copy a body that came in one chunk', () => {
    const chunk = framed(new Uint8Array(50), new Uint8Array(60));
    for (const body of split(new FrameSplitter(), chunk)) expect(body.buffer).toBe(chunk.buffer);
  });

  test('leaves bodies alone that it gave out earlier', () => {
    const stream = framed(new Uint8Array(40).fill(1), new Uint8Array(40).fill(2));
    const splitter = new FrameSplitter();
    const found: Uint8Array[] = [];
    for (const byte of stream) found.push(...split(splitter, Uint8Array.of(byte)));
    expect(found).toEqual([new Uint8Array(40).fill(1), new Uint8Array(40).fill(2)]);
  });

  test('refuses a flipped bit anywhere in a frame or waits for bytes that never come', () => {
    const stream = framed(Uint8Array.from({ length: 40 }, (_, i) => i));
    for (let bit = 0; bit < stream.length * 8; bit++) {
      const damaged = stream.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const splitter = new FrameSplitter(1000);
      let frames = 0;
      try {
        frames = split(splitter, damaged).length;
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
      expect(frames).toBe(0);
    }
  });

  test('refuses a frame above its limit as soon as the length is there', () => {
    const splitter = new FrameSplitter(100);
    const header = framed(new Uint8Array(101)).subarray(0, FRAME_HEADER_BYTES);
    expect(split(splitter, header.subarray(0, 7))).toEqual([]);
    expect(() => split(splitter, header.subarray(7))).toThrow('at most 100');
  });

  test('allocates for bytes that arrived, not for those announced', () => {
    const header = framed(new Uint8Array(60_000_000)).slice(0, 1000);
    const splitters = Array.from({ length: 300 }, () => new FrameSplitter());
    // 300 announced frames of 60 MB each would be 18 GB.
    for (const splitter of splitters) split(splitter, header);
    expect(splitters.every(({ heldBytes }) => heldBytes === 1000)).toBe(true);
  });
});

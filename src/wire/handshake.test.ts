import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WireError } from './bytes.ts';
import { agreeOnVersion, decodeHello, encodeHello, HELLO_BYTES, type Hello } from './handshake.ts';

const HELLO: Hello = {
  versionMin: 1,
  versionMax: 3,
  clusterId: 2 ** 53 - 1,
  nodeId: 7,
  expected: 0,
  purpose: 'snapshot',
  refusal: null,
};

test('a hello comes back as it was, in a fixed number of bytes', () => {
  const refused: Hello = { ...HELLO, purpose: 'messages', refusal: 'cluster', expected: 5 };
  for (const hello of [HELLO, refused]) {
    expect(encodeHello(hello).length).toBe(HELLO_BYTES);
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
  }
});

test('a flipped bit anywhere in a hello is a WireError', () => {
  const bytes = encodeHello(HELLO);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => decodeHello(damaged)).toThrow(WireError);
  }
});

test('whatever is not a hello is a WireError', () => {
  const http = new TextEncoder().encode(
    'GET / HTTP/1.1\r\nHost: localhost:2380\r\n'.slice(0, HELLO_BYTES),
  );
  expect(() => decodeHello(http)).toThrow('not a Kontiki peer');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), bytes => {
      expect(() => decodeHello(bytes)).toThrow(WireError);
    }),
  );
});

test('two sides agree on the highest version that both speak', () => {
  const range = (versionMin: number, versionMax: number) => ({ versionMin, versionMax });
  expect(agreeOnVersion(range(1, 3), range(2, 5))).toBe(3);
  expect(agreeOnVersion(range(4, 5), range(1, 4))).toBe(4);
  expect(agreeOnVersion(range(1, 1), range(2, 2))).toBeNull();
});

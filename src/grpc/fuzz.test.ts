// Bytes of any kind, seeded: they may end a connection, but never crash it, hang it, or leave it
// holding streams or memory; and on the client's side every call still ends exactly once.
import { describe, expect, test } from 'vitest';
import { UnaryClientCall } from './client-calls.ts';
import { ClientConnection } from './client-connection.ts';
import { DeadlineTimer } from './deadline-wheel.ts';
import { FrameType } from './frames.ts';
import { DEFAULT_LIMITS } from './options.ts';
import { PLAIN_HEADERS, plainTrailers, trailersOnly } from './response-blocks.ts';
import { data, frame, Harness, headers, message, u32 } from './test-harness.ts';

/** A small seeded generator: the same seed makes the same bytes. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function fuzzTraffic(next: (below: number) => number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0, id = 1; i < 12; i++) {
    const kind = next(8);
    const path = ['/t.T/Echo', '/t.T/Bidi', '/t.T/Hold', '/t.T/Nope'][next(4)]!;
    if (kind < 4) {
      parts.push(headers(id, path), data(id, message([1, 2, 3]), next(2)));
      id += 2;
    } else if (kind === 4)
      parts.push(frame(next(11), next(256), next(8), new Uint8Array(next(20))));
    else if (kind === 5) parts.push(frame(8, 0, next(id + 1), u32(next(70_000))));
    else if (kind === 6) parts.push(frame(4, 0, 0, [0, next(7), 0, 0, next(256), next(256)]));
    else parts.push(data(next(id + 2), new Uint8Array(next(40)), next(16)));
  }
  return Buffer.concat(parts);
}

describe('bytes of any kind', () => {
  test.each([11, 222, 3333])('neither crash nor leak (seed %i)', seed => {
    const next = random(seed);
    const bugs: unknown[] = [];
    let left = 0;
    for (let round = 0; round < 400; round++) {
      const fuzz = new Harness();
      const bytes =
        next(5) === 0 ? Uint8Array.from({ length: 300 }, () => next(256)) : fuzzTraffic(next);
      for (let flips = next(4); flips > 0; flips--) bytes[next(bytes.length)] = next(256);
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + next(200);
        fuzz.connection.receive(bytes.slice(at, end));
        at = end;
      }
      fuzz.heard();
      for (const call of fuzz.streams) call.end();
      for (const call of fuzz.calls) call.respond(Uint8Array.of(1));
      fuzz.connection.close('over');
      bugs.push(...fuzz.errors);
      left += fuzz.connection.streams.size + Math.abs(fuzz.connection.heldBytes);
    }
    expect(bugs).toEqual([]);
    expect(left).toBe(0);
  });
});

function serverTraffic(next: (below: number) => number): Uint8Array {
  const parts = [frame(FrameType.SETTINGS, 0, 0)];
  for (let i = 0; i < 10; i++) {
    const id = 1 + 2 * next(6);
    const kind = next(8);
    if (kind < 3) {
      parts.push(frame(FrameType.HEADERS, 4, id, PLAIN_HEADERS), data(id, message([1, 2])));
      parts.push(frame(FrameType.HEADERS, 5, id, plainTrailers(0, '')));
    } else if (kind === 3) parts.push(frame(FrameType.HEADERS, 5, id, trailersOnly(200, 5, 'no')));
    else if (kind === 4) parts.push(frame(FrameType.RST_STREAM, 0, id, u32(next(14))));
    else if (kind === 5) parts.push(frame(next(11), next(256), next(8), new Uint8Array(next(20))));
    else if (kind === 6) parts.push(frame(FrameType.GOAWAY, 0, 0, [...u32(next(12)), ...u32(0)]));
    else parts.push(data(id, new Uint8Array(next(40)), next(16)));
  }
  return Buffer.concat(parts);
}

function fuzzClient(next: (below: number) => number): number[] {
  const connection = new ClientConnection(
    {
      write() {},
      pendingBytes: () => 0,
      cork() {},
      uncork() {},
      pause() {},
      resume() {},
      end() {},
      destroy() {},
    },
    DEFAULT_LIMITS,
    {
      flusher: { add() {} },
      timer: new DeadlineTimer(),
      pendingCallsMax: 100,
      connectionReady() {},
      connectionClosing() {},
    },
    'test:1',
    'http',
  );
  connection.greet();
  const endings = [0, 0, 0, 0, 0, 0];
  const request = { path: '/t.T/Echo', deadlineMs: Number.POSITIVE_INFINITY, metadata: null };
  for (let i = 0; i < endings.length; i++) {
    const ended = (): void => void (endings[i]! += 1);
    connection.submit(new UnaryClientCall(connection, request, Uint8Array.of(i), ended));
  }
  const bytes = serverTraffic(next);
  for (let flips = next(4); flips > 0; flips--) bytes[next(bytes.length)] = next(256);
  for (let at = 0; at < bytes.length; at += 50) connection.receive(bytes.slice(at, at + 50));
  connection.close('over');
  return endings;
}

describe('a server of any kind', () => {
  test.each([44, 555, 6666])('ends every call exactly once (seed %i)', seed => {
    const next = random(seed);
    for (let round = 0; round < 400; round++) {
      expect(fuzzClient(next)).toEqual([1, 1, 1, 1, 1, 1]);
    }
  });
});

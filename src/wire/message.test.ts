import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arbitraryMessage, BY_KIND } from '../../test/conformance/arbitrary-messages.ts';
import type { Message } from '../raft/messages.ts';
import type { Entry } from '../raft/types.ts';
import { ByteReader, ByteWriter, WireError } from './bytes.ts';
import { decodeEntries, ENTRIES_PER_RUN_MAX, encodeEntries } from './entry.ts';
import { FrameSplitter } from './frame.ts';
import { decodeMessages, encodeMessages, MESSAGES_PER_FRAME_MAX } from './message.ts';

function frames(messages: readonly Message[]): Uint8Array[] {
  const writer = new ByteWriter();
  encodeMessages(writer, messages);
  const bodies: Uint8Array[] = [];
  const splitter = new FrameSplitter();
  splitter.push(writer.copy(), body => bodies.push(body));
  expect(splitter.heldBytes).toBe(0);
  return bodies;
}

function roundTrip(messages: readonly Message[]): Message[] {
  return frames(messages).flatMap(body => decodeMessages(body));
}

function bodyOf(message: Message): Uint8Array {
  return frames([message])[0]!.slice();
}

function command(index: number, data: Uint8Array, term = 3): Entry {
  return { term, index, kind: 'command', data, session: 0, sequence: 0, config: null };
}

function appendOf(entries: readonly Entry[]): Message {
  const prev = { term: 3, index: (entries[0]?.index ?? 1) - 1 };
  const rest = { leaderCommit: 0, acknowledged: 0, round: 0 };
  return { kind: 'append', from: 1, to: 2, term: 3, prev, entries, ...rest };
}

describe.each(Object.entries(BY_KIND))('a message of kind %s', (_, arbitrary) => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<Message>, message => {
        expect(roundTrip([message])).toEqual([message]);
      }),
      { numRuns: 60 },
    );
  });

  test('cut short anywhere is a WireError', () => {
    const [message] = fc.sample(arbitrary as fc.Arbitrary<Message>, { numRuns: 1, seed: 5 });
    const body = bodyOf(message!);
    for (let length = 2; length < body.length; length++) {
      expect(() => decodeMessages(body.subarray(0, length))).toThrow(WireError);
    }
  });
});

test('a list of messages comes back in order', () => {
  fc.assert(
    fc.property(fc.array(arbitraryMessage, { maxLength: 20 }), messages => {
      expect(roundTrip(messages)).toEqual(messages);
    }),
    { numRuns: 50 },
  );
});

test('a large list is cut into several frames', () => {
  const large = Array.from({ length: 5 }, (_, i) =>
    appendOf([command(i + 1, new Uint8Array(600_000))]),
  );
  expect(frames(large).length).toBe(3);
  expect(roundTrip(large).map(({ term }) => term)).toEqual([3, 3, 3, 3, 3]);
  const heartbeats = Array.from({ length: MESSAGES_PER_FRAME_MAX + 1 }, () => appendOf([]));
  expect(frames(heartbeats).length).toBe(2);
});

test('a small command costs at most three bytes beside its data', () => {
  const data = new Uint8Array(100);
  const count = 1000;
  const entries = Array.from({ length: count }, (_, i) => command(i + 1, data));
  const overhead = bodyOf(appendOf(entries)).length - count * data.length;
  expect(overhead).toBeLessThan(3 * count);
});

test('entry data are views of the frame, not copies', () => {
  const body = bodyOf(appendOf([command(1, new Uint8Array(100))]));
  const [message] = decodeMessages(body);
  expect((message as Extract<Message, { kind: 'append' }>).entries[0]!.data.buffer).toBe(
    body.buffer,
  );
});

test('random and mutated bytes give messages or a WireError, nothing else', () => {
  const mutation = fc.record({ at: fc.nat(), value: fc.nat(255), cut: fc.boolean() });
  const decode = (body: Uint8Array) => {
    try {
      decodeMessages(body);
    } catch (error) {
      expect(error).toBeInstanceOf(WireError);
    }
  };
  fc.assert(
    fc.property(arbitraryMessage, fc.array(mutation, { maxLength: 4 }), (message, mutations) => {
      let body = bodyOf(message);
      for (const { at, value, cut } of mutations) {
        if (cut) body = body.slice(0, at % (body.length + 1));
        else if (body.length > 0) body[at % body.length] = value;
      }
      decode(body);
    }),
    { numRuns: 3000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode), { numRuns: 2000 });
});

test.each([
  ['an unknown version', (body: Uint8Array) => (body[0] = 9), 'unsupported message version 9'],
  ['an unknown kind', (body: Uint8Array) => (body[1] = 99), 'unknown kind of message 99'],
])('%s is refused by name', (_, change, text) => {
  const body = bodyOf(appendOf([]));
  change(body);
  expect(() => decodeMessages(body)).toThrow(text);
});

test('entries that do not follow prev are refused', () => {
  const message = { ...appendOf([command(5, new Uint8Array(1))]), prev: { term: 1, index: 9 } };
  expect(() => decodeMessages(bodyOf(message as Message))).toThrow('do not follow prev');
});

test('a run of entries is bounded, on both sides', () => {
  const entry = command(1, new Uint8Array(0));
  const many = Array.from({ length: ENTRIES_PER_RUN_MAX + 1 }, (_, i) => ({
    ...entry,
    index: i + 1,
  }));
  expect(() => encodeEntries(new ByteWriter(), many)).toThrow(WireError);
  const writer = new ByteWriter();
  writer.varint(ENTRIES_PER_RUN_MAX + 1);
  writer.zeros(ENTRIES_PER_RUN_MAX * 3);
  expect(() => decodeEntries(new ByteReader(writer.view()))).toThrow('at most 65536');
});

test('entries with a hole between them are not encoded', () => {
  const holey = [command(1, new Uint8Array(1)), command(3, new Uint8Array(1))];
  expect(() => encodeEntries(new ByteWriter(), holey)).toThrow('entry 3 stands at 2');
});

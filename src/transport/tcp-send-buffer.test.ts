// The queue of a connection, against a socket that takes bytes when the test says so.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'vitest';
import { append, command, heartbeat } from '../../test/conformance/transport-messages.ts';
import type { Message } from '../raft/messages.ts';
import { FrameSplitter } from '../wire/frame.ts';
import { decodeMessages } from '../wire/message.ts';
import { SendBuffer } from './tcp-send-buffer.ts';

/** Like Node's: a write is copied at once, or its bytes are held until take(). */
class SlowSocket {
  readonly writes: Uint8Array[] = [];
  writableLength = 0;
  blocking = false;
  #held: { bytes: Uint8Array; done: () => void } | null = null;

  write(bytes: Uint8Array, done: () => void): void {
    assert.equal(this.#held, null, 'one write at a time');
    if (this.blocking) {
      this.#held = { bytes, done };
      this.writableLength = bytes.length;
    } else {
      this.writes.push(bytes.slice());
    }
  }

  /** The kernel takes the held bytes. Returns false when there were none. */
  take(): boolean {
    const held = this.#held;
    if (held === null) return false;
    this.#held = null;
    this.writes.push(held.bytes.slice());
    this.writableLength = 0;
    held.done();
    return true;
  }

  /** Everything taken so far, decoded: fails if a buffer was reused too early. */
  messages(): Message[] {
    const messages: Message[] = [];
    const splitter = new FrameSplitter();
    for (const write of this.writes) {
      splitter.push(write, body => {
        if (body.length > 0) messages.push(...decodeMessages(body));
      });
    }
    return messages;
  }
}

function setUp(limits: { queueBytesMax?: number; queueMessagesMax?: number } = {}) {
  const socket = new SlowSocket();
  const seen = { progress: 0 };
  const all = { queueBytesMax: 1 << 20, queueMessagesMax: 100, ...limits };
  const buffer = new SendBuffer(all, {
    progress: () => void (seen.progress += 1),
    unencodable: error => {
      throw error;
    },
  });
  const send = (...messages: Message[]) => {
    const taken = messages.filter(message => buffer.add(message)).length;
    buffer.flush();
    return taken;
  };
  return { socket, buffer, seen, send, asSocket: socket as unknown as Socket };
}

describe('SendBuffer', () => {
  test('one flush is one write, whatever the number of messages', () => {
    const { socket, buffer, send, asSocket } = setUp();
    buffer.attach(asSocket);
    send(heartbeat(1, 2, 1), heartbeat(1, 2, 2), heartbeat(1, 2, 3));
    send(heartbeat(1, 2, 4));
    assert.equal(socket.writes.length, 2);
    assert.equal(socket.messages().length, 4);
    assert.equal(buffer.sentMessages, 4);
  });

  test('while a write is stuck, later turns gather into the next one', () => {
    const { socket, buffer, seen, send, asSocket } = setUp();
    buffer.attach(asSocket);
    socket.blocking = true;
    const sent = Array.from({ length: 9 }, (_, i) => append(1, 2, i, [command(i + 1, 300)]));
    for (const message of sent) send(message);
    assert.equal(socket.writes.length, 0);
    assert.ok(socket.take());
    assert.ok(socket.take());
    assert.equal(socket.take(), false);
    assert.equal(socket.writes.length, 2);
    assert.equal(seen.progress, 2);
    assert.deepEqual(socket.messages(), sent);
    assert.ok(buffer.idle);
  });

  test('what is added before the connection is there goes out with it', () => {
    const { socket, buffer, send, asSocket } = setUp();
    send(heartbeat(1, 2, 1));
    send(heartbeat(1, 2, 2));
    assert.equal(socket.writes.length, 0);
    buffer.attach(asSocket);
    assert.equal(socket.writes.length, 1);
    assert.equal(socket.messages().length, 2);
  });

  test('a large batch leaves in bounded writes, also when they are stuck in between', () => {
    const { socket, buffer, send, asSocket } = setUp({ queueBytesMax: 8 << 20 });
    buffer.attach(asSocket);
    socket.blocking = true;
    const large = append(1, 2, 1, [command(1, 3 << 20)]);
    send(large, heartbeat(1, 2, 2));
    buffer.ping();
    while (socket.take());
    assert.ok(socket.writes.every(write => write.length <= 256 * 1024));
    assert.deepEqual(socket.messages(), [large, heartbeat(1, 2, 2)]);
  });

  test('the byte bound holds; a message above it passes only through an empty queue', () => {
    const { socket, buffer, send, asSocket } = setUp({ queueBytesMax: 10_000 });
    buffer.attach(asSocket);
    socket.blocking = true;
    const large = append(1, 2, 1, [command(1, 20_000)]);
    const small = append(1, 2, 2, [command(1, 4000)]);
    assert.equal(send(large), 1);
    assert.equal(send(small), 0);
    socket.take();
    assert.equal(send(small, small, small), 2);
    assert.ok(buffer.queuedBytes <= 10_000);
    assert.equal(send(large), 0);
  });

  test('the message bound counts what is added, waiting and on its way', () => {
    const { socket, buffer, send, asSocket } = setUp({ queueMessagesMax: 3 });
    buffer.attach(asSocket);
    socket.blocking = true;
    assert.equal(send(heartbeat(1, 2, 1)), 1);
    assert.equal(send(heartbeat(1, 2, 2)), 1);
    assert.equal(send(heartbeat(1, 2, 3), heartbeat(1, 2, 4)), 1);
    socket.take();
    socket.take();
    assert.equal(send(heartbeat(1, 2, 5)), 1);
  });

  test('detach() counts the loss and touches no byte that the old socket may still read', () => {
    const { socket, buffer, send, asSocket } = setUp();
    buffer.attach(asSocket);
    socket.blocking = true;
    const first = append(1, 2, 1, [command(1, 500)]);
    send(first);
    send(heartbeat(1, 2, 2));
    assert.equal(buffer.detach(), 2);
    const next = new SlowSocket();
    buffer.attach(next as unknown as Socket);
    send(append(1, 2, 3, [command(9, 500)]));
    socket.take();
    assert.deepEqual(socket.messages(), [first]);
    assert.equal(next.messages().length, 1);
  });
});

// A connection that a peer dialed to us, and on which we only receive (and answer pings). Until the
// handshake has shown who is there, at most one hello is read; afterwards every message must come
// from that peer and be meant for us, or the connection is closed.

import type { Socket } from 'node:net';
import type { Message } from '../raft/messages.ts';
import { NO_NODE, type NodeId } from '../raft/types.ts';
import { ByteWriter, WireError } from '../wire/bytes.ts';
import { beginFrame, endFrame, FrameSplitter } from '../wire/frame.ts';
import {
  decodeHello,
  encodeHello,
  HELLO_BYTES,
  type Hello,
  type HelloRefusal,
  type LinkPurpose,
} from '../wire/handshake.ts';
import { decodeMessages } from '../wire/message.ts';
import { describeRefusal, HelloReader, hello, refusalOf } from './tcp-handshake.ts';
import type { LinkHost } from './tcp-host.ts';

export interface InboundEvents {
  /** The peer is known now and may send. */
  accepted(link: InboundLink): void;
  ended(link: InboundLink): void;
}

/** Pongs that a peer does not read are left out, so that it can't make us hold them. */
const UNREAD_PONG_BYTES_MAX = 4096;

const PONG = emptyFrame();

export class InboundLink {
  readonly #host: LinkHost;
  readonly #events: InboundEvents;
  readonly #socket: Socket;
  readonly #remote: string;
  readonly #hello = new HelloReader(HELLO_BYTES);
  readonly #splitter = new FrameSplitter();
  #deadline: { cancel(): void } | null;
  #phase: 'hello' | 'open' | 'ended' = 'hello';
  #missedPings = 0;
  /** Of the chunk being read; handed up together. */
  #arrived: Message[] = [];
  readonly #onFrame = (body: Uint8Array): void => this.#frame(body);
  /** NO_NODE before the handshake. */
  peer: NodeId = NO_NODE;
  purpose: LinkPurpose = 'messages';
  receivedBytes = 0;

  constructor(host: LinkHost, events: InboundEvents, socket: Socket) {
    this.#host = host;
    this.#events = events;
    this.#socket = socket;
    this.#remote = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    host.track(socket);
    this.#deadline = host.clock.after(host.limits.handshakeTimeoutMs, () => this.#end());
    // A plain view: entry data must not be a Buffer, whose slice() is a view and not a copy.
    socket.on('data', (chunk: Uint8Array) => {
      this.#data(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    });
    socket.on('error', () => this.#end());
    socket.on('close', () => this.#end());
  }

  /** Once a ping interval: a living peer pings as often. */
  tick(): void {
    if (this.#phase !== 'open') return;
    this.#missedPings += 1;
    if (this.#missedPings <= this.#host.limits.missedPingsMax) return;
    this.#report('PEER_LOST', `was silent for ${this.#missedPings - 1} ping intervals`);
    this.#end();
  }

  close(): void {
    this.#end();
  }

  #data(chunk: Uint8Array): void {
    if (this.#phase === 'ended') return;
    this.receivedBytes += chunk.length;
    this.#missedPings = 0;
    try {
      if (this.#phase === 'open') this.#splitter.push(chunk, this.#onFrame);
      else this.#greet(chunk);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#report('WIRE_ERROR', error.message);
      // What was complete and checked before the bad bytes is as good as ever.
      this.#handUp();
      this.#end();
      return;
    }
    this.#handUp();
  }

  #handUp(): void {
    if (this.#arrived.length === 0) return;
    const messages = this.#arrived;
    this.#arrived = [];
    this.#host.receive(messages);
  }

  #greet(chunk: Uint8Array): void {
    const read = this.#hello.push(chunk);
    if (read === null) return;
    const theirs = decodeHello(read.hello);
    const refusal = refusalOf(theirs, this.#host.self, id => this.#host.isPeer(id));
    this.#socket.write(this.#answer(theirs, refusal));
    if (refusal !== null) {
      this.#refuse(theirs, refusal);
      return;
    }
    this.#deadline?.cancel();
    this.#deadline = null;
    this.#phase = 'open';
    this.peer = theirs.nodeId;
    this.purpose = theirs.purpose;
    this.#events.accepted(this);
    this.#splitter.push(read.rest, this.#onFrame);
  }

  #answer(theirs: Hello, refusal: HelloRefusal | null): Uint8Array {
    const { nodeId, purpose } = theirs;
    return encodeHello(hello(this.#host.self, { expected: nodeId, purpose, refusal }));
  }

  #refuse(theirs: Hello, refusal: HelloRefusal): void {
    const said = describeRefusal(theirs, this.#host.self, refusal);
    // An outsider may claim any id: all refusals share one key of the rate limit.
    this.#host.log.emit('PEER_REFUSED', NO_NODE, `${this.#remote}: ${said}`);
    this.#socket.end();
    this.#end(false);
  }

  #frame(body: Uint8Array): void {
    if (body.length === 0) {
      if (this.#socket.writableLength < UNREAD_PONG_BYTES_MAX) this.#socket.write(PONG);
      return;
    }
    const messages = decodeMessages(body);
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      if (message.from !== this.peer || message.to !== this.#host.self.nodeId) {
        const { from, to } = message;
        throw new WireError(`node ${this.peer} sent a message from node ${from} to node ${to}`);
      }
      this.#arrived.push(message);
    }
  }

  #end(destroy = true): void {
    if (this.#phase === 'ended') {
      // The second call: a refused peer's deadline, or the socket's own close.
      if (destroy) this.#release();
      return;
    }
    this.#phase = 'ended';
    if (destroy) this.#release();
    this.#events.ended(this);
  }

  #release(): void {
    this.#deadline?.cancel();
    this.#deadline = null;
    this.#socket.destroy();
  }

  #report(code: 'PEER_LOST' | 'WIRE_ERROR', problem: string): void {
    const who = this.peer === NO_NODE ? this.#remote : this.#host.describe(this.peer);
    this.#host.log.emit(code, this.peer, `${who}: ${problem}`);
  }
}

function emptyFrame(): Uint8Array {
  const writer = new ByteWriter();
  endFrame(writer, beginFrame(writer));
  return writer.copy();
}

// The connection that we dial to one peer, and on which we only send: its states, its handshake,
// its pings and its redials. A peer has one for messages, always wanted, and one for snapshot
// chunks, dialed when the first chunk comes and closed when no more do.
//
//   idle ──dial──> dialing ──hello, hello──> open
//    ^                │ failed                 │ lost
//    └─ (snapshot) ── waiting <────────────────┘      waiting ──backoff──> dialing

import type { Socket } from 'node:net';
import type { Message } from '../raft/messages.ts';
import type { NodeId } from '../raft/types.ts';
import { WireError } from '../wire/bytes.ts';
import { FrameSplitter } from '../wire/frame.ts';
import { decodeHello, encodeHello, HELLO_BYTES, type LinkPurpose } from '../wire/handshake.ts';
import { type HostPort, parseAddress } from './address.ts';
import { Backoff } from './backoff.ts';
import { HelloReader, hello, problemOf } from './tcp-handshake.ts';
import type { LinkHost } from './tcp-host.ts';
import { formatProblem, formatProblemOf, type Problem, socketProblem } from './tcp-problems.ts';
import { SendBuffer } from './tcp-send-buffer.ts';
import type { PeerState } from './transport.ts';

export interface OutboundEvents {
  up(link: OutboundLink): void;
  /** The link went down, or messages that waited for it were lost. */
  down(link: OutboundLink): void;
}

export class OutboundLink {
  readonly peer: NodeId;
  readonly address: string;
  readonly purpose: LinkPurpose;
  readonly #host: LinkHost;
  readonly #events: OutboundEvents;
  /** Null when the configured address is not one; then nothing is ever dialed. */
  readonly #target: HostPort | null;
  readonly #backoff: Backoff;
  readonly #buffer: SendBuffer;
  #phase: 'idle' | 'waiting' | 'dialing' | 'open' | 'closed' = 'idle';
  #socket: Socket | null = null;
  /** The redial while waiting; the handshake's deadline while dialing. */
  #timer: { cancel(): void } | null = null;
  #dialedAtMs = Number.NEGATIVE_INFINITY;
  #state: PeerState = 'connecting';
  #since: number;
  #problem: Problem | null = null;
  /** Ping intervals in which a ping was due or stuck and nothing came back. */
  #missedPings = 0;
  #pingedAtMs: number | null = null;
  #idleIntervals = 0;
  #messagesAtLastTick = 0;
  /** A message was dropped in this turn because the queue is full. */
  #overflowed = false;
  roundTripMs: number | null = null;
  receivedBytes = 0;
  droppedMessages = 0;

  constructor(
    host: LinkHost,
    events: OutboundEvents,
    to: { readonly peer: NodeId; readonly address: string; readonly purpose: LinkPurpose },
  ) {
    this.#host = host;
    this.#events = events;
    this.peer = to.peer;
    this.address = to.address;
    this.purpose = to.purpose;
    this.#backoff = new Backoff(host.limits.backoff, host.random);
    this.#since = host.clock.now();
    this.#buffer = new SendBuffer(host.limits, {
      progress: () => {
        this.#missedPings = 0;
      },
      unencodable: error => this.#report('WIRE_ERROR', `a message was left out: ${error.message}`),
    });
    this.#target = this.#parseTarget();
  }

  get state(): PeerState {
    return this.#state;
  }
  get problem(): string | null {
    return this.#problem === null ? null : formatProblem(this.#problem);
  }
  get since(): number {
    return this.#since;
  }
  get sentBytes(): number {
    return this.#buffer.sentBytes;
  }
  get sentMessages(): number {
    return this.#buffer.sentMessages;
  }
  get queuedBytes(): number {
    return this.#buffer.queuedBytes;
  }

  /** Dials now, unless a dial is under way or the link is up. */
  dial(): void {
    if (this.#target === null || (this.#phase !== 'idle' && this.#phase !== 'waiting')) return;
    this.#timer?.cancel();
    this.#phase = 'dialing';
    this.#dialedAtMs = this.#host.clock.now();
    const target = { ...this.#target, peer: this.peer, purpose: this.purpose };
    const socket = this.#host.sockets.dial(target, () => {
      if (socket === this.#socket) socket.write(this.#hello());
    });
    this.#socket = socket;
    this.#host.track(socket);
    this.#listen(socket);
    this.#timer = this.#host.clock.after(this.#host.limits.handshakeTimeoutMs, () => {
      this.#fail('no answer in time; is a firewall in between, or the peer stalled?');
    });
  }

  /** The peer has just dialed us, so it is there: no need to wait out the backoff. */
  dialSoon(): void {
    if (this.#phase !== 'waiting' || this.purpose !== 'messages') return;
    this.#backoff.reset();
    // Two sides that accept each other and fail at once must not wake each other in a busy loop.
    const { clock, limits } = this.#host;
    this.#dialAfter(Math.max(0, this.#dialedAtMs + limits.redialMinMs - clock.now()));
  }

  /** Queues a message for flush(). False when it was dropped. */
  add(message: Message): boolean {
    if (this.#accepts() && this.#buffer.add(message)) return true;
    this.droppedMessages += 1;
    this.#overflowed = this.#phase === 'open';
    return false;
  }

  /** False when some of what was added had to be dropped after all. */
  flush(): boolean {
    if (this.#overflowed) {
      this.#overflowed = false;
      this.#report('QUEUE_FULL', `${this.queuedBytes} bytes wait already: messages are dropped`);
    }
    const dropped = this.#buffer.flush();
    this.droppedMessages += dropped;
    return dropped === 0;
  }

  /** Once a ping interval. */
  tick(): void {
    if (this.#phase !== 'open') return;
    const unanswered = this.#pingedAtMs !== null || !this.#buffer.idle;
    if (unanswered && ++this.#missedPings > this.#host.limits.missedPingsMax) {
      this.#fail(`no answer to pings for ${this.#missedPings - 1} intervals`);
      return;
    }
    if (unanswered) return;
    if (this.purpose === 'snapshot' && this.#isUnused()) {
      this.#hangUp();
      return;
    }
    this.#pingedAtMs = this.#host.clock.now();
    this.#buffer.ping();
  }

  close(): void {
    this.#phase = 'closed';
    this.#hangUp();
  }

  #parseTarget(): HostPort | null {
    try {
      return parseAddress(this.address);
    } catch (error) {
      this.#problem = { code: null, text: (error as Error).message };
      this.#report('PEER_UNREACHABLE', this.#problem);
      return null;
    }
  }

  #accepts(): boolean {
    if (this.#phase === 'open') return true;
    if (this.purpose === 'messages') return false;
    // Chunks wait for their connection to come up; while it is backing off they are lost.
    if (this.#phase === 'idle') this.dial();
    return this.#phase === 'dialing';
  }

  #hello(): Uint8Array {
    const rest = { expected: this.peer, purpose: this.purpose, refusal: null };
    return encodeHello(hello(this.#host.self, rest));
  }

  /** Every handler first asks whether this socket is still the link's own. */
  #listen(socket: Socket): void {
    const reader = new HelloReader(HELLO_BYTES);
    // Only pings come back here: any frame with a body is an error, found without buffering it.
    const splitter = new FrameSplitter(0);
    socket.on('data', (chunk: Uint8Array) => {
      if (socket !== this.#socket) return;
      this.receivedBytes += chunk.length;
      try {
        if (this.#phase === 'open') splitter.push(chunk, () => this.#pong());
        else this.#answer(socket, reader, splitter, chunk);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.#report('WIRE_ERROR', error.message);
        this.#fail(`it answered with bytes that are no answer: ${error.message}`);
      }
    });
    socket.on('error', error => {
      if (socket === this.#socket) this.#fail(socketProblem(error));
    });
    socket.on('close', () => {
      if (socket === this.#socket) this.#fail('the peer closed the connection');
    });
  }

  #answer(socket: Socket, reader: HelloReader, splitter: FrameSplitter, chunk: Uint8Array): void {
    const read = reader.push(chunk);
    if (read === null) return;
    const theirs = decodeHello(read.hello);
    const problem = problemOf(theirs, this.#host.self, this.peer);
    if (problem !== null) {
      this.#fail(problem, 'refused');
      return;
    }
    this.#timer?.cancel();
    this.#phase = 'open';
    this.#problem = null;
    this.#missedPings = 0;
    this.#pingedAtMs = null;
    this.#idleIntervals = 0;
    this.#setState('connected');
    splitter.push(read.rest, () => this.#pong());
    this.#buffer.attach(socket);
    this.#events.up(this);
  }

  #pong(): void {
    this.#missedPings = 0;
    if (this.#pingedAtMs === null) return;
    this.roundTripMs = this.#host.clock.now() - this.#pingedAtMs;
    this.#pingedAtMs = null;
    // A link that only came up may fall at once again; one that answers has proven itself.
    this.#backoff.reset();
  }

  #isUnused(): boolean {
    const sent = this.#buffer.sentMessages;
    this.#idleIntervals = sent === this.#messagesAtLastTick ? this.#idleIntervals + 1 : 0;
    this.#messagesAtLastTick = sent;
    return this.#idleIntervals > this.#host.limits.snapshotIdleIntervals;
  }

  /** Ends the connection without any news: nothing was lost. */
  #hangUp(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const socket = this.#socket;
    this.#socket = null;
    this.#buffer.detach();
    socket?.destroy();
    if (this.#phase === 'closed') return;
    this.#phase = 'idle';
    this.#setState('connecting');
  }

  #fail(why: Problem | string, state: PeerState = 'connecting'): void {
    const problem = typeof why === 'string' ? { code: null, text: why } : why;
    const wasOpen = this.#phase === 'open';
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
    const lost = this.#buffer.detach();
    this.droppedMessages += lost;
    this.#problem = problem;
    this.#setState(state);
    this.#phase = 'waiting';
    this.#dialAfter(this.#backoff.next());
    if (wasOpen) this.#report('PEER_LOST', problem);
    else this.#report(state === 'refused' ? 'PEER_REFUSED' : 'PEER_UNREACHABLE', problem);
    if (wasOpen || lost > 0) this.#events.down(this);
  }

  #dialAfter(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#host.clock.after(delayMs, () => {
      if (this.#phase !== 'waiting') return;
      // A snapshot connection is dialed again when the leader tries again.
      if (this.purpose === 'snapshot') this.#phase = 'idle';
      else this.dial();
    });
  }

  #setState(state: PeerState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#host.clock.now();
  }

  #report(
    code: 'WIRE_ERROR' | 'PEER_LOST' | 'PEER_REFUSED' | 'PEER_UNREACHABLE' | 'QUEUE_FULL',
    why: Problem | string,
  ): void {
    const problem = typeof why === 'string' ? { code: null, text: why } : why;
    const line = formatProblemOf(this.#host.describe(this.peer), problem);
    this.#host.log.emit(code, this.peer, line);
  }
}

// A Transport that only remembers what was sent, for tests of one driver with a scripted core.

import type { Message } from '../../src/raft/messages.ts';
import type {
  PeerAddress,
  PeerLink,
  Transport,
  TransportEvents,
} from '../../src/transport/transport.ts';

export class FakeTransport implements Transport {
  /** The messages of each send() call. */
  readonly sends: (readonly Message[])[] = [];
  events: TransportEvents | null = null;
  peers: readonly PeerAddress[] = [];
  closed = false;

  get sent(): Message[] {
    return this.sends.flat();
  }

  async start(events: TransportEvents): Promise<void> {
    this.events = events;
  }

  setPeers(peers: readonly PeerAddress[]): void {
    this.peers = peers;
  }

  send(messages: readonly Message[]): void {
    this.sends.push(messages);
  }

  links(): PeerLink[] {
    return [];
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

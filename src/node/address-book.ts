// Who is where. Addresses travel in the data of configuration entries, always the whole book, and
// the machine's bookkeeping keeps the newest one: a node that restarts finds the others again even
// when the membership changed since its own settings were written.

import type { Entry, NodeId } from '../raft/types.ts';
import type { PeerAddress, Transport } from '../transport/transport.ts';
import type { Machine } from './machine.ts';
import { CONFIG_DATA } from './slice.ts';
import { jsonCodec } from './state-machine.ts';

type Addresses = Record<string, string>;

export class AddressBook {
  readonly #self: NodeId;
  readonly #transport: Transport;
  readonly #addresses = new Map<NodeId, string>();

  constructor(self: NodeId, transport: Transport, peers: readonly PeerAddress[]) {
    this.#self = self;
    this.#transport = transport;
    for (const { id, address } of peers) this.#addresses.set(id, address);
    this.#announce();
  }

  /** A configuration entry entered the log; its addresses are used at once. */
  learn(entry: Entry): void {
    if (entry.kind === 'config' && entry.data.length > 0) this.#merge(entry.data, true);
  }

  /** What was stored yields to the settings: an operator may have moved a node. */
  recall(machine: Machine, entries: readonly Entry[]): void {
    for (const [, data] of machine.bookkeeping(CONFIG_DATA)) this.#merge(data, false);
    for (const { kind, data } of entries) {
      if (kind === 'config' && data.length > 0) this.#merge(data, false);
    }
  }

  /** The data for a membership change: the book as it will be. */
  with(changes: readonly { kind: string; node: NodeId; address?: string }[]): Uint8Array {
    const addresses = new Map(this.#addresses);
    for (const { kind, node, address } of changes) {
      if (kind === 'remove') addresses.delete(node);
      else if (address !== undefined) addresses.set(node, address);
    }
    return jsonCodec.encode(Object.fromEntries(addresses));
  }

  #merge(data: Uint8Array, replaces: boolean): void {
    const addresses = parse(data);
    let changed = false;
    for (const [key, address] of Object.entries(addresses)) {
      const id = Number(key);
      if (!Number.isSafeInteger(id) || id <= 0 || typeof address !== 'string') continue;
      const known = this.#addresses.get(id);
      if (known === address || (known !== undefined && !replaces)) continue;
      this.#addresses.set(id, address);
      changed = true;
    }
    if (changed) this.#announce();
  }

  #announce(): void {
    const peers = [...this.#addresses].map(([id, address]) => ({ id, address }));
    this.#transport.setPeers(peers.filter(({ id }) => id !== this.#self));
  }
}

/** Data of another make is none of ours. */
function parse(data: Uint8Array): Addresses {
  try {
    const value = jsonCodec.decode(data);
    return typeof value === 'object' && value !== null ? (value as Addresses) : {};
  } catch {
    return {};
  }
}

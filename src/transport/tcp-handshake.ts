// Who talks to whom. The dialing side says hello, the answering side says hello back, with its
// refusal if it has one; each side checks the other. Here are the checks and their words; the bytes
// are in wire/handshake.ts.

import type { NodeId } from '../raft/types.ts';
import {
  agreeOnVersion,
  type Hello,
  type HelloRefusal,
  WIRE_VERSION_MAX,
  WIRE_VERSION_MIN,
} from '../wire/handshake.ts';

export interface Self {
  readonly clusterId: number;
  readonly nodeId: NodeId;
}

export function hello(
  { clusterId, nodeId }: Self,
  { expected, purpose, refusal }: Pick<Hello, 'expected' | 'purpose' | 'refusal'>,
): Hello {
  const versions = { versionMin: WIRE_VERSION_MIN, versionMax: WIRE_VERSION_MAX };
  return { ...versions, clusterId, nodeId, expected, purpose, refusal };
}

/** The answering side's verdict on a dialer; null lets it in. */
export function refusalOf(
  theirs: Hello,
  self: Self,
  isPeer: (node: NodeId) => boolean,
): HelloRefusal | null {
  if (agreeOnVersion(theirs, hello(self, theirs)) === null) return 'version';
  if (theirs.clusterId !== self.clusterId) return 'cluster';
  if (theirs.expected !== self.nodeId) return 'notMe';
  if (theirs.nodeId === self.nodeId || !isPeer(theirs.nodeId)) return 'unknownPeer';
  return null;
}

/** The dialing side's verdict on the answer, in words; null when the link may be used. */
export function problemOf(theirs: Hello, self: Self, peer: NodeId): string | null {
  const mine = hello(self, theirs);
  if (theirs.refusal === 'version' || agreeOnVersion(theirs, mine) === null) {
    return `it speaks wire versions ${range(theirs)}, this node ${range(mine)}: upgrade the older one`;
  }
  if (theirs.clusterId !== self.clusterId) {
    return `it belongs to cluster ${theirs.clusterId}, this node to cluster ${self.clusterId}`;
  }
  if (theirs.nodeId === self.nodeId) {
    return `that address is this node itself, or another node with the same id ${self.nodeId}`;
  }
  if (theirs.nodeId !== peer) return `that address is node ${theirs.nodeId}, not node ${peer}`;
  switch (theirs.refusal) {
    case null:
      return null;
    case 'unknownPeer':
      return `node ${peer} does not know node ${self.nodeId} as a member of its cluster`;
    case 'busy':
      return 'it is busy with too many new connections';
    default:
      return `it refuses this node (${theirs.refusal})`;
  }
}

/** What the answering side writes into its own log about a dialer that it refused. */
export function describeRefusal(theirs: Hello, self: Self, refusal: HelloRefusal): string {
  const who = `node ${theirs.nodeId} of cluster ${theirs.clusterId}`;
  switch (refusal) {
    case 'version':
      return `${who} speaks wire versions ${range(theirs)}, not ${range(hello(self, theirs))}`;
    case 'cluster':
      return `${who} tried to join a link; this node belongs to cluster ${self.clusterId}`;
    case 'notMe':
      return `${who} looks for node ${theirs.expected} here, but this is node ${self.nodeId}`;
    case 'unknownPeer':
      return `${who} is not a known member`;
    case 'busy':
      return `${who} came while too many connections were new`;
  }
}

function range(versions: Pick<Hello, 'versionMin' | 'versionMax'>): string {
  return `${versions.versionMin}-${versions.versionMax}`;
}

/** Gathers the fixed-size hello from the first chunks; what follows it is handed back. */
export class HelloReader {
  readonly #bytes: Uint8Array;
  #held = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
  }

  /** Null while incomplete; else the hello's bytes and the rest of the chunk. */
  push(chunk: Uint8Array): { readonly hello: Uint8Array; readonly rest: Uint8Array } | null {
    const taken = Math.min(chunk.length, this.#bytes.length - this.#held);
    this.#bytes.set(chunk.subarray(0, taken), this.#held);
    this.#held += taken;
    if (this.#held < this.#bytes.length) return null;
    return { hello: this.#bytes, rest: chunk.subarray(taken) };
  }
}

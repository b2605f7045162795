// Proposals between propose() and the core: gathered over a turn, handed in as batches at its end,
// held back while the leader is out of reach.

import type { Input } from '../raft/io.ts';
import type { ConfigChange, LogIndex, NodeId, Proposal } from '../raft/types.ts';
import { NO_NODE } from '../raft/types.ts';
import type { Clock } from './clock.ts';
import type { Core, ProposalSink } from './driver-types.ts';
import { KontikiError } from './errors.ts';
import { type Batch, createBatch, type Payload, type ProposalTracker } from './proposals.ts';

/** One batch is forwarded as one message. */
const BATCH_PROPOSALS_MAX = 4096;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

export class Intake {
  readonly #core: Core;
  readonly #tracker: ProposalTracker;
  readonly #clock: Clock;
  readonly #entryBytesMax: number;
  #proposals: Proposal[] = [];
  #sinks: ProposalSink[] = [];
  #bytes = 0;
  /** Full batches of this turn, and membership changes, in order. */
  #handIns: Batch[] = [];
  #nextBatch: number;
  /** Peers that could not be reached lately and have not been heard since. */
  readonly #down = new Set<NodeId>();
  #retryParked = false;

  /** @param firstBatch random, so that no answer to an earlier run of this node fits a batch. */
  constructor(
    parts: {
      readonly core: Core;
      readonly tracker: ProposalTracker;
      readonly clock: Clock;
      readonly entryBytesMax: number;
    },
    firstBatch: number,
  ) {
    this.#core = parts.core;
    this.#tracker = parts.tracker;
    this.#clock = parts.clock;
    this.#entryBytesMax = parts.entryBytesMax;
    this.#nextBatch = firstBatch;
  }

  propose(proposal: Proposal, sink: ProposalSink): void {
    const { length } = proposal.data;
    if (!this.#admit(length, sink)) return;
    this.#proposals.push(proposal);
    this.#sinks.push(sink);
    this.#bytes += length;
    const full = this.#proposals.length === BATCH_PROPOSALS_MAX;
    if (full || this.#bytes >= BATCH_BYTES_MAX) this.#cutBatch();
  }

  changeMembership(
    changes: readonly ConfigChange[],
    data: Uint8Array,
    expectedConfigIndex: LogIndex,
    sink: ProposalSink,
  ): void {
    if (!this.#admit(data.length, sink)) return;
    this.#cutBatch();
    const change = { changes, data, expectedConfigIndex };
    this.#add({ kind: 'changeMembership', ...change }, [sink], data.length);
  }

  /** At the end of a turn: the core gets what was gathered. */
  handIn(): void {
    this.#cutBatch();
    if (this.#retryParked) this.#takeParked();
    if (this.#handIns.length === 0) return;
    const { leader } = this.#core;
    // One by one: should the core fail, failAll() still finds those that were not handed in.
    for (let batch = this.#handIns.shift(); batch !== undefined; batch = this.#handIns.shift()) {
      // Handed to a leader out of reach it would be lost, and its outcome unknown.
      if (this.#down.has(leader)) {
        this.#tracker.park(batch);
        continue;
      }
      this.#tracker.add(batch, leader);
      this.#core.step(inputOf(batch));
    }
  }

  /** What was refused for want of a leader is proposed again in this turn. */
  tick(): void {
    this.#retryParked = this.#tracker.hasParked;
  }

  /** Something is to be handed in at the end of the turn. */
  get hasWork(): boolean {
    return this.#retryParked || this.#proposals.length > 0 || this.#handIns.length > 0;
  }

  linkDown(peer: NodeId): void {
    this.#down.add(peer);
    this.#tracker.linkLost(peer);
  }

  heard(peer: NodeId): void {
    if (this.#down.size > 0) this.#down.delete(peer);
  }

  failAll(error: KontikiError): void {
    this.#cutBatch();
    const handIns = this.#handIns;
    this.#handIns = [];
    for (const batch of handIns) this.#tracker.failUnsent(batch, error);
  }

  #admit(bytes: number, sink: ProposalSink): boolean {
    if (bytes > this.#entryBytesMax) {
      const text = `the command has ${bytes} bytes, the largest may have ${this.#entryBytesMax}.`;
      sink.failed(new KontikiError('TOO_LARGE', 'not-applied', `${text} Split it.`));
      return false;
    }
    if (this.#tracker.reserve(bytes)) return true;
    sink.failed(overloaded('commands'));
    return false;
  }

  #takeParked(): void {
    this.#retryParked = false;
    const { leader } = this.#core;
    if (leader === NO_NODE || this.#down.has(leader)) return;
    for (const batch of this.#tracker.takeParked()) {
      batch.number = this.#nextBatch++;
      this.#handIns.push(batch);
    }
  }

  /** What was gathered becomes a batch with one receipt. */
  #cutBatch(): void {
    if (this.#proposals.length === 0) return;
    this.#add({ kind: 'propose', proposals: this.#proposals }, this.#sinks, this.#bytes);
    this.#proposals = [];
    this.#sinks = [];
    this.#bytes = 0;
  }

  #add(payload: Payload, sinks: ProposalSink[], bytes: number): void {
    const now = this.#clock.now();
    this.#handIns.push(createBatch(this.#nextBatch++, now, payload, sinks, bytes));
  }
}

/** Where numbers begin that a node must not have used before it was started again. */
export function randomStart(random: () => number): number {
  return 1 + Math.floor(random() * 2 ** 40) * 2 ** 12;
}

/** What the core gets of a batch; its number changes when it is handed in again. */
function inputOf({ number: batch, payload }: Batch): Input {
  if (payload.kind === 'propose') return { kind: 'propose', batch, proposals: payload.proposals };
  const { kind, changes, data, expectedConfigIndex } = payload;
  return { kind, batch, changes, data, expectedConfigIndex };
}

export function overloaded(what: string): KontikiError {
  const text = `too many ${what} wait for an answer on this node. Try again after a short pause.`;
  return new KontikiError('OVERLOADED', 'not-applied', text);
}

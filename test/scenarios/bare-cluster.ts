// Cores and messages and nothing else, for searches that begin anew ten thousand times: no checks
// at each step, storage that confirms at once. test/support/core-cluster.ts is the one for the rest.

import { DEFAULTS } from '../../src/raft/config.ts';
import type { Input } from '../../src/raft/io.ts';
import type { Message } from '../../src/raft/messages.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { ConfigChange, Configuration, NodeId, Term } from '../../src/raft/types.ts';
import { NO_DATA, ORIGIN } from '../../src/raft/types.ts';

export interface BareNode {
  readonly id: NodeId;
  readonly raft: Raft;
  /** Terms of the committed entries, from index 1 on. */
  readonly applied: Term[];
  /** Why membership changes were refused. */
  readonly refusals: string[];
}

export class BareCluster {
  readonly nodes = new Map<NodeId, BareNode>();
  /** Under way, oldest first. */
  messages: Message[] = [];

  constructor(ids: readonly NodeId[], config: Configuration) {
    for (const id of ids) {
      const settings = { ...DEFAULTS, id, random: () => 0, preVote: false, checkQuorum: false };
      const hardState = { currentTerm: 0, votedFor: 0, commitIndex: 0 };
      const snapshot = { last: ORIGIN, config, configIndex: 0 };
      const raft = new Raft(settings, { hardState, snapshot, entries: [] }, 0);
      this.nodes.set(id, { id, raft, applied: [], refusals: [] });
    }
  }

  node(id: NodeId): BareNode {
    return this.nodes.get(id)!;
  }

  step(id: NodeId, input: Input): void {
    const node = this.node(id);
    node.raft.step(input);
    for (let ready = node.raft.ready(); ready !== null; ready = node.raft.ready()) {
      this.messages.push(...ready.messages, ...ready.afterPersist);
      for (const { refusal } of ready.receipts) if (refusal !== null) node.refusals.push(refusal);
      if (ready.mustPersist) node.raft.step({ kind: 'persisted', ready: ready.number });
      for (const { term } of ready.committed) node.applied.push(term);
      const last = ready.committed.at(-1);
      if (last !== undefined) node.raft.step({ kind: 'applied', index: last.index });
    }
  }

  campaign(id: NodeId): void {
    this.step(id, { kind: 'campaign' });
  }

  change(id: NodeId, change: ConfigChange): void {
    const rest = { batch: 1, data: NO_DATA, expectedConfigIndex: -1 };
    this.step(id, { kind: 'changeMembership', changes: [change], ...rest });
  }

  /** Delivers the message at this place of the list. */
  deliver(place: number): void {
    const message = this.messages.splice(place, 1)[0]!;
    if (this.nodes.has(message.to)) this.step(message.to, { kind: 'receive', message });
  }

  /** Delivers in order until none that fits is left. */
  deliverAll(fits: (m: Message) => boolean = () => true): void {
    for (let i = 0; i < 10_000; i++) {
      const place = this.messages.findIndex(fits);
      if (place === -1) return;
      this.deliver(place);
    }
    throw new Error('the messages never end');
  }
}

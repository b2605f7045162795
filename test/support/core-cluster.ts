// Several replicas of the core without driver, disk or clock: every message waits in a list until a
// test delivers it, storage confirms when it is told to. All state and transition invariants are
// checked after every step.

import assert from 'node:assert/strict';
import { expect } from 'vitest';
import { DEFAULTS, type RaftConfig } from '../../src/raft/config.ts';
import { checkState, checkTransition } from '../../src/raft/invariants.ts';
import type { Halt, Input, Ready } from '../../src/raft/io.ts';
import type { Message } from '../../src/raft/messages.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { RaftReport } from '../../src/raft/report.ts';
import type { TraceEvent } from '../../src/raft/trace.ts';
import {
  type Configuration,
  type Entry,
  type EntryKind,
  type HardState,
  NO_DATA,
  type NodeId,
  ORIGIN,
  type PersistentState,
  type SnapshotMeta,
} from '../../src/raft/types.ts';

export interface ClusterOptions extends Partial<Omit<RaftConfig, 'id' | 'random'>> {
  /** Storage confirms at once; false leaves it to persist(). */
  readonly autoPersist?: boolean;
  readonly configuration?: Configuration;
}

interface Stored {
  hardState: HardState;
  snapshot: SnapshotMeta;
  entries: Entry[];
}

export interface CoreNode {
  readonly id: NodeId;
  raft: Raft;
  stored: Stored;
  waiting: Ready[];
  applied: Entry[];
  receipts: Ready['receipts'][number][];
  reads: Ready['reads'][number][];
  snapshotReads: Ready['snapshotReads'][number][];
  snapshotWrites: Ready['snapshotWrites'][number][];
  trace: TraceEvent[];
  /** Why it does nothing any more. */
  halt: Halt | null;
  up: boolean;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function voters(...ids: NodeId[]): Configuration {
  return { voters: ids, outgoing: [], learners: [], learnersNext: [] };
}

export function entry(index: number, term: number, data = '', kind?: EntryKind): Entry {
  const chosen = kind ?? (data === '' ? 'noop' : 'command');
  return { index, term, kind: chosen, data: bytes(data), session: 0, sequence: 0, config: null };
}

/** A log written as the terms of its entries, as the paper's figures print it. */
export function logOf(...terms: number[]): Entry[] {
  return terms.map((term, i) => entry(i + 1, term, `${term}.${i + 1}`));
}

export class CoreCluster {
  readonly nodes = new Map<NodeId, CoreNode>();
  /** Sent and not delivered, oldest first. */
  messages: Message[] = [];
  readonly #options: ClusterOptions;
  /** Links that lose everything. */
  readonly #cut = new Set<string>();
  #batch = 0;
  #read = 0;

  constructor(ids: readonly NodeId[], options: ClusterOptions = {}) {
    this.#options = options;
    for (const id of ids) this.add(id, options.configuration ?? voters(...ids));
  }

  add(id: NodeId, config: Configuration, state: Partial<Stored> = {}): CoreNode {
    const stored: Stored = {
      hardState: { currentTerm: 0, votedFor: 0, commitIndex: 0 },
      snapshot: { last: ORIGIN, config, configIndex: 0 },
      entries: [],
      ...state,
    };
    const node: CoreNode = {
      id,
      raft: this.#start(id, stored),
      stored,
      waiting: [],
      applied: [],
      receipts: [],
      reads: [],
      snapshotReads: [],
      snapshotWrites: [],
      trace: [],
      halt: null,
      up: true,
    };
    node.raft.listener = event => node.trace.push(event);
    this.nodes.set(id, node);
    return node;
  }

  node(id: NodeId): CoreNode {
    return this.nodes.get(id)!;
  }

  report(id: NodeId): RaftReport {
    return this.node(id).raft.report();
  }

  /** Terms of the entries held, as the figures print them. */
  terms(id: NodeId): number[] {
    const { compacted, last } = this.report(id);
    const indexes = Array.from({ length: last.index - compacted.index }, (_, i) => i + 1);
    return indexes.map(i => this.node(id).raft.termAt(compacted.index + i)!);
  }

  step(id: NodeId, input: Input): void {
    const node = this.node(id);
    if (!node.up) return;
    const was = node.raft.report();
    node.raft.step(input);
    const now = node.raft.report();
    assert.deepEqual(checkState(now), []);
    assert.deepEqual(checkTransition(was, now), []);
    this.#drain(node);
  }

  tick(id: NodeId, count = 1): void {
    for (let i = 0; i < count; i++) this.step(id, { kind: 'tick' });
  }

  tickAll(count = 1): void {
    for (let i = 0; i < count; i++) for (const id of this.nodes.keys()) this.tick(id);
  }

  campaign(id: NodeId): void {
    this.step(id, { kind: 'campaign' });
  }

  /** Campaigns and delivers until nothing is under way; the node must have won. */
  elect(id: NodeId): void {
    this.campaign(id);
    this.deliverAll();
    assert.equal(this.report(id).role, 'leader');
  }

  propose(id: NodeId, ...commands: string[]): number {
    const batch = ++this.#batch;
    const proposals = commands.map(c => ({
      kind: 'command' as const,
      data: bytes(c),
      session: 0,
      sequence: 0,
    }));
    this.step(id, { kind: 'propose', batch, proposals });
    return batch;
  }

  read(id: NodeId): number {
    const read = ++this.#read;
    this.step(id, { kind: 'readIndex', read });
    return read;
  }

  change(
    id: NodeId,
    changes: Extract<Input, { kind: 'changeMembership' }>['changes'],
    expectedConfigIndex = -1,
  ): number {
    const batch = ++this.#batch;
    this.step(id, { kind: 'changeMembership', batch, changes, data: NO_DATA, expectedConfigIndex });
    return batch;
  }

  receipt(id: NodeId, batch: number) {
    return this.node(id).receipts.find(r => r.batch === batch);
  }

  readState(id: NodeId, read: number) {
    return this.node(id).reads.find(r => r.read === read);
  }

  cut(a: NodeId, b: NodeId, oneWay = false): void {
    this.#cut.add(`${a}>${b}`);
    if (!oneWay) this.#cut.add(`${b}>${a}`);
  }

  isolate(id: NodeId): void {
    for (const other of this.nodes.keys()) if (other !== id) this.cut(id, other);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Takes the messages that fit out of the list without delivering them. */
  take(fits: (m: Message) => boolean = () => true): Message[] {
    const taken = this.messages.filter(fits);
    this.messages = this.messages.filter(m => !fits(m));
    return taken;
  }

  deliver(message: Message): void {
    if (this.#cut.has(`${message.from}>${message.to}`)) return;
    if (this.nodes.has(message.to)) this.step(message.to, { kind: 'receive', message });
  }

  /** Delivers in order until no message that fits is left. */
  deliverAll(fits: (m: Message) => boolean = () => true): void {
    for (let i = 0; i < 100_000; i++) {
      const at = this.messages.findIndex(fits);
      if (at === -1) return;
      this.deliver(this.messages.splice(at, 1)[0]!);
    }
    assert.fail('the messages never end');
  }

  /** Ticks and delivers, as time passes in a healthy network. */
  run(ticks: number): void {
    for (let i = 0; i < ticks; i++) {
      this.tickAll();
      this.deliverAll();
    }
  }

  /** Storage confirms the oldest waiting Ready, or all of them. */
  persist(id: NodeId, all = true): void {
    const node = this.node(id);
    do {
      const ready = node.waiting.shift();
      if (ready === undefined) return;
      store(node.stored, ready);
      this.messages.push(...ready.afterPersist);
      this.step(id, { kind: 'persisted', ready: ready.number });
    } while (all);
  }

  /** What was not confirmed by storage is gone. */
  crash(id: NodeId): void {
    const node = this.node(id);
    node.up = false;
    node.waiting = [];
  }

  restart(id: NodeId): void {
    const node = this.node(id);
    node.raft = this.#start(id, node.stored);
    node.raft.listener = event => node.trace.push(event);
    node.applied = [];
    node.halt = null;
    node.up = true;
    this.#drain(node);
  }

  #start(id: NodeId, stored: Stored): Raft {
    const { autoPersist: _, configuration: __, ...settings } = this.#options;
    // No chance: node i times out i - 1 ticks after the minimum, so tests can tell who campaigns.
    const random = () => ((id - 1) % 10) / 10;
    const state: PersistentState = { ...stored, entries: [...stored.entries] };
    return new Raft({ ...DEFAULTS, ...settings, id, random }, state, stored.snapshot.last.index);
  }

  #drain(node: CoreNode): void {
    for (;;) {
      const { hasReady } = node.raft;
      const ready = node.raft.ready();
      if (ready === null) return;
      expect(hasReady, 'the core says that there is a Ready').toBe(true);
      node.halt ??= ready.halt;
      this.messages.push(...ready.messages);
      node.receipts.push(...ready.receipts);
      node.reads.push(...ready.reads);
      node.snapshotReads.push(...ready.snapshotReads);
      node.snapshotWrites.push(...ready.snapshotWrites);
      node.waiting.push(ready);
      this.#apply(node, ready);
      if (this.#options.autoPersist !== false) this.persist(node.id);
    }
  }

  #apply(node: CoreNode, ready: Ready): void {
    const restored = ready.snapshot?.last.index;
    if (restored !== undefined) this.step(node.id, { kind: 'applied', index: restored });
    if (ready.committed.length === 0) return;
    node.applied.push(...ready.committed);
    this.step(node.id, { kind: 'applied', index: ready.committed.at(-1)!.index });
  }
}

function store(stored: Stored, ready: Ready): void {
  if (ready.hardState !== null) stored.hardState = ready.hardState;
  if (ready.snapshot !== null) {
    stored.snapshot = ready.snapshot;
    stored.entries = [];
  }
  const first = ready.entries[0];
  if (first === undefined) return;
  stored.entries = stored.entries.filter(e => e.index < first.index).concat(ready.entries);
}

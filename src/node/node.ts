// One node of a replicated state machine, as an application holds it: typed commands in, results
// out. The driver below works on bytes and callbacks; here they become values and promises.

import type { ConfigChange, Configuration, Entry, LogIndex, NodeId } from '../raft/types.ts';
import type { LogStore } from '../storage/log-store.ts';
import type { PeerAddress, Transport } from '../transport/transport.ts';
import { AddressBook } from './address-book.ts';
import { type Change, ChangeStream } from './changes.ts';
import type { Clock } from './clock.ts';
import { Driver } from './driver.ts';
import type {
  DriverEvents,
  DriverOptions,
  DriverReport,
  ProposalSink,
  ReplyCodec,
} from './driver-types.ts';
import { KontikiError, messageOf } from './errors.ts';
import { SessionClient, type SessionOptions } from './session-client.ts';
import {
  type AnyStateMachine,
  type Codec,
  type Codecs,
  type CommandOf,
  jsonCodec,
  type ResultOf,
} from './state-machine.ts';
import { TypedMachine } from './typed-machine.ts';

/** A wish of a membership change. New nodes come with the address by which the others find them. */
export type MemberChange =
  | { readonly kind: 'addVoter' | 'addLearner'; readonly node: NodeId; readonly address?: string }
  | { readonly kind: 'remove'; readonly node: NodeId };

export interface LeaderChange {
  /** 0 while none is known. */
  readonly leader: NodeId;
  readonly term: number;
}

export interface NodeParts<M extends AnyStateMachine> {
  readonly machine: M;
  readonly codecs: Codecs<M>;
  readonly clock: Clock;
  readonly store: LogStore;
  readonly transport: Transport;
  readonly peers: readonly PeerAddress[];
  readonly driver: Pick<DriverOptions, 'raft' | 'tickMs' | 'limits' | 'initialConfig'>;
  readonly requestTimeoutMs: number;
  readonly log: NonNullable<DriverEvents['log']>;
}

const CHANGES_BUFFER_MAX = 1024;

export class KontikiNode<M extends AnyStateMachine> {
  readonly id: NodeId;
  /** Resolves after close(); rejects with the KontikiError that made the node fail. */
  readonly closed: Promise<void>;
  readonly #machine: TypedMachine<M>;
  /** The layer below: bytes and callbacks, for tools and tests. */
  readonly driver: Driver;
  readonly #clock: Clock;
  readonly #store: LogStore;
  readonly #transport: Transport;
  readonly #book: AddressBook;
  /** Until the start: they may hold addresses that the state does not yet. */
  #recovered: readonly Entry[];
  readonly #requestTimeoutMs: number;
  readonly #command: Codec<unknown>;
  readonly #streams = new Set<ChangeStream<Change<CommandOf<M>, ResultOf<M>>>>();
  readonly #leaderListeners = new Set<(change: LeaderChange) => void>();
  /** Membership changes that wait for the joint configuration to be left. */
  readonly #jointWaiters = new Set<PromiseSink<Configuration>>();

  constructor(parts: NodeParts<M>) {
    const { machine, codecs, clock, store, transport, driver } = parts;
    this.id = driver.raft.id;
    this.#clock = clock;
    this.#store = store;
    this.#transport = transport;
    this.#requestTimeoutMs = parts.requestTimeoutMs;
    this.#command = (codecs.command as Codec<unknown> | undefined) ?? jsonCodec;
    this.#machine = new TypedMachine(machine, codecs, { now: () => clock.now(), log: parts.log });
    this.#book = new AddressBook(this.id, transport, parts.peers);
    this.#recovered = store.recovered?.entries ?? [];
    const replies = ((codecs.result as Codec<unknown> | undefined) ?? jsonCodec) as ReplyCodec;
    const inner = { store, transport, clock, machine: this.#machine, replies };
    this.driver = new Driver({ ...driver, ...inner, events: this.#driverEvents(parts.log) });
    this.closed = this.driver.closed.then(error => {
      if (error !== null) throw error;
    });
    // Nobody has to wait for it: a failure also fails every call, and is logged.
    this.closed.catch(() => {});
  }

  /** Recovers and takes part. createNode() and devCluster() have called it already. */
  async start(): Promise<void> {
    await this.driver.start();
    this.#book.recall(this.#machine, this.#recovered);
    this.#recovered = [];
  }

  /** 0 while none is known. */
  get leader(): NodeId {
    return this.driver.leader;
  }

  get isLeader(): boolean {
    return this.driver.isLeader;
  }

  /**
   * Applies a command on every node and resolves to its result. Any node takes it and hands it to
   * the leader. Rejects with a KontikiError whose `outcome` is 'not-applied' (safe to try again) or
   * 'unknown' (it may take effect; use session() where repeating it would matter).
   */
  propose(command: CommandOf<M>): Promise<ResultOf<M>> {
    return this.#call(sink => this.driver.propose(this.#encode(command), sink));
  }

  /**
   * Linearizable: the query sees every command whose propose() has resolved, on any node, before
   * this call. It must not change the state, nor keep parts of it.
   */
  read<T>(query: (machine: M) => T): Promise<T> {
    return this.#call(sink => {
      const ready = () => {
        try {
          sink.applied(query(this.#machine.user), 0, 0);
        } catch (error) {
          sink.rejected(error);
        }
      };
      this.driver.read({ ready, failed: error => sink.failed(error) });
    });
  }

  /** What this node has applied so far: at once, without the others, perhaps out of date. */
  localRead<T>(query: (machine: M) => T): T {
    return query(this.#machine.user);
  }

  /** A client identity whose commands are applied exactly once, however often they are repeated. */
  session(options: SessionOptions = {}): SessionClient<CommandOf<M>, ResultOf<M>> {
    const encode = (command: CommandOf<M>) => this.#encode(command);
    return new SessionClient(this.driver, this.#clock, encode, options);
  }

  /** The commands applied on this node from now on. Ends with the node, or with READER_TOO_SLOW. */
  changes(
    options: { readonly bufferMax?: number } = {},
  ): AsyncIterableIterator<Change<CommandOf<M>, ResultOf<M>>, undefined> {
    const stream = new ChangeStream<Change<CommandOf<M>, ResultOf<M>>>(
      options.bufferMax ?? CHANGES_BUFFER_MAX,
      ended => this.#streams.delete(ended),
    );
    this.#streams.add(stream);
    return stream;
  }

  report(): DriverReport {
    return this.driver.report();
  }

  /** Calls back at every change of leadership; returns the function that ends it. */
  onLeaderChange(listener: (change: LeaderChange) => void): () => void {
    this.#leaderListeners.add(listener);
    return () => this.#leaderListeners.delete(listener);
  }

  /** Resolves once `to` leads. Ask the leader. */
  async transferLeadership(to: NodeId): Promise<void> {
    await this.#call<void>(sink => {
      const ready = () => sink.applied(undefined, 0, 0);
      this.driver.transferLeadership(to, { ready, failed: error => sink.failed(error) });
    });
  }

  /**
   * Resolves to the new configuration once it is in force. It replaces the one that report() shows
   * now; if another change comes first, it rejects with MEMBERSHIP_CONFLICT.
   */
  async changeMembership(changes: readonly MemberChange[]): Promise<Configuration> {
    const plain = changes.map(({ kind, node }): ConfigChange => ({ kind, node }));
    const data = this.#book.with(changes);
    const { configIndex } = this.report().raft;
    const config = await this.#call<Configuration>(sink =>
      this.driver.changeMembership(plain, data, configIndex, sink),
    );
    return config.outgoing.length === 0 ? config : this.#leaveJoint();
  }

  /** Stops taking part; waiting calls fail as STOPPED. Resolves when nothing is left open. */
  async close(): Promise<void> {
    await this.driver.stop();
  }

  /** Ends as a crash would: nothing more is sent or written. For tests. */
  async kill(): Promise<void> {
    this.driver.kill();
    await this.#transport.close();
    await this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #encode(command: CommandOf<M>): Uint8Array {
    try {
      return this.#command.encode(command);
    } catch (error) {
      const text = `the command can't be encoded: ${messageOf(error)}.`;
      throw new KontikiError('INVALID_COMMAND', 'not-applied', text, { cause: error });
    }
  }

  #call<T>(run: (sink: PromiseSink<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => run(new PromiseSink(resolve, reject)));
  }

  #leaveJoint(): Promise<Configuration> {
    return new Promise((resolve, reject) => {
      const sink = new PromiseSink<Configuration>(resolve, reject);
      this.#jointWaiters.add(sink);
      this.#clock.after(this.#requestTimeoutMs, () => {
        if (!this.#jointWaiters.delete(sink)) return;
        const text = 'the change is committed, but its second half was not in time. It goes on';
        sink.failed(new KontikiError('TIMEOUT', 'unknown', `${text} by itself: see report().`));
      });
    });
  }

  #driverEvents(log: NonNullable<DriverEvents['log']>): DriverEvents {
    return {
      log,
      leaderChanged: (leader, term) => {
        for (const listener of [...this.#leaderListeners]) {
          try {
            listener({ leader, term });
          } catch (error) {
            log('error', `a listener of onLeaderChange() threw: ${messageOf(error)}`);
          }
        }
      },
      configAppended: entry => this.#book.learn(entry),
      configApplied: entry => this.#configApplied(entry),
      applied: (commands, results) => this.#publish(commands, results),
      restored: meta => {
        this.#book.recall(this.#machine, []);
        for (const stream of [...this.#streams]) stream.fail(skipped(meta.last.index));
      },
      stopped: error => this.#stopped(error),
    };
  }

  #configApplied({ config }: Entry): void {
    if (config === null || config.outgoing.length > 0) return;
    for (const sink of this.#jointWaiters) sink.applied(config, 0, 0);
    this.#jointWaiters.clear();
  }

  #publish(commands: readonly Entry[], results: readonly unknown[]): void {
    if (this.#streams.size === 0) return;
    for (let i = 0; i < commands.length; i++) {
      const { index, term, data } = commands[i]!;
      const command = this.#command.decode(data) as CommandOf<M>;
      const change = { index, term, command, result: results[i] as ResultOf<M> };
      for (const stream of [...this.#streams]) stream.push(change);
    }
  }

  #stopped(error: KontikiError | null): void {
    for (const stream of [...this.#streams]) {
      if (error === null) stream.finish();
      else stream.fail(error);
    }
    const reason = error ?? new KontikiError('STOPPED', 'unknown', 'the node was stopped.');
    for (const sink of this.#jointWaiters) sink.failed(reason);
    this.#jointWaiters.clear();
  }
}

class PromiseSink<T> implements ProposalSink {
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;

  constructor(resolve: (value: T) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  applied(result: unknown, _index: LogIndex, _term: number): void {
    this.#resolve(result as T);
  }

  failed(error: KontikiError): void {
    this.#reject(error);
  }

  rejected(error: unknown): void {
    this.#reject(error);
  }
}

function skipped(index: LogIndex): KontikiError {
  const text = `the node took over a snapshot at index ${index}; changes before it were not seen.`;
  const next = 'Read the state anew, then begin a new stream.';
  return new KontikiError('READER_TOO_SLOW', 'not-applied', `${text} ${next}`);
}

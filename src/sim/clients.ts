// Closed-loop clients: each calls one thing after the other, on whatever node it has in mind, waits
// for the answer for a while, and tries elsewhere when it may. With a session it repeats a command
// until it knows; without one, an answer that does not come leaves the outcome unknown for ever.

import type { ProposalSink, ReadSink } from '../node/driver-types.ts';
import type { KontikiError } from '../node/errors.ts';
import type { LogIndex } from '../raft/types.ts';
import type { AppliedTable } from './applied.ts';
import type { Cluster } from './cluster.ts';
import type { Judge } from './judge.ts';
import type { Member } from './member.ts';
import { Prng } from './prng.ts';
import type { Plan } from './types.ts';
import type { Operation, Workload } from './workload.ts';
import type { World } from './world.ts';

export interface ClientParts {
  readonly world: World;
  readonly seed: number;
  readonly plan: Plan;
  readonly judge: Judge;
  readonly cluster: Cluster;
  readonly applied: AppliedTable;
  readonly workload: Workload;
  /** All others are left out; null leaves out none. */
  readonly only: ReadonlySet<number> | null;
}

export interface ClientCounts {
  operations: number;
  acknowledged: number;
  failed: number;
  unknown: number;
}

const RETRY_US = 50_000;
const ATTEMPTS_MAX = 40;
const SWEEP_US = 250_000;
const NOBODY: ProposalSink = { applied() {}, failed() {} };

export class Clients {
  readonly counts: ClientCounts = { operations: 0, acknowledged: 0, failed: 0, unknown: 0 };
  /** The numbers of the operations that were called. */
  readonly called: number[] = [];
  stopped = false;
  readonly #parts: ClientParts;
  readonly #clients: Client[] = [];
  #nextOperation = 1;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    for (let id = 1; id <= parts.plan.clients; id++) {
      this.#clients.push(new Client(this, parts, id));
    }
  }

  start(): void {
    for (const client of this.#clients) client.start();
    this.#sweepLater();
  }

  /** No new operations; those under way may end. */
  stop(): void {
    this.stopped = true;
  }

  takeNumber(): number {
    return this.#nextOperation++;
  }

  /** Many commands at once, whose answers nobody waits for. */
  flood({ driver, incarnation }: Member, count: number, chance: Prng): void {
    const { workload } = this.#parts;
    for (let i = 0; i < count && driver !== null; i++) {
      const operation = workload.next(this.takeNumber(), 0, chance);
      if (operation.isRead) continue;
      workload.unknown(workload.called(-operation.number, operation));
      incarnation!.process.enter(() => driver.propose(operation.data, NOBODY));
    }
  }

  #sweepLater(): void {
    this.#parts.world.after(SWEEP_US, 'check', null, () => {
      for (const client of this.#clients) client.expire();
      this.#sweepLater();
    });
  }
}

class Client {
  readonly id: number;
  readonly #all: Clients;
  readonly #parts: ClientParts;
  readonly #chance: Prng;
  readonly #usesSession: boolean;
  #session = 0;
  #sequence = 0;
  /** Where it got an answer last time. */
  #favourite: Member | null = null;
  #current: Call | null = null;
  #begunAt = 0;

  constructor(all: Clients, parts: ClientParts, id: number) {
    this.id = id;
    this.#all = all;
    this.#parts = parts;
    this.#chance = Prng.stream(parts.seed, 'client', id);
    this.#usesSession = this.#chance.chance(parts.plan.sessionShare);
  }

  /** The next call comes at its time, or when the last one has ended. */
  start(): void {
    const at = this.#begunAt + this.#pauseUs();
    this.#later(Math.max(0, at - this.#parts.world.now), () => this.#begin());
  }

  /** Gives up what has taken too long. */
  expire(): void {
    const call = this.#current;
    if (call !== null && this.#parts.world.now >= call.deadline) this.#giveUp(call);
  }

  /** The answer to an attempt. */
  answered(attempt: Attempt, result: unknown, index: LogIndex): void {
    const { call } = attempt;
    const { applied, workload } = this.#parts;
    if (call.isDone) return;
    if (call.operation === null) {
      this.#session = result as number;
      this.#sequence = 0;
      return this.#end(call);
    }
    applied.acknowledged = Math.max(applied.acknowledged, index);
    this.#all.counts.acknowledged += 1;
    if (call.history >= 0) workload.ok(call.history, result);
    this.#end(call);
  }

  readReady(attempt: Attempt): void {
    const { call, member, atLeast } = attempt;
    const { machine, driver } = member;
    if (call.isDone || machine === null || driver === null) return;
    const { judge, workload } = this.#parts;
    judge.check('A-22', member.id, driver.appliedIndex >= atLeast, () => {
      const text = `a read on node ${member.id} is answered at entry ${driver.appliedIndex}`;
      return `${text}, although entry ${atLeast} was acknowledged before it began`;
    });
    this.#all.counts.acknowledged += 1;
    workload.ok(call.history, workload.read(machine, call.operation!));
    this.#end(call);
  }

  refused(attempt: Attempt, error: KontikiError): void {
    const { call } = attempt;
    const { operation } = call;
    if (error.outcome !== 'not-applied') call.mayHaveEffect = true;
    call.reason = error.message;
    if (call.isDone) return;
    this.#favourite = null;
    if (error.code === 'SESSION_EXPIRED' || error.code === 'SEQUENCE_TOO_OLD') {
      this.#session = 0;
      return this.#giveUp(call);
    }
    const repeatable = operation === null || operation.isRead || call.session !== 0;
    if (repeatable && call.attempts < ATTEMPTS_MAX) {
      this.#later(this.#retryUs(call), () => this.#attempt(call));
      return;
    }
    this.#giveUp(call);
  }

  // -------------------------------------------------------------------------- operations

  #begin(): void {
    if (this.#all.stopped) return;
    this.#begunAt = this.#parts.world.now;
    if (this.#usesSession && this.#session === 0) {
      this.#attempt(this.#open(null, 0, 0));
      return;
    }
    const { workload, only, seed } = this.#parts;
    const number = this.#all.takeNumber();
    const operation = workload.next(number, this.id, Prng.stream(seed, 'operation', number));
    if (only !== null && !only.has(number)) return this.start();
    const inSession = this.#session !== 0 && !operation.isRead;
    if (inSession) this.#sequence += 1;
    this.#all.counts.operations += 1;
    this.#all.called.push(number);
    const history = workload.called(this.id, operation);
    this.#attempt(this.#open(operation, inSession ? this.#sequence : 0, history));
  }

  #open(operation: Operation | null, sequence: number, history: number): Call {
    const { world, plan } = this.#parts;
    const deadline = world.now + plan.clientTimeoutMs * 1000;
    const session = sequence === 0 ? 0 : this.#session;
    const call = new Call(operation, { history, session, sequence, deadline });
    this.#current = call;
    return call;
  }

  #attempt(call: Call): void {
    if (call.isDone || this.#current !== call) return;
    const member = this.#choose();
    if (member?.driver == null) {
      this.#later(RETRY_US, () => this.#attempt(call));
      return;
    }
    const { driver, incarnation } = member;
    const { operation } = call;
    this.#favourite = member;
    call.attempts += 1;
    const attempt = new Attempt(this, call, member, this.#parts.applied.acknowledged);
    incarnation!.process.enter(() => {
      if (operation === null) driver.openSession(attempt);
      else if (operation.isRead) driver.read(attempt);
      else if (call.session === 0) driver.propose(operation.data, attempt);
      else driver.proposeInSession(call.session, call.sequence, operation.data, attempt);
    });
  }

  #choose(): Member | null {
    const { cluster } = this.#parts;
    if (this.#favourite?.driver != null && this.#chance.chance(0.9)) return this.#favourite;
    const running = cluster.running();
    if (running.length === 0) return null;
    const any = this.#chance.pick(running);
    if (this.#chance.chance(0.3)) return any;
    return cluster.member(any.driver?.leader ?? 0) ?? any;
  }

  #giveUp(call: Call): void {
    const { workload, applied } = this.#parts;
    if (call.isDone) return;
    // Without any attempt that could have had an effect, it certainly had none.
    const failed = call.operation?.isRead === true || call.attempts === 0 || call.isHarmless;
    if (call.operation !== null) {
      if (failed) {
        this.#all.counts.failed += 1;
        workload.failed(call.history);
        if (!call.operation.isRead) applied.refused(call.operation.number, call.reason);
      } else {
        this.#all.counts.unknown += 1;
        workload.unknown(call.history);
      }
    }
    // The command may still be in some queue: its number must not be used for another.
    if (call.session !== 0 && !failed) this.#session = 0;
    this.#end(call);
  }

  #end(call: Call): void {
    call.isDone = true;
    if (this.#current !== call) return;
    this.#current = null;
    this.start();
  }

  /** From one call to the next. */
  #pauseUs(): number {
    const { clients, operationsPerSecond } = this.#parts.plan;
    const mean = (clients * 1e6) / operationsPerSecond;
    return mean * (0.5 + this.#chance.float());
  }

  #retryUs(call: Call): number {
    return RETRY_US * Math.min(8, call.attempts) * (0.5 + this.#chance.float());
  }

  #later(us: number, run: () => void): void {
    this.#parts.world.after(us, 'client', null, run);
  }
}

/** One operation of a client, over all its attempts; without an operation it opens a session. */
class Call {
  readonly operation: Operation | null;
  readonly history: number;
  readonly session: number;
  readonly sequence: number;
  readonly deadline: number;
  attempts = 0;
  isDone = false;
  /** Some attempt ended without a definite answer. */
  mayHaveEffect = false;
  /** Attempts that were answered, definitely or not. */
  answers = 0;
  /** Of the last refusal. */
  reason = 'it was never sent';

  constructor(
    operation: Operation | null,
    rest: { history: number; session: number; sequence: number; deadline: number },
  ) {
    this.operation = operation;
    this.history = rest.history;
    this.session = rest.session;
    this.sequence = rest.sequence;
    this.deadline = rest.deadline;
  }

  /** All attempts were refused for certain. */
  get isHarmless(): boolean {
    return !this.mayHaveEffect && this.answers === this.attempts;
  }
}

/** One try on one node. */
class Attempt implements ProposalSink, ReadSink {
  readonly call: Call;
  readonly member: Member;
  /** What was acknowledged to anybody before it began. */
  readonly atLeast: LogIndex;
  readonly #client: Client;
  #answered = false;

  constructor(client: Client, call: Call, member: Member, atLeast: LogIndex) {
    this.#client = client;
    this.call = call;
    this.member = member;
    this.atLeast = atLeast;
  }

  applied(result: unknown, index: LogIndex): void {
    if (this.#answer()) this.#client.answered(this, result, index);
  }

  ready(): void {
    if (this.#answer()) this.#client.readReady(this);
  }

  failed(error: KontikiError): void {
    if (this.#answer()) this.#client.refused(this, error);
  }

  #answer(): boolean {
    if (this.#answered) throw new Error('a driver answered one call twice');
    this.#answered = true;
    this.call.answers += 1;
    return true;
  }
}

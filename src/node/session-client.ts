// The client's side of a session (dissertation §6.3): numbers its commands and repeats them until
// they are answered, which is safe because the log applies each number once.

import type { SessionId } from '../raft/types.ts';
import type { Clock } from './clock.ts';
import type { ProposalSink } from './driver-types.ts';
import { type ErrorCode, KontikiError } from './errors.ts';
import { SESSION_WINDOW } from './sessions.ts';

export interface SessionOptions {
  /** How long a command is repeated. */
  readonly timeoutMs?: number;
}

/** Who takes a session's commands: a driver, or a choice of several. The session itself is theirs. */
export interface SessionTarget {
  openSession(sink: ProposalSink): void;
  proposeInSession(
    session: SessionId,
    sequence: number,
    data: Uint8Array,
    sink: ProposalSink,
  ): void;
  closeSession(session: SessionId, sink: ProposalSink): void;
}

const TIMEOUT_MS = 30_000;
const RETRY_MS = 50;
const WAITING_MAX = 10_000;
/** Worth another attempt under the same number. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TIMEOUT',
  'LEADER_CHANGED',
  'RESULT_LOST',
  'NO_LEADER',
  'NOT_LEADER',
  'OVERLOADED',
  'TRANSFER_IN_PROGRESS',
]);

export class SessionClient<Command, Result> {
  readonly #target: SessionTarget;
  readonly #clock: Clock;
  readonly #encode: (command: Command) => Uint8Array;
  readonly #timeoutMs: number;
  #id: Promise<SessionId> | null = null;
  #lastSequence = 0;
  /** Sequence numbers without an answer, in order: the window begins at the first. */
  readonly #open = new Set<number>();
  /** Commands that wait for the window to move on. */
  #waiting: Attempts<Result>[] = [];
  #closed = false;

  constructor(
    target: SessionTarget,
    clock: Clock,
    encode: (command: Command) => Uint8Array,
    options: SessionOptions = {},
  ) {
    this.#target = target;
    this.#clock = clock;
    this.#encode = encode;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Applied exactly once when it resolves, at most once when it rejects. Up to 8 commands are under
   * way at a time; they may take effect in another order than they were proposed in. Rejects with a
   * KontikiError, whose outcome speaks for all attempts together.
   */
  async propose(command: Command): Promise<Result> {
    if (this.#closed) throw closedError();
    if (this.#waiting.length >= WAITING_MAX) throw waitingError();
    const data = this.#encode(command);
    const deadline = this.#clock.now() + this.#timeoutMs;
    this.#id ??= this.#openSession(deadline);
    const session = await this.#id;
    return new Promise((resolve, reject) => {
      const context = { target: this.#target, clock: this.#clock, session, deadline };
      const settled = (sequence: number) => this.#settled(sequence);
      const sequence = ++this.#lastSequence;
      this.#waiting.push(new Attempts(context, sequence, data, { resolve, reject, settled }));
      this.#begin();
    });
  }

  /** Lets the cluster forget the session. Commands under way are not waited for. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#id === null) return;
    const session = await this.#id;
    await new Promise<void>((resolve, reject) => {
      this.#target.closeSession(session, { applied: () => resolve(), failed: reject });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A session that can't be closed is evicted in the end.
    await this.close().catch(() => {});
  }

  #begin(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const [lowest = next.sequence] = this.#open;
      if (next.sequence >= lowest + SESSION_WINDOW) return;
      this.#waiting.shift();
      this.#open.add(next.sequence);
      next.attempt();
    }
  }

  #settled(sequence: number): void {
    this.#open.delete(sequence);
    this.#begin();
  }

  /** A lost answer leaves a session that nobody uses; it is evicted in the end. */
  async #openSession(deadline: number): Promise<SessionId> {
    for (;;) {
      try {
        return await new Promise<SessionId>((resolve, reject) => {
          const applied = (id: unknown) => resolve(id as SessionId);
          this.#target.openSession({ applied, failed: reject });
        });
      } catch (error) {
        const passing = error instanceof KontikiError && PASSING.has(error.code);
        if (!passing || this.#clock.now() + RETRY_MS >= deadline) {
          this.#id = null;
          throw notOpened(error);
        }
        await new Promise<void>(resolve => this.#clock.after(RETRY_MS, resolve));
      }
    }
  }
}

interface AttemptContext {
  readonly target: SessionTarget;
  readonly clock: Clock;
  readonly session: SessionId;
  readonly deadline: number;
}

interface Settle<Result> {
  resolve(result: Result): void;
  reject(error: KontikiError): void;
  settled(sequence: number): void;
}

/** One command, proposed again and again under its number until it is answered. */
class Attempts<Result> implements ProposalSink {
  readonly sequence: number;
  readonly #context: AttemptContext;
  readonly #data: Uint8Array;
  readonly #settle: Settle<Result>;
  /** An earlier attempt may have been applied. */
  #uncertain = false;

  constructor(context: AttemptContext, sequence: number, data: Uint8Array, settle: Settle<Result>) {
    this.#context = context;
    this.sequence = sequence;
    this.#data = data;
    this.#settle = settle;
  }

  attempt(): void {
    const { target, session } = this.#context;
    target.proposeInSession(session, this.sequence, this.#data, this);
  }

  applied(result: unknown): void {
    this.#settle.settled(this.sequence);
    this.#settle.resolve(result as Result);
  }

  failed(error: KontikiError): void {
    if (error.outcome === 'unknown') this.#uncertain = true;
    const { clock, deadline } = this.#context;
    if (PASSING.has(error.code) && clock.now() + RETRY_MS < deadline) {
      clock.after(RETRY_MS, () => this.attempt());
      return;
    }
    this.#settle.settled(this.sequence);
    this.#settle.reject(this.#uncertain ? error.withOutcome('unknown') : error);
  }
}

function closedError(): KontikiError {
  return new KontikiError('STOPPED', 'not-applied', 'the session is closed. Open a new one.');
}

function waitingError(): KontikiError {
  const text = `more than ${WAITING_MAX} commands wait in this session. Wait for answers first.`;
  return new KontikiError('OVERLOADED', 'not-applied', text);
}

/** Without a session its commands were never proposed. */
function notOpened(error: unknown): KontikiError {
  if (error instanceof KontikiError) return error.withOutcome('not-applied');
  return new KontikiError('INTERNAL', 'not-applied', 'no session', { cause: error });
}

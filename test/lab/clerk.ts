// The labs' clerk: a client that repeats each operation until it is answered. Writes go through a
// production session, which makes the repeats harmless; gets are linearizable reads. Its calls cross
// the same network as those between servers.

import type { Clock } from '../../src/node/clock.ts';
import type { Driver } from '../../src/node/driver.ts';
import type { ProposalSink } from '../../src/node/driver-types.ts';
import { KontikiError } from '../../src/node/errors.ts';
import { SessionClient, type SessionTarget } from '../../src/node/session-client.ts';
import type { SessionId } from '../../src/raft/types.ts';
import { SimClock } from '../../src/sim/sim-clock.ts';
import { type LabCluster, type ProgramClock, wake } from './cluster.ts';
import { encodeKvCommand, type KvCommand, type KvMachine } from './kv-machine.ts';
import type { LabServer } from './server.ts';

/** A call to a server that is dead or out of reach fails after this, at most. */
const FAILURE_MS_MAX = 100;
const RETRY_MS = 50;
const ATTEMPTS_MAX = 10_000;
/** Longer than any lab test: a clerk never gives up. */
const FOR_EVER_MS = 3_600_000;

type Ask = (driver: Driver, server: LabServer, reply: Reply) => void;

/** What a call comes to, told to the clerk once. */
interface Reply {
  answer(result: unknown): void;
  fail(error: KontikiError): void;
}

export class Clerk {
  readonly #cluster: LabCluster;
  readonly #clock: ProgramClock;
  readonly #reaches: (server: LabServer) => boolean;
  readonly #session: SessionClient<KvCommand, null>;
  /** The server that answered last. */
  #server: number;

  constructor(
    cluster: LabCluster,
    clock: ProgramClock,
    reaches: (server: LabServer) => boolean = () => true,
  ) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#reaches = reaches;
    this.#server = cluster.below(cluster.servers.length);
    this.#session = new SessionClient(this.#target(), wakingClock(clock), encodeKvCommand, {
      timeoutMs: FOR_EVER_MS,
    });
  }

  async put(key: string, value: string): Promise<void> {
    await this.#session.propose({ op: 'put', key, value });
  }

  async append(key: string, value: string): Promise<void> {
    await this.#session.propose({ op: 'append', key, value });
  }

  async get(key: string): Promise<string> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const value = await this.#tryGet(key);
      if (value !== null) return value;
      await this.#clock.sleep(RETRY_MS);
    }
    throw new Error(`get(${key}) is never answered`);
  }

  #tryGet(key: string): Promise<string | null> {
    return new Promise(resolve => {
      const reply = {
        answer: (value: unknown) => resolve(value as string),
        fail: () => resolve(null),
      };
      this.#call(reply, (driver, server, back) => {
        const machine = server.machine as KvMachine;
        driver.read({ ready: () => back.answer(machine.get(key)), failed: e => back.fail(e) });
      });
    });
  }

  #target(): SessionTarget {
    const write = (sink: ProposalSink, ask: (driver: Driver, back: ProposalSink) => void) => {
      const reply = { answer: (r: unknown) => sink.applied(r, 0, 0), fail: sink.failed.bind(sink) };
      this.#call(reply, (driver, _server, back) => {
        ask(driver, { applied: result => back.answer(result), failed: e => back.fail(e) });
      });
    };
    return {
      openSession: sink => write(sink, (driver, back) => driver.openSession(back)),
      closeSession: (id, sink) => write(sink, (driver, back) => driver.closeSession(id, back)),
      proposeInSession: (id: SessionId, sequence, data, sink) =>
        write(sink, (driver, back) => driver.proposeInSession(id, sequence, data, back)),
    };
  }

  /** One call over the network. What is lost on the way is a timeout: nobody knows. */
  #call(reply: Reply, ask: Ask): void {
    const { network, world, servers } = this.#cluster;
    const { process } = this.#clock;
    const server = servers[this.#server]!;
    const fail = (error: KontikiError) => {
      const wait = this.#cluster.below(FAILURE_MS_MAX) * 1000;
      this.#server = (this.#server + 1) % servers.length;
      world.after(wait, 'client', process, () => wake(process, () => reply.fail(error)));
    };
    const answer = (result: unknown) => {
      const delay = network.delayOf('reply');
      if (delay === null || !this.#reaches(server)) return fail(lost());
      world.after(delay * 1000, 'client', process, () => wake(process, () => reply.answer(result)));
    };
    const delay = network.delayOf('request');
    if (delay === null) return fail(lost());
    world.after(delay * 1000, 'client', null, () => {
      const { driver } = server;
      if (driver === null || !this.#reaches(server)) return fail(lost());
      // A server that dies meanwhile answers nobody.
      const told = (e: KontikiError) => fail(e.code === 'STOPPED' ? lost() : e);
      server.process.enter(() => ask(driver, server, { answer, fail: told }));
    });
  }
}

function lost(): KontikiError {
  return new KontikiError('TIMEOUT', 'unknown', 'the call got no answer.');
}

/** Promises that wait for a timer of the session go on before time does. */
function wakingClock({ process }: ProgramClock): Clock {
  const clock = new SimClock(process, 0);
  return {
    now: () => clock.now(),
    after: (ms, fire) => clock.after(ms, () => wake(process, fire)),
    endOfTurn: run => clock.endOfTurn(run),
  };
}

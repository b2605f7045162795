// An operator's leadership transfer (dissertation §3.10), from the request to the new leader.

import type { NodeId } from '../raft/types.ts';
import type { Core, ReadSink } from './driver-types.ts';
import { KontikiError, refusalError } from './errors.ts';

export class Transfer {
  readonly #core: Core;
  readonly #timeoutMs: number;
  #current: { readonly to: NodeId; readonly sink: ReadSink; readonly until: number } | null = null;

  constructor(core: Core, timeoutMs: number) {
    this.#core = core;
    this.#timeoutMs = timeoutMs;
  }

  begin(to: NodeId, sink: ReadSink, now: number): void {
    if (this.#core.leader === to) return sink.ready();
    if (!this.#core.isLeader) return sink.failed(refusalError('notLeader'));
    if (this.#current !== null) return sink.failed(refusalError('transferring'));
    if (!this.#core.report().config.voters.includes(to)) {
      const text = `node ${to} is not a voter, so it can't lead. Choose one of the voters.`;
      return sink.failed(new KontikiError('TRANSFER_FAILED', 'not-applied', text));
    }
    this.#current = { to, sink, until: now + this.#timeoutMs };
    this.#core.step({ kind: 'transfer', to });
  }

  check(now: number): void {
    if (this.#current === null) return;
    const { to, sink, until } = this.#current;
    if (this.#core.leader === to) {
      this.#current = null;
      sink.ready();
    } else if (now >= until) {
      const text = `node ${to} did not take over in time. Is it running and up to date?`;
      this.fail(new KontikiError('TRANSFER_FAILED', 'unknown', text));
    }
  }

  fail(error: KontikiError): void {
    const current = this.#current;
    this.#current = null;
    current?.sink.failed(error);
  }
}

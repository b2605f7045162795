// Passes link events to the log at a bearable rate. A peer that is down fails a dial every second
// and a port scanner much more often: one line in five seconds tells the same.

import type { NodeId } from '../raft/types.ts';
import type { LinkEvent, LinkEventCode } from './transport.ts';

interface Last {
  atMs: number;
  suppressed: number;
}

/** Peers come and go; an outsider cannot add keys, because all unknown peers share NO_NODE. */
const KEYS_MAX = 1024;

export class EventLimiter {
  readonly #log: ((event: LinkEvent) => void) | undefined;
  readonly #now: () => number;
  readonly #intervalMs: number;
  readonly #last = new Map<string, Last>();

  constructor(
    log: ((event: LinkEvent) => void) | undefined,
    options: { readonly now: () => number; readonly intervalMs: number },
  ) {
    this.#log = log;
    this.#now = options.now;
    this.#intervalMs = options.intervalMs;
  }

  emit(code: LinkEventCode, peer: NodeId, message: string): void {
    if (this.#log === undefined) return;
    const key = `${code} ${peer}`;
    const last = this.#last.get(key);
    const now = this.#now();
    if (last !== undefined && now - last.atMs < this.#intervalMs) {
      last.suppressed += 1;
      return;
    }
    if (this.#last.size >= KEYS_MAX) this.#last.clear();
    this.#last.set(key, { atMs: now, suppressed: 0 });
    const more = last?.suppressed ? ` (${last.suppressed} more like this)` : '';
    this.#log({ code, peer, message: `${code} ${message}${more}` });
  }
}

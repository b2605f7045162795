// SIGTERM and SIGINT end a long-running command in order; the second one ends it at once.

import type { Logger } from '../etcd/logger.ts';

const SIGNALS = { SIGTERM: 15, SIGINT: 2 } as const;
type StopSignal = keyof typeof SIGNALS;

export class StopSignals {
  /** Resolves with the first signal. */
  readonly first: Promise<StopSignal>;
  readonly #logger: Logger;
  #resolve: (signal: StopSignal) => void = () => {};
  #isStopping = false;
  readonly #listeners = new Map<StopSignal, () => void>();

  constructor(logger: Logger) {
    this.#logger = logger;
    this.first = new Promise(resolve => {
      this.#resolve = resolve;
    });
    for (const signal of Object.keys(SIGNALS) as StopSignal[]) {
      const listener = () => this.#receive(signal);
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  close(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }

  #receive(signal: StopSignal): void {
    if (this.#isStopping) {
      this.#logger.warn('ended at once', { signal });
      process.exit(128 + SIGNALS[signal]);
    }
    this.#isStopping = true;
    this.#logger.info('stopping', { signal });
    this.#resolve(signal);
  }
}

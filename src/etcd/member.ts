// This member at run time, as the services see it: its node, its store, its answers, its settings.

import type { KvMachine } from '../kv/kv-machine.ts';
import type { Driver } from '../node/driver.ts';
import type { ServerConfig } from './config.ts';
import type { Logger } from './logger.ts';
import type { MemberTable } from './members.ts';
import type { Replies } from './replies.ts';

/** Records that an idle turn sweeps: about a millisecond. */
const SWEEP_RECORDS_PER_TURN = 150;
/** More than this waits for the disk before the sweep goes on. */
const SWEEP_BACKLOG_BYTES_MAX = 256 * 1024;
/** Measuring the database costs system calls; so much may come in between. */
const SIZE_MAX_AGE_MS = 200;

export interface MemberParts {
  readonly id: number;
  readonly clusterId: number;
  readonly config: ServerConfig;
  readonly kv: KvMachine;
  readonly driver: Driver;
  readonly members: MemberTable;
  readonly replies: Replies;
  readonly logger: Logger;
  /** Kept up to date by the node's events. */
  readonly counters: Readonly<{ leaderChanges: number }>;
}

export class Member {
  readonly id: number;
  readonly clusterId: number;
  readonly config: ServerConfig;
  readonly kv: KvMachine;
  readonly driver: Driver;
  readonly members: MemberTable;
  readonly replies: Replies;
  readonly logger: Logger;
  readonly counters: Readonly<{ leaderChanges: number }>;
  /** Set while the server is leaving: it answers what is under way and takes no part in balancing. */
  stopping = false;
  #sizeAt = Number.NEGATIVE_INFINITY;
  #size = { totalBytes: 0, inUseBytes: 0 };
  #whenSwept: (() => void)[] = [];
  #sweeping = false;
  /** The store is closed, or about to be: nobody may touch it from a turn of his own. */
  #closed = false;

  constructor(parts: MemberParts) {
    this.id = parts.id;
    this.clusterId = parts.clusterId;
    this.config = parts.config;
    this.kv = parts.kv;
    this.driver = parts.driver;
    this.members = parts.members;
    this.replies = parts.replies;
    this.logger = parts.logger;
    this.counters = parts.counters;
    void parts.driver.closed.then(() => {
      this.#closed = true;
    });
  }

  /** Bytes of the database, for the quota and Status. */
  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    const now = performance.now();
    if (now - this.#sizeAt > SIZE_MAX_AGE_MS) {
      this.#sizeAt = now;
      this.#size = this.kv.size();
    }
    return this.#size;
  }

  usedBytes(): number {
    return this.size().totalBytes;
  }

  /** Calls back once all that compaction has hidden is removed, from the disk too. */
  whenSwept(done: () => void): void {
    this.#whenSwept.push(done);
    if (this.#sweeping) return;
    this.#sweeping = true;
    setImmediate(() => this.#sweep());
  }

  #sweep(): void {
    if (this.#closed || this.stopping) return;
    let isSwept: boolean;
    try {
      isSwept = this.kv.sweep(SWEEP_RECORDS_PER_TURN);
    } catch (error) {
      // A store that has failed stops its node, and with it those who wait here.
      this.logger.warn('the sweep after a compaction ended', { error: String(error) });
      return;
    }
    if (!isSwept) return this.#sweepOn();
    this.#sweeping = false;
    const waiting = this.#whenSwept;
    this.#whenSwept = [];
    // A store that can no longer write stops the node by itself; nobody waits for it here.
    const settle = () => {
      for (const done of waiting) done();
    };
    this.kv.flush().then(settle, settle);
  }

  #sweepOn(): void {
    const next = () => this.#sweep();
    if (this.kv.backlogBytes <= SWEEP_BACKLOG_BYTES_MAX) setImmediate(next);
    else this.kv.flush().then(next, next);
  }
}

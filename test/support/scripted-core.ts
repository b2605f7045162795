// A core that decides nothing: tests put in what it shall say, and look at what it was told.

import type { Core } from '../../src/node/driver-types.ts';
import type { Input, Ready } from '../../src/raft/io.ts';
import type { AppendRequest } from '../../src/raft/messages.ts';
import type { RaftReport } from '../../src/raft/report.ts';
import type { Entry, LogIndex } from '../../src/raft/types.ts';
import { NO_DATA, ORIGIN } from '../../src/raft/types.ts';

const EMPTY: Omit<Ready, 'number'> = {
  hardState: null,
  entries: [],
  snapshotWrites: [],
  snapshot: null,
  messages: [],
  afterPersist: [],
  committed: [],
  receipts: [],
  reads: [],
  snapshotReads: [],
  mustPersist: false,
  halt: null,
};

export class ScriptedCore implements Core {
  leader = 1;
  isLeader = true;
  currentTerm = 1;
  readonly inputs: Input[] = [];
  /** Calls of ready(). */
  takes = 0;
  /** Answers a step by a Ready, if the test wants. */
  onStep: (input: Input) => void = () => {};
  #queue: Ready[] = [];
  #number = 0;

  step(input: Input): void {
    this.inputs.push(input);
    this.onStep(input);
  }

  get hasReady(): boolean {
    return this.#queue.length > 0;
  }

  ready(): Ready | null {
    this.takes += 1;
    return this.#queue.shift() ?? null;
  }

  /** Queues a Ready; mustPersist follows from its content. */
  say(part: Partial<Ready>): number {
    const persists = [part.hardState, part.snapshot].some(Boolean);
    const mustPersist = persists || (part.entries?.length ?? 0) > 0;
    this.#number += 1;
    this.#queue.push({ ...EMPTY, mustPersist, ...part, number: this.#number });
    return this.#number;
  }

  of<K extends Input['kind']>(kind: K): Extract<Input, { kind: K }>[] {
    return this.inputs.filter((input): input is Extract<Input, { kind: K }> => input.kind === kind);
  }

  report(): RaftReport {
    const config = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [] };
    return {
      id: 1,
      role: this.isLeader ? 'leader' : 'follower',
      currentTerm: 1,
      votedFor: 1,
      leader: this.leader,
      commitIndex: 0,
      appliedIndex: 0,
      stableIndex: 0,
      last: ORIGIN,
      compacted: ORIGIN,
      snapshotIndex: 0,
      config,
      configIndex: 0,
      uncommittedBytes: 0,
      pendingReads: 0,
      transferTarget: 0,
      progress: [],
    };
  }
}

export function command(index: LogIndex, text: string, term = 1): Entry {
  const data = new TextEncoder().encode(text);
  return { term, index, kind: 'command', data, session: 0, sequence: 0, config: null };
}

export function noop(index: LogIndex, term = 1): Entry {
  return { term, index, kind: 'noop', data: NO_DATA, session: 0, sequence: 0, config: null };
}

/** Told apart by `round`. */
export function message(round: number): AppendRequest {
  const rest = { term: 1, prev: ORIGIN, entries: [], leaderCommit: 0, acknowledged: 0 };
  return { kind: 'append', from: 1, to: 2, round, ...rest };
}

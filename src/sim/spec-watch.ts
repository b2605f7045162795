// The executable specification (check/raft-model.ts) beside a run: every step of every core, every
// write and every message is told to it, and the first step that it forbids breaks the property `spec`.

import { RaftModel } from '../check/raft-model.ts';
import type { RaftConfig } from '../raft/config.ts';
import type { Input } from '../raft/io.ts';
import type { Message } from '../raft/messages.ts';
import type { RaftReport } from '../raft/report.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type { Entry, LogIndex, NodeId, PersistentState } from '../raft/types.ts';
import type { LogBatch } from '../storage/log-store.ts';
import type { Judge } from './judge.ts';
import type { WatchableCore } from './watched.ts';

const NONE: readonly Entry[] = [];

export class SpecWatch {
  /** Steps that the specification has judged. */
  steps = 0;
  readonly #model: RaftModel;

  constructor(judge: Judge) {
    this.#model = new RaftModel(({ server, message }) => judge.fail('spec', server, message));
  }

  /** A core begins with what its storage recovered. */
  begins({ id, preVote }: RaftConfig, state: PersistentState, commitIndex: LogIndex): void {
    this.#model.restart(id, state, commitIndex, preVote);
  }

  step({ node, was, now, halt }: TraceEvent, input: Input, core: WatchableCore): void {
    this.steps += 1;
    const model = this.#model;
    if (input.kind === 'receive') {
      const { message } = input;
      if (halt !== null) return model.halt(node, message);
      // What a follower appends, the message says.
      const isAppend = message.kind === 'append';
      const grown = !isAppend && now.last.index > was.last.index;
      const appended = grown ? between(was.last.index, now.last.index, core) : NONE;
      model.receive(node, message, now, appended);
    } else if (input.kind === 'snapshotWritten' && input.done && input.ok) {
      model.installSnapshot(node, input.meta, now);
    } else {
      const grown = now.last.index > was.last.index;
      model.step(node, now, grown ? between(was.last.index, now.last.index, core) : NONE);
    }
  }

  /** Now and then: by what a server decides, and what a leader takes the others' logs for. */
  look({ id, config, progress }: RaftReport): void {
    this.#model.configuration(id, config);
    for (const peer of progress) this.#model.matchIndex(id, peer.id, peer.matchIndex);
  }

  /** What was durable after this entry is lost; the node starts again. */
  lost(node: NodeId, last: LogIndex): void {
    this.#model.lose(node, last);
  }

  handedOver(node: NodeId, batch: LogBatch): void {
    this.#model.write(node, batch);
  }

  durable(node: NodeId): void {
    this.#model.written(node);
  }

  sent(message: Message): void {
    this.#model.send(message);
  }

  applies(node: NodeId, entries: readonly Entry[]): void {
    if (entries.length > 0) this.#model.apply(node, entries[0]!.index, entries);
  }
}

function between(after: LogIndex, last: LogIndex, core: WatchableCore): Entry[] {
  const entries: Entry[] = [];
  for (let index = after + 1; index <= last; index++) {
    const entry = core.entryAt(index);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

// One batch of committed entries on its way into the state machine: which of them are commands to
// apply, what the sessions say to the others, and the bookkeeping that goes along.

import type { Entry, LogIndex } from '../raft/types.ts';
import type { ReplyCodec } from './driver-types.ts';
import { KontikiError } from './errors.ts';
import type { Bookkeeping } from './machine.ts';
import type { Refusal, SessionTable, Slot } from './sessions.ts';

/** Holds the data of the newest configuration entry that has any: the addresses of the nodes. */
export const CONFIG_DATA = 'config';

export class Slice implements Bookkeeping {
  readonly #sessions: SessionTable;
  readonly #replies: ReplyCodec | null;
  /** Null while the batch has nothing to do with sessions, which is the hot path. */
  verdicts: Map<LogIndex, Slot | Refusal> | null = null;
  commands: readonly Entry[] = [];
  #puts: Map<string, Uint8Array | null> | null = null;
  #sessionsTouched = false;
  #settled = false;

  constructor(sessions: SessionTable, replies: ReplyCodec | null) {
    this.#sessions = sessions;
    this.#replies = replies;
  }

  get puts(): ReadonlyMap<string, Uint8Array | null> {
    return this.#puts ?? NO_PUTS;
  }

  admit(entries: readonly Entry[]): void {
    if (isPlain(entries)) {
      this.commands = entries;
      return;
    }
    const commands: Entry[] = [];
    for (const entry of entries) {
      if (entry.kind === 'command') {
        if (entry.session === 0 || this.#admitToSession(entry)) commands.push(entry);
      } else if (entry.kind === 'openSession') {
        this.#sessionsTouched = true;
        this.#sessions.open(entry.index);
      } else if (entry.kind === 'closeSession') {
        this.#sessionsTouched = true;
        this.#sessions.close(entry.session);
      } else if (entry.kind === 'config' && entry.data.length > 0) {
        this.#put(CONFIG_DATA, entry.data);
      }
    }
    this.commands = commands;
  }

  /** A command that the machine gets in this batch. */
  isApplied(entry: Entry): boolean {
    if (entry.kind !== 'command') return false;
    if (entry.session === 0) return true;
    const verdict = this.verdicts?.get(entry.index);
    return typeof verdict === 'object' && verdict.index === entry.index;
  }

  settle(results: readonly unknown[]): void {
    if (this.#settled) return;
    this.#settled = true;
    if (!this.#sessionsTouched) return;
    if (this.verdicts !== null) this.#keepReplies(results, this.verdicts);
    this.#puts ??= new Map();
    this.#sessions.takeChanges(this.#puts);
  }

  checkSettled(): void {
    if (this.#settled || !this.#sessionsTouched) return;
    const text = 'the state machine did not call bookkeeping.settle(), so sessions would be lost.';
    throw new KontikiError('MACHINE_FAILED', 'unknown', text);
  }

  #put(name: string, value: Uint8Array): void {
    this.#puts ??= new Map();
    this.#puts.set(name, value);
  }

  #admitToSession(entry: Entry): boolean {
    if (this.#replies === null) {
      const text = 'a session command needs a reply codec on every node.';
      throw new KontikiError('MACHINE_FAILED', 'unknown', text);
    }
    const verdict = this.#sessions.admit(entry);
    this.verdicts ??= new Map();
    this.verdicts.set(entry.index, verdict);
    this.#sessionsTouched = true;
    return typeof verdict === 'object' && verdict.index === entry.index;
  }

  #keepReplies(results: readonly unknown[], verdicts: Map<LogIndex, Slot | Refusal>): void {
    for (let i = 0; i < this.commands.length; i++) {
      const entry = this.commands[i]!;
      if (entry.session === 0) continue;
      const slot = verdicts.get(entry.index) as Slot;
      slot.reply = this.#replies!.encode(results[i]);
    }
  }
}

const NO_PUTS: ReadonlyMap<string, Uint8Array | null> = new Map();

/** Commands without sessions only: the machine gets the very array that the core handed out. */
function isPlain(entries: readonly Entry[]): boolean {
  for (let i = 0; i < entries.length; i++) {
    const { kind, session } = entries[i]!;
    if (kind !== 'command' || session !== 0) return false;
  }
  return true;
}

/** What the proposer of an entry gets that no state machine answers. */
export function resultOf(entry: Entry): unknown {
  if (entry.kind === 'openSession') return entry.index;
  return entry.kind === 'config' ? entry.config : null;
}

export function sessionError(entry: Entry, refusal: Refusal): KontikiError {
  if (refusal === 'expired') {
    const text = `session ${entry.session} was closed, or evicted as the least recently used one.`;
    const next = 'This attempt was not applied. Open a new session.';
    return new KontikiError('SESSION_EXPIRED', 'not-applied', `${text} ${next}`);
  }
  const text = `command ${entry.sequence} is older than session ${entry.session} remembers.`;
  return new KontikiError('SEQUENCE_TOO_OLD', 'unknown', `${text} Don't repeat it any more.`);
}

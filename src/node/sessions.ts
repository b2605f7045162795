// Client sessions (dissertation §6.3): a command that is repeated because its answer got lost is
// applied once, and the repeat gets the first reply.
//
// The table is replicated state. It changes by log entries alone, one at a time, so every node has
// the same table at the same index however the log was cut into batches: which session is evicted
// depends on log indexes only, never on time, on bytes in memory or on who leads. It is kept among
// the machine's bookkeeping, atomic with the commands it speaks of.

import type { Entry, LogIndex, SessionId } from '../raft/types.ts';

/**
 * A session may have this many commands under way: the numbers after the highest one minus this
 * are remembered, older ones refused. Part of the replicated state: changing it needs a new format.
 */
export const SESSION_WINDOW = 8;

export const SESSION_PREFIX = 'sessions/';
const FORMAT = 1;
const HEADER_BYTES = 1 + 8 + 8 + 4;
const SLOT_BYTES = 8 + 8 + 4;
const COPY_LOOP_BYTES = 24;

/** One command of a session. */
export interface Slot {
  readonly sequence: number;
  /** The entry that was applied; an entry at another index is a repeat. */
  readonly index: LogIndex;
  /** Null until settled, at the end of the batch that applied it. */
  reply: Uint8Array | null;
}

interface Session {
  readonly id: SessionId;
  lastUse: LogIndex;
  highest: number;
  /** At most SESSION_WINDOW, all above highest - SESSION_WINDOW. */
  slots: Slot[];
}

/**
 * - `expired`: closed, evicted or never opened. Nothing of this entry is applied.
 * - `tooOld`: below the window, so it can't be told whether it was applied before; it isn't now.
 */
export type Refusal = 'expired' | 'tooOld';

export class SessionTable {
  readonly #max: number;
  /** In the order of last use, least recent first: re-inserted at each use. */
  readonly #sessions = new Map<SessionId, Session>();
  /** Ids that changed since the last takeChanges(). */
  readonly #changed = new Set<SessionId>();

  constructor(sessionsMax: number) {
    this.#max = sessionsMax;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Replaces the whole table by what the machine's bookkeeping holds. */
  load(records: Iterable<[name: string, value: Uint8Array]>): void {
    const sessions: Session[] = [];
    for (const [name, value] of records) sessions.push(decodeSession(name, value));
    sessions.sort((a, b) => a.lastUse - b.lastUse);
    this.#sessions.clear();
    this.#changed.clear();
    for (const session of sessions) this.#sessions.set(session.id, session);
  }

  open(index: LogIndex): void {
    this.#sessions.set(index, { id: index, lastUse: index, highest: 0, slots: [] });
    this.#changed.add(index);
    while (this.#sessions.size > this.#max) {
      const [leastRecent] = this.#sessions.keys();
      this.#remove(leastRecent!);
    }
  }

  /** Closing twice is no error: the second one may be a repeat. */
  close(id: SessionId): void {
    if (this.#sessions.has(id)) this.#remove(id);
  }

  /**
   * Takes a session's command in. The slot's index equals the entry's when the command is to be
   * applied, and settle() must follow in the same batch; otherwise it is a repeat of that one.
   */
  admit(entry: Entry): Slot | Refusal {
    const session = this.#sessions.get(entry.session);
    if (session === undefined) return 'expired';
    this.#use(session, entry.index);
    const known = session.slots.find(slot => slot.sequence === entry.sequence);
    if (known !== undefined) return known;
    if (entry.sequence <= session.highest - SESSION_WINDOW || entry.sequence < 1) return 'tooOld';
    const slot: Slot = { sequence: entry.sequence, index: entry.index, reply: null };
    session.highest = Math.max(session.highest, entry.sequence);
    const floor = session.highest - SESSION_WINDOW;
    session.slots = session.slots.filter(({ sequence }) => sequence > floor);
    session.slots.push(slot);
    return slot;
  }

  /** What to put into the machine's bookkeeping with this batch; null values are removals. */
  takeChanges(puts: Map<string, Uint8Array | null>): void {
    for (const id of this.#changed) {
      const session = this.#sessions.get(id);
      puts.set(sessionName(id), session === undefined ? null : encodeSession(session));
    }
    this.#changed.clear();
  }

  #use(session: Session, index: LogIndex): void {
    session.lastUse = index;
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
    this.#changed.add(session.id);
  }

  #remove(id: SessionId): void {
    this.#sessions.delete(id);
    this.#changed.add(id);
  }
}

/** Padded, so that names sort as the numbers do. */
function sessionName(id: SessionId): string {
  return SESSION_PREFIX + String(id).padStart(16, '0');
}

function encodeSession(session: Session): Uint8Array {
  let size = HEADER_BYTES;
  for (const slot of session.slots) size += SLOT_BYTES + (slot.reply?.length ?? 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FORMAT);
  view.setFloat64(1, session.lastUse);
  view.setFloat64(9, session.highest);
  view.setUint32(17, session.slots.length);
  let at = HEADER_BYTES;
  for (const { sequence, index, reply } of session.slots) {
    view.setFloat64(at, sequence);
    view.setFloat64(at + 8, index);
    view.setUint32(at + 16, reply?.length ?? 0);
    at += SLOT_BYTES;
    const length = reply?.length ?? 0;
    // Most replies are a few bytes, for which the call of set() costs more than the copy.
    if (length > COPY_LOOP_BYTES) bytes.set(reply!, at);
    else for (let i = 0; i < length; i++) bytes[at + i] = reply![i]!;
    at += length;
  }
  return bytes;
}

/** Throws a RangeError for bytes that encodeSession() did not make. */
function decodeSession(name: string, bytes: Uint8Array): Session {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== FORMAT) throw new RangeError(`${name}: unknown session format`);
  const slots: Slot[] = [];
  const count = view.getUint32(17);
  let at = HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    const [sequence, index] = [view.getFloat64(at), view.getFloat64(at + 8)];
    const length = view.getUint32(at + 16);
    at += SLOT_BYTES;
    if (at + length > bytes.length) throw new RangeError(`${name}: the record is cut short`);
    slots.push({ sequence, index, reply: bytes.slice(at, at + length) });
    at += length;
  }
  return {
    id: Number(name.slice(SESSION_PREFIX.length)),
    lastUse: view.getFloat64(1),
    highest: view.getFloat64(9),
    slots,
  };
}

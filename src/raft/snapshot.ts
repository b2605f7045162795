// InstallSnapshot on both sides (Figure 13, §7): chunks with one under way at a time, taken up where
// they stopped after a break. The bytes themselves are the driver's: the core asks for a chunk,
// sends it, and is told when one was written.

import type { Core } from './core.ts';
import type { Input, SnapshotWrite } from './io.ts';
import type { SnapshotReply, SnapshotRequest } from './messages.ts';
import type { Progress } from './progress.ts';
import type { SnapshotMeta } from './types.ts';

type SnapshotChunk = Extract<Input, { kind: 'snapshotChunk' }>;
type SnapshotWritten = Extract<Input, { kind: 'snapshotWritten' }>;

/** What a reply says once the snapshot is in force at the follower. */
export const INSTALLED = -1;
/** ... and once its bytes were found damaged: send it again, from a new file. */
export const DAMAGED = -2;

// ---------------------------------------------------------------------------- leader

/** Asks the driver for the chunk at the transfer's offset. */
export function requestSnapshotRead(core: Core, progress: Progress, afresh = false): void {
  const transfer = progress.transfer!;
  transfer.idleTicks = 0;
  const { meta, offset } = transfer;
  core.outbox.snapshotReads.push({ to: progress.id, meta, offset, afresh });
}

export function handleSnapshotChunk(core: Core, chunk: SnapshotChunk): void {
  if (core.role.kind !== 'leader') return;
  const progress = core.role.progress.get(chunk.to);
  const transfer = progress?.transfer;
  if (progress === undefined || transfer == null) return;
  const isAsked = continues(transfer.meta, chunk.meta);
  if (chunk.offset !== transfer.offset || !isAsked) {
    // A chunk that was asked for twice, and has been sent: the transfer is further on.
    if (isAsked && chunk.offset !== 0) return;
    // The driver's snapshot is another than the one begun: begin anew with its newest.
    if (chunk.offset === 0) transfer.meta = chunk.meta;
    else return restartTransfer(core, progress);
    transfer.offset = 0;
  }
  transfer.meta = chunk.meta;
  transfer.idleTicks = 0;
  const { meta, offset, data, done } = chunk;
  const { round } = core.role;
  const envelope = { from: core.id, to: chunk.to, term: core.currentTerm };
  core.send({ kind: 'snapshot', ...envelope, meta, offset, data, done, round });
}

export function handleSnapshotReply(core: Core, progress: Progress, m: SnapshotReply): void {
  const transfer = progress.transfer;
  if (transfer === null || transfer.meta === null) return;
  if (transfer.meta.last.index !== m.lastIndex) return;
  if (m.next === INSTALLED) {
    progress.maybeAdvance(m.lastIndex);
    progress.becomeProbe(progress.matchIndex + 1);
    return;
  }
  // It asks for the chunk that is on its way: the answer to a repeat, of a chunk or of an answer. One
  // answer brings on one chunk, so answering repeats as well would have each chain of them go on to
  // the end of the file beside the others. A chunk that was lost is the clock's affair.
  if (m.next === transfer.offset) return;
  transfer.offset = Math.max(0, m.next);
  requestSnapshotRead(core, progress, m.next === DAMAGED);
}

/** A chunk or its answer was lost: ask for it again, from where the follower is. */
export function tickTransfer(core: Core, progress: Progress): void {
  const { transfer } = progress;
  if (transfer === null) return;
  transfer.idleTicks += 1;
  if (transfer.idleTicks >= core.config.electionTicks) requestSnapshotRead(core, progress);
}

function restartTransfer(core: Core, progress: Progress): void {
  progress.becomeSnapshot();
  requestSnapshotRead(core, progress);
}

function continues(begun: SnapshotMeta | null, meta: SnapshotMeta): boolean {
  return begun === null || begun.last.index === meta.last.index;
}

// ---------------------------------------------------------------------------- follower

export function handleSnapshot(core: Core, m: SnapshotRequest): void {
  // IS1: reply immediately if term < currentTerm.
  if (m.term < core.currentTerm) {
    core.cite('IS1', `term ${m.term} is older than ${core.currentTerm}`);
    return reply(core, m, 0);
  }
  // What the snapshot holds is committed here already: the log goes on from there.
  if (m.meta.last.index <= core.log.commitIndex) return reply(core, m, INSTALLED);
  const wanted = expectChunk(core, m);
  // A chunk out of order is answered with the place to go on from.
  if (m.offset !== wanted) return reply(core, m, wanted);
  // IS3: write data into the snapshot file at the given offset; IS4: the reply, and with it the
  // next chunk, comes once it is written.
  core.cite('IS3', `offset ${m.offset}, ${m.data.length} bytes`);
  core.receiving!.next = m.offset + m.data.length;
  const { from, meta, offset, data, done } = m;
  const write: SnapshotWrite = { from, meta, offset, data, done };
  core.outbox.snapshotWrites.push(write);
}

/** The offset wanted next of this sender's snapshot. */
function expectChunk(core: Core, m: SnapshotRequest): number {
  const { receiving } = core;
  const same =
    receiving !== null &&
    receiving.from === m.from &&
    receiving.meta.last.index === m.meta.last.index &&
    receiving.meta.last.term === m.meta.last.term;
  if (!same || m.offset === 0) {
    // IS2: create new snapshot file if first chunk (offset is 0).
    core.cite('IS2');
    core.receiving = { from: m.from, meta: m.meta, next: 0 };
  }
  return core.receiving!.next;
}

/** The driver has written a chunk, or found the finished file unusable. */
export function handleSnapshotWritten(core: Core, input: SnapshotWritten): void {
  const { receiving } = core;
  const { from, meta } = input;
  if (receiving?.from !== from || receiving.meta.last.index !== meta.last.index) return;
  const answer = { from: core.id, to: from, term: core.currentTerm, round: 0 };
  const lastIndex = meta.last.index;
  if (!input.ok) {
    core.receiving = null;
    core.send({ kind: 'snapshotReply', ...answer, lastIndex, next: DAMAGED });
    return;
  }
  if (!input.done) {
    // IS4: reply and wait for more data chunks if done is false.
    core.cite('IS4');
    core.send({ kind: 'snapshotReply', ...answer, lastIndex, next: input.next });
    return;
  }
  core.receiving = null;
  install(core, meta);
  core.sendAfterPersist({ kind: 'snapshotReply', ...answer, lastIndex, next: INSTALLED });
}

/** The whole snapshot is in its file. */
function install(core: Core, meta: SnapshotMeta): void {
  // Meanwhile the log itself may have come this far.
  if (meta.last.index <= core.log.commitIndex) return;
  // IS5: save the snapshot file, discard any older one. Recorded with the next persistence.
  core.cite('IS5');
  // IS6, IS7: keep what follows a matching entry, otherwise discard the entire log.
  core.cite(core.log.matches(meta.last) ? 'IS6' : 'IS7');
  core.log.restore(meta);
  core.forgetWrites(0);
  // IS8: reset the state machine using the snapshot, and take its configuration.
  core.cite('IS8');
  core.outbox.snapshot = meta;
}

function reply(core: Core, m: SnapshotRequest, next: number): void {
  // After persistence: INSTALLED speaks for entries that may still be on their way to the disk.
  core.sendAfterPersist({
    kind: 'snapshotReply',
    from: core.id,
    to: m.from,
    term: core.currentTerm,
    lastIndex: m.meta.last.index,
    next,
    round: core.roundToEcho(m),
  });
}

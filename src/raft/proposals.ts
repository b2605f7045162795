// Proposals and membership changes on their way to the leader's log: taken, handed on once, or
// refused for good. A refusal is definite: nothing was appended and nothing will be.

import type { Core, LeaderRole } from './core.ts';
import type { Input } from './io.ts';
import { type ChangeOutcome, changeMembership } from './membership.ts';
import type { ForwardChange, ForwardProposals, ForwardReceipt, RefusalReason } from './messages.ts';
import { appendProposals, isTransferring } from './replication.ts';
import type { LogId, NodeId, Proposal } from './types.ts';
import { NO_NODE, ORIGIN } from './types.ts';

type ProposeInput = Extract<Input, { kind: 'propose' }>;
type ChangeInput = Extract<Input, { kind: 'changeMembership' }>;

export function propose(core: Core, input: ProposeInput): void {
  const { batch, proposals } = input;
  if (core.role.kind === 'leader') {
    answerOwn(core, batch, admit(core, core.role, proposals));
  } else if (core.leader === NO_NODE) {
    core.refuse(batch, 'noLeader');
  } else {
    // Once, and never again on the caller's behalf: a lost answer may hide a committed entry.
    const [from, to, term] = [core.id, core.leader, core.currentTerm];
    core.send({ kind: 'forward', from, to, term, batch, proposals });
  }
}

export function proposeChange(core: Core, input: ChangeInput): void {
  const { batch, changes, data, expectedConfigIndex } = input;
  if (core.role.kind === 'leader') {
    answerOwn(core, batch, changeMembership(core, core.role, input));
  } else if (core.leader === NO_NODE) {
    core.refuse(batch, 'noLeader');
  } else {
    const envelope = { from: core.id, to: core.leader, term: core.currentTerm };
    const change = { batch, changes, data, expectedConfigIndex };
    core.send({ kind: 'forwardChange', ...envelope, ...change });
  }
}

export function handleForward(core: Core, m: ForwardProposals): void {
  const outcome: ChangeOutcome =
    core.role.kind === 'leader'
      ? admit(core, core.role, m.proposals)
      : { ok: false, reason: 'notLeader' };
  sendReceipt(core, m.from, m.batch, outcome);
}

export function handleForwardChange(core: Core, m: ForwardChange): void {
  const outcome: ChangeOutcome =
    core.role.kind === 'leader'
      ? changeMembership(core, core.role, m)
      : { ok: false, reason: 'notLeader' };
  sendReceipt(core, m.from, m.batch, outcome);
}

export function handleForwardReceipt(core: Core, m: ForwardReceipt): void {
  const first = m.first.index === 0 ? null : m.first;
  core.outbox.receipts.push({ batch: m.batch, first, refusal: m.refusal });
}

/** Fol1 and Lead2: the leader answers for the place of the entries, their application follows. */
function admit(core: Core, role: LeaderRole, proposals: readonly Proposal[]): ChangeOutcome {
  const reason = refusal(core, role, proposals);
  if (reason !== null) return { ok: false, reason };
  core.cite('Lead2');
  return { ok: true, first: appendProposals(core, role, proposals) };
}

function refusal(
  core: Core,
  role: LeaderRole,
  proposals: readonly Proposal[],
): RefusalReason | null {
  if (isTransferring(role)) return 'transferring';
  const { entryBytesMax, uncommittedBytesMax } = core.config;
  let bytes = 0;
  for (const { data } of proposals) {
    if (data.length > entryBytesMax) return 'tooLarge';
    bytes += data.length;
  }
  // A log that can't commit must not grow without bound; a single large batch is let through.
  const full = role.uncommittedBytes > 0 && role.uncommittedBytes + bytes > uncommittedBytesMax;
  return full ? 'overloaded' : null;
}

function answerOwn(core: Core, batch: number, outcome: ChangeOutcome): void {
  if (outcome.ok) core.outbox.receipts.push({ batch, first: outcome.first, refusal: null });
  else core.refuse(batch, outcome.reason);
}

function sendReceipt(core: Core, to: NodeId, batch: number, outcome: ChangeOutcome): void {
  const first: LogId = outcome.ok ? outcome.first : ORIGIN;
  const refused = outcome.ok ? null : outcome.reason;
  const [from, term] = [core.id, core.currentTerm];
  core.send({ kind: 'forwardReceipt', from, to, term, batch, first, refusal: refused });
}

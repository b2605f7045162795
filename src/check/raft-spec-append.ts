// What an AppendEntries may say, and what it tells its receiver of the receiver's own past.

import { sameEntry } from './raft-spec-log.ts';
import { place, type Server } from './raft-spec-server.ts';
import type { Append, SpecMessage } from './raft-spec-types.ts';

/** What is wrong with an append that leaves this server; null when nothing is. */
export function appendFault(s: Server, m: Append, ledTerm: boolean): string | null {
  const { prev, entries } = m;
  if (!ledTerm) return `does not lead term ${m.term}`;
  if (m.leaderCommit > s.commitIndex) return 'announces a commit it knows not of';
  // A newer leader may have replaced entries of a deposed one before its last message left.
  const leads = s.role === 'leader' && s.term === m.term;
  if (leads && s.log.termAt(prev.index) !== prev.term) return `sends ${place(prev)} for prev`;
  const atLeast = s.match.get(m.to) ?? 0;
  const atMost = s.matchOf(m.to);
  if (leads && (m.acknowledged < atLeast || m.acknowledged > atMost)) {
    return `tells ${m.to} that it has acknowledged ${m.acknowledged} instead of ${atMost}`;
  }
  for (let i = 0; i < entries.length; i++) {
    const entry = s.log.entries[prev.index + i];
    if (entry !== undefined && sameEntry(entry, entries[i]!)) continue;
    if (!leads && entry?.term !== entries[i]!.term) return null;
    return `sends another entry ${prev.index + 1 + i} than it has`;
  }
  return null;
}

/** [loss] What a leader has counted, and this server does not have; null: it has all. */
export function lossIn({ term, log }: Server, m: SpecMessage): string | null {
  if (m.kind !== 'append') return null;
  const { acknowledged, prev } = m;
  if (m.term < term || acknowledged === 0) return null;
  if (m.term > term) return `${told(m)}, and is in term ${term}`;
  if (acknowledged > log.lastIndex) return `${told(m)}, and has a log up to ${log.lastIndex}`;
  const isOther = prev.index <= acknowledged && log.termAt(prev.index) !== prev.term;
  return isOther ? `${told(m)}, and has another entry at ${prev.index}` : null;
}

function told({ acknowledged, term }: Append): string {
  return `is told that it acknowledged ${acknowledged} in term ${term}`;
}

// Why a replica halted (raft/evidence.ts), in words for the person who runs it.

import type { Halt } from '../raft/io.ts';
import { KontikiError } from './errors.ts';

/** Every call that waits may have taken effect: the others go on without this node. */
export function haltError(halt: Halt): KontikiError {
  if (halt.kind === 'twoLeaders')
    return new KontikiError('TWO_LEADERS', 'unknown', twoLeaders(halt));
  const cause =
    'Its disk or controller confirms writes that it does not keep, or an old copy of its data ' +
    'directory was put back.';
  const next =
    'It has stopped for good, because its vote could undo what is committed. Remove this member ' +
    'from the cluster, and add it anew with an empty data directory.';
  return new KontikiError('STORAGE_LOST', 'unknown', `${whatIsLost(halt)}. ${cause} ${next}`);
}

function whatIsLost(halt: Exclude<Halt, { kind: 'twoLeaders' }>): string {
  const { leader, term, acknowledged } = halt;
  const promise = `it acknowledged entries up to ${acknowledged} to leader ${leader} in term ${term}`;
  if (halt.kind === 'lostTerm') {
    return `this node has lost data: ${promise}, and came back in term ${halt.ownTerm}`;
  }
  const { last } = halt;
  const end = `its log ends at ${last.index} (of term ${last.term})`;
  if (last.index < acknowledged) return `this node has lost data: ${promise}, and ${end}`;
  return `this node has lost data: ${promise}, and holds other ones in their place; ${end}`;
}

function twoLeaders({ leader, other, term }: Extract<Halt, { kind: 'twoLeaders' }>): string {
  return (
    `nodes ${other} and ${leader} both lead term ${term}: a member has voted twice, so its disk ` +
    'has lost a vote, or an old copy of its data directory was put back. This node has stopped ' +
    'before it takes entries of both; its own data is not to blame.'
  );
}

// Votes and terms as messages change them: a vote goes to a log that is not behind, and who hears
// a leader is not disturbed by anybody else.

import type { Message, VoteRequest } from '../raft/messages.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type { Configuration, NodeId } from '../raft/types.ts';
import type { Judge } from './judge.ts';
import type { NodeShadow } from './node-shadow.ts';
import { hasVote } from './quorums.ts';
import type { WatchableCore } from './watched.ts';

export class VoteWatch {
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** A message was received, and this is what became of its receiver. */
  received(node: NodeShadow, event: TraceEvent, m: Message, core: WatchableCore): void {
    const { was, now } = event;
    if (m.kind === 'append' || m.kind === 'snapshot') {
      if (m.term === now.term) node.ticksSilent = 0;
      return;
    }
    if (m.kind === 'voteRequest' && !m.preVote && now.votedFor === m.from) {
      const isNew = was.votedFor !== m.from || was.term < now.term;
      if (isNew) this.#voted(event, m);
    }
    if (m.term > was.term) this.#newerTerm(node, event, m, core);
  }

  /** the candidate's log must not be behind that of the voter. */
  #voted({ node, now }: TraceEvent, { from, last }: VoteRequest): void {
    const own = now.last;
    const isBehind = last.term < own.term || (last.term === own.term && last.index < own.index);
    this.#judge.check('A-06', node, !isBehind, () => {
      const theirs = `${from}, whose log ends at ${last.index}/${last.term}`;
      return `node ${node} votes for ${theirs}; its own ends at ${own.index}/${own.term}`;
    });
  }

  /** */
  #newerTerm(node: NodeShadow, event: TraceEvent, m: Message, core: WatchableCore): void {
    const { was, now } = event;
    if (node.electionTicks === 0 || !disturbs(m)) return;
    const leads = was.role === 'leader';
    const hears = leads || (was.leader !== 0 && node.ticksSilent < node.electionTicks);
    if (!hears) return;
    const isOutsider = !isMember(core.report().config, m.from);
    if (isOutsider) this.#judge.mark('outsiderHeard');
    // A leader believes the answers of those that it asked.
    if (m.kind !== 'voteRequest' && !(leads && isOutsider)) return;
    this.#judge.check('A-21', node.id, now.term === was.term, () => {
      const who = leads ? 'which leads' : `which hears leader ${was.leader}`;
      const what = `${m.kind} of ${isOutsider ? 'outsider' : 'node'} ${m.from}`;
      return `node ${node.id}, ${who}, goes to term ${now.term} for the ${what}`;
    });
  }
}

/** A hand-over is asked for by the leader itself. */
function disturbs(m: Message): boolean {
  switch (m.kind) {
    case 'voteRequest':
      return !m.transfer;
    case 'voteReply':
    case 'appendAccepted':
    case 'appendRejected':
    case 'snapshotReply':
      return true;
    default:
      return false;
  }
}

function isMember(config: Configuration, id: NodeId): boolean {
  return hasVote(config, id) || config.learners.includes(id) || config.learnersNext.includes(id);
}

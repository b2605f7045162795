// Trouble at the worst moment. Faults at random times rarely meet the few microseconds in which a
// leader has appended something that nobody else has, or in which a change of membership is in one
// log only. An ambush waits for such a moment, at whichever node it comes, and strikes there:
// Figure 8, the membership bug of 2015 and deaf leaders are all of this kind. Which moment and which
// blow is drawn, so the combinations that nobody thought of come as well.

import type { TraceEvent } from '../raft/trace.ts';
import type { NodeId } from '../raft/types.ts';
import type { Prng } from './prng.ts';

/** What a node does that makes it worth striking. */
export const MOMENTS = [
  'elected',
  'appended',
  'configured',
  'committed',
  'voted',
  'truncated',
  'installed',
  'handedOver',
] as const;
export type Moment = (typeof MOMENTS)[number];

/**
 * What happens to the node then.
 * - `alone`: cut off, in both directions or one; `deaf`: it hears nobody;
 * - `few`: it reaches a minority, often those that joined last;
 * - `crash`, `crashSoon`, `crashAll`, `die` (at one of its next disk operations), `pause`;
 * - `stall`: its disk hangs; `flood`: many commands at once, then cut off;
 * - `change`: it is asked for a membership change at once; `changeAlone`: and then cut off.
 */
export const BLOWS = [
  'alone',
  'deaf',
  'few',
  'crash',
  'crashSoon',
  'crashAll',
  'die',
  'pause',
  'stall',
  'flood',
  'change',
  'changeAlone',
] as const;
export type Blow = (typeof BLOWS)[number];

export interface Ambush {
  /** The number of the fault. */
  readonly number: number;
  readonly moment: Moment;
  readonly blow: Blow;
  readonly chance: Prng;
  /** So many such moments pass unharmed. */
  skip: number;
}

/** More would strike at every step. */
const ARMED_MAX = 4;

export class Ambushes {
  #armed: Ambush[] = [];
  readonly #strike: (ambush: Ambush, node: NodeId) => void;

  constructor(strike: (ambush: Ambush, node: NodeId) => void) {
    this.#strike = strike;
  }

  /** The oldest of too many is forgotten. */
  lay(ambush: Ambush): void {
    this.#armed.push(ambush);
    if (this.#armed.length > ARMED_MAX) this.#armed.shift();
  }

  end(): void {
    this.#armed = [];
  }

  /** Hears of every step of every core. */
  saw(event: TraceEvent): void {
    for (let i = 0; i < this.#armed.length; i++) {
      const ambush = this.#armed[i]!;
      if (!isMoment(ambush.moment, event) || ambush.skip-- > 0) continue;
      this.#armed.splice(i, 1);
      this.#strike(ambush, event.node);
      // One blow a step.
      return;
    }
  }
}

function isMoment(moment: Moment, { was, now, rules }: TraceEvent): boolean {
  const leads = now.role === 'leader';
  switch (moment) {
    case 'elected':
      return leads && was.role !== 'leader';
    case 'appended':
      return leads && was.role === 'leader' && now.last.index > was.last.index;
    case 'configured':
      if (!leads || now.last.index === was.last.index) return false;
      return rules.some(({ rule, note }) => {
        return (rule === '§4.1' || rule === '§4.3') && !note.startsWith('refused');
      });
    case 'committed':
      return leads && now.commitIndex > was.commitIndex;
    case 'voted':
      return !leads && now.votedFor !== was.votedFor && now.votedFor !== 0;
    case 'truncated':
      return !leads && rules.some(({ rule }) => rule === 'AE3');
    case 'handedOver':
      return leads && rules.some(({ rule, note }) => rule === '§3.10' && note.endsWith('campaign'));
    case 'installed':
      return rules.some(({ rule }) => rule === 'IS8');
  }
}

// What nodes say to each other, counted, and how much of it a run can ask for. A repeat that begets
// repeats breaks no promise and costs only messages (B19): so there is a budget. It is counted in
// what an untroubled cluster of all members there ever were would send; runs stay below a fourth of it.

import type { Message } from '../raft/messages.ts';
import type { Judge } from './judge.ts';
import type { Plan } from './types.ts';

/** What a run was about, for its budget. */
export interface Demand {
  readonly simulatedMs: number;
  /** All nodes that there ever were. */
  readonly members: number;
  readonly operations: number;
}

/** In multiples of the demand: appends and their answers. */
const APPENDS_MAX = 5;
/** Where appends get lost, a gap costs all that was sent behind it: a part of the window, again and again. */
const WINDOW_SHARE = 1 / 16;
/** Votes, forwarded commands, reads, chunks of snapshots. */
const OTHERS_MAX = 4;
/** A short run may have its one snapshot, or a few elections. */
const DEMAND_MIN = 1000;

export class Traffic {
  #appends = 0;
  #others = 0;

  get messages(): number {
    return this.#appends + this.#others;
  }

  sent({ kind }: Message): void {
    const isAppend = kind === 'append' || kind === 'appendAccepted' || kind === 'appendRejected';
    if (isAppend) this.#appends += 1;
    else this.#others += 1;
  }

  /** At the end of a run. */
  check(judge: Judge, plan: Plan, demand: Demand): void {
    const base = Math.max(DEMAND_MIN, messagesFor(plan, demand));
    const again = losesAppends(plan) ? plan.inflightMessagesMax * WINDOW_SHARE : 0;
    const appendsMax = base * APPENDS_MAX * (1 + again);
    judge.check('traffic', 0, this.#appends <= appendsMax, () => {
      return `${this.#appends} appends and answers to them, ${Math.round(appendsMax)} are plenty`;
    });
    const othersMax = base * OTHERS_MAX;
    judge.check('traffic', 0, this.#others <= othersMax, () => {
      return `${this.#others} messages beside appends, ${Math.round(othersMax)} are plenty`;
    });
  }
}

function losesAppends(plan: Plan): boolean {
  const { lossRate, reorderRate, corruptRate, queueMessagesMax, inflightMessagesMax } = plan;
  return lossRate + reorderRate + corruptRate > 0 || queueMessagesMax < inflightMessagesMax;
}

/** Heartbeats with their answers all the time, and an append with its answer for each operation. */
function messagesFor({ tickMs, heartbeatTicks }: Plan, demand: Demand): number {
  const { simulatedMs, members, operations } = demand;
  const heartbeats = simulatedMs / (tickMs * heartbeatTicks);
  return 2 * Math.max(1, members - 1) * heartbeats + 2 * members * operations;
}

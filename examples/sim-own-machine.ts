// Puts a state machine of your own under crashes, partitions and bad disks, in virtual time:
//
//   npx tsx examples/sim-own-machine.ts
//
// The first machine is sound. The second one looks at a clock, so its replicas drift apart; the
// simulator names the first entry at which they do.

import type { StateMachine } from '../src/node/state-machine.ts';
import { failureReport, simulateMachine } from '../src/sim/index.ts';

type Command = { readonly account: string; readonly amount: number };
type Balances = Record<string, number>;

class Bank implements StateMachine<Command, number, Balances> {
  protected balances: Balances = {};

  apply({ account, amount }: Command): number {
    const balance = Math.max(0, (this.balances[account] ?? 0) + amount);
    this.balances[account] = balance;
    return balance;
  }

  snapshot(): Balances {
    return { ...this.balances };
  }

  restore(state: Balances): void {
    this.balances = { ...state };
  }
}

/** Pays a bonus in every other millisecond: different on each node. */
class GenerousBank extends Bank {
  override apply(command: Command): number {
    const bonus = Math.floor(performance.now() * 1000) % 2;
    return super.apply({ ...command, amount: command.amount + bonus });
  }
}

const command = (random: () => number): Command => ({
  account: `account ${Math.floor(random() * 5)}`,
  amount: Math.floor(random() * 200) - 100,
});

for (let seed = 1; seed <= 20; seed++) {
  const result = await simulateMachine({ create: () => new Bank(), command }, { seed });
  if (!result.ok) throw new Error(failureReport(result));
}
console.log('Bank: 20 clusters, each with its own troubles, and all replicas agree.');

const result = await simulateMachine({ create: () => new GenerousBank(), command }, { seed: 1 });
console.log(`GenerousBank: ${result.violation?.message}`);

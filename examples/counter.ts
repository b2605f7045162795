// A replicated counter: three nodes in this process, one of which gets killed.
//   npx tsx examples/counter.ts

import { devCluster } from '../src/node/index.ts';

class Counter {
  value = 0;
  apply = (step: number) => (this.value += step);
  snapshot = () => this.value;
  restore = (value: number) => void (this.value = value);
}

await using cluster = await devCluster(3, { machine: () => new Counter() });
const leader = await cluster.leader();
console.log(`leader: ${leader.id} (term ${leader.report().raft.currentTerm})`);
console.log(`counter = ${await cluster.propose(1)}`);
await cluster.kill(leader);
console.log(`killed ${leader.id}; counter = ${await cluster.propose(1)}`);
console.log(`leader: ${(await cluster.leader()).id}, read: ${await cluster.read(c => c.value)}`);

// One node of a replicated counter, with files and TCP. In three terminals:
//   npx tsx examples/counter-cluster.ts 1
//   npx tsx examples/counter-cluster.ts 2
//   npx tsx examples/counter-cluster.ts 3
// Each line you type is a number to add, on whichever node you like. Stop one with ctrl-C, go on
// with the other two, start it again: it catches up.

import { createInterface } from 'node:readline';
import { createNode, fileStorage, KontikiError, tcpTransport } from '../src/node/index.ts';

const id = Number(process.argv[2]);
const machine = {
  value: 0,
  apply(step: number) {
    return (this.value += step);
  },
  snapshot() {
    return this.value;
  },
  restore(value: number) {
    this.value = value;
  },
};
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const node = await createNode({
  id,
  peers: { 1: '127.0.0.1:7001', 2: '127.0.0.1:7002', 3: '127.0.0.1:7003' },
  machine,
  storage: fileStorage(`counter-data/${id}`),
  transport: tcpTransport(),
  logger: console,
  signal: stop.signal,
});
node.onLeaderChange(({ leader, term }) =>
  console.log(`leader: ${leader || 'none'} (term ${term})`),
);

const session = node.session();
const input = createInterface({ input: process.stdin });
input.on('line', async line => {
  try {
    // A session repeats the command until it is answered, and it still counts once.
    console.log(`counter = ${await session.propose(Number(line) || 0)}`);
  } catch (error) {
    if (!(error instanceof KontikiError)) throw error;
    console.error(`${error.message} (${error.outcome})`);
  }
});
await node.closed;
input.close();

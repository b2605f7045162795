// How much a TCP peer link costs: appends of 256-byte entries from one process to another over
// loopback, each answered by an ack, a fixed number of appends in flight. Run: npx tsx bench/links.ts
//
// "CPU" is user and system time of one process divided by its messages or entries: what the link
// takes from the core that also has to run Raft and the disk.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Message } from '../src/raft/messages.ts';
import type { Entry } from '../src/raft/types.ts';
import { TcpTransport } from '../src/transport/tcp.ts';

const ENTRY_BYTES = 256;
/** Fewer appends when they are large: the link's queue is bounded in bytes. */
const IN_FLIGHT_MAX = 64;
const ENTRIES_IN_FLIGHT_MAX = 32_768;
const LEADER = 1;
const FOLLOWER = 2;

interface Round {
  readonly entriesPerAppend: number;
  readonly appends: number;
}

const ROUNDS: readonly Round[] = [
  { entriesPerAppend: 1, appends: 200_000 },
  { entriesPerAppend: 8, appends: 100_000 },
  { entriesPerAppend: 64, appends: 30_000 },
  { entriesPerAppend: 256, appends: 8_000 },
  { entriesPerAppend: 4096, appends: 500 },
];

function entries(count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    term: 1,
    index: i + 1,
    kind: 'command',
    data: new Uint8Array(ENTRY_BYTES).fill(i),
    session: 0,
    sequence: 0,
    config: null,
  }));
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function openTransport(nodeId: number): TcpTransport {
  return new TcpTransport({ clusterId: 1, nodeId, listen: '127.0.0.1:0' });
}

/** The follower: answers the appends of each arrival with one send. */
async function follow(): Promise<void> {
  const transport = openTransport(FOLLOWER);
  await transport.start({
    receive(messages) {
      const acks: Message[] = [];
      for (const message of messages) {
        if (message.kind !== 'append') continue;
        const { term, round } = message;
        const match = message.entries.at(-1)?.index ?? 0;
        const from = FOLLOWER;
        acks.push({ kind: 'appendAccepted', from, to: LEADER, term, match, round });
      }
      transport.send(acks);
    },
    unreachable: () => {},
  });
  process.on('message', (message: { address?: string; cpu?: boolean; end?: boolean }) => {
    if (message.address !== undefined) {
      transport.setPeers([{ id: LEADER, address: message.address }]);
    } else if (message.cpu) process.send!({ cpu: cpuMicros() });
    else void transport.close().then(() => process.disconnect());
  });
  process.on('disconnect', () => process.exit());
  process.send!({ address: transport.address });
}

/** The leader: keeps a fixed number of appends on the way. */
class Leader {
  readonly #transport = openTransport(LEADER);
  #onAcks: (count: number) => void = () => {};
  #onConnected: () => void = () => {};

  async start(): Promise<string> {
    await this.#transport.start({
      receive: messages => this.#onAcks(messages.length),
      unreachable: peer => {
        throw new Error(`link to ${peer} lost`);
      },
      connected: () => this.#onConnected(),
    });
    return this.#transport.address!;
  }

  connect(address: string): Promise<void> {
    return new Promise(resolve => {
      this.#onConnected = resolve;
      this.#transport.setPeers([{ id: FOLLOWER, address }]);
    });
  }

  run({ entriesPerAppend, appends }: Round): Promise<void> {
    const payload = entries(entriesPerAppend);
    const window = Math.min(IN_FLIGHT_MAX, Math.ceil(ENTRIES_IN_FLIGHT_MAX / entriesPerAppend));
    let [sent, acked] = [0, 0];
    const fill = () => {
      const messages: Message[] = [];
      while (sent < appends && sent - acked < window) {
        const header = { from: LEADER, to: FOLLOWER, term: 1, prev: { term: 1, index: 0 } };
        messages.push({
          kind: 'append',
          ...header,
          entries: payload,
          leaderCommit: 0,
          acknowledged: 0,
          round: ++sent,
        });
      }
      this.#transport.send(messages);
    };
    return new Promise(resolve => {
      this.#onAcks = count => {
        acked += count;
        if (acked === appends) resolve();
        else fill();
      };
      fill();
    });
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send({ cpu: true });
  const [answer] = (await once(child, 'message')) as [{ cpu: number }];
  return answer.cpu;
}

async function measure(leader: Leader, child: ChildProcess, round: Round): Promise<string[]> {
  const before = { own: cpuMicros(), other: await cpuOf(child), at: performance.now() };
  await leader.run(round);
  const seconds = (performance.now() - before.at) / 1000;
  const own = cpuMicros() - before.own;
  const other = (await cpuOf(child)) - before.other;
  const count = round.appends * round.entriesPerAppend;
  return [
    String(round.entriesPerAppend),
    Math.round(round.appends / seconds).toLocaleString('en'),
    Math.round(count / seconds).toLocaleString('en'),
    ((count * ENTRY_BYTES) / seconds / 2 ** 20).toFixed(0),
    (own / round.appends).toFixed(1),
    (other / round.appends).toFixed(1),
    (own / count).toFixed(2),
    (other / count).toFixed(2),
  ];
}

async function main(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['follower']);
  const [{ address }] = (await once(child, 'message')) as [{ address: string }];
  const leader = new Leader();
  child.send({ address: await leader.start() });
  await leader.connect(address);
  await leader.run({ entriesPerAppend: 16, appends: 20_000 });
  console.log(`Node ${process.version}, ${cpus()[0]?.model ?? '?'}, ${cpus().length} cores`);
  console.log(
    `${ENTRY_BYTES}-byte entries, at most ${IN_FLIGHT_MAX} appends in flight, loopback\n`,
  );
  const titles = ['entries', 'appends/s', 'entries/s', 'MiB/s'];
  const costs = ['send µs/append', 'recv µs/append', 'send µs/entry', 'recv µs/entry'];
  const rows = [[...titles, ...costs]];
  for (const round of ROUNDS) rows.push(await measure(leader, child, round));
  for (const row of rows) console.log(row.map(cell => cell.padStart(15)).join(''));
  await leader.close();
  child.send({ end: true });
  await once(child, 'exit');
}

await (process.argv[2] === 'follower' ? follow() : main());

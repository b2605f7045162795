// How fast the durable log is on this disk: group commit at several numbers of appenders, and the
// ways to make one write durable. Run: npx tsx bench/wal.ts [seconds per measurement]

import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Entry } from '../src/raft/types.ts';
import { NodeDisk } from '../src/storage/node-disk.ts';
import { openLogStore } from '../src/storage/open.ts';
import { crc32c } from '../src/wire/crc32c.ts';

const SECONDS = Number(process.argv[2] ?? 3);
const DATA = new Uint8Array(256).map((_, i) => (i * 37) & 255);

function summary(name: string, count: number, seconds: number, latencies: number[]): string {
  latencies.sort((a, b) => a - b);
  const at = (q: number) => latencies[Math.floor(q * (latencies.length - 1))]!.toFixed(2);
  const rate = Math.round(count / seconds).toLocaleString('en');
  return `${name.padEnd(44)} ${rate.padStart(9)}/s   p50 ${at(0.5)} ms   p99 ${at(0.99)} ms`;
}

/** Each appender has one entry under way; a turn's entries go into one batch, as a driver's do. */
async function groupCommit(root: string, appenders: number, together: boolean): Promise<void> {
  const disk = new NodeDisk(join(root, `wal-${appenders}-${together}`));
  const store = await openLogStore({ disk, identity: { clusterId: 1, nodeId: 1 } });
  const config = { voters: [1], outgoing: [], learners: [], learnersNext: [] };
  await store.bootstrap({
    hardState: { currentTerm: 1, votedFor: 1, commitIndex: 0 },
    snapshot: { last: { term: 0, index: 0 }, config, configIndex: 0 },
    entries: [],
  });
  const latencies: number[] = [];
  const begun = performance.now();
  const end = begun + SECONDS * 1000;
  let index = 0;
  let durable = 0;
  const cpu = process.cpuUsage();
  await new Promise<void>((resolve, reject) => {
    let underWay = 0;
    const entriesOf = (count: number): Entry[] => {
      const entries: Entry[] = [];
      for (let i = 0; i < count; i++) {
        index += 1;
        entries.push({
          term: 1,
          index,
          kind: 'command',
          data: DATA,
          session: 0,
          sequence: 0,
          config: null,
        });
      }
      return entries;
    };
    const submit = (count: number): void => {
      const start = performance.now();
      underWay += count;
      store.append({ hardState: null, entries: entriesOf(count), snapshot: null }, error => {
        if (error !== null) return reject(error);
        const now = performance.now();
        latencies.push(now - start);
        underWay -= count;
        durable += count;
        if (now < end) submit(count);
        else if (underWay === 0) resolve();
      });
    };
    // Two halves, so that one fills while the other is written.
    if (together && appenders > 1) for (let i = 0; i < 2; i++) submit(appenders / 2);
    else for (let i = 0; i < appenders; i++) submit(1);
  });
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const name = `${appenders} appenders, ${together ? 'one append() a turn' : 'one append() each'}`;
  const cost = ((user + system) / durable).toFixed(1);
  console.log(`${summary(name, durable, seconds, latencies)}   ${cost} us CPU each`);
  const recovering = performance.now();
  await store.close();
  const again = await openLogStore({ disk, identity: { clusterId: 1, nodeId: 1 } });
  const took = (performance.now() - recovering).toFixed(0);
  const found = again.recovered!.entries.length;
  console.log(
    `${''.padEnd(44)} reopened with ${found} entries, ${again.logBytes} bytes, in ${took} ms`,
  );
  if (found !== index) throw new Error('entries are missing');
  await again.close();
}

type Step = (fd: number, data: Buffer, offset: number, done: (error: Error | null) => void) => void;

const STEPS: readonly (readonly [string, number, Step])[] = [
  [
    'write, then fdatasync',
    0,
    (fd, data, offset, done) =>
      fs.write(fd, data, 0, data.length, offset, error =>
        error === null ? fs.fdatasync(fd, done) : done(error),
      ),
  ],
  [
    'writeSync, then fdatasync',
    0,
    (fd, data, offset, done) => {
      fs.writeSync(fd, data, 0, data.length, offset);
      fs.fdatasync(fd, done);
    },
  ],
  [
    'one write to an O_DSYNC descriptor',
    fs.constants.O_DSYNC,
    (fd, data, offset, done) => fs.write(fd, data, 0, data.length, offset, error => done(error)),
  ],
];

async function oneWrite(root: string, zeroed: boolean, bytes: number): Promise<void> {
  const size = 16 * 1024 * 1024;
  for (const [name, flags, step] of STEPS) {
    const path = join(root, 'one-write');
    fs.writeFileSync(path, zeroed ? Buffer.alloc(size) : '');
    const fd = fs.openSync(path, fs.constants.O_RDWR | flags);
    fs.fsyncSync(fd);
    const latencies: number[] = [];
    const data = Buffer.alloc(bytes, 7);
    const begun = performance.now();
    for (let offset = 0; performance.now() - begun < SECONDS * 300; ) {
      const start = performance.now();
      await new Promise<void>((resolve, reject) => {
        step(fd, data, offset, error => (error === null ? resolve() : reject(error)));
      });
      latencies.push(performance.now() - start);
      offset = (offset + bytes) % (size - bytes);
    }
    const seconds = (performance.now() - begun) / 1000;
    const title = `${name}, ${zeroed ? 'preallocated' : 'growing'}, ${bytes} B`;
    console.log(summary(title, latencies.length, seconds, latencies));
    fs.closeSync(fd);
  }
}

function checksums(): void {
  const data = new Uint8Array(1024 * 1024).map((_, i) => (i * 7919) >> 3);
  for (let i = 0; i < 20; i++) crc32c(data);
  const start = performance.now();
  for (let i = 0; i < 200; i++) crc32c(data);
  console.log(`CRC-32C: ${Math.round(200 / ((performance.now() - start) / 1000))} MiB/s`);
}

async function main(): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'kontiki-bench-'));
  try {
    console.log(`Node ${process.version}, entries of ${DATA.length} bytes, ${SECONDS} s each`);
    checksums();
    for (const zeroed of [true, false]) await oneWrite(root, zeroed, 4096);
    for (const appenders of [1, 64, 1024]) await groupCommit(root, appenders, false);
    for (const appenders of [64, 1024]) await groupCommit(root, appenders, true);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

void main();

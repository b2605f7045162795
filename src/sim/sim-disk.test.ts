import { describe, expect, test } from 'vitest';
import type { Disk, DiskFile } from '../storage/disk.ts';
import { Prng } from './prng.ts';
import { Process } from './process.ts';
import { SimDisk } from './sim-disk.ts';
import { SimNames } from './sim-names.ts';
import { World } from './world.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

class Bench {
  readonly world = new World();
  readonly disk = new SimDisk('node-1', new Prng(1), 1000);
  process = new Process(this.world, 1, 0);

  constructor() {
    this.disk.attach(this.process);
  }

  /** Runs asynchronous code of the process in virtual time; null: it did not end. */
  async run<T>(code: (disk: Disk) => Promise<T>): Promise<T | null> {
    let result: T | null = null;
    let failure: unknown = null;
    this.process.enter(() => {
      this.process.stirred = true;
      code(this.disk).then(
        value => {
          result = value;
        },
        error => {
          failure = error;
        },
      );
    });
    await this.world.runUntil(this.world.now + 60e6);
    if (failure !== null) throw failure;
    return result;
  }

  restart(loss: 'lost' | 'kept' | 'torn' | null): void {
    this.process.die();
    this.disk.release(loss);
    this.process = new Process(this.world, 1, 0);
    this.disk.attach(this.process);
  }

  read(path: string): Promise<string | null> {
    return this.run(async disk => text(await (await disk.open(path, 'never')).read(0, 1000)));
  }
}

async function create(disk: Disk, path: string): Promise<DiskFile> {
  const file = await disk.open(path, 'ifMissing');
  await disk.syncDir('');
  return file;
}

describe('a disk that goes back in time', () => {
  /** Two files of the log and one beside it, one of each changed or made after the image. */
  async function bench() {
    const b = new Bench();
    const write = (path: string, content: string) => async (disk: Disk) => {
      const file = await disk.open(path, 'ifMissing');
      await file.write(0, bytes(content));
      await file.sync();
      await disk.syncDir(path.startsWith('log/') ? 'log' : '');
    };
    await b.run(async disk => {
      await disk.makeDir('log');
      await disk.syncDir('');
    });
    for (const path of ['log/1', 'log/2', 'other']) await b.run(write(path, 'old'));
    const image = b.disk.durableNames();
    for (const path of ['log/2', 'log/3', 'other']) await b.run(write(path, 'new'));
    await b.run(async disk => {
      await disk.remove('log/1');
      await disk.syncDir('log');
    });
    return { b, image };
  }

  const all = async (b: Bench) => [
    ...(await b.run(disk => disk.list('log')))!,
    await b.read('log/2'),
    await b.read('other'),
  ];

  test('has all files as they were', async () => {
    const { b, image } = await bench();
    expect(await all(b)).toEqual(['2', '3', 'new', 'new']);
    b.process.die();
    b.disk.release('lost');
    b.disk.putBack(image, '');
    b.restart('lost');
    expect(await all(b)).toEqual(['1', '2', 'old', 'old']);
  });

  test('has only the log as it was, if only its syncs were lies', async () => {
    const { b, image } = await bench();
    b.process.die();
    b.disk.release('lost');
    b.disk.putBack(image, 'log/');
    b.restart('lost');
    expect(await all(b)).toEqual(['1', '2', 'old', 'new']);
  });
});

describe('SimDisk', () => {
  test('a power loss takes what was not synced', async () => {
    const bench = new Bench();
    await bench.run(async disk => {
      const file = await create(disk, 'a');
      await file.write(0, bytes('safe'));
      await file.sync();
      await file.write(0, bytes('lost'));
    });
    expect(await bench.read('a')).toBe('lost');
    bench.restart('lost');
    expect(await bench.read('a')).toBe('safe');
  });

  test('a killed process leaves what it wrote to be seen, though not yet durable', async () => {
    const bench = new Bench();
    await bench.run(async disk => {
      const file = await create(disk, 'a');
      await file.write(0, bytes('seen'));
    });
    bench.restart(null);
    expect(await bench.read('a')).toBe('seen');
    bench.restart('lost');
    expect(await bench.read('a')).toBe('');
  });

  test('a name is durable only after its directory was synced', async () => {
    const bench = new Bench();
    await bench.run(async disk => {
      const file = await create(disk, 'a.tmp');
      await file.write(0, bytes('whole'));
      await file.sync();
      await disk.rename('a.tmp', 'a');
    });
    bench.restart('lost');
    await expect(bench.read('a')).rejects.toThrow('does not exist');
    expect(await bench.read('a.tmp')).toBe('whole');
  });

  test('writeAndSync is durable once it says so, and not before', async () => {
    const bench = new Bench();
    const file = (await bench.run(disk => create(disk, 'log')))!;
    let done = 0;
    file.writeAndSync(0, bytes('first'), error => {
      if (error === null) done += 1;
    });
    await bench.world.runUntil(bench.world.now + 1e6);
    expect(done).toBe(1);
    file.writeAndSync(0, bytes('other'), () => {
      done += 1;
    });
    bench.restart('lost');
    await bench.world.runUntil(bench.world.now + 1e6);
    expect(done).toBe(1);
    expect(await bench.read('log')).toBe('first');
  });

  test('a torn write keeps some sectors, each whole or its beginning', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const world = new World();
      const process = new Process(world, 1, 0);
      const disk = new SimDisk('n', new Prng(seed), 10);
      disk.attach(process);
      let file: DiskFile | null = null;
      process.enter(() => {
        process.stirred = true;
        void create(disk, 'a').then(opened => {
          file = opened;
        });
      });
      await world.runUntil(1e6);
      file!.writeAndSync(0, new Uint8Array(1024).fill(1), () => {});
      process.die();
      disk.release('torn');
      const content = disk.files.get('a')!.read(0, 1024);
      const first = content.subarray(0, 512).filter(byte => byte === 1).length;
      const second = content.subarray(512).filter(byte => byte === 1).length;
      outcomes.add(`${first === 512 ? 'all' : first === 0 ? 'none' : 'part'} ${second > 0}`);
    }
    expect(outcomes.has('all true')).toBe(true);
    expect(outcomes.has('none true')).toBe(true);
    expect(outcomes.has('none false')).toBe(true);
  });

  test('a failed sync is an error for the caller, once', async () => {
    const bench = new Bench();
    bench.disk.mood.failNextSync = true;
    await expect(bench.run(disk => create(disk, 'a'))).rejects.toThrow('input/output error');
    expect(bench.disk.syncFailed).toBe(true);
    await bench.run(disk => create(disk, 'a'));
  });

  test('a full disk takes overwrites, and of a write that grows the file only what fits', async () => {
    const bench = new Bench();
    await bench.run(async disk => (await create(disk, 'a')).write(0, bytes('1234')));
    bench.disk.mood.full = true;
    await bench.run(async disk => (await disk.open('a', 'never')).write(0, bytes('5678')));
    const grow = bench.run(async disk => (await disk.open('a', 'never')).write(2, bytes('9999')));
    await expect(grow).rejects.toThrow('no space left');
    expect(await bench.read('a')).toBe('5699');
    expect(bench.disk.shortWrites).toBe(1);
  });

  test('dieAt stops the process at that very operation', async () => {
    const bench = new Bench();
    let deaths = 0;
    bench.disk.onDeath = () => {
      deaths += 1;
    };
    bench.disk.mood.dieAt = 3;
    const ended = await bench.run(async disk => {
      const file = await disk.open('a', 'ifMissing'); // 1
      await file.write(0, bytes('x')); // 2
      await file.sync(); // 3
      return 'ended';
    });
    expect(ended).toBeNull();
    expect(deaths).toBe(1);
  });

  test('rot changes one bit of what is durable', async () => {
    const bench = new Bench();
    await bench.run(async disk => {
      const file = await create(disk, 'a');
      await file.write(0, bytes('aaaa'));
      await file.sync();
    });
    expect(bench.disk.rot(new Prng(2))).toMatch(/^a at \d$/);
    expect(await bench.read('a')).not.toBe('aaaa');
  });
});

test('a slow sync of a directory takes back nothing that a later one has settled', () => {
  const names = new SimNames();
  names.create('a');
  names.beginSync('')();
  names.remove('a');
  const slow = names.beginSync('');
  names.create('a');
  names.beginSync('')();
  slow();
  names.crash('lost', new Prng(1));
  expect(names.get('a')).toBeDefined();
});

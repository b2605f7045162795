import { describe, expect, test } from 'vitest';
import { EventQueue } from './event-queue.ts';
import { Prng } from './prng.ts';
import { Process } from './process.ts';
import { World } from './world.ts';

describe('EventQueue', () => {
  test('events come out by time, and at one time in the order they went in', () => {
    const queue = new EventQueue();
    const chance = new Prng(1);
    const times: number[] = [];
    for (let i = 0; i < 500; i++) {
      const time = chance.below(20);
      times.push(time);
      queue.push(time, 'timer', null, () => {});
    }
    const popped = Array.from({ length: 500 }, () => queue.pop()!);
    expect(popped.map(({ time }) => time)).toEqual([...times].sort((a, b) => a - b));
    for (let i = 1; i < popped.length; i++) {
      const [a, b] = [popped[i - 1]!, popped[i]!];
      if (a.time === b.time) expect(a.sequence).toBeLessThan(b.sequence);
    }
    expect(queue.pop()).toBeUndefined();
  });
});

describe('World', () => {
  test('time jumps from event to event and ends where it was told to', async () => {
    const world = new World();
    const seen: number[] = [];
    world.after(500, 'check', null, () => seen.push(world.now));
    world.after(200, 'check', null, () => seen.push(world.now));
    world.after(900, 'check', null, () => seen.push(world.now));
    await world.runUntil(600);
    expect(seen).toEqual([200, 500]);
    expect(world.now).toBe(600);
  });

  test('a cancelled event never runs', async () => {
    const world = new World();
    let ran = false;
    world.cancel(
      world.after(1, 'timer', null, () => {
        ran = true;
      }),
    );
    await world.runUntil(10);
    expect(ran).toBe(false);
  });

  test('events of a dead process are dropped, of a paused one they wait', async () => {
    const world = new World();
    const [dead, paused] = [new Process(world, 1, 0), new Process(world, 2, 0)];
    const seen: string[] = [];
    world.after(10, 'timer', dead, () => seen.push('dead'));
    world.after(10, 'timer', paused, () => seen.push(`first at ${world.now}`));
    world.after(20, 'timer', paused, () => seen.push(`second at ${world.now}`));
    dead.die();
    world.pause(paused, 100);
    await world.runUntil(1000);
    expect(seen).toEqual(['first at 100', 'second at 100']);
  });

  test('time does not pass before promises that an event settled have run', async () => {
    const world = new World();
    const process = new Process(world, 1, 0);
    const seen: string[] = [];
    const chain = async () => {
      for (let i = 0; i < 20; i++) await undefined;
      seen.push(`chain at ${world.now}`);
    };
    world.after(10, 'disk', process, () => {
      process.stirred = true;
      void chain();
    });
    world.after(11, 'timer', process, () => seen.push(`timer at ${world.now}`));
    await world.runUntil(100);
    expect(seen).toEqual(['chain at 10', 'timer at 11']);
  });

  test('the end of a turn comes after the event, before the next one', async () => {
    const world = new World();
    const process = new Process(world, 1, 0);
    const seen: string[] = [];
    world.after(10, 'timer', process, () => {
      process.endOfTurn(() => seen.push(`turn at ${world.now}`));
      seen.push('event');
    });
    world.after(11, 'timer', process, () => seen.push('next'));
    await world.runUntil(100);
    expect(seen).toEqual(['event', 'turn at 10', 'next']);
  });

  test('what happened decides the hash', async () => {
    const run = async (us: number) => {
      const world = new World();
      world.after(us, 'check', null, () => world.digest(7));
      await world.runUntil(100);
      return world.hash;
    };
    expect(await run(5)).toBe(await run(5));
    expect(await run(5)).not.toBe(await run(6));
  });
});

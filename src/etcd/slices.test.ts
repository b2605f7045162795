import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { UnaryCall } from '../grpc/calls.ts';
import { inSlices } from './slices.ts';

let nowMs = 0;
const open = { ended: false } as UnaryCall;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setImmediate'] });
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Work of so many steps, each of which takes as long. */
class Steps {
  taken = 0;
  isAbandoned = false;
  readonly #count: number;
  readonly #stepMs: number;

  constructor(count: number, stepMs: number) {
    this.#count = count;
    this.#stepMs = stepMs;
  }

  step(): string | null {
    nowMs += this.#stepMs;
    this.taken++;
    return this.taken === this.#count ? 'done' : null;
  }

  abandon(): void {
    this.isAbandoned = true;
  }
}

test('a job that is quick is done in the turn in which it comes', () => {
  const results: string[] = [];
  inSlices(open, new Steps(3, 0.3), result => results.push(result));
  expect(results).toEqual(['done']);
});

test('a turn takes steps until a millisecond has passed', () => {
  const job = new Steps(10, 0.4);
  const results: string[] = [];
  inSlices(open, job, result => results.push(result));
  const taken = [job.taken];
  for (let turn = 0; turn < 3; turn++) {
    vi.advanceTimersToNextTimer();
    taken.push(job.taken);
  }
  expect(taken).toEqual([3, 6, 9, 10]);
  expect(results).toEqual(['done']);
});

test('a step that takes long is alone in its turn', () => {
  const job = new Steps(3, 7);
  inSlices(open, job, () => {});
  expect(job.taken).toBe(1);
});

test('a job whose call has ended is given up', () => {
  const call = { ended: false };
  const job = new Steps(10, 2);
  inSlices(call as UnaryCall, job, () => {});
  call.ended = true;
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer();
  expect(job.isAbandoned).toBe(true);
  expect(job.taken).toBe(2);
});

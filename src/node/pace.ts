// Keeps long work in small pieces: after a few milliseconds, or a number of pieces where time stands
// still (in the simulator), it waits for the next turn of the event loop.

import type { Clock } from './clock.ts';

const SLICE_MS = 2;
const PIECES_A_TURN = 8;

export class Pace {
  readonly #clock: Clock;
  #pieces = 0;
  #startedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.now();
  }

  /** To be called after each piece: whether to await turn() before the next one. */
  get isDue(): boolean {
    this.#pieces += 1;
    return this.#pieces >= PIECES_A_TURN || this.#clock.now() - this.#startedAt >= SLICE_MS;
  }

  async turn(): Promise<void> {
    await new Promise<void>(resolve => this.#clock.endOfTurn(resolve));
    this.#pieces = 0;
    this.#startedAt = this.#clock.now();
  }
}

/** The same content, handed on no faster than others get their turns. */
export async function* paced(
  content: AsyncIterable<Uint8Array>,
  clock: Clock,
): AsyncGenerator<Uint8Array, void> {
  const pace = new Pace(clock);
  for await (const piece of content) {
    yield piece;
    if (pace.isDue) await pace.turn();
  }
}

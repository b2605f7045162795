// The real time of this process, for everything that runs outside of the simulator.

import type { Clock } from './clock.ts';

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  // libuv runs immediates right after the poll phase, in which the callbacks of all sockets and
  // files that are ready run: by then everything that has arrived was handed in.
  endOfTurn(run) {
    setImmediate(run);
  },
};

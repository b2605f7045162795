// How far a long command is: one line that changes on a terminal, now and then a line elsewhere.

import type { CliStream, Environment } from './context.ts';

const TERMINAL_MS = 200;
const LINES_MS = 10_000;
const CLEAR = '\r\x1b[K';

export class Progress {
  readonly #stream: CliStream;
  readonly #isTerminal: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: CliStream, env: Environment) {
    this.#stream = stream;
    this.#isTerminal = stream.isTTY === true && env['TERM'] !== 'dumb';
  }

  /** `text` is given the milliseconds since now, and is short enough for one line. */
  start(text: (elapsedMs: number) => string): void {
    const startedAt = performance.now();
    const show = () => {
      const line = text(performance.now() - startedAt);
      this.#stream.write(this.#isTerminal ? `${CLEAR}${line}` : `${line}\n`);
    };
    this.#timer = setInterval(show, this.#isTerminal ? TERMINAL_MS : LINES_MS);
  }

  /** Before something else is written. */
  clear(): void {
    if (this.#isTerminal) this.#stream.write(CLEAR);
  }

  end(): void {
    clearInterval(this.#timer);
    this.clear();
  }
}

// Waiting for what other processes do. Conditions are polled, because a log file, a health endpoint
// and a leader's id have no event to listen to; every wait is bounded and says what it waited for.

const POLL_MS = 15;

export class WaitError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WaitError';
  }
}

/** What the condition threw last, if that is why it never held. */
function reasonOf(error: unknown): string {
  return error === null ? '' : `; last problem: ${String(error)}`;
}

/**
 * Asks again and again until the answer is neither null, undefined nor false, and gives it. An
 * exception counts as "not yet", except a WaitError, which says that waiting is in vain. Rejects
 * with a WaitError after `timeoutMs`.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 15_000,
): Promise<NonNullable<T>> {
  const endAt = performance.now() + timeoutMs;
  let problem: unknown = null;
  for (;;) {
    try {
      const answer = await condition();
      if (answer !== null && answer !== undefined && answer !== false) return answer;
      problem = null;
    } catch (error) {
      if (error instanceof WaitError) throw error;
      problem = error;
    }
    if (performance.now() > endAt) {
      throw new WaitError(`waited ${timeoutMs} ms in vain until ${what}${reasonOf(problem)}`);
    }
    await pause(POLL_MS);
  }
}

/** Only between polls, and to let a fault last for as long as a test says. */
export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

// A replica that is wrong must stop rather than spread it. These checks stay on in production.

export class AssertionError extends Error {
  constructor(fact: string) {
    super(`raft: this must hold and does not: ${fact}`);
    this.name = 'AssertionError';
  }
}

/** `fact` states, positively, what must be true. */
export function assert(condition: boolean, fact: string): asserts condition {
  if (!condition) throw new AssertionError(fact);
}

/** Closes a switch over a union: a new kind breaks the build. */
export function unreachable(value: never): never {
  throw new AssertionError(`no other kind exists (${JSON.stringify(value)})`);
}

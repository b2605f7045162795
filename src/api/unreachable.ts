// Closes a switch over a union: a new kind that the switch forgets breaks the build.

export function unreachable(value: never): never {
  throw new Error(`no such kind: ${String(value)}`);
}

// What a planted bug is: see mutants.ts.

import type { Stack } from '../../src/sim/types.ts';

export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** The published trap or bug that it re-creates. */
  readonly trap: string;
  /** Several where the code has more than one guard against it. */
  readonly edits: readonly Edit[];
  /** What the simulator runs to find it. */
  readonly stack: Stack;
}

// Runs seeds one after another until one breaks an invariant. Bundled once for each mutant and run as
// a process of its own: a mutant may also hang or run out of memory, which counts as caught too.

import { simulate } from '../../src/sim/run.ts';
import type { SimResult, Stack } from '../../src/sim/types.ts';

export interface Hunt {
  readonly seed: number;
  readonly seeds: number;
  readonly property: string | null;
  readonly message: string;
}

const [stack, first, last, property] = process.argv.slice(2) as [Stack, string, string, string?];
const options = property === undefined ? { stack } : { stack, properties: [property] };

let found: SimResult | null = null;
let seed = Number(first);
for (; seed <= Number(last); seed++) {
  process.send?.({ running: seed });
  const result = await simulate({ seed, ...options });
  if (result.violation === null) continue;
  found = result;
  break;
}
const violation = found?.violation ?? null;
const hunt: Hunt = {
  seed,
  seeds: seed - Number(first) + 1,
  property: violation?.property ?? null,
  message: violation?.message ?? '',
};
console.log(JSON.stringify(hunt));

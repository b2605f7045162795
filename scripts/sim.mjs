// `npm run sim -- --minutes 1`, `-- --seed N`, `-- --hours 2`: the simulator, see scripts/sim.ts.

import { bin, ensureInstalled, run } from './lib.mjs';

ensureInstalled();
run(bin('tsx'), ['scripts/sim.ts', ...process.argv.slice(2)]);

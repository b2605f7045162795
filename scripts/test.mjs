// `npm test`: installs what is missing, builds (tests of real processes run the built server), and
// runs every test. Arguments go to Vitest: `npm test -- test/paper`.

import { bin, ensureBuilt, ensureInstalled, run } from './lib.mjs';

/** Tests that bound how long a cluster of processes takes: they get the machine for themselves. */
const ALONE = 'test/chaos';

ensureInstalled();
ensureBuilt();
const args = process.argv.slice(2);
if (args.length > 0) {
  run(bin('vitest'), ['run', ...args]);
} else {
  run(bin('vitest'), ['run', '--exclude', `${ALONE}/**`]);
  run(bin('vitest'), ['run', ALONE, '--maxWorkers', '1']);
}

// `npm test`: installs what is missing, builds (tests of real processes run the built server), and
// runs every test. Arguments go to Vitest: `npm test -- test/paper`.

import { bin, ensureBuilt, ensureInstalled, run } from './lib.mjs';

ensureInstalled();
ensureBuilt();
run(bin('vitest'), ['run', ...process.argv.slice(2)]);

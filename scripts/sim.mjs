// `npm run sim -- --minutes 1`, `-- --seed N`, `-- --hours 2`: the `kontiki sim` of the source.

import { bin, ensureInstalled, run } from './lib.mjs';

ensureInstalled();
run(bin('tsx'), ['src/cli/main.ts', 'sim', ...process.argv.slice(2)]);

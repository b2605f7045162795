// `npm run check`: the gate before every commit. Changes no file. Stops at the first failure.

import { join } from 'node:path';
import { bin, ensureInstalled, root, run } from './lib.mjs';

ensureInstalled();
const steps = [
  ['format and lint', bin('biome'), ['ci', '.']],
  ['types', bin('tsc'), ['-p', 'tsconfig.json']],
  ['types of the pure layers', bin('tsc'), ['-p', 'tsconfig.pure.json']],
  ['imports', bin('depcruise'), ['--config', '.dependency-cruiser.cjs', 'src']],
  ['dead code', bin('knip'), []],
  ['tests', process.execPath, [join(root, 'scripts/test.mjs')]],
];
for (const [name, command, args] of steps) {
  console.error(`── ${name}`);
  run(command, args);
}

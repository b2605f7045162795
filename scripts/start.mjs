// `npm start`: from a fresh clone to a running three-node cluster. Arguments go to `kontiki demo`.

import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, run } from './lib.mjs';

ensureInstalled();
ensureBuilt();
run(process.execPath, [join(root, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)]);

// `npm run bench`: builds what is missing, then runs bench/server.ts; `npm run bench -- million` and
// the name of any other file in bench/ run that one. Further arguments go to it.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { bin, ensureBuilt, ensureInstalled, root, run } from './lib.mjs';

const [first, ...rest] = process.argv.slice(2);
const named = first !== undefined && existsSync(join(root, 'bench', `${first}.ts`));
const file = named ? first : 'server';
const args = named || first === undefined ? rest : [first, ...rest];

ensureInstalled();
ensureBuilt();
run(bin('tsx'), [join('bench', `${file}.ts`), ...args]);

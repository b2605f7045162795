// `npm run sim -- --minutes 1`, `-- --seed N`, `-- --hours 2`: the `kontiki sim` of the source, put
// together into one program. Loaded module by module through tsx it runs a tenth slower, for tsx names
// every function anew each time it is made.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled, root } from './lib.mjs';

ensureInstalled();
const { build } = await import('esbuild');
const cache = join(root, '.cache');
mkdirSync(cache, { recursive: true });
// Of its own: workers load it as long as the sweep goes on, whoever starts another one meanwhile.
const outdir = mkdtempSync(join(cache, 'sim-'));
process.on('exit', () => rmSync(outdir, { recursive: true, force: true }));
await build({
  entryPoints: ['main', 'sim-worker'].map(name => join(root, 'src', 'cli', `${name}.ts`)),
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  logLevel: 'error',
});

const child = spawn(process.execPath, [join(outdir, 'main.js'), 'sim', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// Ctrl-C reaches both of us: the sweep ends with its summary.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('close', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));

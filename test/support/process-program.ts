// Which program the process tests start: the built command line. KONTIKI_TEST_FROM_SOURCE=1 bundles
// the server from source instead, for work on the server without a build of everything.
// KONTIKI_TEST_SERVER names another program, a real etcd, to find out whether what a test expects is
// what etcd does.

import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { removeDirectory } from './process-ports.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

let bundled: Promise<string> | null = null;

/** Program and first arguments; etcd's flags follow. */
export async function serverCommand(): Promise<readonly string[]> {
  const cli = join(root, 'dist', 'cli', 'main.js');
  const other = process.env['KONTIKI_TEST_SERVER'];
  if (other !== undefined) return [other];
  if (process.env['KONTIKI_TEST_FROM_SOURCE'] === '1') {
    bundled ??= bundle();
    return [process.execPath, await bundled, 'serve'];
  }
  if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm run build first`);
  return [process.execPath, cli, 'serve'];
}

async function bundle(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'kontiki-bundle-'));
  process.once('exit', () => removeDirectory(directory));
  // Laid out like the project: the command line reads its version two folders up.
  const outfile = join(directory, 'dist', 'cli', 'main.mjs');
  copyFileSync(join(root, 'package.json'), join(directory, 'package.json'));
  await build({
    entryPoints: [join(root, 'src', 'cli', 'main.ts')],
    bundle: true,
    outfile,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    plugins: [packagesByPath],
    logLevel: 'error',
  });
  return outfile;
}

/** The bundle lies outside the project, so it must name packages by their absolute path. */
const packagesByPath: Plugin = {
  name: 'packages-by-path',
  setup(pluginBuild) {
    const require = createRequire(join(root, 'package.json'));
    pluginBuild.onResolve({ filter: /^[a-z@]/ }, ({ path }) => {
      if (path.startsWith('node:')) return { external: true };
      return { path: pathToFileURL(require.resolve(path)).href, external: true };
    });
  },
};

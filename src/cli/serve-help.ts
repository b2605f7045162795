// The texts of `kontiki serve --help` and `--version`.

import { API_VERSION } from '../etcd/version.ts';
import { IGNORED_FLAGS, REFUSED_FLAGS, USED_FLAGS } from './serve-flags.ts';
import { kontikiVersion, runtimeLines } from './version.ts';

const FLAG_CHARS = 40;
const LINE_CHARS = 96;

/** etcd's first line comes first: tools that start servers parse it. */
export function serveVersion(): string {
  return [`etcd Version: ${API_VERSION}`, `Kontiki Version: ${kontikiVersion()}`, ...runtimeLines()]
    .map(line => `${line}\n`)
    .join('');
}

export function serveHelp(): string {
  const flags = USED_FLAGS.map(({ name, placeholder, brief }) => {
    const flag = `  --${name}${placeholder === '' ? '' : ` ${placeholder}`}`;
    return `${flag.padEnd(FLAG_CHARS)}${brief}`;
  });
  return `USAGE
  kontiki serve [flags]

Runs one member of a cluster: an etcd v3 server that keeps its data on disk. The flags are etcd's, as
--flag=value, --flag value or -flag value. Each can be set by a variable, too: --data-dir by
KONTIKI_DATA_DIR or ETCD_DATA_DIR; a flag beats a variable. SIGTERM stops the server in order.

FLAGS
${flags.join('\n')}

ACCEPTED WITHOUT EFFECT (each is logged when given)
${wrapped(Object.keys(IGNORED_FLAGS).filter(isCurrent))}

NOT SUPPORTED (an error, because going on without them would surprise)
${wrapped(Object.keys(REFUSED_FLAGS).filter(isCurrent))}
`;
}

function isCurrent(name: string): boolean {
  return !name.startsWith('experimental-');
}

function wrapped(names: readonly string[]): string {
  const lines: string[] = [];
  let line = ' ';
  for (const name of names) {
    if (line.length + name.length + 3 > LINE_CHARS) {
      lines.push(line);
      line = ' ';
    }
    line += ` --${name}`;
  }
  return [...lines, line].join('\n');
}

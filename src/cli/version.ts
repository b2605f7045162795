// Which Kontiki this is, and on what it runs.

import { readFileSync } from 'node:fs';

/** From the package's own package.json, two folders up from src/cli as well as from dist/cli. */
export function kontikiVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

export function runtimeLines(): string[] {
  return [`Node.js Version: ${process.version}`, `OS/Arch: ${process.platform}/${process.arch}`];
}

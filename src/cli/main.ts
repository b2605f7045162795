#!/usr/bin/env node
// The `kontiki` command.

import { runCli } from './app.ts';

/** A handle that something forgot must not keep the process after its work. */
const LINGER_MS = 1000;

// `kontiki get ... | head` closes the pipe early; that is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

const { argv, env, stdin, stdout, stderr } = process;
process.exitCode = await runCli(argv.slice(2), { stdin, process: { stdout, stderr, env } });
setTimeout(() => process.exit(), LINGER_MS).unref();

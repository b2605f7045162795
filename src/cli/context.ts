// What a command may touch of the process that it runs in. Tests hand in their own.

import type { CommandContext, StricliProcess } from '@stricli/core';
import type { ExitCode } from './exit-codes.ts';

export interface CliStream {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  getColorDepth?(env?: object): number;
}

export type Environment = Readonly<Partial<Record<string, string>>>;

export interface CliInput extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean;
}

export interface CliProcess extends StricliProcess {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  readonly env: Environment;
  exitCode?: number | string | null;
}

export interface CliContext extends CommandContext {
  readonly process: CliProcess;
  readonly stdin: CliInput;
}

export function exitWith(context: CliContext, code: ExitCode): void {
  context.process.exitCode = code;
}

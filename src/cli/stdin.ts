// Reads standard input whole, up to a bound: values and transactions are small.

import type { CliInput } from './context.ts';
import { usageError } from './report.ts';
import { formatBytes } from './values.ts';

/** Far above what a server takes by default, so that its own refusal is what people see first. */
const INPUT_BYTES_MAX = 64 * 1024 * 1024;

export async function readInput(stdin: CliInput, bytesMax = INPUT_BYTES_MAX): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.length;
    if (size > bytesMax) {
      throw usageError(`Standard input is larger than ${formatBytes(bytesMax)}.`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

// `kontiki del`: deletes a key, or all keys with a prefix.

import { buildCommand } from '@stricli/core';
import { prefixRange } from '../client/operations.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { jsonKeyValue, KV_SCHEMA, kvTable, plainKeyValues } from './kv-output.ts';
import { usageError } from './report.ts';
import {
  type ClientFlags,
  clientAliases,
  clientFlags,
  request,
  runClientCommand,
  type Session,
} from './session.ts';
import { formatCount, shellWord } from './values.ts';

interface DelFlags extends ClientFlags {
  readonly prefix: boolean;
  readonly prev: boolean;
}

async function del(this: CliContext, flags: DelFlags, key: string): Promise<void> {
  await runClientCommand(this, flags, async session => {
    if (key === '' && !flags.prefix) {
      throw usageError('The key is empty.', ["kontiki del --prefix ''     deletes ALL keys"]);
    }
    const { prefix, prev: prevKv } = flags;
    const shown = `${prefix ? '--prefix ' : ''}${shellWord(key)}${session.endpointsFlag}`;
    const { header, deleted, prevKvs } = await request(
      session,
      { kind: 'write', check: `kontiki get ${shown}` },
      settings => session.client.delete(prefix ? prefixRange(key) : key, { prevKv, ...settings }),
    );
    printDeleted(session, { revision: header?.revision ?? 0, deleted, prevKvs }, prevKv);
    return ExitCode.OK;
  });
}

type Deleted = {
  readonly revision: number;
  readonly deleted: number;
  readonly prevKvs: Parameters<typeof kvTable>[0];
};

function printDeleted(session: Session, result: Deleted, prev: boolean): void {
  const { revision, deleted, prevKvs } = result;
  switch (session.format) {
    case 'json':
      return session.printJson({
        schema: KV_SCHEMA,
        revision,
        deleted,
        ...(prev ? { previous: prevKvs.map(kv => jsonKeyValue(kv)) } : {}),
      });
    case 'plain':
      session.print(`${deleted}\n`);
      if (prev) session.print(plainKeyValues(prevKvs, 'both'));
      return;
    case 'table': {
      const keys = deleted === 1 ? 'key' : 'keys';
      session.print(
        `${formatCount(deleted)} ${keys} deleted  ${session.style.dim(`revision ${revision}`)}\n`,
      );
      if (prev && prevKvs.length > 0) session.print(`Before:\n${kvTable(prevKvs)}`);
    }
  }
}

export const delCommand = buildCommand<DelFlags, [string], CliContext>({
  func: del,
  parameters: {
    flags: {
      ...clientFlags,
      prefix: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'All keys that begin with KEY',
      },
      prev: { kind: 'boolean', default: false, withNegated: false, brief: 'Show what was there' },
    },
    aliases: clientAliases,
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'The key', placeholder: 'key' }],
    },
  },
  docs: {
    brief: 'Delete a key or a range of keys',
    fullDescription:
      'Deletes keys and tells how many. A key that does not exist counts as 0 and is no error.',
  },
});

// `kontiki get`: reads a key, or all keys with a prefix, now or at an earlier revision.

import { buildCommand } from '@stricli/core';
import { type RangeResponse, SortOrder, SortTarget } from '../api/kv.ts';
import { type Keys, prefixRange } from '../client/operations.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { jsonRange, KV_SCHEMA, kvTable, plainKeyValues } from './kv-output.ts';
import { usageError } from './report.ts';
import {
  type ClientFlags,
  clientAliases,
  clientFlags,
  request,
  runClientCommand,
  type Session,
} from './session.ts';
import { printable } from './table.ts';
import { formatCount, parseCount } from './values.ts';

const SORTS = ['key', 'version', 'create', 'modify', 'value'] as const;
type Sort = (typeof SORTS)[number];

const SORT_TARGETS: Readonly<Record<Sort, SortTarget>> = {
  key: SortTarget.KEY,
  version: SortTarget.VERSION,
  create: SortTarget.CREATE,
  modify: SortTarget.MOD,
  value: SortTarget.VALUE,
};

interface GetFlags extends ClientFlags {
  readonly prefix: boolean;
  readonly limit?: number;
  readonly rev?: number;
  readonly sort?: Sort;
  readonly descending: boolean;
  readonly keysOnly: boolean;
  readonly valueOnly: boolean;
  readonly countOnly: boolean;
  readonly serializable: boolean;
}

async function get(this: CliContext, flags: GetFlags, key: string): Promise<void> {
  await runClientCommand(this, flags, async session => {
    checkFlags(flags, key);
    const keys: Keys = flags.prefix ? prefixRange(key) : key;
    const options = {
      limit: flags.limit ?? 0,
      revision: flags.rev ?? 0,
      keysOnly: flags.keysOnly,
      countOnly: flags.countOnly,
      serializable: flags.serializable,
      ...sorting(flags),
    };
    const response = await request(session, { kind: 'read' }, settings =>
      session.client.range(keys, { ...options, ...settings }),
    );
    print(session, response, flags);
    if (response.count > 0 || flags.prefix || flags.countOnly) return ExitCode.OK;
    if (session.format !== 'json') session.warn(notFound(key, flags));
    return ExitCode.NOT_FOUND;
  });
}

function checkFlags(flags: GetFlags, key: string): void {
  const { keysOnly, valueOnly, countOnly } = flags;
  if (Number(keysOnly) + Number(valueOnly) + Number(countOnly) > 1) {
    throw usageError('Give one of --keys-only, --value-only and --count-only.');
  }
  if (flags.descending && flags.sort === undefined) {
    throw usageError('--descending needs --sort.');
  }
  if (key === '' && !flags.prefix) {
    throw usageError('The key is empty.', ["kontiki get --prefix ''     reads all keys"]);
  }
}

function sorting({ sort, descending }: GetFlags) {
  if (sort === undefined) return {};
  const sortOrder = descending ? SortOrder.DESCEND : SortOrder.ASCEND;
  return { sortOrder, sortTarget: SORT_TARGETS[sort] };
}

function notFound(key: string, { rev }: GetFlags): string {
  const at = rev === undefined ? '' : ` at revision ${rev}`;
  return `${printable(key)} does not exist${at}`;
}

function print(session: Session, response: RangeResponse, flags: GetFlags): void {
  const { kvs, count, more } = response;
  const { format } = session;
  if (flags.countOnly) {
    const revision = response.header?.revision ?? 0;
    if (format === 'json') session.printJson({ schema: KV_SCHEMA, revision, count });
    else session.print(`${count}\n`);
    return;
  }
  if (format === 'json') return session.printJson(jsonRange(response, flags.keysOnly));
  if (format === 'plain' || flags.valueOnly) {
    const show = flags.keysOnly ? 'keys' : flags.valueOnly ? 'values' : 'both';
    return session.print(plainKeyValues(kvs, show));
  }
  if (kvs.length > 0) session.print(kvTable(kvs, flags.keysOnly));
  else if (flags.prefix) session.warn('no such keys');
  if (more) session.warn(`${formatCount(count - kvs.length)} more, cut off by --limit`);
}

const no = (brief: string) =>
  ({ kind: 'boolean', default: false, withNegated: false, brief }) as const;

export const getCommand = buildCommand<GetFlags, [string], CliContext>({
  func: get,
  parameters: {
    flags: {
      ...clientFlags,
      prefix: no('All keys that begin with KEY'),
      limit: {
        kind: 'parsed',
        parse: parseCount,
        optional: true,
        placeholder: 'N',
        brief: 'At most so many keys',
      },
      rev: {
        kind: 'parsed',
        parse: parseCount,
        optional: true,
        placeholder: 'N',
        brief: 'As it was at this revision',
      },
      sort: { kind: 'enum', values: SORTS, optional: true, brief: 'Order by this' },
      descending: no('The other way round'),
      keysOnly: no('Keys without values'),
      valueOnly: no('Values without keys'),
      countOnly: no('Only how many'),
      serializable: no('From the server asked, without a leader; may be old'),
    },
    aliases: clientAliases,
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'The key', placeholder: 'key' }],
    },
  },
  docs: {
    brief: 'Read a key or a range of keys',
    fullDescription: 'Reads keys. Exit codes: 2 no cluster answers, 4 the key does not exist.',
  },
});

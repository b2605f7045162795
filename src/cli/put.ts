// `kontiki put`: writes a key, on a condition if one is given (compare-and-set).

import { buildCommand } from '@stricli/core';
import type { KeyValue } from '../api/common.ts';
import { op, when } from '../client/operations.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import type { Action } from './failure.ts';
import { jsonKeyValue, KV_SCHEMA, kvTable, plainKeyValues } from './kv-output.ts';
import { CliError, usageError } from './report.ts';
import {
  type ClientFlags,
  clientAliases,
  clientFlags,
  request,
  runClientCommand,
  type Session,
} from './session.ts';
import { readInput } from './stdin.ts';
import { printable } from './table.ts';
import { parseCount, shellWord } from './values.ts';

interface PutFlags extends ClientFlags {
  readonly ifVersion?: number;
  readonly ifAbsent: boolean;
  readonly prev: boolean;
}

interface Written {
  readonly revision: number;
  readonly previous: KeyValue | null;
}

async function put(this: CliContext, flags: PutFlags, key: string, value: string): Promise<void> {
  await runClientCommand(this, flags, async session => {
    const version = requiredVersion(flags);
    const bytes = value === '-' ? await readInput(this.stdin) : Buffer.from(value);
    const written =
      version === null
        ? await write(session, key, bytes, flags.prev)
        : await writeIf(session, key, bytes, version);
    printWritten(session, key, written, flags.prev);
    return ExitCode.OK;
  });
}

/** The version that the key must have now; 0: it must not exist; null: any. */
function requiredVersion({ ifVersion, ifAbsent }: PutFlags): number | null {
  if (ifAbsent && ifVersion !== undefined) {
    throw usageError('--if-absent and --if-version contradict each other: give one of them.');
  }
  return ifAbsent ? 0 : (ifVersion ?? null);
}

function actionOn(session: Session, key: string): Action {
  return { kind: 'write', check: `kontiki get ${shellWord(key)}${session.endpointsFlag}` };
}

async function write(
  session: Session,
  key: string,
  value: Uint8Array,
  prevKv: boolean,
): Promise<Written> {
  const answer = await request(session, actionOn(session, key), settings =>
    session.client.put(key, value, { prevKv, ...settings }),
  );
  return { revision: answer.header?.revision ?? 0, previous: answer.prevKv };
}

async function writeIf(
  session: Session,
  key: string,
  value: Uint8Array,
  version: number,
): Promise<Written> {
  const txn = {
    compare: [when.version(key, '=', version)],
    success: [op.put(key, value, { prevKv: true })],
    failure: [op.get(key)],
  };
  const answer = await request(session, actionOn(session, key), settings =>
    session.client.txn(txn, settings),
  );
  const [result] = answer.responses;
  if (!answer.succeeded) {
    throw conflict(key, version, result?.kind === 'range' ? result.range.kvs[0] : undefined);
  }
  const previous = result?.kind === 'put' ? result.put.prevKv : null;
  return { revision: answer.header?.revision ?? 0, previous };
}

function conflict(key: string, version: number, found: KeyValue | undefined): CliError {
  const name = printable(key);
  const is = found === undefined ? 'does not exist' : `is at version ${found.version}`;
  const not = version === 0 || found === undefined ? '' : `, not ${version}`;
  const retry = found === undefined ? '--if-absent' : `--if-version ${found.version}`;
  return new CliError({
    headline: `Conflict: ${name} ${is}${not}. Nothing was written.`,
    details: [['next', [`kontiki get ${shellWord(key)}     then put again with ${retry}`]]],
    exitCode: ExitCode.CONFLICT,
  });
}

function printWritten(session: Session, key: string, written: Written, prev: boolean): void {
  const { revision, previous } = written;
  switch (session.format) {
    case 'json':
      return session.printJson({
        schema: KV_SCHEMA,
        revision,
        key,
        ...(prev ? { previous: previous === null ? null : jsonKeyValue(previous) } : {}),
      });
    case 'plain':
      session.print('OK\n');
      if (prev && previous !== null) session.print(plainKeyValues([previous], 'both'));
      return;
    case 'table': {
      const { green, dim } = session.style;
      session.print(`${green('OK')}  ${dim(`revision ${revision}`)}\n`);
      if (prev && previous !== null) session.print(`Before:\n${kvTable([previous])}`);
    }
  }
}

export const putCommand = buildCommand<PutFlags, [string, string], CliContext>({
  func: put,
  parameters: {
    flags: {
      ...clientFlags,
      ifVersion: {
        kind: 'parsed',
        parse: parseCount,
        optional: true,
        placeholder: 'N',
        brief: 'Write only if the key is at this version; else exit with 5',
      },
      ifAbsent: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Write only if the key does not exist; else exit with 5',
      },
      prev: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Show what was there before',
      },
    },
    aliases: clientAliases,
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, brief: 'The key', placeholder: 'key' },
        { parse: String, brief: 'Its value; - reads it from standard input', placeholder: 'value' },
      ],
    },
  },
  docs: {
    brief: 'Write a key',
    fullDescription: [
      'Writes a key. A value that begins with - goes after --, as in: kontiki put -- n -x',
      'Exit codes: 2 not applied because no cluster answers, 5 the condition did not hold, 6 it is',
      'unknown whether the write was applied.',
    ].join('\n'),
  },
});

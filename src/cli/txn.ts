// `kontiki txn`: one atomic transaction, read from standard input.

import { buildCommand } from '@stricli/core';
import type { ResponseOp, TxnRequest, TxnResponse } from '../api/kv.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { jsonKeyValue, jsonRange, kvTable, plainKeyValues } from './kv-output.ts';
import { CliError } from './report.ts';
import {
  type ClientFlags,
  clientAliases,
  clientFlags,
  request,
  runClientCommand,
  type Session,
} from './session.ts';
import { readInput } from './stdin.ts';
import { parseTxnJson } from './txn-json.ts';
import { parseTxnText } from './txn-text.ts';
import { utf8OrNull } from './values.ts';

const TXN_SCHEMA = 'kontiki.txn/1';

async function txn(this: CliContext, flags: ClientFlags): Promise<void> {
  await runClientCommand(this, flags, async session => {
    if (this.stdin.isTTY === true) session.warn(TYPING_HINT);
    const whole = parse(await readInput(this.stdin));
    const reads = [...whole.success, ...whole.failure].every(one => one?.kind === 'range');
    const check = `kontiki get KEY${session.endpointsFlag}`;
    const response = await request(
      session,
      reads ? { kind: 'read' } : { kind: 'write', check },
      settings => session.client.txn(whole, settings),
    );
    if (session.format === 'json') session.printJson(jsonTxn(response));
    else printTxn(session, response);
    return response.succeeded ? ExitCode.OK : ExitCode.CONFLICT;
  });
}

const TYPING_HINT =
  'Type conditions, an empty line, what to do if they hold, an empty line, what to do if not; then Ctrl-D.';

function parse(input: Uint8Array): TxnRequest {
  try {
    const text = utf8OrNull(input);
    if (text === null) throw new Error('it is not UTF-8 text');
    return text.trimStart().startsWith('{') ? parseTxnJson(text) : parseTxnText(text);
  } catch (error) {
    throw new CliError({
      headline: `The transaction on standard input can't be read: ${(error as Error).message}.`,
      details: [['next', ['kontiki txn --help     shows both forms']]],
      exitCode: ExitCode.USAGE,
    });
  }
}

function jsonTxn({ header, succeeded, responses }: TxnResponse) {
  return {
    schema: TXN_SCHEMA,
    revision: header?.revision ?? 0,
    succeeded,
    responses: responses.map(jsonResponse),
  };
}

function jsonResponse(one: ResponseOp): object {
  switch (one?.kind) {
    case 'put':
      return { put: {} };
    case 'range':
      return { get: { count: one.range.count, kvs: jsonRange(one.range).kvs } };
    case 'deleteRange': {
      const { deleted, prevKvs } = one.deleteRange;
      return { del: { deleted, previous: prevKvs.map(kv => jsonKeyValue(kv)) } };
    }
    default:
      return {};
  }
}

function printTxn(session: Session, { succeeded, responses }: TxnResponse): void {
  const { green, yellow } = session.style;
  session.print(succeeded ? `${green('SUCCESS')}\n` : `${yellow('FAILURE')}\n`);
  for (const one of responses) {
    session.print('\n');
    printResponse(session, one);
  }
}

function printResponse(session: Session, one: ResponseOp): void {
  if (one?.kind === 'put') session.print('OK\n');
  if (one?.kind === 'deleteRange') session.print(`${one.deleteRange.deleted}\n`);
  if (one?.kind === 'range') {
    const { kvs } = one.range;
    session.print(session.format === 'table' ? kvTable(kvs) : plainKeyValues(kvs, 'both'));
  }
}

export const txnCommand = buildCommand<ClientFlags, [], CliContext>({
  func: txn,
  parameters: { flags: clientFlags, aliases: clientAliases },
  docs: {
    brief: 'Run a transaction from standard input',
    fullDescription: `Reads a transaction from standard input and runs it atomically. As text: conditions, an empty line,
what is done if all hold, an empty line, what is done if not. Lines that begin with # are passed over.

  version("lock") = 0
                                       conditions are on version, create, mod (revisions), value
  put lock "me"                        and lease, with = != < >
  get config/ --prefix                 operations are put KEY VALUE, get KEY, del KEY

  get lock

As JSON:

  {"compare": [{"key": "lock", "target": "version", "result": "=", "value": 0}],
   "success": [{"put": {"key": "lock", "value": "me"}}],
   "failure": [{"get": {"key": "lock"}}]}

Prints SUCCESS or FAILURE and the results. Exit codes: 5 the conditions did not hold, 6 it is unknown
whether the transaction was applied.`,
  },
});

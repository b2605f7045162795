// The commands and the program around them. What a command needs beyond its flags is loaded when it
// runs, so that `kontiki put` does not wait for a server's code.

import {
  type Application,
  buildApplication,
  buildCommand,
  buildRouteMap,
  run,
  ExitCode as StricliCode,
  text_en,
} from '@stricli/core';
import { API_VERSION } from '../etcd/version.ts';
import type { CliContext } from './context.ts';
import { delCommand } from './del.ts';
import type { DemoFlags } from './demo.ts';
import { ExitCode } from './exit-codes.ts';
import { getCommand } from './get.ts';
import { memberRoutes } from './member-list.ts';
import { putCommand } from './put.ts';
import { simCommand } from './sim-command.ts';
import { statusCommand } from './status.ts';
import { txnCommand } from './txn.ts';
import { parseCount } from './values.ts';
import { kontikiVersion, runtimeLines } from './version.ts';

const { InvalidArgument: BAD_ARGUMENT, UnknownCommand: BAD_COMMAND } = StricliCode;
const DEMO_NODES_MAX = 5;
const PORT_MAX = 65_535;

const serveCommand = buildCommand<Record<never, never>, string[], CliContext>({
  async func(_, ...args) {
    const { serve } = await import('./serve.ts');
    await serve(this, args);
  },
  parameters: {
    positional: { kind: 'array', parameter: { parse: String, brief: 'etcd flags' } },
  },
  docs: { brief: 'Run a server: etcd v3 API, etcd flags (see kontiki serve --help)' },
});

const demoCommand = buildCommand<DemoFlags, [], CliContext>({
  loader: async () => (await import('./demo.ts')).demo,
  parameters: {
    flags: {
      nodes: {
        kind: 'parsed',
        parse: text => bounded(text, 1, DEMO_NODES_MAX),
        default: '3',
        placeholder: 'N',
        brief: `How many nodes, 1 to ${DEMO_NODES_MAX}`,
      },
      basePort: {
        kind: 'parsed',
        parse: text => bounded(text, 1, PORT_MAX - 2 * DEMO_NODES_MAX),
        optional: true,
        placeholder: 'PORT',
        brief: 'Use this port and those after it, two for each node',
      },
      seconds: {
        kind: 'parsed',
        parse: text => bounded(text, 1, 86_400),
        optional: true,
        placeholder: 'N',
        brief: 'Stop by itself after this time',
      },
      verbose: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: "Show the nodes' log lines",
      },
    },
    aliases: { n: 'nodes' },
  },
  docs: {
    brief: 'Run a cluster in this process, to try things and break them',
    fullDescription:
      'Starts a cluster on the loopback address: real servers, real files in a temporary folder that is\nremoved at exit. On a terminal, keys kill and restart nodes.',
  },
});

function bounded(text: string, min: number, max: number): number {
  const value = parseCount(text);
  if (value < min || value > max) throw new Error(`expected ${min} to ${max}`);
  return value;
}

const root = buildRouteMap({
  routes: {
    demo: demoCommand,
    serve: serveCommand,
    put: putCommand,
    get: getCommand,
    del: delCommand,
    txn: txnCommand,
    status: statusCommand,
    member: memberRoutes,
    sim: simCommand,
  },
  docs: {
    brief: 'A replicated key-value store with the etcd v3 API',
    fullDescription: [
      'A replicated key-value store with the etcd v3 API, in TypeScript.',
      '',
      'First steps: kontiki demo, and in another terminal: kontiki put greeting hello',
      '',
      'Client commands ask --endpoints, or KONTIKI_ENDPOINTS, or 127.0.0.1:2379. Colours are for',
      'terminals only and go off with --no-color or NO_COLOR=1.',
      'Exit codes: 0 ok, 1 failed or degraded, 2 unavailable, 3 undetermined, 4 not found, 5 conflict,',
      '6 outcome unknown, 64 usage, 130 interrupted.',
    ].join('\n'),
  },
});

function application(): Application<CliContext> {
  const version = [
    `kontiki ${kontikiVersion()}`,
    `etcd API Version: ${API_VERSION}`,
    ...runtimeLines(),
  ];
  return buildApplication<CliContext>(root, {
    name: 'kontiki',
    versionInfo: { currentVersion: version.join('\n') },
    scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
    documentation: { caseStyle: 'convert-camel-to-kebab', onlyRequiredInUsageLine: true },
    localization: { text: { ...text_en, exceptionWhileRunningCommand: crashText } },
  });
}

function crashText(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `✗ This is a bug in kontiki, please report it:\n${text}`;
}

const GLOBAL_VALUES = /^(--endpoints|--timeout|--output|-o)$/;
const GLOBAL_JOINED = /^(--endpoints|--timeout|--output|-o)=/;

/** Options that people write before the command, as etcdctl allows, go to its end. */
export function hoistGlobals(args: readonly string[]): string[] {
  let i = 0;
  while (i < args.length) {
    if (GLOBAL_VALUES.test(args[i]!)) i += 2;
    else if (GLOBAL_JOINED.test(args[i]!)) i += 1;
    else break;
  }
  const globals = args.slice(0, i);
  const rest = args.slice(i);
  const at = endOfFlags(rest);
  return [...rest.slice(0, at), ...globals, ...rest.slice(at)];
}

/** Takes --no-color out, wherever it stands before `--`. */
export function takeNoColor(args: readonly string[]): { args: string[]; noColor: boolean } {
  const end = endOfFlags(args);
  const kept = args.filter((arg, i) => i >= end || arg !== '--no-color');
  return { args: kept, noColor: kept.length < args.length };
}

/** Where `--` says that words follow which are no flags. */
function endOfFlags(args: readonly string[]): number {
  const at = args.indexOf('--');
  return at === -1 ? args.length : at;
}

/** Resolves to the exit code. */
export async function runCli(rawArgs: readonly string[], context: CliContext): Promise<number> {
  const { args, noColor } = takeNoColor(rawArgs);
  const env = noColor ? { ...context.process.env, NO_COLOR: '1' } : context.process.env;
  const { stdout, stderr } = context.process;
  const inner: CliContext = { stdin: context.stdin, process: { stdout, stderr, env } };
  // etcd's flags are not Stricli's: what follows `serve` is for its own parser.
  const inputs = args[0] === 'serve' ? ['serve', '--', ...args.slice(1)] : hoistGlobals(args);
  await run(application(), inputs, inner);
  const code = Number(inner.process.exitCode ?? 0);
  if (code === BAD_ARGUMENT) stderr.write(`  next   kontiki ${args[0] ?? ''} --help\n`);
  return exitCodeOf(code);
}

function exitCodeOf(code: number): number {
  if (code >= 0) return code;
  return code === BAD_ARGUMENT || code === BAD_COMMAND ? ExitCode.USAGE : ExitCode.FAILED;
}

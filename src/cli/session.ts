// What all client commands share: where to connect, how long to wait, how to print.

import type { EtcdClient } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { connect } from './connect.ts';
import type { CliContext } from './context.ts';
import type { ExitCode } from './exit-codes.ts';
import { type Action, askAll, explainFailure, isNoLeader, type Probe } from './failure.ts';
import { CliError, reporting, usageError } from './report.ts';
import { type Style, styleFor } from './style.ts';
import { parseDuration } from './values.ts';

export const OUTPUTS = ['table', 'plain', 'json'] as const;
export type OutputFormat = (typeof OUTPUTS)[number];

export interface ClientFlags {
  readonly endpoints?: readonly string[];
  readonly output?: OutputFormat;
  readonly timeout?: number;
}

export const DEFAULT_ENDPOINT = '127.0.0.1:2379';
export const DEFAULT_TIMEOUT_MS = 5000;
const ENDPOINTS_MAX = 64;

export const clientFlags = {
  endpoints: {
    kind: 'parsed',
    parse: parseEndpoints,
    optional: true,
    placeholder: 'host:port,...',
    brief: `Servers to ask [${DEFAULT_ENDPOINT}, or KONTIKI_ENDPOINTS or ETCDCTL_ENDPOINTS]`,
  },
  output: {
    kind: 'enum',
    values: OUTPUTS,
    optional: true,
    brief: 'How to print [table on a terminal, else plain]',
  },
  timeout: {
    kind: 'parsed',
    parse: parseDuration,
    optional: true,
    placeholder: '2s',
    brief: 'Give up after this time [5s]',
  },
} as const;

export const clientAliases = { o: 'output' } as const;

export function parseEndpoints(text: string): readonly string[] {
  const endpoints = text.split(',').map(part => part.trim());
  if (endpoints.includes('')) throw new Error('expected host:port, or several with commas between');
  if (endpoints.length > ENDPOINTS_MAX) throw new Error(`more than ${ENDPOINTS_MAX} endpoints`);
  return endpoints;
}

export class Session {
  readonly client: EtcdClient;
  readonly format: OutputFormat;
  readonly timeoutMs: number;
  readonly timeoutGiven: boolean;
  readonly style: Style;
  /** For commands that are suggested: the flag that this one was given, with a space before. */
  readonly endpointsFlag: string;
  readonly endpointsGiven: boolean;
  readonly #context: CliContext;

  constructor(context: CliContext, flags: ClientFlags) {
    const { stdout, env } = context.process;
    const fromEnvironment = env['KONTIKI_ENDPOINTS'] || env['ETCDCTL_ENDPOINTS'];
    const endpoints = flags.endpoints ?? environmentEndpoints(fromEnvironment);
    this.#context = context;
    this.timeoutGiven = flags.timeout !== undefined;
    this.timeoutMs = flags.timeout ?? DEFAULT_TIMEOUT_MS;
    this.format = flags.output ?? (stdout.isTTY === true ? 'table' : 'plain');
    this.style = styleFor(stdout, env);
    this.endpointsGiven = flags.endpoints !== undefined || Boolean(fromEnvironment);
    this.endpointsFlag =
      flags.endpoints === undefined ? '' : ` --endpoints ${flags.endpoints.join(',')}`;
    this.client = connect(endpoints, this.timeoutMs);
  }

  print(text: string | Uint8Array): void {
    this.#context.process.stdout.write(text);
  }

  printJson(value: unknown): void {
    this.print(`${JSON.stringify(value)}\n`);
  }

  warn(text: string): void {
    this.#context.process.stderr.write(`${text}\n`);
  }
}

function environmentEndpoints(text: string | undefined): readonly string[] {
  if (!text) return [DEFAULT_ENDPOINT];
  try {
    return parseEndpoints(text);
  } catch (error) {
    throw usageError(`KONTIKI_ENDPOINTS or ETCDCTL_ENDPOINTS: ${(error as Error).message}.`);
  }
}

/** Runs a client command: connects, explains failures, sets the exit code, lets go of everything. */
export function runClientCommand(
  context: CliContext,
  flags: ClientFlags,
  command: (session: Session) => Promise<ExitCode>,
): Promise<void> {
  return reporting(context, async () => {
    const session = new Session(context, flags);
    try {
      return await command(session);
    } finally {
      session.client.close();
    }
  });
}

const PAUSE_MS = 100;
/** Nobody at all answering is told after this time, unless the user chose how long to wait. */
const NOBODY_MS = 1000;

/**
 * One request of a command. "No leader" means that nothing happened, so it is asked again until the
 * timeout: an election passes within it. Throws a CliError that explains any other failure.
 */
export async function request<T>(
  session: Session,
  action: Action,
  call: (settings: { readonly deadlineMs: number }) => Promise<T>,
): Promise<T> {
  const endAt = performance.now() + session.timeoutMs;
  const patience = session.timeoutGiven ? null : new Patience(session);
  try {
    for (;;) {
      try {
        return await call({ deadlineMs: Math.max(1, endAt - performance.now()) });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        const again = isNoLeader(error) && performance.now() + PAUSE_MS < endAt;
        if (!again) {
          throw new CliError(await explainFailure(error, action, session, patience?.probes));
        }
        await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
      }
    }
  } finally {
    patience?.end();
  }
}

/** Ends a request early when no server can be reached: its call then fails as not sent. */
class Patience {
  /** What the servers said when patience ended. */
  probes: readonly Probe[] | undefined;
  readonly #session: Session;
  readonly #timer: NodeJS.Timeout;
  #ended = false;

  constructor(session: Session) {
    this.#session = session;
    this.#timer = setTimeout(() => void this.#ask(), NOBODY_MS);
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    const { client } = this.#session;
    const probes = await askAll(client.endpoints);
    if (this.#ended || probes.some(({ state }) => state !== 'unreachable')) return;
    this.probes = probes;
    client.close();
  }
}

// `kontiki serve`: runs a server until a signal or a failure ends it.

import { ConfigError } from '../etcd/config.ts';
import { jsonLogger, type Logger } from '../etcd/logger.ts';
import { EtcdServer } from '../etcd/server.ts';
import { KontikiError } from '../node/errors.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { nodeFailureReport } from './node-advice.ts';
import { CliError, reporting } from './report.ts';
import { type ServeSettings, serveSettings } from './serve-config.ts';
import { serveHelp, serveVersion } from './serve-help.ts';
import { StopSignals } from './signals.ts';
import { styleFor } from './style.ts';

export function serve(context: CliContext, args: readonly string[]): Promise<void> {
  const { stdout } = context.process;
  return reporting(context, async () => {
    if (args.some(arg => /^--?(help|h)$/.test(arg))) {
      stdout.write(serveHelp());
    } else if (args.some(arg => /^--?version$/.test(arg))) {
      stdout.write(serveVersion());
    } else {
      await run(context, serveSettings(args, context.process.env));
    }
    return ExitCode.OK;
  });
}

async function run(context: CliContext, settings: ServeSettings): Promise<void> {
  const logger = jsonLogger(settings.logLevel, line => {
    context.process[settings.logTo].write(line);
  });
  for (const warning of settings.warnings) logger.warn(warning);
  const signals = new StopSignals(logger);
  logUncaught(logger);
  try {
    const server = await start(settings, logger);
    logger.info('serving clients', { urls: server.clientUrls });
    void server.ready.then(() => hint(context, settings, server));
    await Promise.race([signals.first, server.closed]);
    await end(server);
  } finally {
    signals.close();
  }
}

/** The state of a process with an uncaught error is unknown, so it ends; its disk is crash-safe. */
function logUncaught(logger: Logger): void {
  process.once('uncaughtException', (error: Error) => {
    logger.error('uncaught error, the server ends', { error: String(error), stack: error?.stack });
    process.exit(ExitCode.FAILED);
  });
}

async function start({ config }: ServeSettings, logger: Logger): Promise<EtcdServer> {
  try {
    return await EtcdServer.start(config, logger);
  } catch (error) {
    // Settings were checked before, so what is left is the machine: ports, files, other servers.
    if (error instanceof ConfigError) {
      const headline = `The server can't start: ${error.message}.`;
      throw new CliError({ headline, details: [], exitCode: ExitCode.FAILED });
    }
    if (!(error instanceof KontikiError)) throw error;
    throw new CliError(nodeFailureReport("The server can't start.", error));
  }
}

/** Ends a running server in order; tells of one that has failed. */
async function end(server: EtcdServer): Promise<void> {
  await server.stop();
  const failure = await server.closed;
  if (failure !== null) throw new CliError(nodeFailureReport('The server has failed.', failure));
}

/** People read what programs don't need. */
function hint({ process }: CliContext, { config }: ServeSettings, server: EtcdServer): void {
  const { stderr, env } = process;
  if (stderr.isTTY !== true) return;
  const { bold, dim } = styleFor(stderr, env);
  const [url = ''] = server.clientUrls;
  stderr.write(
    `\n${bold(`${config.name} is ready: ${url}`)}\n` +
      dim(`  kontiki put greeting hello --endpoints ${url}\n`) +
      dim(`  kontiki status --endpoints ${url}\n`) +
      dim('  Ctrl-C stops\n\n'),
  );
}

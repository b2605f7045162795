// Starts one server from etcd's flags. Used by process tests that run from source, without a build.

import { CONFIG_DEFAULTS, type ServerConfig } from '../../src/etcd/config.ts';
import { jsonLogger } from '../../src/etcd/logger.ts';
import { EtcdServer } from '../../src/etcd/server.ts';

function parse(args: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>();
  for (let i = 0; i < args.length; i += 2) flags.set(args[i]!.replace(/^--?/, ''), args[i + 1]!);
  return flags;
}

function configOf(args: readonly string[]): ServerConfig {
  const flags = parse(args);
  const config: Record<string, unknown> = { ...CONFIG_DEFAULTS };
  for (const [flag, value] of flags) {
    const name = flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const known = config[name];
    if (known === undefined) throw new Error(`unknown flag --${flag}`);
    config[name] = Array.isArray(known)
      ? value.split(',')
      : typeof known === 'number'
        ? Number(value)
        : value;
  }
  return config as unknown as ServerConfig;
}

const log = jsonLogger('info', line => process.stderr.write(line));
try {
  const server = await EtcdServer.start(configOf(process.argv.slice(2)), log);
  process.on('SIGTERM', () => void server.stop().then(() => process.exit(0)));
  const failure = await server.closed;
  if (failure !== null) process.exit(1);
} catch (error) {
  log.error('cannot start', { error: String(error) });
  process.exit(1);
}

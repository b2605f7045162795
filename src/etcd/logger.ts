// Structured log lines: one JSON object each, on stderr, in the field names that etcd's own logs use,
// so that existing log pipelines and scripts that wait for a message go on working.

export type Level = 'debug' | 'info' | 'warn' | 'error';

export type Fields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

export function isLevel(text: string): text is Level {
  return (LEVELS as readonly string[]).includes(text);
}

/** `write` gets whole lines with their newline. */
export function jsonLogger(level: Level, write: (line: string) => void): Logger {
  const line =
    (at: Level) =>
    (message: string, fields: Fields = {}) => {
      if (LEVELS.indexOf(at) < LEVELS.indexOf(level)) return;
      const record = { level: at, ts: new Date().toISOString(), msg: message, ...fields };
      write(`${JSON.stringify(record)}\n`);
    };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};

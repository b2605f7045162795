// Flags as etcd takes them: -x v, --x v, --x=v, and booleans without a value. The other commands use
// Stricli, which knows no single-dash words; scripts and manifests written for etcd have them.

import { usageError } from './report.ts';
import { closest } from './values.ts';

/** Where a value came from, for messages. */
export interface GivenValue {
  readonly text: string;
  /** `--name` or the name of an environment variable. */
  readonly source: string;
}

export interface FlagNames {
  /** Every name that is understood, without dashes. */
  readonly names: ReadonlySet<string>;
  /** Those that may stand without a value. */
  readonly booleans: ReadonlySet<string>;
}

const FLAG = /^--?([A-Za-z][\w-]*)(?:=([\s\S]*))?$/;

/** The last of several wins, as in etcd. Throws a CliError for what is not understood. */
export function parseFlags(args: readonly string[], known: FlagNames): Map<string, GivenValue> {
  const given = new Map<string, GivenValue>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const [, name, inline] = FLAG.exec(arg) ?? [];
    if (name === undefined) throw unexpected(arg, args[i - 1], known);
    if (!known.names.has(name)) throw unknownFlag(name, known.names);
    let text = inline;
    if (text === undefined && known.booleans.has(name)) text = 'true';
    if (text === undefined) {
      i += 1;
      text = args[i];
    }
    if (text === undefined) throw usageError(`--${name} needs a value.`);
    given.set(name, { text, source: `--${name}` });
  }
  return given;
}

function unexpected(arg: string, before: string | undefined, known: FlagNames) {
  const flag = before?.replace(/^--?/, '') ?? '';
  if (known.booleans.has(flag)) {
    return usageError(`${before} ${arg} is not understood: write ${before}=${arg}.`);
  }
  return usageError(`${JSON.stringify(arg)} is not a flag, and serve takes nothing else.`);
}

function unknownFlag(name: string, names: ReadonlySet<string>) {
  const [near] = closest(name, [...names, 'help', 'version']);
  const meant = near === undefined ? '.' : `, did you mean --${near}?`;
  return usageError(`No flag --${name}${meant}`, ['kontiki serve --help     lists all flags']);
}

export interface EnvironmentFlags {
  readonly given: Map<string, GivenValue>;
  /** ETCD_* and KONTIKI_* names that mean nothing. Their values may be secrets and are not kept. */
  readonly unknown: readonly string[];
}

/** Variables of the other commands. */
const NOT_FLAGS = new Set(['KONTIKI_ENDPOINTS']);

/** `ETCD_DATA_DIR` is --data-dir; `KONTIKI_DATA_DIR` is the same and beats it. */
export function environmentFlags(
  env: Readonly<Partial<Record<string, string>>>,
  names: ReadonlySet<string>,
): EnvironmentFlags {
  const given = new Map<string, GivenValue>();
  const unknown: string[] = [];
  for (const prefix of ['ETCD_', 'KONTIKI_']) {
    for (const [variable, text] of Object.entries(env)) {
      if (!variable.startsWith(prefix) || NOT_FLAGS.has(variable)) continue;
      const name = variable.slice(prefix.length).toLowerCase().replaceAll('_', '-');
      if (!names.has(name)) unknown.push(variable);
      // etcd passes over empty variables, which compose files produce.
      else if (text) given.set(name, { text, source: variable });
    }
  }
  return { given, unknown };
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

export function booleanOf({ text, source }: GivenValue): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw usageError(`${source}: ${JSON.stringify(text)} is neither true nor false.`);
}

export function integerOf({ text, source }: GivenValue): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw usageError(`${source}: ${JSON.stringify(text)} is not a whole number.`);
}

export function listOf({ text }: GivenValue): readonly string[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '');
}

// Colours, for terminals only. NO_COLOR (no-color.org) turns them off; --no-color sets it.

import type { CliStream, Environment } from './context.ts';

type Paint = (text: string) => string;

export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
}

const code =
  (on: number, off: number): Paint =>
  text =>
    `\x1b[${on}m${text}\x1b[${off}m`;
const plain: Paint = text => text;

export const NO_STYLE: Style = {
  bold: plain,
  dim: plain,
  red: plain,
  green: plain,
  yellow: plain,
};

const COLOURS: Style = {
  bold: code(1, 22),
  dim: code(2, 22),
  red: code(31, 39),
  green: code(32, 39),
  yellow: code(33, 39),
};

export function styleFor(stream: CliStream, env: Environment): Style {
  const wanted = stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  return wanted ? COLOURS : NO_STYLE;
}

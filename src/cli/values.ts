// Values on a command line, to and from text: durations, whole numbers, sizes, bytes, words.

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DURATION_MAX_MS = 24 * 3_600_000;

/** `500ms`, `2s`, `1m30s`; a bare number means seconds. Milliseconds; throws for anything else. */
export function parseDuration(text: string): number {
  const whole = /^\d+(\.\d+)?$/.test(text) ? `${text}s` : text;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(whole)) {
    throw new Error('a duration looks like 500ms, 2s or 1m30s');
  }
  let ms = 0;
  for (const [, amount, , unit] of whole.matchAll(/(\d+(\.\d+)?)(ms|s|m|h)/g)) {
    ms += Number(amount) * UNIT_MS[unit!]!;
  }
  if (ms < 1 || ms > DURATION_MAX_MS) throw new Error('a duration is between 1ms and 24h');
  return Math.round(ms);
}

/** `2 s`, `500 ms`, `1.5 s` */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${Number((ms / 1000).toFixed(1))} s`;
}

/** A whole number of 0 or more. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new Error('a whole number of 0 or more is expected');
  }
  return value;
}

/** `88,412` */
export function formatCount(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `212 MiB`, `20.5 KiB` */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(value < 100 && unit > 0 ? 1 : 0))} ${SIZE_UNITS[unit]}`;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Null if the bytes are not UTF-8. */
export function utf8OrNull(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/** Of a command that is shown to be typed: as the shell needs it. */
export function shellWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

const DISTANCE_MAX = 3;

/** The candidates that a misspelt word may have meant, nearest first; at most three. */
export function closest(word: string, candidates: Iterable<string>): string[] {
  const limit = Math.min(DISTANCE_MAX, Math.ceil(word.length / 3));
  return [...candidates]
    .filter(candidate => Math.abs(candidate.length - word.length) <= limit)
    .map(candidate => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** Insertions, deletions and substitutions, row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

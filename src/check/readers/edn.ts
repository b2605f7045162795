// The subset of EDN that Jepsen histories are written in: maps, vectors, lists, sets, strings,
// keywords, numbers, nil, booleans, symbols and tags. Text in, plain values out.

export type EdnValue =
  | null
  | boolean
  | number
  | string
  | readonly EdnValue[]
  | EdnKeyword
  | ReadonlyMap<EdnValue, EdnValue>;

/** `:read` is `{ keyword: 'read' }`; a symbol is read as a keyword too. */
export interface EdnKeyword {
  readonly keyword: string;
}

export class EdnError extends Error {
  override readonly name = 'EdnError';
}

const DEPTH_MAX = 64;

/** Every value of the text. Throws EdnError, which names the offset. */
export function readEdn(text: string): EdnValue[] {
  return new EdnReader(text).all();
}

class EdnReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  all(): EdnValue[] {
    const values: EdnValue[] = [];
    while (this.#skip()) values.push(this.#value(0));
    return values;
  }

  /** Skips what means nothing; false at the end. */
  #skip(): boolean {
    for (; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at]!;
      if (c === ';') {
        const end = this.#text.indexOf('\n', this.#at);
        this.#at = end < 0 ? this.#text.length : end;
      } else if (!/[\s,]/.test(c)) {
        return true;
      }
    }
    return false;
  }

  #value(depth: number): EdnValue {
    if (depth > DEPTH_MAX) throw this.#error('nested too deeply');
    if (!this.#skip()) throw this.#error('a value is missing');
    const c = this.#text[this.#at]!;
    switch (c) {
      case '{':
        return this.#map(depth);
      case '[':
        return this.#list(']', depth);
      case '(':
        return this.#list(')', depth);
      case '"':
        return this.#string();
      case '#':
        return this.#tagged(depth);
      default:
        return this.#atom();
    }
  }

  #list(end: string, depth: number): EdnValue[] {
    this.#at += 1;
    const values: EdnValue[] = [];
    for (;;) {
      if (!this.#skip()) throw this.#error(`${end} is missing`);
      if (this.#text[this.#at] === end) break;
      values.push(this.#value(depth + 1));
    }
    this.#at += 1;
    return values;
  }

  #map(depth: number): EdnValue {
    const flat = this.#list('}', depth);
    if (flat.length % 2 !== 0) throw this.#error('a map has a key without a value');
    const map = new Map<EdnValue, EdnValue>();
    for (let i = 0; i < flat.length; i += 2) map.set(flat[i]!, flat[i + 1]!);
    return map;
  }

  // A set is read as a list, a discarded value as the next one, and a tag is dropped.
  #tagged(depth: number): EdnValue {
    this.#at += 1;
    const c = this.#text[this.#at];
    if (c === '{') return this.#list('}', depth);
    if (c === '_') {
      this.#at += 1;
      this.#value(depth + 1);
      return this.#value(depth + 1);
    }
    this.#atom();
    return this.#value(depth + 1);
  }

  #string(): string {
    const start = this.#at;
    let escaped = false;
    for (this.#at += 1; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at]!;
      if (escaped) escaped = false;
      else if (c === '\\') escaped = true;
      else if (c === '"') {
        this.#at += 1;
        return this.#unescape(start, this.#at);
      }
    }
    throw this.#error('a string does not end');
  }

  #unescape(start: number, end: number): string {
    const raw = this.#text.slice(start, end).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
    try {
      return JSON.parse(raw.replaceAll('\r', '\\r')) as string;
    } catch {
      throw this.#error('a string has an unknown escape');
    }
  }

  #atom(): EdnValue {
    const start = this.#at;
    while (this.#at < this.#text.length && !/[\s,;"()[\]{}]/.test(this.#text[this.#at]!)) {
      this.#at += 1;
    }
    const token = this.#text.slice(start, this.#at);
    if (token === '') throw this.#error(`unexpected ${this.#text[start]}`);
    if (token === 'nil') return null;
    if (token === 'true' || token === 'false') return token === 'true';
    if (token.startsWith(':')) return { keyword: token.slice(1) };
    return /^[+-]?\d/.test(token) ? this.#number(token) : { keyword: token };
  }

  #number(token: string): number {
    const value = Number(token.replace(/[NM]$/, ''));
    if (!Number.isFinite(value)) throw this.#error(`${token} is not a number`);
    return value;
  }

  #error(what: string): EdnError {
    return new EdnError(`EDN: ${what} at offset ${this.#at}`);
  }
}

// The header blocks of requests. Calls of one method with the same metadata object share their
// block: once the peer's table holds the fields it is a few bytes of indices, kept and sent again.
import type { Request } from './client-calls.ts';
import { HeaderBlock, HpackEncoder, type Indexing } from './hpack-encoder.ts';
import { encodeBase64, isMetadataName, isMetadataValue } from './metadata.ts';
import { Status, StatusError } from './status.ts';

const CACHED_MAX = 64;
const USER_AGENT = 'grpc-kontiki/0.1';
/** Secrets are kept out of tables that another connection's owner might probe (RFC 7541 §7.1.3). */
const SECRETS: ReadonlySet<string> = new Set(['authorization', 'token', 'cookie']);

interface Cached {
  readonly metadata: Request['metadata'];
  readonly generation: number;
  readonly block: Uint8Array;
}

export class RequestBlocks {
  readonly #authority: string;
  readonly #scheme: string;
  readonly #encoder = new HpackEncoder();
  readonly #cache = new Map<string, Cached>();

  constructor(authority: string, scheme: string) {
    this.#authority = authority;
    this.#scheme = scheme;
  }

  setPeerTableBytes(bytes: number): void {
    this.#encoder.setPeerTableBytes(bytes);
    this.#cache.clear();
  }

  /** The block must be sent at once: the peer's table follows the order of blocks. */
  block(request: Request): Uint8Array {
    const cached = this.#cache.get(request.path);
    if (
      cached !== undefined &&
      cached.metadata === request.metadata &&
      cached.generation === this.#encoder.generation
    ) {
      return withTimeout(cached.block, request.deadlineMs);
    }
    const generation = this.#encoder.generation;
    const block = this.#encode(request);
    if (this.#encoder.generation === generation) {
      if (this.#cache.size >= CACHED_MAX) this.#cache.clear();
      this.#cache.set(request.path, { metadata: request.metadata, generation, block });
    }
    return withTimeout(block, request.deadlineMs);
  }

  #encode(request: Request): Uint8Array {
    const out = new HeaderBlock();
    const encoder = this.#encoder;
    encoder.begin(out);
    encoder.field(out, ':method', 'POST', 'index');
    encoder.field(out, ':scheme', this.#scheme, 'index');
    encoder.field(out, ':path', request.path, 'index');
    encoder.field(out, ':authority', this.#authority, 'index');
    encoder.field(out, 'content-type', 'application/grpc', 'index');
    encoder.field(out, 'te', 'trailers', 'index');
    encoder.field(out, 'user-agent', USER_AGENT, 'index');
    for (const [name, value] of Object.entries(request.metadata ?? {})) {
      const indexing: Indexing = SECRETS.has(name) ? 'never' : 'index';
      encoder.field(out, name, typeof value === 'string' ? value : encodeBase64(value), indexing);
    }
    return out.finish();
  }
}

/** Throws INVALID_ARGUMENT, before anything is sent, for metadata that cannot travel. */
export function checkMetadata(metadata: Request['metadata']): void {
  if (metadata === null) return;
  for (const [name, value] of Object.entries(metadata)) {
    if (!isMetadataName(name)) {
      throw new StatusError(Status.INVALID_ARGUMENT, 'bad metadata name ' + JSON.stringify(name));
    }
    const bytes = typeof value !== 'string';
    if (bytes !== name.endsWith('-bin') || (!bytes && !isMetadataValue(value))) {
      throw new StatusError(Status.INVALID_ARGUMENT, 'bad metadata value of ' + name);
    }
  }
}

function withTimeout(block: Uint8Array, deadlineMs: number): Uint8Array {
  if (deadlineMs === Number.POSITIVE_INFINITY) return block;
  const out = new HeaderBlock();
  out.append(block);
  out.literal('grpc-timeout', formatTimeout(deadlineMs));
  return out.finish();
}

/** At most eight digits, in the finest unit that fits. */
export function formatTimeout(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  if (whole <= 99_999_999) return whole + 'm';
  return Math.min(Math.ceil(whole / 1000), 99_999_999) + 'S';
}

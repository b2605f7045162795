// The headers of a call as gRPC metadata: names are case-insensitive, a name may occur more than
// once, and names ending in `-bin` carry base64 bytes. Decoding happens only when somebody asks.
import type { HeaderField } from './hpack-table.ts';

/** Headers that belong to HTTP/2 or to gRPC itself, not to the application. */
function isTransportHeader(name: string): boolean {
  if (name.startsWith(':') || name.startsWith('grpc-')) return true;
  return name === 'te' || name === 'content-type' || name === 'content-length';
}

export class Metadata {
  static readonly empty = new Metadata([]);
  readonly #fields: readonly HeaderField[];

  /** Keeps `fields`: the caller must not change the array afterwards. */
  constructor(fields: readonly HeaderField[]) {
    this.#fields = fields;
  }

  /** The first value under this name (lower case), transport headers included. */
  get(name: string): string | undefined {
    const fields = this.#fields;
    for (let i = 0; i < fields.length; i++) {
      if (fields[i]!.name === name) return fields[i]!.value;
    }
    return undefined;
  }

  /** Every value under this name, in the order received. */
  getAll(name: string): string[] {
    return this.#fields.filter(field => field.name === name).map(field => field.value);
  }

  /** The bytes of a `-bin` header, or undefined if it is absent or not base64. */
  getBytes(name: string): Uint8Array | undefined {
    const text = this.get(name);
    return text === undefined ? undefined : decodeBase64(text);
  }

  /** Application metadata only, as name and value pairs. */
  entries(): [string, string][] {
    return this.#fields
      .filter(field => !isTransportHeader(field.name))
      .map(field => [field.name, field.value]);
  }
}

/** gRPC peers may leave base64 padding out, so both forms are read. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, 'base64'));
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** A metadata name a peer will accept: lower-case token, no pseudo header, nothing gRPC reserves. */
export function isMetadataName(name: string): boolean {
  return /^[0-9a-z_.-]+$/.test(name) && !isTransportHeader(name) && !CONNECTION_HEADERS.has(name);
}

/** A value that fits an HTTP header: printable ASCII and blanks. */
export function isMetadataValue(value: string): boolean {
  return /^[ -~]*$/.test(value);
}

/** HTTP/1.1 hop-by-hop headers; they make an HTTP/2 request malformed (RFC 9113 §8.2.2). */
export const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

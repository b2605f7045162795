// The headers of a request, read once: which method, how long the client waits, or why it cannot be
// served. Texts and codes of refusals are those of gRPC's Go server, which clients know.
import { readPseudoHeaders } from './header-names.ts';
import type { HeaderField } from './hpack-table.ts';
import { Metadata } from './metadata.ts';
import type { MethodEntry, MethodTable } from './methods.ts';
import { Status, type StatusCode } from './status.ts';

export interface Refusal {
  readonly httpStatus: number;
  readonly code: StatusCode;
  readonly message: string;
}

export interface RequestHead {
  readonly path: string;
  readonly method: MethodEntry | null;
  readonly metadata: Metadata;
  readonly timeoutMs: number;
  readonly encoding: string;
  /** Promised body length, or -1. */
  readonly contentLength: number;
  /** Not HTTP at all: answered with RST_STREAM PROTOCOL_ERROR. */
  readonly malformed: boolean;
  /** Good HTTP that we do not serve. */
  readonly refusal: Refusal | null;
}

const PSEUDO = [':method', ':scheme', ':path', ':authority'];
const TIMEOUT_UNITS_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** `fields` is null when the header list was over its limit. */
export function readRequestHead(
  fields: readonly HeaderField[] | null,
  methods: MethodTable,
): RequestHead {
  if (fields === null)
    return rejected('', refuse(431, Status.RESOURCE_EXHAUSTED, 'headers too long'));
  const pseudo = readPseudoHeaders(fields, PSEUDO);
  const path = pseudo?.get(':path') ?? '';
  const httpMethod = pseudo?.get(':method') ?? '';
  const metadata = new Metadata(fields);
  const contentLength = readContentLength(metadata.get('content-length'));
  if (path === '' || httpMethod === '' || !pseudo?.has(':scheme') || Number.isNaN(contentLength)) {
    return { ...rejected(path, null), malformed: true };
  }
  const timeoutMs = parseTimeout(metadata.get('grpc-timeout'));
  const encoding = metadata.get('grpc-encoding') ?? 'identity';
  const method = methods.get(path);
  const refusal =
    refuseHttp(httpMethod, metadata.get('content-type') ?? '') ??
    (method === null
      ? refuse(200, Status.UNIMPLEMENTED, methods.describeUnknown(path))
      : refuseCall(timeoutMs, encoding));
  return { path, method, metadata, timeoutMs, encoding, contentLength, malformed: false, refusal };
}

const refuse = (httpStatus: number, code: StatusCode, message: string): Refusal => ({
  httpStatus,
  code,
  message,
});

function rejected(path: string, refusal: Refusal | null): RequestHead {
  return {
    path,
    method: null,
    metadata: Metadata.empty,
    timeoutMs: Number.POSITIVE_INFINITY,
    encoding: 'identity',
    contentLength: -1,
    malformed: false,
    refusal,
  };
}

function refuseHttp(httpMethod: string, contentType: string): Refusal | null {
  if (httpMethod !== 'POST') {
    return refuse(405, Status.INTERNAL, 'gRPC requests are POST, not ' + httpMethod);
  }
  if (isGrpcContentType(contentType)) return null;
  const text = 'invalid gRPC request content-type ' + JSON.stringify(contentType);
  return refuse(415, Status.INVALID_ARGUMENT, text);
}

/** `application/grpc`, with a codec (`+proto`) or a parameter; grpc-web is another protocol. */
export function isGrpcContentType(contentType: string): boolean {
  return /^application\/grpc($|[+; ])/i.test(contentType);
}

function refuseCall(timeoutMs: number, encoding: string): Refusal | null {
  if (Number.isNaN(timeoutMs)) return refuse(200, Status.INTERNAL, 'malformed grpc-timeout');
  if (encoding === 'identity' || encoding === 'gzip') return null;
  const text = 'grpc: Decompressor is not installed for grpc-encoding ' + JSON.stringify(encoding);
  return refuse(200, Status.UNIMPLEMENTED, text);
}

/** Milliseconds; Infinity when absent, NaN when malformed. At most 8 digits, as the protocol says. */
export function parseTimeout(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^\d{1,8}[HMSmun]$/.test(text)) return Number.NaN;
  return Number(text.slice(0, -1)) * TIMEOUT_UNITS_MS[text.at(-1)!]!;
}

function readContentLength(text: string | undefined): number {
  if (text === undefined) return -1;
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

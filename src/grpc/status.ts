// The sixteen ways a gRPC call can fail, the error that carries one of them, and the percent-encoding
// that takes an error text through an HTTP/2 header (gRPC over HTTP/2 specification).

export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type StatusCode = (typeof Status)[keyof typeof Status];

/** How many codes there are: the length of a table of counters by code. */
export const STATUS_COUNT = 17;

/** The name clients and metrics use, in gRPC's own spelling (`DeadlineExceeded`). */
const STATUS_NAMES: readonly string[] = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

export function statusName(code: number): string {
  return STATUS_NAMES[code] ?? 'Code(' + code + ')';
}

/** A failed call. `message` is the text the peer sees, unchanged; `code` is its gRPC status. */
export class StatusError extends Error {
  readonly code: StatusCode;

  constructor(code: StatusCode, message: string) {
    super(message);
    this.name = 'StatusError';
    this.code = code;
  }
}

/**
 * A call that failed on the client's side of the wire or was refused by the server.
 * `sent: false` promises that no server has seen the request, so repeating it is safe whatever it does.
 */
export class CallError extends StatusError {
  readonly sent: boolean;

  constructor(code: StatusCode, message: string, sent: boolean) {
    super(code, message);
    this.name = 'CallError';
    this.sent = sent;
  }
}

/** Reads a `grpc-status` header. A peer that sends nonsense has failed in an unknown way. */
export function parseStatusCode(text: string | undefined): StatusCode {
  if (text === undefined || !/^\d{1,2}$/.test(text)) return Status.UNKNOWN;
  const code = Number(text);
  return code < STATUS_COUNT ? (code as StatusCode) : Status.UNKNOWN;
}

const HEX = '0123456789ABCDEF';

/** Text to `grpc-message`: printable ASCII stays, `%` and every other UTF-8 byte become `%XX`. */
export function encodeStatusMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let out = '';
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : '%' + HEX[byte >> 4] + HEX[byte & 15];
  }
  return out;
}

/** `grpc-message` to text. A broken escape is kept as it stands: an error text must never be lost. */
export function decodeStatusMessage(text: string): string {
  if (!text.includes('%')) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const pair = text.slice(i + 1, i + 3);
    if (text[i] === '%' && /^[0-9a-fA-F]{2}$/.test(pair)) {
      bytes.push(Number.parseInt(pair, 16));
      i += 2;
    } else {
      bytes.push(text.charCodeAt(i) & 0xff);
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

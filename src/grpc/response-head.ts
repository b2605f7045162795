// The headers or trailers of a response, read once: its status, or why it is no gRPC response.
import { readPseudoHeaders } from './header-names.ts';
import type { HeaderField } from './hpack-table.ts';
import { Metadata } from './metadata.ts';
import { isGrpcContentType } from './request-head.ts';
import { decodeStatusMessage, parseStatusCode, Status, type StatusCode } from './status.ts';

export interface ResponseHead {
  readonly metadata: Metadata;
  readonly encoding: string;
  /** Meaningful in trailers; UNKNOWN when there was no grpc-status. */
  readonly code: StatusCode;
  readonly message: string;
  readonly failure: { readonly code: StatusCode; readonly message: string } | null;
  /** 1xx: to be skipped, the real headers follow. */
  readonly informational: boolean;
}

export function readResponseHead(fields: readonly HeaderField[] | null): ResponseHead {
  if (fields === null) return failed(Status.RESOURCE_EXHAUSTED, 'response headers too long');
  const pseudo = readPseudoHeaders(fields, [':status']);
  if (pseudo === null) return failed(Status.INTERNAL, 'malformed response headers');
  const metadata = new Metadata(fields);
  const httpStatus = pseudo.get(':status') ?? '';
  const grpcStatus = metadata.get('grpc-status');
  const text = decodeStatusMessage(metadata.get('grpc-message') ?? '');
  const head = {
    metadata,
    encoding: metadata.get('grpc-encoding') ?? 'identity',
    code: parseStatusCode(grpcStatus),
    message: grpcStatus === undefined ? 'the server sent no grpc-status' : text,
    informational: httpStatus.startsWith('1'),
  };
  const foreign =
    httpStatus !== '' && grpcStatus === undefined && !head.informational
      ? foreignAnswer(httpStatus, metadata.get('content-type'))
      : null;
  return { ...head, failure: foreign };
}

/** An answer from something that does not speak gRPC: a proxy, another server. */
function foreignAnswer(
  httpStatus: string,
  contentType: string | undefined,
): { code: StatusCode; message: string } | null {
  if (httpStatus !== '200') {
    const message = 'unexpected HTTP status ' + httpStatus + ' from the server';
    return { code: HTTP_TO_STATUS[httpStatus] ?? Status.UNKNOWN, message };
  }
  if (contentType !== undefined && isGrpcContentType(contentType)) return null;
  const message = 'unexpected content-type ' + JSON.stringify(contentType ?? '');
  return { code: Status.UNKNOWN, message };
}

/** gRPC's published mapping of HTTP status codes. */
const HTTP_TO_STATUS: Readonly<Record<string, StatusCode>> = {
  '400': Status.INTERNAL,
  '401': Status.UNAUTHENTICATED,
  '403': Status.PERMISSION_DENIED,
  '404': Status.UNIMPLEMENTED,
  '429': Status.UNAVAILABLE,
  '502': Status.UNAVAILABLE,
  '503': Status.UNAVAILABLE,
  '504': Status.UNAVAILABLE,
};

function failed(code: StatusCode, message: string): ResponseHead {
  return {
    metadata: Metadata.empty,
    encoding: 'identity',
    code,
    message,
    failure: { code, message },
    informational: false,
  };
}

// Codecs of the health messages.

import type { HealthCheckRequest, HealthCheckResponse } from './health.ts';
import { type ProtoReader, readerOf } from './proto-reader.ts';
import type { ProtoWriter } from './proto-writer.ts';

export function encodeHealthCheckRequest(m: HealthCheckRequest, w: ProtoWriter): void {
  w.string(1, m.service);
}

export function decodeHealthCheckRequest(source: Uint8Array | ProtoReader): HealthCheckRequest {
  const r = readerOf(source);
  const m: HealthCheckRequest = { service: '' };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.service = r.string();
    else r.skip();
  }
  return m;
}

export function encodeHealthCheckResponse(m: HealthCheckResponse, w: ProtoWriter): void {
  w.int(1, m.status);
}

export function decodeHealthCheckResponse(source: Uint8Array | ProtoReader): HealthCheckResponse {
  const r = readerOf(source);
  const m: HealthCheckResponse = { status: 0 };
  let field: number;
  while ((field = r.next()) !== 0) {
    if (field === 1) m.status = r.enum();
    else r.skip();
  }
  return m;
}

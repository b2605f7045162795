// Tells HTTP/2 from HTTP/1 by a connection's first bytes, so that gRPC, the JSON gateway, /health and
// /metrics can share one port, as etcd's clients expect. Pure.
import { PREFACE } from './frames.ts';

export type Protocol = 'h2' | 'http1';

/** Enough of the preface that no HTTP/1 request line can begin with it: `PRI * HTTP/2.0`. */
export const SNIFF_BYTES = 14;

/** The protocol these first bytes speak, or null while more bytes must tell. */
export function sniffProtocol(first: Uint8Array): Protocol | null {
  const size = Math.min(first.length, SNIFF_BYTES);
  for (let i = 0; i < size; i++) {
    if (first[i] !== PREFACE[i]) return 'http1';
  }
  return size === SNIFF_BYTES ? 'h2' : null;
}

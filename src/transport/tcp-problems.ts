// What went wrong, in words that tell a person where to look next. Error codes alone do not.

import { TransportError } from './transport.ts';

function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error) return String(error.code);
  return error instanceof Error ? error.message : String(error);
}

const hints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'is it running?',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'the name server does not answer',
  ETIMEDOUT: 'no answer; is a firewall in between?',
  EHOSTUNREACH: 'no route to that host',
  ENETUNREACH: 'no route to that network',
  EADDRNOTAVAIL: 'that address is not reachable from here',
  ECONNRESET: 'the peer closed the connection',
  EPIPE: 'the peer closed the connection',
  EMFILE: 'too many open files; raise the limit',
};

/** What keeps a link from being up. */
export interface Problem {
  /** The system's error code, if it was the system that said no. */
  readonly code: string | null;
  readonly text: string;
}

export function socketProblem(error: unknown): Problem {
  const code = codeOf(error);
  return { code, text: hints[code] ?? (error instanceof Error ? error.message : '') };
}

/** `ECONNREFUSED: is it running?` */
export function formatProblem({ code, text }: Problem): string {
  return code === null ? text : `${code}: ${text}`;
}

/** `b 127.0.0.1:7002 (ECONNREFUSED): is it running?` */
export function formatProblemOf(who: string, { code, text }: Problem): string {
  return code === null ? `${who}: ${text}` : `${who} (${code}): ${text}`;
}

export function listenError(error: unknown, address: string): TransportError {
  const code = codeOf(error);
  const cause = { cause: error };
  switch (code) {
    case 'EADDRINUSE':
      return new TransportError(
        'ADDRESS_IN_USE',
        `can't listen at ${address} (EADDRINUSE): another process, perhaps an earlier run of this node, already uses that port`,
        cause,
      );
    case 'EACCES':
      return new TransportError(
        'CANNOT_LISTEN',
        `can't listen at ${address} (EACCES): this user may not open that port`,
        cause,
      );
    case 'EADDRNOTAVAIL':
      return new TransportError(
        'CANNOT_LISTEN',
        `can't listen at ${address} (EADDRNOTAVAIL): this machine does not have that address`,
        cause,
      );
    default:
      return new TransportError('CANNOT_LISTEN', `can't listen at ${address} (${code})`, cause);
  }
}

// Why a server did not start or had to stop, in words, and what its operator can do. A node that could
// not write stops for good: it must not go on with a state that its disk may not have.

import type { ErrorCode, KontikiError } from '../node/errors.ts';
import { ExitCode } from './exit-codes.ts';
import type { Detail, Report } from './report.ts';

const RESTART = 'then start the server again: it catches up from the others';

const NEXT: Partial<Record<ErrorCode, readonly string[]>> = {
  STORAGE_FULL: ['free space on the disk of --data-dir', RESTART],
  STORAGE_FAILED: [
    'look for disk errors in the system log, replace the disk if there are any',
    RESTART,
  ],
  STORAGE_STALLED: ['find out why the disk does not answer', RESTART],
  STORAGE_CORRUPT: [
    'keep the data directory for inspection, and check the disk',
    'replace this member by one with an empty directory, so that it copies the data of the others',
  ],
  STORAGE_LOCKED: ['stop the other server that uses this --data-dir, or give each its own'],
  STORAGE_MISMATCH: [
    'this --data-dir belongs to another member or cluster: check --data-dir, --name,',
    '--initial-cluster and --initial-cluster-token',
  ],
  STORAGE_LOST: [
    'keep the data directory for inspection, and find out whether an old copy of it was put back',
    'if not, replace the disk or its controller: it confirms writes that it does not keep',
    'remove this member, and add it anew with an empty --data-dir',
  ],
  TWO_LEADERS: [
    'find the member that voted twice: was an old copy of its --data-dir put back, or its disk lost?',
    'remove that one, and add it anew with an empty --data-dir',
    'then start this server again',
  ],
  STORAGE_VERSION: ['start the version of Kontiki that wrote this --data-dir, or a newer one'],
  TRANSPORT_FAILED: ['check --listen-peer-urls: is the port free, is the address of this machine?'],
  MACHINE_FAILED: ['this is a bug: please report it with the log lines above'],
  INTERNAL: ['this is a bug: please report it with the log lines above'],
};

export function nodeFailureReport(what: string, error: KontikiError): Report {
  const details: Detail[] = [['why', [error.message]]];
  const next = NEXT[error.code];
  if (next !== undefined) details.push(['next', next]);
  return { headline: what, details, exitCode: ExitCode.FAILED };
}

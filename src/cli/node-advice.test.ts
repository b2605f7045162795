import { expect, test } from 'vitest';
import { KontikiError } from '../node/errors.ts';
import { nodeFailureReport } from './node-advice.ts';
import { formatReport } from './report.ts';

test('a server that failed says why and what to do', () => {
  const error = new KontikiError('STORAGE_FULL', 'unknown', 'no space left on the device');
  const report = nodeFailureReport('The server has failed.', error);
  expect(formatReport(report)).toBe(`✗ The server has failed.
  why    STORAGE_FULL: no space left on the device
  next   free space on the disk of --data-dir
         then start the server again: it catches up from the others
`);
  expect(report.exitCode).toBe(1);
});

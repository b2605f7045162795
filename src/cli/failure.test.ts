import { describe, expect, test } from 'vitest';
import { Code, etcdErrors } from '../api/errors.ts';
import { ClientError, type Outcome } from '../client/client-error.ts';
import { explainFailure, type Probe, unreachableReport } from './failure.ts';
import { formatReport } from './report.ts';

const WRITE = { kind: 'write', check: 'kontiki get config/x' } as const;
const READ = { kind: 'read' } as const;
const ASKED = { timeoutMs: 2000, endpointsFlag: '', endpointsGiven: true };

function failed(code: number, text: string, outcome: Outcome | null): ClientError {
  return new ClientError({ code, text, outcome, endpoint: '10.0.0.1:2379' });
}
const refused: Probe = { endpoint: 'b:2379', state: 'unreachable', words: 'connection refused' };
const leaderless: Probe = {
  endpoint: 'a:2379',
  state: 'no leader',
  words: 'answers, knows no leader',
};
const led: Probe = {
  endpoint: 'a:2379',
  state: 'leader known',
  words: 'answers, follows 1 in term 3',
};

const noLeader = failed(Code.UNAVAILABLE, etcdErrors.noLeader.text, 'unknown');
const timeout = failed(Code.DEADLINE_EXCEEDED, 'context deadline exceeded', 'unknown');
const down = failed(
  Code.DEADLINE_EXCEEDED,
  'context deadline exceeded (cannot connect to b:2379: connection refused)',
  'not-applied',
);

describe('a write', () => {
  test('without a leader was not applied, although the client can not know', () => {
    const report = unreachableReport(noLeader, WRITE, [leaderless, refused], ASKED);
    expect(formatReport(report)).toBe(`✗ No leader. This write was NOT applied.
  asked  a:2379  answers, knows no leader
         b:2379  connection refused
  next   kontiki status     shows who is missing
         then try again
`);
    expect(report.exitCode).toBe(2);
  });

  test('that timed out after it was sent has an unknown outcome', () => {
    const report = unreachableReport(timeout, WRITE, [led], ASKED);
    expect(
      formatReport(report),
    ).toBe(`✗ Timed out after 2 s. It is UNKNOWN whether this write was applied.
  asked  a:2379  answers, follows 1 in term 3
  next   kontiki get config/x     shows whether it was applied
         a repeated write is safe with --if-version or --if-absent
`);
    expect(report.exitCode).toBe(6);
  });

  test('that reached nobody was not applied', () => {
    const report = unreachableReport(down, WRITE, [refused], ASKED);
    expect(formatReport(report)).toBe(`✗ The server does not answer. This write was NOT applied.
  asked  b:2379  connection refused
  next   check that the servers run and that host and port are right
`);
    expect(report.exitCode).toBe(2);
  });

  test('whose server died while it had it has an unknown outcome, even if nobody answers now', () => {
    const lost = failed(
      Code.UNAVAILABLE,
      'lost the connection to b:2379: connection reset',
      'unknown',
    );
    const report = unreachableReport(lost, WRITE, [refused], ASKED);
    expect(report.headline).toBe(
      'Lost the connection to b:2379: connection reset. It is UNKNOWN whether this write was applied.',
    );
    expect(report.exitCode).toBe(6);
  });

  test('that was refused was not applied, and the reason is told', async () => {
    const error = failed(Code.INVALID_ARGUMENT, etcdErrors.requestTooLarge.text, 'not-applied');
    const report = await explainFailure(error, WRITE, { ...ASKED, client: { endpoints: [] } });
    expect(
      formatReport(report),
    ).toBe(`✗ The server refused: Request is too large. This write was NOT applied.
  asked  10.0.0.1:2379
  next   split the value, or raise --max-request-bytes on every server
`);
    expect(report.exitCode).toBe(1);
  });

  test('that a server answered with an internal error has an unknown outcome', async () => {
    const error = failed(Code.INTERNAL, 'stream ended without a status', 'unknown');
    const report = await explainFailure(error, WRITE, { ...ASKED, client: { endpoints: [] } });
    expect(report.headline).toContain('It is UNKNOWN whether this write was applied.');
    expect(report.exitCode).toBe(6);
  });
});

describe('a read', () => {
  test('that nobody answers names everyone who was asked and how to ask others', () => {
    const asked = { ...ASKED, endpointsGiven: false };
    const report = unreachableReport(down, READ, [refused, { ...refused, state: 'silent' }], asked);
    expect(report.headline).toBe('No server answers. Nothing was read.');
    expect(report.details[1]![1].join('\n')).toContain('KONTIKI_ENDPOINTS');
    expect(report.exitCode).toBe(2);
  });

  test('that timed out says so, never only in the words of an RPC', () => {
    const error = failed(Code.DEADLINE_EXCEEDED, 'context deadline exceeded', null);
    const { headline } = unreachableReport(error, READ, [led], ASKED);
    expect(headline).toBe('Timed out after 2 s. Nothing was read.');
  });

  test('of a compacted revision says what to do', async () => {
    const error = failed(Code.OUT_OF_RANGE, etcdErrors.compacted.text, null);
    const report = await explainFailure(error, READ, { ...ASKED, client: { endpoints: [] } });
    expect(report.headline).toBe(
      'The server refused: Required revision has been compacted. Nothing was read.',
    );
    expect(report.details[1]).toEqual(['next', ['leave out --rev to read what is newest']]);
  });
});

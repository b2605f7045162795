import { describe, expect, test } from 'vitest';
import type { StatusResponse } from '../api/maintenance.ts';
import type { ClusterView, MemberView } from './cluster-view.ts';
import { formatReport } from './report.ts';
import {
  assess,
  formatStatus,
  HEALTH_EXIT,
  jsonStatus,
  nobodyReport,
  plainStatus,
} from './status-report.ts';
import { NO_STYLE } from './style.ts';

function status(fields: Partial<StatusResponse>): StatusResponse {
  return {
    header: { clusterId: 9n, memberId: 1n, revision: 88_412, raftTerm: 14 },
    version: '3.6.14',
    dbSize: 222_298_112,
    leader: 1n,
    raftIndex: 102_931,
    raftTerm: 14,
    raftAppliedIndex: 102_931,
    errors: [],
    dbSizeInUse: 0,
    isLearner: false,
    storageVersion: '',
    dbSizeQuota: 0,
    downgradeInfo: null,
    ...fields,
  };
}

function member(id: number, fields: Partial<StatusResponse> | string): MemberView {
  const silent = typeof fields === 'string';
  return {
    id: BigInt(id),
    name: String.fromCharCode(96 + id),
    isLearner: false,
    address: `10.0.0.${id}:2379`,
    status: silent ? null : status(fields),
    roundTripMs: 0.6,
    problem: silent ? fields : null,
  };
}

function view(...members: MemberView[]): ClusterView {
  return { clusterId: 9n, seenBy: '10.0.0.1:2379', members };
}

const DOWN = 'connection refused';
const HEALTHY = view(member(1, {}), member(2, {}), member(3, { raftAppliedIndex: 102_377 }));
const DEGRADED = view(member(1, {}), member(2, {}), member(3, DOWN));
const NO_QUORUM = view(member(1, { leader: 0n }), member(2, DOWN), member(3, DOWN));

describe('the sentence', () => {
  test('a healthy cluster says how many it can lose', () => {
    expect(formatStatus(HEALTHY, assess(HEALTHY), NO_STYLE)).toBe(
      `● HEALTHY  writes ok · reads ok · can lose 1 of 3     term 14 · revision 88,412 · seen by 10.0.0.1:2379

MEMBER  ROLE      STATE  APPLIED  LAG  TOOK  DB       VERSION  ENDPOINT
a       leader    ok     102,931  0    1 ms  212 MiB  3.6.14   10.0.0.1:2379
b       follower  ok     102,931  0    1 ms  212 MiB  3.6.14   10.0.0.2:2379
c       follower  ok     102,377  554  1 ms  212 MiB  3.6.14   10.0.0.3:2379
`,
    );
    expect(HEALTH_EXIT[assess(HEALTHY).health]).toBe(0);
  });

  test('a degraded one names who does not answer, why, and what one more failure means', () => {
    expect(formatStatus(DEGRADED, assess(DEGRADED), NO_STYLE)).toBe(
      `◐ DEGRADED  writes ok · reads ok · can lose 0 more     term 14 · revision 88,412 · seen by 10.0.0.1:2379
  c does not answer (connection refused).
  One more failure stops writes.

MEMBER  ROLE      STATE      APPLIED  LAG  TOOK  DB       VERSION  ENDPOINT
a       leader    ok         102,931  0    1 ms  212 MiB  3.6.14   10.0.0.1:2379
b       follower  ok         102,931  0    1 ms  212 MiB  3.6.14   10.0.0.2:2379
c       -         no answer  -        -    -     -        -        10.0.0.3:2379
`,
    );
    expect(HEALTH_EXIT[assess(DEGRADED).health]).toBe(1);
  });

  test('one without a quorum says how many a leader needs', () => {
    const { health, reasons, canLose } = assess(NO_QUORUM);
    expect(reasons).toEqual([
      'Only 1 of 3 voters answer, a leader needs 2.',
      'a knows no leader.',
      'b does not answer (connection refused).',
      'c does not answer (connection refused).',
    ]);
    expect(canLose).toBe(-1);
    expect(HEALTH_EXIT[health]).toBe(2);
  });

  test('enough voters without a leader are in an election', () => {
    const electing = view(member(1, { leader: 0n }), member(2, { leader: 0n }), member(3, DOWN));
    expect(assess(electing).reasons[0]).toContain('2 of 3 voters answer, but none of them leads');
  });

  test('a leader of an old term does not count', () => {
    const old = view(
      member(1, { leader: 1n, raftTerm: 13 }),
      member(2, { leader: 0n }),
      member(3, { leader: 0n }),
    );
    expect(assess(old).health).toBe('unavailable');
  });

  test('an alarm makes a cluster degraded', () => {
    const alarmed = view(member(1, { errors: ['memberID:1 alarm:NOSPACE '] }));
    expect(assess(alarmed).reasons[0]).toBe('a reports: memberID:1 alarm:NOSPACE .');
    expect(assess(alarmed).health).toBe('degraded');
  });

  test('a learner neither counts as a voter nor can be lost', () => {
    const learner = { ...member(2, {}), isLearner: true };
    expect(assess(view(member(1, {}), learner))).toMatchObject({ canLose: 0, voters: 1 });
  });
});

test('scripts get a line a member, with tabs between', () => {
  expect(plainStatus(DEGRADED, assess(DEGRADED))).toBe(
    'degraded\tcan-lose=0\tterm=14\n' +
      'a\tleader\t10.0.0.1:2379\tapplied=102931\n' +
      'b\tfollower\t10.0.0.2:2379\tapplied=102931\n' +
      'c\t-\t10.0.0.3:2379\tconnection refused\n',
  );
});

test('programs get JSON with a schema', () => {
  expect(jsonStatus(DEGRADED, assess(DEGRADED))).toMatchObject({
    schema: 'kontiki.status/1',
    health: 'degraded',
    canLose: 0,
    clusterId: '9',
    members: [
      { id: '1', name: 'a', role: 'leader', applied: 102_931, roundTripMs: 0.6 },
      { name: 'b' },
      { name: 'c', role: '-', problem: 'connection refused' },
    ],
  });
});

test('if nobody can be asked, the state is unknown', () => {
  const report = nobodyReport({ asked: [{ endpoint: 'a:1', problem: DOWN }] }, ['do this']);
  expect(
    formatReport(report),
  ).toBe(`✗ The server does not answer: the state of the cluster is unknown.
  asked  a:1  connection refused
  next   do this
`);
  expect(report.exitCode).toBe(3);
});
